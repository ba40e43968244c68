//! Successor lists from edges in any order, and their topological numbering.

pub(crate) mod edges;
pub(crate) mod sorted_edges;
pub(crate) mod topological;

pub use edges::from_edges;
