//! The engine that carries counts through the links of a network.
//!
//! [`transport`] carries the counts of one tensor through one link, [`accumulate`] adds up what
//! arrives, and [`layout`] moves cells where neither can be done in place. The [`arena`] hands out
//! memory. Which links there are and in which order is the business of the sweep.

pub(crate) mod accumulate;
pub(crate) mod arena;
pub(crate) mod layout;
pub(crate) mod transport;
