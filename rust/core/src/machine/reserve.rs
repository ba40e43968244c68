//! Memory that outlives a count: buffers that were used once are kept for the next count.
//!
//! What a count may hold at once, and what it holds at the moment, is watched elsewhere: by the
//! engine's arena for networks, by the sweeps for graphs.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Most lanes that a [`Reserve`] keeps: 128 MiB.
const MOST_KEPT: usize = 1 << 24;

/// Shorter buffers are not worth looking for among those that were returned.
pub(crate) const LEAST_POOLED: usize = 512;

/// Buffers that outlive a count. Touching memory for the first time costs more than counting in it,
/// and networks are counted by the thousand.
#[derive(Debug)]
pub(crate) struct Reserve<L>(Mutex<Vec<Vec<L>>>);

impl<L> Reserve<L> {
    pub(crate) const fn new() -> Self {
        Self(Mutex::new(Vec::new()))
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Vec<L>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands out all buffers that are kept.
    pub(crate) fn take_all(&self) -> Vec<Vec<L>> {
        std::mem::take(&mut *self.lock())
    }

    /// Keeps as many of `buffers`, and of those that were returned before them, as there is room
    /// for. Buffers that [`Reserve::take`] would pass over are not kept.
    pub(crate) fn put(&self, buffers: Vec<Vec<L>>) {
        let mut kept = self.lock();
        kept.extend(buffers.into_iter().filter(|buffer| buffer.len() >= LEAST_POOLED));
        let mut room = MOST_KEPT;
        let fits = |buffer: &Vec<L>| {
            let fits = buffer.len() <= room;
            room -= if fits { buffer.len() } else { 0 };
            fits
        };
        // Room is given to the latest buffer first. The answers are in that order, so that the one
        // for the oldest buffer, which `retain` asks for first, is the last of them.
        let mut stays: Vec<bool> = kept.iter().rev().map(fits).collect();
        kept.retain(|_| stays.pop().unwrap_or(false));
    }
}

impl<L: Copy + Default> Reserve<L> {
    /// A buffer of `length`, with arbitrary contents.
    pub(crate) fn take(&self, length: usize) -> Vec<L> {
        let fits = |lanes: &Vec<L>| (length..=length + length / 4).contains(&lanes.capacity());
        let mut kept = self.lock();
        match kept.iter().rposition(fits).filter(|_| length >= LEAST_POOLED) {
            Some(at) => {
                let mut buffer = kept.swap_remove(at);
                buffer.resize(length, L::default());
                buffer
            }
            None => {
                drop(kept);
                vec![L::default(); length]
            }
        }
    }
}

/// Lanes on loan from whoever watches how much memory a count takes.
#[derive(Debug)]
pub(crate) struct Buffer<L> {
    pub(crate) lanes: Vec<L>,
    /// Bytes that were asked for; 0 for a buffer that was never on loan.
    pub(crate) bytes: u64,
    /// Bytes that this buffer would take in the run that is planned for.
    pub(crate) planned: u64,
    /// Tells contents apart: no two buffers with different contents share a version.
    pub(crate) version: u64,
}

impl<L> Buffer<L> {
    /// Lanes that nobody watches.
    pub(crate) fn alone(lanes: Vec<L>) -> Self {
        Self { lanes, bytes: 0, planned: 0, version: 0 }
    }
}

/// `length` with some room, so that counts that grow by a plane still find a returned buffer.
pub(crate) fn with_room(length: usize) -> usize {
    if length < LEAST_POOLED {
        return length;
    }
    let step = 1 << (usize::BITS - length.leading_zeros()).saturating_sub(4);
    length.checked_next_multiple_of(step).unwrap_or(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_buffers_worth_looking_for_are_kept() {
        let reserve = Reserve::<u64>::new();
        for length in [0, 1, 3, LEAST_POOLED - 1, LEAST_POOLED, LEAST_POOLED + 1] {
            reserve.put(vec![vec![7; length]]);
        }
        assert_eq!(reserve.lock().len(), 2);
        assert_eq!(reserve.take(LEAST_POOLED).len(), LEAST_POOLED);
        assert_eq!(reserve.take(3), [0; 3]);
        assert_eq!(reserve.lock().len(), 1);
    }
}
