//! How successor lists are made: from edges in any order ([`mod@edges`]), from edges that come
//! sorted ([`sorted_edges`]), and from other lists by a topological numbering ([`topological`]).

pub(crate) mod edges;
pub(crate) mod sorted_edges;
pub(crate) mod topological;

pub use edges::from_edges;
