//! Run-length encoding of one axis, so that neighbouring indices with equal counts are stored once.

use std::sync::Arc;

use smallvec::SmallVec;

/// A list with an entry for every axis of a tensor; few tensors have more than four axes.
pub(crate) type PerAxis<T> = SmallVec<[T; 4]>;

/// The lengths of consecutive runs along an axis. A clone is cheap.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Runs {
    extent: u64,
    /// `None` for a single run.
    lengths: Option<Arc<[u64]>>,
}

impl Runs {
    /// A single run.
    pub(crate) fn single(extent: u64) -> Self {
        Self { extent, lengths: None }
    }

    /// Every index is a run of its own.
    pub(crate) fn unit(extent: usize) -> Self {
        let lengths = (extent != 1).then(|| std::iter::repeat_n(1, extent).collect());
        Self { extent: extent as u64, lengths }
    }

    /// Runs of these lengths.
    pub(crate) fn from_lengths(lengths: Vec<u64>) -> Self {
        let extent = lengths.iter().sum();
        Self { extent, lengths: (lengths.len() != 1).then(|| lengths.into()) }
    }

    /// The number of runs.
    pub(crate) fn len(&self) -> usize {
        self.lengths.as_ref().map_or(1, |lengths| lengths.len())
    }

    /// The length of the axis.
    pub(crate) fn extent(&self) -> u64 {
        self.extent
    }

    /// The length of every run.
    pub(crate) fn lengths(&self) -> &[u64] {
        self.lengths.as_deref().unwrap_or(std::slice::from_ref(&self.extent))
    }

    /// Whether there is a single run.
    pub(crate) fn is_single(&self) -> bool {
        self.lengths.is_none()
    }

    /// Whether every index is a run of its own.
    pub(crate) fn is_unit(&self) -> bool {
        self.extent == self.len() as u64
    }

    /// The index at which every run ends.
    pub(crate) fn ends(&self) -> Vec<u64> {
        self.lengths()
            .iter()
            .scan(0, |end, &length| {
                *end += length;
                Some(*end)
            })
            .collect()
    }

    /// The runs that have the breaks of both.
    pub(crate) fn union(&self, other: &Self) -> Self {
        if self == other || other.is_single() {
            return self.clone();
        }
        if self.is_single() {
            return other.clone();
        }
        let (a, b) = (self.ends(), other.ends());
        let (mut i, mut j, mut at) = (0, 0, 0);
        let mut lengths = Vec::with_capacity(a.len().max(b.len()));
        while i < a.len() && j < b.len() {
            let end = a[i].min(b[j]);
            lengths.push(end - at);
            at = end;
            i += usize::from(a[i] == end);
            j += usize::from(b[j] == end);
        }
        Self::from_lengths(lengths)
    }

    /// For every run of `finer`, the run of `self` that contains it.
    pub(crate) fn index_of(&self, finer: &Self) -> Vec<u32> {
        let ends = self.ends();
        let (mut run, mut at) = (0, 0);
        let locate = |&length: &u64| {
            let here = run as u32;
            at += length;
            while run < ends.len() && ends[run] <= at {
                run += 1;
            }
            here
        };
        finer.lengths().iter().map(locate).collect()
    }

    /// Joins each run to the one before it where `keep` is false; `keep[0]` is ignored.
    pub(crate) fn merged(&self, keep: &[bool]) -> Self {
        let mut lengths: Vec<u64> = Vec::new();
        for (i, &length) in self.lengths().iter().enumerate() {
            match lengths.last_mut() {
                Some(last) if !keep[i] => *last += length,
                _ => lengths.push(length),
            }
        }
        Self::from_lengths(lengths)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn union_has_the_breaks_of_both() {
        let a = Runs::from_lengths(vec![2, 3, 1]);
        let b = Runs::from_lengths(vec![1, 4, 1]);
        let both = a.union(&b);
        assert_eq!(both.lengths(), [1, 1, 3, 1]);
        assert_eq!(a.index_of(&both), [0, 0, 1, 2]);
        assert_eq!(b.index_of(&both), [0, 1, 1, 2]);
        assert_eq!(both.merged(&[true, false, true, true]).lengths(), [2, 3, 1]);
    }
}
