//! Lane maps: matrices between runs, made ready to be applied along the lanes of one plane.

use crate::network::kernels::vector::{add_three, add_to, add_two, copy, total};
use crate::network::maps::matrix::{Phase, RunMatrix};
use crate::number::Semiring;

/// A matrix that is ready to be applied along lanes.
pub(crate) enum LaneMap {
    /// Lanes stay where they are.
    Identity,
    /// Every lane is lane 0.
    Fill,
    /// Sums of shifted lanes, with a margin of zeros; one phase for every residue of the output
    /// lane.
    Band { phases: Vec<Phase>, before: usize, after: usize },
    /// Sums over ranges that all contain the lanes `common`, whose sum is computed once.
    Nested { low: Vec<u32>, high: Vec<u32>, common: (usize, usize) },
    /// Weighted sums.
    Sparse { offsets: Vec<u32>, entries: Vec<(u32, u64)> },
}

impl LaneMap {
    /// Prepares `matrix` from `from` lanes to `to` lanes.
    pub(crate) fn new(matrix: &RunMatrix, from: usize, to: usize) -> Self {
        match matrix {
            RunMatrix::Identity | RunMatrix::Scale(1) => Self::Identity,
            RunMatrix::Band(phases) => {
                Self::band(phases, from, to).unwrap_or_else(|| Self::sparse(matrix, from, to))
            }
            RunMatrix::Ranges { low, high } => {
                let first = low.iter().max().map_or(0, |&l| l as usize);
                let last = high.iter().min().map_or(0, |&h| h as usize);
                if first < last {
                    Self::Nested { low: low.clone(), high: high.clone(), common: (first, last) }
                } else {
                    Self::sparse(matrix, from, to)
                }
            }
            RunMatrix::Sparse { entries, .. }
                if from == 1
                    && entries.len() == to
                    && entries.iter().all(|&entry| entry == (0, 1)) =>
            {
                Self::Fill
            }
            _ => Self::sparse(matrix, from, to),
        }
    }

    /// A band with its margins, unless these would be much longer than the lanes.
    fn band(phases: &[Phase], from: usize, to: usize) -> Option<Self> {
        let (mut before, mut after) = (0, 0);
        for (f, phase) in phases.iter().enumerate().filter(|(_, phase)| phase.count > 0) {
            let steps = (to.saturating_sub(f + 1) / phases.len()) as i64;
            let last = phase.offset + steps + (phase.count as i64 - 1) * phase.step as i64;
            before = before.max(-phase.offset);
            after = after.max(last + 1 - from as i64);
        }
        let limit = 4 * (from + to) as i64 + 64;
        (before <= limit && after <= limit).then(|| Self::Band {
            phases: phases.to_vec(),
            before: before.max(0) as usize,
            after: after.max(0) as usize,
        })
    }

    /// Any matrix as weighted sums.
    pub(crate) fn sparse(matrix: &RunMatrix, from: usize, to: usize) -> Self {
        let (mut offsets, mut entries, mut row) = (vec![0], Vec::new(), Vec::new());
        for j in 0..to {
            matrix.entries(j, from as u64, &mut row);
            entries.extend_from_slice(&row);
            offsets.push(entries.len() as u32);
        }
        Self::Sparse { offsets, entries }
    }

    /// How many zeros the lanes need before and after them.
    pub(crate) fn margins(&self) -> (usize, usize) {
        match self {
            Self::Band { before, after, .. } => (*before, *after),
            _ => (0, 0),
        }
    }

    /// Maps the lanes of `padded`, which has `margins().0` zeros before them, to the first `kept`
    /// lanes of `out`.
    #[inline(always)]
    pub(crate) fn apply<S: Semiring>(
        &self,
        padded: &[S::Lane],
        kept: usize,
        out: &mut [S::Lane],
        scratch: &mut LaneScratch<S::Lane>,
    ) {
        match self {
            Self::Identity => copy(&padded[..out.len()], out),
            Self::Fill => out[..kept].fill(padded[0]),
            Self::Band { phases, before, .. } => {
                if let [phase] = phases[..] {
                    shifted_sum::<S>(padded, *before, phase, out, scratch);
                    // Windows beyond the lanes that are kept still reach back to the last lanes.
                    out[kept..].fill(S::ZERO);
                    return;
                }
                if let [even, odd] = phases[..] {
                    interleaved_sum::<S>(padded, *before, (even, odd), &mut out[..kept], scratch);
                    return;
                }
                let out = &mut out[..kept];
                for (f, &phase) in phases.iter().enumerate().take(out.len()) {
                    let mut part = std::mem::take(&mut scratch.phase);
                    part.resize((out.len() - f).div_ceil(phases.len()), S::ZERO);
                    shifted_sum::<S>(padded, *before, phase, &mut part, scratch);
                    for (to, &sum) in out[f..].iter_mut().step_by(phases.len()).zip(&part) {
                        *to = sum;
                    }
                    scratch.phase = part;
                }
            }
            Self::Nested { low, high, common: (first, last) } => {
                let middle = total::<S>(&padded[*first..*last]);
                for ((to, &low), &high) in out.iter_mut().zip(low).zip(high) {
                    let left = total::<S>(&padded[low as usize..*first]);
                    let right = total::<S>(&padded[*last..high as usize]);
                    *to = S::add(S::add(left, middle), right);
                }
            }
            Self::Sparse { offsets, entries } => {
                for (to, ends) in out.iter_mut().zip(offsets.windows(2)) {
                    let row = &entries[ends[0] as usize..ends[1] as usize];
                    *to = row.iter().fold(S::ZERO, |sum, &(lane, weight)| {
                        S::add(sum, S::weigh(padded[lane as usize], weight))
                    });
                }
            }
        }
    }
}

