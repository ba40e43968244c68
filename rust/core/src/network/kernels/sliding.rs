//! Sliding sums of rows without subtraction.
//!
//! A window that slides over rows is summed as a queue of two stacks: suffix sums of the rows it
//! entered with, and one running sum of the rows that came since. Every row is added three times
//! whatever the size of the window, and nothing is ever subtracted, which floating point could not
//! afford.

use crate::network::maps::matrix::RunMatrix;

/// Windows over the rows `first, first + step, ...`.
pub(crate) struct Class {
    pub(crate) first: usize,
    pub(crate) step: usize,
    pub(crate) windows: Vec<Window>,
}

/// Result `to` sums the rows number `low..high` of a class.
#[derive(Clone, Copy)]
pub(crate) struct Window {
    pub(crate) to: usize,
    pub(crate) low: usize,
    pub(crate) high: usize,
}

/// The classes of a map whose windows are wide enough to be worth sliding; in each class both ends
/// of the windows rise, empty windows aside.
pub(crate) fn classes(matrix: &RunMatrix, from: usize, to: usize) -> Option<Vec<Class>> {
    match matrix {
        RunMatrix::Band(phases) if phases.iter().any(|phase| phase.count > 4) => {
            let mut found = Vec::new();
            for (f, phase) in phases.iter().enumerate() {
                let step = phase.step as usize;
                let residues = step.min(from).max(1);
                let start = found.len();
                found.extend((0..residues).map(|first| Class { first, step, windows: Vec::new() }));
                for (m, j) in (f..to).step_by(phases.len()).enumerate() {
                    let (first, count) = phase.clip(m as u64, from as u64);
                    let (first, count) = (first as usize, count as usize);
                    let low = first / step;
                    let class = if count == 0 { 0 } else { first % step };
                    found[start + class].windows.push(Window { to: j, low, high: low + count });
                }
            }
            Some(found)
        }
        RunMatrix::Ranges { low, high } if work(low, high) > 4 * (from + to) => {
            let window = |j: usize| Window { to: j, low: low[j] as usize, high: high[j] as usize };
            let mut windows: Vec<Window> = (0..to).map(window).collect();
            if low.first() > low.last() || high.first() > high.last() {
                windows.reverse();
            }
            Some(vec![Class { first: 0, step: 1, windows }])
        }
        _ => None,
    }
}

/// The sum of the middle rows of a tensor, which several of its reductions share: the total and
/// the sums under the taps of a window differ in a few rows at the ends.
pub(crate) struct Middle<L> {
    /// The contents it was taken from, and which rows.
    pub(crate) version: u64,
    pub(crate) first: usize,
    pub(crate) last: usize,
    pub(crate) sum: Vec<L>,
}

/// A reduction in terms of the sum of the rows `first..last`: for each result the weight of that
/// sum, and what else it adds up.
pub(crate) struct Nested {
    pub(crate) first: usize,
    pub(crate) last: usize,
    pub(crate) results: Vec<(u64, Vec<(u32, u64)>)>,
}

impl<L> Middle<L> {
    pub(crate) fn new() -> Self {
        Self { version: 0, first: 0, last: 0, sum: Vec::new() }
    }

    /// Plans the reduction by `matrix` of `from` rows to `to`, if most of each result is one sum over
    /// the middle; preferably one that is known already.
    pub(crate) fn plan(
        &self,
        matrix: &RunMatrix,
        from: usize,
        to: usize,
        version: u64,
    ) -> Option<Nested> {
        if 4 * to > from
            || from < 8
            || !matches!(matrix, RunMatrix::Ranges { .. } | RunMatrix::Sparse { .. })
        {
            return None;
        }
        let mut results = Vec::with_capacity(to);
        let (mut first, mut last) = (0, from);
        for j in 0..to {
            let mut row = Vec::new();
            matrix.entries(j, from as u64, &mut row);
            let (weight, start, end) = plateau(&row, from);
            (first, last) = (first.max(start), last.min(end));
            results.push((weight, row));
        }
        let known = self.version == version && self.first >= first && self.last <= last;
        if known && (self.first - first) + (last.saturating_sub(self.last)) <= 4 {
            (first, last) = (self.first, self.last);
        } else if (first, last) == (0, from) {
            // Leave out the ends, so that the window of the layer before can use the sum.
            (first, last) = (1, from - 1);
        }
        let beyond: usize = results.iter().map(|(_, row)| row.len()).sum();
        if last < first + 4 || beyond.saturating_sub(to * (last - first)) > 2 * from {
            return None;
        }
        for (_, row) in &mut results {
            row.retain(|&(run, _)| !(first..last).contains(&(run as usize)));
        }
        Some(Nested { first, last, results })
    }
}

