//! What is worth knowing of a graph before it is counted.
//!
//! [`blocks`] finds out whether nodes are numbered topologically, which of them can be counted side
//! by side, and how large counts can get. [`stretches`] finds nodes whose lists repeat each other.
//! [`node_order`] is what a caller may know of the order before.

pub(crate) mod blocks;
pub(crate) mod node_order;
pub(crate) mod stretches;

pub use node_order::NodeOrder;
