//! Successor lists, in memory and in files, and sets of nodes.

pub(crate) mod csr;
pub(crate) mod file;
pub(crate) mod node_set;
pub(crate) mod place;
pub(crate) mod source;

pub use csr::{Csr, Indices, MOST_NODES};
pub use file::{FileLists, FilePlace};
pub use place::Lists;