/// The weight of a row at the centre of `from`, and the range around it that has that weight.
fn plateau(row: &[(u32, u64)], from: usize) -> (u64, usize, usize) {
    let centre = from / 2;
    let at = row.partition_point(|&(run, _)| (run as usize) < centre);
    let Some(&(run, weight)) = row.get(at).filter(|entry| entry.0 as usize == centre) else {
        return (0, centre, centre);
    };
    let same = |offset: usize, &(other, w): &(u32, u64)| {
        w == weight && other.abs_diff(run) as usize == offset
    };
    let below = (1..).zip(row[..at].iter().rev()).take_while(|&(n, entry)| same(n, entry)).count();
    let above = (1..).zip(&row[at + 1..]).take_while(|&(n, entry)| same(n, entry)).count();
    (weight, centre - below, centre + above + 1)
}

/// How many rows all ranges add up, one by one.
fn work(low: &[u32], high: &[u32]) -> usize {
    low.iter().zip(high).map(|(l, h)| (h - l) as usize).sum()
}

/// The two stacks.
pub(crate) struct Queue<L> {
    suffixes: Vec<L>,
    recent: Vec<L>,
    sum: Vec<L>,
    /// The suffix sums reach from row `bottom` to row `pivot`, the running sum on to `reached`.
    bottom: usize,
    pivot: usize,
    reached: usize,
}

impl<L: Copy + Default> Queue<L> {
    pub(crate) fn new() -> Self {
        Self {
            suffixes: Vec::new(),
            recent: Vec::new(),
            sum: Vec::new(),
            bottom: 0,
            pivot: 0,
            reached: 0,
        }
    }

    /// Starts over.
    pub(crate) fn reset(&mut self) {
        self.pivot = 0;
    }

    /// The sum of the rows `window.low..window.high`, each of `width` lanes. Windows come in order
    /// and are not empty.
    #[inline(always)]
    pub(crate) fn sum<'r>(
        &mut self,
        window: Window,
        width: usize,
        row: impl Fn(usize) -> &'r [L],
        add: impl Fn(L, L) -> L,
    ) -> &[L]
    where
        L: 'r,
    {
        let Window { low, high, .. } = window;
        if low >= self.pivot {
            (self.bottom, self.pivot, self.reached) = (low, high, high);
            self.suffixes.resize((high - low) * width, L::default());
            self.recent.clear();
            for x in (low..high).rev() {
                let (here, above) = self.suffixes[(x - low) * width..].split_at_mut(width);
                here.copy_from_slice(row(x));
                if x + 1 < high {
                    for (to, &from) in here.iter_mut().zip(&*above) {
                        *to = add(*to, from);
                    }
                }
            }
            return &self.suffixes[..width];
        }
        for x in self.reached..high {
            if self.recent.is_empty() {
                self.recent.extend_from_slice(row(x));
            } else {
                for (to, &from) in self.recent.iter_mut().zip(row(x)) {
                    *to = add(*to, from);
                }
            }
        }
        self.reached = self.reached.max(high);
        let suffix = &self.suffixes[(low - self.bottom) * width..][..width];
        if self.recent.is_empty() {
            return suffix;
        }
        self.sum.clear();
        self.sum.extend(suffix.iter().zip(&self.recent).map(|(&a, &b)| add(a, b)));
        &self.sum
    }
}
