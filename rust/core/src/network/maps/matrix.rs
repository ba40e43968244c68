//! The small matrices that maps of an axis are, each in the form that is cheapest to apply.

use crate::network::maps::runs::Runs;

/// The most entries of compressed rows.
const MAX_ENTRIES: u64 = 1 << 28;

/// Something that was compiled, or the reason why it cannot be.
pub(crate) type Compiled<T> = Result<T, String>;

/// How one run of the source gathers from the runs of the target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RunMatrix {
    /// Run `j` takes the count of run `j` of the target.
    Identity,
    /// A single run takes the count of a single run, times a weight.
    Scale(u64),
    /// Source index `j = phases.len() * m + f` sums the target indices `m + offset + u * step` for
    /// `u < count` that are in bounds, where offset, step and count are those of phase `f`. All
    /// runs are single indices.
    Band(Vec<Phase>),
    /// Run `j` sums the target runs `low[j]..high[j]`; both ends rise, or both fall, with `j`.
    Ranges {
        /// First run of each range.
        low: Vec<u32>,
        /// One past the last run of each range.
        high: Vec<u32>,
    },
    /// Run `j` sums weighted runs: the entries of row `j`, each a run and its weight.
    Sparse {
        /// Row `j` is `offsets[j]..offsets[j + 1]`.
        offsets: Vec<u32>,
        /// The entries.
        entries: Vec<(u32, u64)>,
    },
}

/// What source indices with one residue modulo the stride sum: see [`RunMatrix::Band`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Phase {
    pub(crate) offset: i64,
    pub(crate) step: u64,
    pub(crate) count: u64,
}

impl Phase {
    /// The first of the indices `offset + m + u * step` within `0..extent`, and how many there are.
    pub(crate) fn clip(&self, m: u64, extent: u64) -> (u64, u64) {
        let first = self.offset + m as i64;
        let step = self.step as i64;
        let skipped = if first < 0 { (-first + step - 1) / step } else { 0 };
        let fitting = (extent as i64 - first + step - 1).div_euclid(step);
        let count = fitting.min(self.count as i64) - skipped;
        ((first + skipped * step).max(0) as u64, count.max(0) as u64)
    }
}

impl RunMatrix {
    /// The target runs and weights of source run `j`; `extent` is the number of target runs.
    pub(crate) fn entries(&self, j: usize, extent: u64, row: &mut Vec<(u32, u64)>) {
        row.clear();
        match self {
            Self::Identity => row.push((j as u32, 1)),
            Self::Scale(weight) => row.push((0, *weight)),
            Self::Band(phases) => {
                let phase = phases[j % phases.len()];
                let (first, count) = phase.clip((j / phases.len()) as u64, extent);
                row.extend((0..count).map(|u| ((first + u * phase.step) as u32, 1)));
            }
            Self::Ranges { low, high } => row.extend((low[j]..high[j]).map(|run| (run, 1))),
            Self::Sparse { offsets, entries } => {
                row.extend_from_slice(&entries[offsets[j] as usize..offsets[j + 1] as usize]);
            }
        }
    }

    /// The largest sum of the weights of a row; at most the largest integer of 64 bits.
    pub(crate) fn heaviest(&self) -> u64 {
        let sum =
            |row: &[(u32, u64)]| row.iter().fold(0u64, |sum, entry| sum.saturating_add(entry.1));
        match self {
            Self::Identity => 1,
            Self::Scale(weight) => *weight,
            Self::Band(phases) => phases.iter().map(|phase| phase.count).max().unwrap_or(0),
            Self::Ranges { low, high } => {
                low.iter().zip(high).map(|(l, h)| u64::from(h - l)).max().unwrap_or(0)
            }
            Self::Sparse { offsets, entries } => offsets
                .windows(2)
                .map(|ends| sum(&entries[ends[0] as usize..ends[1] as usize]))
                .max()
                .unwrap_or(0),
        }
    }
}

/// Builds compressed rows, and joins neighbours that are equal to one run.
#[derive(Default)]
pub(crate) struct SparseBuilder {
    lengths: Vec<u64>,
    offsets: Vec<u32>,
    entries: Vec<(u32, u64)>,
    /// The row that is being built.
    pub(crate) row: Vec<(u32, u64)>,
}

impl SparseBuilder {
    /// Appends `row` and clears it.
    ///
    /// # Errors
    /// The reason why there are too many entries.
    pub(crate) fn push(&mut self) -> Compiled<()> {
        let start = self.offsets.last().copied().unwrap_or(0) as usize;
        match self.lengths.last_mut() {
            Some(last) if self.entries[start..] == self.row[..] => *last += 1,
            _ => {
                self.lengths.push(1);
                self.offsets.push(self.entries.len() as u32);
                self.entries.extend_from_slice(&self.row);
            }
        }
        self.row.clear();
        if self.entries.len() as u64 > MAX_ENTRIES {
            return Err(format!("the axis needs more than {MAX_ENTRIES} sums of unequal counts"));
        }
        Ok(())
    }

    /// The runs of the source, and the matrix that gathers them from those of `target`.
    pub(crate) fn finish(mut self, target: &Runs) -> (Runs, RunMatrix) {
        self.offsets.push(self.entries.len() as u32);
        let runs = Runs::from_lengths(self.lengths);
        let one_each = self.entries.len() == runs.len()
            && self.entries.iter().zip(0..).all(|(&entry, j)| entry == (j, 1))
            && self.offsets.iter().zip(0..).all(|(&offset, j)| offset == j);
        let matrix = match self.entries[..] {
            _ if one_each && runs == *target => RunMatrix::Identity,
            [(0, weight)] if runs.is_single() && target.is_single() => RunMatrix::Scale(weight),
            _ => RunMatrix::Sparse { offsets: self.offsets, entries: self.entries },
        };
        (runs, matrix)
    }
}
