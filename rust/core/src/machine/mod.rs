//! What the machine gives to a count: threads, memory, and a way to report progress and to stop.

pub(crate) mod memory;
pub(crate) mod monitor;
pub(crate) mod reserve;
pub(crate) mod team;

pub use monitor::{Hook, Monitor};
