//! How much memory the machine has left.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Nine tenths of the memory that is free, in bytes. The system is asked again after a second.
pub(crate) fn available_memory() -> u64 {
    static LATEST: Mutex<Option<(Instant, u64)>> = Mutex::new(None);
    let mut latest = LATEST.lock().unwrap_or_else(PoisonError::into_inner);
    match *latest {
        Some((at, bytes)) if at.elapsed() < Duration::from_secs(1) => bytes,
        _ => {
            let bytes = free_memory() / 10 * 9;
            *latest = Some((Instant::now(), bytes));
            bytes
        }
    }
}

/// The memory that is free, in bytes, within the limits of the control group of this process.
fn free_memory() -> u64 {
    let mut system = sysinfo::System::new();
    system.refresh_memory();
    match system.cgroup_limits() {
        Some(limits) => limits.free_memory.min(system.available_memory()),
        None => system.available_memory(),
    }
}
