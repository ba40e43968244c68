//! What is worth knowing of a graph before it is counted.

pub(crate) mod blocks;
pub(crate) mod node_order;
pub(crate) mod stretches;

pub use node_order::NodeOrder;
