//! The engine that carries counts through the links of a network.

pub(crate) mod accumulate;
pub(crate) mod arena;
pub(crate) mod layout;
pub(crate) mod transport;