/// Scratch space of lane maps.
pub(crate) struct LaneScratch<L> {
    phase: Vec<L>,
    other: Vec<L>,
    doubled: Vec<L>,
    doubling: Vec<L>,
}

impl<L> LaneScratch<L> {
    pub(crate) fn new() -> Self {
        Self { phase: Vec::new(), other: Vec::new(), doubled: Vec::new(), doubling: Vec::new() }
    }
}

/// The sums of two phases, which alternate.
#[inline(always)]
fn interleaved_sum<S: Semiring>(
    padded: &[S::Lane],
    before: usize,
    (even, odd): (Phase, Phase),
    out: &mut [S::Lane],
    scratch: &mut LaneScratch<S::Lane>,
) {
    let half = out.len().div_ceil(2);
    let (mut first, mut second) =
        (std::mem::take(&mut scratch.phase), std::mem::take(&mut scratch.other));
    first.resize(half, S::ZERO);
    second.resize(half, S::ZERO);
    shifted_sum::<S>(padded, before, even, &mut first, scratch);
    shifted_sum::<S>(padded, before, odd, &mut second, scratch);
    let (pairs, last) = out.as_chunks_mut::<2>();
    for ((pair, &a), &b) in pairs.iter_mut().zip(&first).zip(&second) {
        *pair = [a, b];
    }
    if let ([last], Some(&sum)) = (last, first.last()) {
        *last = sum;
    }
    (scratch.phase, scratch.other) = (first, second);
}

/// `out[m] = sum of padded[before + offset + m + u * step] for u < count`.
#[inline(always)]
fn shifted_sum<S: Semiring>(
    padded: &[S::Lane],
    before: usize,
    phase: Phase,
    out: &mut [S::Lane],
    scratch: &mut LaneScratch<S::Lane>,
) {
    if phase.count == 0 {
        out.fill(S::ZERO);
        return;
    }
    let first = (before as i64 + phase.offset).max(0) as usize;
    let (step, n) = (phase.step as usize, out.len());
    let at = |u: usize| &padded[first + u * step..first + u * step + n];
    match phase.count {
        1 => copy(at(0), out),
        2 => add_two::<S>(at(0), at(1), out),
        3 => add_three::<S>(at(0), at(1), at(2), out),
        count => doubling_sum::<S>(&padded[first..], count as usize, step, out, scratch),
    }
}

/// Sums of `count` lanes from sums of 1, 2, 4, ... of them: logarithmic in `count`, and without
/// the subtraction of a running sum, which floating point could not afford.
#[inline(always)]
fn doubling_sum<S: Semiring>(
    lanes: &[S::Lane],
    count: usize,
    step: usize,
    out: &mut [S::Lane],
    scratch: &mut LaneScratch<S::Lane>,
) {
    let needed = out.len() + (count - 1) * step;
    scratch.doubled.clear();
    scratch.doubled.extend_from_slice(&lanes[..needed]);
    out.fill(S::ZERO);
    let (mut width, mut shift) = (1, 0);
    loop {
        if count & width != 0 {
            let n = out.len();
            add_to::<S>(&scratch.doubled[shift * step..][..n], out);
            shift += width;
        }
        if 2 * width > count {
            return;
        }
        let kept = scratch.doubled.len() - width * step;
        scratch.doubling.clear();
        let pairs = scratch.doubled[..kept].iter().zip(&scratch.doubled[width * step..]);
        scratch.doubling.extend(pairs.map(|(&a, &b)| S::add(a, b)));
        std::mem::swap(&mut scratch.doubled, &mut scratch.doubling);
        width *= 2;
    }
}
