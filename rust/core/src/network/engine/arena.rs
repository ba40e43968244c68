//! Memory for counts: handed out, taken back, watched.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::error::{Error, Result};
use crate::network::count_tensor::CountTensor;
use crate::number::{Exact, Number};

/// Most lanes that a [`Reserve`] keeps: 128 MiB.
const KEPT: usize = 1 << 24;

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

    /// Keeps as many of `buffers`, and of those before them, as there is room for; but none that
    /// [`Reserve::take`] passes over.
    pub(crate) fn put(&self, buffers: Vec<Vec<L>>) {
        let mut kept = self.lock();
        kept.extend(buffers.into_iter().filter(|buffer| buffer.len() >= POOLED));
        let mut room = KEPT;
        let fits = |buffer: &Vec<L>| {
            let fits = buffer.len() <= room;
            room -= if fits { buffer.len() } else { 0 };
            fits
        };
        // The latest first, the oldest last; and so the oldest is taken from the end.
        let mut stays: Vec<bool> = kept.iter().rev().map(fits).collect();
        kept.retain(|_| stays.pop().unwrap_or(false));
    }
}

impl<L: Copy + Default> Reserve<L> {
    /// A buffer of `length`, with arbitrary contents.
    pub(crate) fn take(&self, length: usize) -> Vec<L> {
        let fits = |lanes: &Vec<L>| (length..=length + length / 4).contains(&lanes.capacity());
        let mut kept = self.lock();
        match kept.iter().rposition(fits).filter(|_| length >= POOLED) {
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

/// Shorter buffers are not worth looking for among those returned.
const POOLED: usize = 512;

/// Lanes on loan from an [`Arena`].
#[derive(Debug)]
pub(crate) struct Buffer<L> {
    pub(crate) lanes: Vec<L>,
    /// Bytes asked for; none for a buffer that was never on loan.
    bytes: u64,
    /// Bytes this would take in the run that is planned for.
    planned: u64,
    /// Tells contents apart: no two buffers with different contents share a version.
    pub(crate) version: u64,
}

impl<L> Buffer<L> {
    /// Lanes that no arena watches.
    pub(crate) fn alone(lanes: Vec<L>) -> Self {
        Self { lanes, bytes: 0, planned: 0, version: 0 }
    }
}

/// A length with some room, so that counts that grow by a plane still find a returned buffer.
fn roomy(length: usize) -> usize {
    if length < POOLED {
        return length;
    }
    let step = 1 << (usize::BITS - length.leading_zeros()).saturating_sub(4);
    length.checked_next_multiple_of(step).unwrap_or(length)
}

/// Hands out buffers, takes them back, and watches how much is out.
#[derive(Debug)]
pub(crate) struct Arena<L: 'static> {
    reserve: &'static Reserve<L>,
    free: Vec<Vec<L>>,
    limit: u64,
    /// Bytes on loan or free.
    held: u64,
    loaned: u64,
    peak: u64,
    planned: u64,
    planned_peak: u64,
    peak_tensor: String,
    /// Bits a plane has in the run that is planned for.
    planned_radix: u64,
    versions: u64,
    /// The tensor being worked on, for messages.
    pub(crate) tensor: String,
}

impl<L: 'static> Drop for Arena<L> {
    fn drop(&mut self) {
        self.reserve.put(std::mem::take(&mut self.free));
    }
}

impl<L: Copy + Default> Arena<L> {
    /// At most `limit` bytes; besides, adds up what planes of `planned_radix` bits would take.
    pub(crate) fn new(reserve: &'static Reserve<L>, limit: u64, planned_radix: u64) -> Self {
        let free = std::mem::take(&mut *reserve.lock());
        Self {
            held: free.iter().map(|lanes| bytes_of(lanes)).sum(),
            reserve,
            free,
            limit,
            loaned: 0,
            peak: 0,
            planned: 0,
            planned_peak: 0,
            peak_tensor: String::new(),
            planned_radix,
            versions: 0,
            tensor: String::new(),
        }
    }

