//! Exact counts of the nodes of a graph, as rows of digits.
//!
//! [`widths`] bounds how many digits a count has, [`sweep`] counts, and most of its time it spends
//! in [`row_sums`] and [`stretch_sums`]. [`bands`] holds the rows; where only parameters are
//! wanted, [`parameter_rows`] keeps theirs when the others are let go. [`digits`] adds digits and
//! settles carries. Counts as floating-point numbers are in `graph/log`.

pub(crate) mod bands;
pub(crate) mod digits;
pub(crate) mod parameter_rows;
pub(crate) mod row_sums;
pub(crate) mod stretch_sums;
pub(crate) mod sweep;
pub(crate) mod widths;
