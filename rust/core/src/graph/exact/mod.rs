//! Exact counts of the nodes of a graph, as rows of digits.

pub(crate) mod bands;
pub(crate) mod digits;
pub(crate) mod parameter_rows;
pub(crate) mod row_sums;
pub(crate) mod stretch_sums;
pub(crate) mod sweep;
pub(crate) mod widths;
