//! How much memory the machine has left, and reservations that may fail.
//!
//! An allocation that fails ends the process. What a user can make large is therefore asked for
//! first, by [`check_room`], [`filled`], [`zeroed`], [`reserved`], [`listed`] or [`grow`].

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

/// What memory is needed for, as messages have it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Purpose {
    /// What is about to be done.
    pub(crate) what: &'static str,
    /// What would need less memory.
    pub(crate) advice: &'static str,
}

impl Purpose {
    /// The error for more memory than the caller allows.
    pub(crate) fn not_allowed(self, needed: u64, limit: u64) -> Error {
        let Self { what, advice } = self;
        let (what, advice) = (what.into(), advice.into());
        Error::GraphMemory { what, needed, limit, is_free: false, advice }
    }

    /// The error for more memory than there is.
    pub(crate) fn not_free(self, needed: u64) -> Error {
        let Self { what, advice } = self;
        let (what, advice) = (what.into(), advice.into());
        let limit = available_memory().min(needed);
        Error::GraphMemory { what, needed, limit, is_free: true, advice }
    }

    /// The error for so many items of type `T`, for which there is no memory.
    fn no_room_for<T>(self, length: usize) -> Error {
        self.not_free((length as u64).saturating_mul(size_of::<T>() as u64))
    }
}

/// Refuses what would take more than `limit` bytes, or more than the system gives.
///
/// # Errors
/// [`Error::GraphMemory`].
pub(crate) fn check_room(purpose: Purpose, needed: u64, limit: u64) -> Result<()> {
    if needed > limit {
        return Err(purpose.not_allowed(needed, limit));
    }
    if is_to_be_had(needed) { Ok(()) } else { Err(purpose.not_free(needed)) }
}

/// Refuses what would take more than most of the memory that is free, or more than the system
/// gives.
///
/// # Errors
/// [`Error::GraphMemory`].
pub(crate) fn check_free(purpose: Purpose, needed: u64) -> Result<()> {
    let is_there = needed < LITTLE || (needed <= available_memory() && is_to_be_had(needed));
    if is_there { Ok(()) } else { Err(purpose.not_free(needed)) }
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
/// [`Error::GraphMemory`].
pub(crate) fn zeroed<T: Clone + Default>(purpose: Purpose, length: usize) -> Result<Vec<T>> {
    filled(purpose, length, T::default())
}

/// A list of so many equal items, if there is memory for it.
///
/// # Errors
/// [`Error::GraphMemory`].
pub(crate) fn filled<T: Clone>(purpose: Purpose, length: usize, item: T) -> Result<Vec<T>> {
    if !is_to_be_had((length as u64).saturating_mul(size_of::<T>() as u64)) {
        return Err(purpose.no_room_for::<T>(length));
    }
    // Not resized from a reservation: what the system hands out as zeros need not be written.
    Ok(vec![item; length])
}

/// An empty list with room for so many items, if there is memory for it.
///
/// # Errors
/// [`Error::GraphMemory`].
pub(crate) fn reserved<T>(purpose: Purpose, length: usize) -> Result<Vec<T>> {
    let mut list = Vec::new();
    list.try_reserve_exact(length).map_err(|_| purpose.no_room_for::<T>(length))?;
    Ok(list)
}

/// The items of an iterator in a list, if there is memory for it; `length` is how many there are.
///
/// # Errors
/// [`Error::GraphMemory`].
pub(crate) fn listed<T>(
    purpose: Purpose,
    length: usize,
    items: impl IntoIterator<Item = T>,
) -> Result<Vec<T>> {
    let mut list = reserved(purpose, length)?;
    list.extend(items);
    Ok(list)
}

/// Makes room for so many more items in a list that grows, if there is memory for it.
///
/// # Errors
/// [`Error::GraphMemory`].
pub(crate) fn grow<T>(purpose: Purpose, list: &mut Vec<T>, more: usize) -> Result<()> {
    let length = list.len().saturating_add(more);
    list.try_reserve(more).map_err(|_| purpose.no_room_for::<T>(length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_machine_has_is_refused() {
        const TEST: Purpose = Purpose { what: "a test", advice: "test less" };
        assert!(is_to_be_had(1000));
        assert!(!is_to_be_had(1 << 60));
        let refused = zeroed::<u64>(TEST, 1 << 57).unwrap_err();
        assert!(matches!(refused, Error::GraphMemory { is_free: true, .. }));
        assert!(refused.to_string().ends_with("; free some, or test less"), "{refused}");
        assert_eq!(reserved::<u64>(TEST, 1 << 57), Err(refused.clone()));
        assert_eq!(grow(TEST, &mut Vec::<u64>::new(), 1 << 57), Err(refused));
        assert_eq!(zeroed::<u32>(TEST, 3), Ok(vec![0, 0, 0]));
        assert_eq!(listed(TEST, 2, [1, 2]), Ok(vec![1, 2]));
        let refused = check_room(TEST, 2000, 1000).unwrap_err().to_string();
        assert_eq!(
            refused,
            "a test needs about 2.0 kB, but the memory limit is 1.0 kB; raise memory_limit, or test less"
        );
    }
}
