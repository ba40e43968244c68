//! Numbers that paths are counted in.
//!
//! A [`semiring`] says how elements are added and weighed, [`positional`] how they are written in
//! digits; there are [`exact`] integers, floating-point numbers in [`log`] space, and [`tropical`]
//! lengths. [`value`] is what a caller gets, and [`compensated`] sums are for what follows from it. Explicit graphs have digits of their own, in
//! `graph/exact` and `graph/log`.

pub(crate) mod compensated;
pub(crate) mod exact;
pub(crate) mod log;
pub(crate) mod positional;
pub(crate) mod semiring;
pub(crate) mod tropical;
pub(crate) mod value;

pub(crate) use compensated::CompensatedSum;
pub(crate) use exact::Exact;
pub(crate) use log::Log;
pub(crate) use positional::Number;
pub(crate) use semiring::Semiring;
pub(crate) use tropical::Tropical;
pub use value::Value;
pub(crate) use value::split_exponent;
