//! Counts of the nodes of a graph in log space, as floating-point numbers.

pub(crate) mod compensated;
pub(crate) mod list_sums;
pub(crate) mod mixed_sums;
pub(crate) mod rounding;
pub(crate) mod running_sums;
pub(crate) mod scaled_counts;
pub(crate) mod sweep;
