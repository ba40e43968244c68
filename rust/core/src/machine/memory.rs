//! How much memory the machine has left, and reservations that may fail.
//!
//! An allocation that fails ends the process. What a user can make large is therefore asked for
//! first, by [`check_room`] or [`zeroed`].

use std::fs;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::error::{Error, Result};

/// It is not worth asking the system for less, in bytes.
const LITTLE: u64 = 1 << 20;

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

/// The memory that is free, in bytes, within the limits of the control group of this process and
/// of the process itself.
fn free_memory() -> u64 {
    let mut system = sysinfo::System::new();
    system.refresh_memory();
    let free = match system.cgroup_limits() {
        Some(limits) => limits.free_memory.min(system.available_memory()),
        None => system.available_memory(),
    };
    free.min(left_to_process())
}

/// What the limits of this process leave of its address space and of its data (`RLIMIT_AS` and
/// `RLIMIT_DATA`), in bytes. Linux tells them in files; where there are none, no limit is known.
fn left_to_process() -> u64 {
    let read = |file| fs::read_to_string(file).unwrap_or_default();
    let limits = read("/proc/self/limits");
    let limit_of = |name: &str| {
        let line = limits.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_whitespace().next()?.parse::<u64>().ok() // It may be "unlimited".
    };
    let wanted = [("Max address space", "VmSize:"), ("Max data size", "VmData:")]
        .map(|(limit, used)| limit_of(limit).map(|limit| (limit, used)));
    if wanted.iter().all(Option::is_none) {
        return u64::MAX;
    }
    let status = read("/proc/self/status");
    let used = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let number = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
        number.unwrap_or(0).saturating_mul(1024)
    };
    let left = wanted.into_iter().flatten().map(|(limit, name)| limit.saturating_sub(used(name)));
    left.min().unwrap_or(u64::MAX)
}

/// Refuses what would take more than `limit` bytes, or more than the system gives.
///
/// # Errors
/// [`Error::GraphMemory`]; `what` is about to be done.
pub(crate) fn check_room(what: &str, needed: u64, limit: u64) -> Result<()> {
    if needed > limit {
        return Err(Error::GraphMemory { what: what.into(), needed, limit });
    }
    if !is_to_be_had(needed) {
        let limit = available_memory().min(needed);
        return Err(Error::GraphMemory { what: what.into(), needed, limit });
    }
    Ok(())
}

/// Whether the system would give so many bytes. They are asked for and given back untouched, which
/// takes no time that grows with them.
pub(crate) fn is_to_be_had(bytes: u64) -> bool {
    if bytes < LITTLE {
        return true;
    }
    let length = usize::try_from(bytes).unwrap_or(usize::MAX);
    Vec::<u8>::new().try_reserve_exact(length).is_ok()
}

/// A list of so many zeros, if there is memory for it.
///
/// # Errors
/// [`Error::GraphMemory`]; `what` is about to be done.
pub(crate) fn zeroed<T: Clone + Default>(what: &str, length: usize) -> Result<Vec<T>> {
    let needed = (length as u64).saturating_mul(size_of::<T>() as u64);
    check_room(what, needed, u64::MAX)?;
    // Not resized from a reservation: what the system hands out as zeros need not be written.
    Ok(vec![T::default(); length])
}

/// An empty list with room for so many items, if there is memory for it.
///
/// # Errors
/// [`Error::GraphMemory`]; `what` is about to be done.
pub(crate) fn reserved<T>(what: &str, length: usize) -> Result<Vec<T>> {
    let mut list = Vec::new();
    list.try_reserve_exact(length).map_err(|_| {
        let needed = (length as u64).saturating_mul(size_of::<T>() as u64);
        Error::GraphMemory { what: what.into(), needed, limit: available_memory().min(needed) }
    })?;
    Ok(list)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_machine_has_is_refused() {
        assert!(is_to_be_had(1000));
        assert!(!is_to_be_had(1 << 60));
        assert!(matches!(zeroed::<u64>("a test", 1 << 57), Err(Error::GraphMemory { .. })));
        assert_eq!(zeroed::<u32>("a test", 3), Ok(vec![0, 0, 0]));
    }
}
