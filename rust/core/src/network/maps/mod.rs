//! Relations compiled to small matrices between runs of indices.
//!
//! [`runs`] are neighbouring indices with equal counts. An [`axis_map`] is what a relation does to
//! the runs of an axis, as a [`matrix`]; [`progression`] has the arithmetic of windows. Nothing
//! here knows counts.

pub(crate) mod axis_map;
pub(crate) mod matrix;
pub(crate) mod progression;
pub(crate) mod runs;
