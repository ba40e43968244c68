//! Relations compiled to small matrices between runs of indices.

pub(crate) mod axis_map;
pub(crate) mod matrix;
pub(crate) mod progression;
pub(crate) mod runs;