    /// A buffer of at least `cells * planes` lanes with arbitrary contents, for counts of `bits`.
    pub(crate) fn take(&mut self, cells: usize, planes: usize, bits: u64) -> Result<Buffer<L>> {
        let overflow = || Error::SizeOverflow { what: format!("the counts of '{}'", self.tensor) };
        let length = roomy(cells.checked_mul(planes).ok_or_else(overflow)?);
        let fits =
            |lanes: &Vec<L>| (length..=length.saturating_add(length / 4)).contains(&lanes.len());
        let pooled = if length >= POOLED { self.free.len() } else { 0 };
        // The one returned last is the one most likely still in the cache.
        let lanes = match self.free[..pooled].iter().rposition(fits) {
            Some(at) => self.free.remove(at),
            None => self.allocate(length)?,
        };
        let bytes = (length * size_of::<L>()) as u64;
        self.loaned += bytes;
        self.peak = self.peak.max(self.loaned);
        let planned = self.plan(cells, bits);
        self.planned = self.planned.saturating_add(planned);
        Ok(Buffer { lanes, bytes, planned, version: self.new_version() })
    }

    /// Plans for counts of `bits` in a buffer that is written again in place. In the run that is
    /// planned for they may have outgrown it, and need another beside it for a while.
    pub(crate) fn rewrite(&mut self, buffer: &mut Buffer<L>, cells: usize, bits: u64) {
        let planned = self.plan(cells, bits);
        self.planned = self.planned.saturating_add(planned).saturating_sub(buffer.planned);
        buffer.planned = planned;
        buffer.version = self.new_version();
    }

    /// Bytes for counts of `bits` in the run that is planned for, on top of what is planned.
    fn plan(&mut self, cells: usize, bits: u64) -> u64 {
        let planes = usize::try_from(bits.div_ceil(self.planned_radix).max(1));
        let lanes = roomy(cells.saturating_mul(planes.unwrap_or(usize::MAX)));
        let planned = (lanes as u64).saturating_mul(8);
        if self.planned.saturating_add(planned) > self.planned_peak {
            self.planned_peak = self.planned.saturating_add(planned);
            self.peak_tensor.clone_from(&self.tensor);
        }
        planned
    }

    /// A version for contents that are about to be written.
    fn new_version(&mut self) -> u64 {
        self.versions += 1;
        self.versions
    }

    fn allocate(&mut self, length: usize) -> Result<Vec<L>> {
        let bytes = (length as u64).saturating_mul(size_of::<L>() as u64);
        while self.held.saturating_add(bytes) > self.limit {
            let Some(unused) = self.free.pop() else {
                return Err(Error::MemoryLimit {
                    needed: self.loaned.saturating_add(bytes),
                    complete: false,
                    exact: self.planned_radix == Exact::RADIX_BITS,
                    limit: self.limit,
                    tensor: self.tensor.clone(),
                });
            };
            self.held -= bytes_of(&unused);
        }
        self.held += bytes;
        Ok(vec![L::default(); length])
    }

    /// Takes a tensor's buffer back, if nobody else uses it.
    pub(crate) fn give<N: Number<Lane = L>>(&mut self, tensor: CountTensor<N>) {
        let Some(buffer) = Arc::into_inner(tensor.buffer).filter(|buffer| buffer.bytes > 0) else {
            return;
        };
        self.loaned -= buffer.bytes;
        self.planned = self.planned.saturating_sub(buffer.planned);
        if buffer.lanes.len() >= POOLED {
            self.free.push(buffer.lanes);
        } else {
            self.held -= bytes_of(&buffer.lanes);
        }
    }

    /// Most bytes on loan at once.
    pub(crate) fn peak(&self) -> u64 {
        self.peak
    }

    /// Most bytes the run that is planned for would have on loan at once, and where.
    pub(crate) fn planned_peak(&self) -> (u64, &str) {
        (self.planned_peak, &self.peak_tensor)
    }
}

fn bytes_of<L>(lanes: &[L]) -> u64 {
    size_of_val(lanes) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_buffers_worth_looking_for_are_kept() {
        let reserve = Reserve::<u64>::new();
        for length in [0, 1, 3, POOLED - 1, POOLED, POOLED + 1] {
            reserve.put(vec![vec![7; length]]);
        }
        assert_eq!(reserve.lock().len(), 2);
        assert_eq!(reserve.take(POOLED).len(), POOLED);
        assert_eq!(reserve.take(3), [0; 3]);
        assert_eq!(reserve.lock().len(), 1);
    }
}
