//! What a machine gives to a count: threads ([`team`]), memory ([`memory`], [`reserve`]), and a way
//! to report progress and to stop ([`monitor`]). Nothing here knows what is counted.

pub(crate) mod memory;
pub(crate) mod monitor;
pub(crate) mod reserve;
pub(crate) mod team;

pub use monitor::{Hook, Monitor};
