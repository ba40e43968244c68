//! The loops that the engine spends its time in.
//!
//! A [`pass`] maps the rows of a count tensor and the lanes within them in one go. Rows are added
//! up by a [`mixer`] or, under a window, by [`sliding`] sums; [`lanes`] maps within a row;
//! [`vector`] has the innermost loops. What is mapped where is decided in `engine/`.

pub(crate) mod lanes;
pub(crate) mod mixer;
pub(crate) mod pass;
pub(crate) mod sliding;
pub(crate) mod vector;
