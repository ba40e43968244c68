//! What is worth knowing of a graph before it is counted.

pub(crate) mod blocks;
pub(crate) mod stretches;
