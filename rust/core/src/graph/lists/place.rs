//! The places that successor lists may be in: in memory or in a file.

use crate::error::Result;
use crate::graph::lists::csr::{Csr, Indices};
use crate::graph::lists::file::FileLists;

/// The successor lists of a graph, wherever they are.
#[derive(Debug, Clone)]
pub enum Lists<'a> {
    /// Lists in memory.
    Memory(Csr<'a>),
    /// Lists in a file, which every sweep reads from its end to its beginning.
    File(FileLists<'a>),
}

impl Lists<'_> {
    /// Number of nodes.
    pub(crate) fn nodes(&self) -> usize {
        match self {
            Self::Memory(csr) => csr.nodes(),
            Self::File(file) => file.nodes(),
        }
    }

    /// Number of edges.
    pub(crate) fn edges(&self) -> usize {
        self.offsets().get(self.nodes())
    }

    /// Where every list begins, and the number of edges.
    pub(crate) fn offsets(&self) -> &Indices<'_> {
        match self {
            Self::Memory(csr) => &csr.offsets,
            Self::File(file) => &file.offsets,
        }
    }

    /// The lists in memory.
    ///
    /// # Errors
    /// [`crate::Error::GraphFile`] for lists in a file, which cannot be put in order there.
    pub(crate) fn memory(&self) -> Result<&Csr<'_>> {
        match self {
            Self::Memory(csr) => Ok(csr),
            Self::File(file) => Err(file.not_topological()),
        }
    }
}

/// Runs `$body` with `$source` bound to the [`Source`] of a graph's lists, wherever they are.
macro_rules! with_source {
    ($lists:expr, $source:ident => $body:expr) => {
        match $lists {
            $crate::graph::lists::place::Lists::Memory(csr) => {
                $crate::graph::lists::csr::with_indices!(&csr.targets, targets => {
                    let multiplicity = csr.multiplicity();
                    let mut $source = $crate::graph::lists::source::Memory { offsets: &csr.offsets, targets, multiplicity };
                    $body
                })
            }
            $crate::graph::lists::place::Lists::File(file) => {
                $crate::graph::lists::file::with_reader!(file, reader => {
                    let mut $source = reader;
                    $body
                })
            }
        }
    };
}
pub(crate) use with_source;
