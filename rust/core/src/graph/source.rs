//! Where successor lists come from while a graph is swept from its last node to its first: from
//! memory, or from a file, a stretch of nodes at a time.

use crate::error::{Error, Result};
use crate::graph::csr::{Index, Indices};

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
                $crate::graph::csr::with_indices!(&csr.targets, targets => {
                    let multiplicity = csr.multiplicity();
                    let mut $source = $crate::graph::source::Memory { offsets: &csr.offsets, targets, multiplicity };
                    $body
                })
            }
            $crate::graph::Lists::File(file) => {
                $crate::graph::file::with_reader!(file, reader => {
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
