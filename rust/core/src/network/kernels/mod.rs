//! The loops that the engine spends its time in.

pub(crate) mod lanes;
pub(crate) mod mixer;
pub(crate) mod pass;
pub(crate) mod sliding;
pub(crate) mod vector;
