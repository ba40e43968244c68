//! Where successor lists come from while a graph is swept from its last node to its first: from
//! memory, or from a file, a stretch of nodes at a time.

use std::ops::Range;

use crate::error::{Error, Result};
use crate::graph::lists::csr::{Index, Indices};

/// The successor lists of a stretch of nodes.
#[derive(Clone, Copy)]
pub(crate) struct Rows<'r, I> {
    pub(crate) offsets: &'r Indices<'r>,
    /// The edge that `targets` begins with.
    pub(crate) first_edge: usize,
    pub(crate) targets: &'r [I],
    pub(crate) multiplicity: Option<&'r [u64]>,
}

impl<'r, I: Index> Rows<'r, I> {
    /// Where the list of `node` begins among the targets.
    #[inline(always)]
    pub(crate) fn start(&self, node: usize) -> usize {
        self.offsets.get(node).wrapping_sub(self.first_edge)
    }

    /// The successors of `node`; `None` if the lists were changed since they were checked.
    #[inline(always)]
    pub(crate) fn row(&self, node: usize) -> Option<&'r [I]> {
        self.targets.get(self.start(node)..self.start(node + 1))
    }

    /// How often each edge of `node` counts.
    #[inline(always)]
    pub(crate) fn times(&self, node: usize) -> Option<&'r [u64]> {
        self.multiplicity?.get(self.start(node)..self.start(node + 1))
    }

    /// Cuts a range of nodes into so many parts of about as many edges, or fewer.
    pub(crate) fn parts(&self, range: Range<usize>, most: usize) -> Vec<Range<usize>> {
        let (mut parts, mut start) = (Vec::with_capacity(most), range.start);
        for left in (1..=most).rev() {
            let rest = start..range.end;
            let end = self.with(self.edges(start, range.end).div_ceil(left), rest);
            let end = if left == 1 { range.end } else { end };
            if end > start {
                parts.push(start..end);
                start = end;
            }
        }
        parts
    }

    /// The end of those first nodes of a range that have so many edges together.
    fn with(&self, edges: usize, range: Range<usize>) -> usize {
        let (mut least, mut most) = (range.start, range.end);
        while least < most {
            let middle = least.midpoint(most);
            if self.edges(range.start, middle) < edges {
                least = middle + 1;
            } else {
                most = middle;
            }
        }
        least
    }

    /// Edges of the nodes from `start` to before `end`.
    pub(crate) fn edges(&self, start: usize, end: usize) -> usize {
        self.offsets.get(end).saturating_sub(self.offsets.get(start))
    }
}

/// See the module.
pub(crate) trait Source {
    /// How targets are written.
    type Id: Index;

    /// Where every list begins.
    fn offsets(&self) -> &Indices<'_>;

    fn nodes(&self) -> usize {
        self.offsets().len().saturating_sub(1)
    }

    fn edges(&self) -> usize;

    /// The lists of the nodes from the one returned to before `end`, which is not 0.
    fn before(&mut self, end: usize) -> Result<(usize, Rows<'_, Self::Id>)>;
}

/// Lists in memory: one stretch.
pub(crate) struct Memory<'a, I> {
    pub(crate) offsets: &'a Indices<'a>,
    pub(crate) targets: &'a [I],
    pub(crate) multiplicity: Option<&'a [u64]>,
}

impl<I: Index> Source for Memory<'_, I> {
    type Id = I;

    fn offsets(&self) -> &Indices<'_> {
        self.offsets
    }

    fn edges(&self) -> usize {
        self.targets.len()
    }

    fn before(&mut self, _: usize) -> Result<(usize, Rows<'_, I>)> {
        let Self { offsets, targets, multiplicity } = *self;
        Ok((0, Rows { offsets, first_edge: 0, targets, multiplicity }))
    }
}

/// Runs `$body` with `$source` bound to the [`Source`] of a graph's lists, wherever they are.
macro_rules! with_source {
    ($lists:expr, $source:ident => $body:expr) => {
        match $lists {
            $crate::graph::Lists::Memory(csr) => {
                $crate::graph::lists::csr::with_indices!(&csr.targets, targets => {
                    let multiplicity = csr.multiplicity();
                    let mut $source = $crate::graph::lists::source::Memory { offsets: &csr.offsets, targets, multiplicity };
                    $body
                })
            }
            $crate::graph::Lists::File(file) => {
                $crate::graph::lists::file::with_reader!(file, reader => {
                    let mut $source = reader;
                    $body
                })
            }
        }
    };
}
pub(crate) use with_source;

/// The error for lists that were changed after they were checked.
pub(crate) fn changed() -> Error {
    let reason =
        "the arrays of the graph were changed after it was made; they must stay as they are";
    Error::InvalidGraph { reason: reason.into() }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn parts_have_about_as_many_edges(
            degrees in prop::collection::vec(prop_oneof![Just(0u32), 0u32..9, Just(70)], 1..60),
            most in 1usize..9,
        ) {
            let mut offsets = vec![5u32];
            offsets.extend(degrees.iter().scan(5, |edge, degree| {
                *edge += degree;
                Some(*edge)
            }));
            let offsets = Indices::from(offsets);
            let rows = Rows { offsets: &offsets, first_edge: 5, targets: &[0u32; 0], multiplicity: None };
            let parts = rows.parts(0..degrees.len(), most);
            prop_assert!(parts.len() <= most && parts[0].start == 0);
            prop_assert!(parts.windows(2).all(|pair| pair[0].end == pair[1].start));
            prop_assert_eq!(parts.last().unwrap().end, degrees.len());
            let edges = rows.edges(0, degrees.len());
            for part in parts {
                prop_assert!(rows.edges(part.start, part.end) <= edges.div_ceil(most) + 70);
            }
        }
    }
}
