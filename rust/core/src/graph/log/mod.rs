//! Counts of the nodes of a graph in log space, as floating-point numbers with a scale.
//!
//! [`sweep`] counts; most of its time it spends in [`list_sums`], or in [`running_sums`] as long as
//! counts fit 32 bits, and it falls back to [`mixed_sums`] where scales meet. [`rounding`] bounds
//! what the sweep has lost, and [`compensated`] counts again where that is too much. The numbers
//! themselves are in [`scaled_counts`]. Integers without rounding are in `graph/exact`.

pub(crate) mod compensated;
pub(crate) mod list_sums;
pub(crate) mod mixed_sums;
pub(crate) mod rounding;
pub(crate) mod running_sums;
pub(crate) mod scaled_counts;
pub(crate) mod sweep;
