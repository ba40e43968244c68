//! How successor lists reach a sweep, which goes from the last node of a graph to the first.
//!
//! A [`Source`] hands out the lists of some neighbouring nodes at a time, as a [`ListSection`].
//! Lists in memory are a single section; those in a file are read section by section (see
//! `file.rs`).

use std::ops::Range;

use crate::error::{Error, Result};
use crate::graph::lists::csr::{Index, Indices};

/// The successor lists of neighbouring nodes.
#[derive(Clone, Copy)]
pub(crate) struct ListSection<'r, I> {
    pub(crate) offsets: &'r Indices<'r>,
    /// The number of the edge that `targets` begins with.
    pub(crate) first_edge: usize,
    pub(crate) targets: &'r [I],
    pub(crate) multiplicity: Option<&'r [u64]>,
}

impl<'r, I: Index> ListSection<'r, I> {
    /// The place among the targets where the list of `node` begins.
    #[inline(always)]
    pub(crate) fn start(&self, node: usize) -> usize {
        self.offsets.get(node).wrapping_sub(self.first_edge)
    }

    /// The successors of `node`; `None` if the lists were changed after they were checked.
    #[inline(always)]
    pub(crate) fn list(&self, node: usize) -> Option<&'r [I]> {
        self.targets.get(self.start(node)..self.start(node + 1))
    }

    /// How often each edge of `node` counts; `None` if every edge counts once.
    #[inline(always)]
    pub(crate) fn multiplicities(&self, node: usize) -> Option<&'r [u64]> {
        self.multiplicity?.get(self.start(node)..self.start(node + 1))
    }

    /// Cuts a range of nodes into at most `most` parts with about equally many edges each.
    pub(crate) fn parts(&self, range: Range<usize>, most: usize) -> Vec<Range<usize>> {
        let (mut parts, mut start) = (Vec::with_capacity(most), range.start);
        for left in (1..=most).rev() {
            let rest = start..range.end;
            let end = self.end_of_edges(self.edges(start, range.end).div_ceil(left), rest);
            let end = if left == 1 { range.end } else { end };
            if end > start {
                parts.push(start..end);
                start = end;
            }
        }
        parts
    }

    /// The end of the shortest part of `range`, from its start on, that has so many edges.
    fn end_of_edges(&self, edges: usize, range: Range<usize>) -> usize {
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

    /// The number of edges of the nodes from `start` to before `end`.
    pub(crate) fn edges(&self, start: usize, end: usize) -> usize {
        self.offsets.get(end).saturating_sub(self.offsets.get(start))
    }
}

/// A supply of the successor lists of a whole graph.
pub(crate) trait Source {
    /// The integers that targets are written in.
    type Id: Index;

    /// Where every list begins, and the number of edges at the end.
    fn offsets(&self) -> &Indices<'_>;

    /// The number of nodes.
    fn nodes(&self) -> usize {
        self.offsets().len().saturating_sub(1)
    }

    /// The number of edges.
    fn edges(&self) -> usize;

    /// The lists of the nodes just before `end`, which is not 0, and the first of these nodes.
    fn before(&mut self, end: usize) -> Result<(usize, ListSection<'_, Self::Id>)>;
}

/// Lists in memory, which are a single section.
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

    fn before(&mut self, _: usize) -> Result<(usize, ListSection<'_, I>)> {
        let Self { offsets, targets, multiplicity } = *self;
        Ok((0, ListSection { offsets, first_edge: 0, targets, multiplicity }))
    }
}

/// The error for lists that were changed after they were checked.
pub(crate) fn lists_changed() -> Error {
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
            let lists = ListSection { offsets: &offsets, first_edge: 5, targets: &[0u32; 0], multiplicity: None };
            let parts = lists.parts(0..degrees.len(), most);
            prop_assert!(parts.len() <= most && parts[0].start == 0);
            prop_assert!(parts.windows(2).all(|pair| pair[0].end == pair[1].start));
            prop_assert_eq!(parts.last().unwrap().end, degrees.len());
            let edges = lists.edges(0, degrees.len());
            for part in parts {
                prop_assert!(lists.edges(part.start, part.end) <= edges.div_ceil(most) + 70);
            }
        }
    }
}
