//! Memory for counts: handed out, taken back, watched.

use std::sync::{Arc, Mutex, PoisonError};

use crate::error::{Error, Result};
use crate::number::Number;
use crate::tensor::CountTensor;

/// Shorter buffers are not worth looking for among those returned.
const POOLED: usize = 512;

/// Lanes on loan from an [`Arena`].
#[derive(Debug)]
pub(crate) struct Buffer<L> {
    pub(crate) lanes: Vec<L>,
    /// Bytes this would take in the run that is planned for.
    planned: u64,
    /// Tells contents apart: no two buffers with different contents share a version.
    pub(crate) version: u64,
}

/// A length with some room, so that counts that grow by a plane still find a returned buffer.
fn roomy(length: usize) -> usize {
    if length < POOLED {
        return length;
    }
    length.next_multiple_of(1 << (usize::BITS - length.leading_zeros()).saturating_sub(4))
}

/// Hands out buffers, takes them back, and watches how much is out.
#[derive(Debug)]
pub(crate) struct Arena<L> {
    free: Vec<Vec<L>>,
    limit: u64,
    held: u64,
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

    fn take(&self) -> Vec<Vec<L>> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Keeps `buffers`, the largest last, as far as there is room.
    fn put(&self, mut buffers: Vec<Vec<L>>) {
        buffers.sort_unstable_by_key(Vec::len);
        let mut room = KEPT;
        buffers.retain(|buffer| {
            let fits = buffer.len() <= room;
            room -= if fits { buffer.len() } else { 0 };
            fits
        });
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = buffers;
    }
}

impl<L: Copy + Default> Arena<L> {
    /// At most `limit` bytes; besides, adds up what planes of `planned_radix` bits would take.
    pub(crate) fn new(limit: u64, planned_radix: u64) -> Self {
        Self {
            free: Vec::new(),
            limit,
            held: 0,
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
        let length = cells.checked_mul(planes).ok_or_else(overflow)?;
        let planned = (cells as u64).saturating_mul(8 * bits.div_ceil(self.planned_radix).max(1));
        let fits = |lanes: &Vec<L>| (length..=length.saturating_mul(4)).contains(&lanes.len());
        let pooled = if length >= POOLED { self.free.len() } else { 0 };
        let best = (0..pooled).filter(|&i| fits(&self.free[i])).min_by_key(|&i| self.free[i].len());
        let lanes = match best {
            Some(at) => self.free.swap_remove(at),
            None => self.allocate(roomy(length))?,
        };
        self.planned = self.planned.saturating_add(planned);
        if self.planned > self.planned_peak {
            self.planned_peak = self.planned;
            self.peak_tensor.clone_from(&self.tensor);
        }
        Ok(Buffer { lanes, planned, version: self.new_version() })
    }

    /// A version for contents that are about to be written.
    pub(crate) fn new_version(&mut self) -> u64 {
        self.versions += 1;
        self.versions
    }

    fn allocate(&mut self, length: usize) -> Result<Vec<L>> {
        let bytes = (length as u64).saturating_mul(size_of::<L>() as u64);
        while self.held.saturating_add(bytes) > self.limit {
            let Some(unused) = self.free.pop() else {
                return Err(Error::MemoryLimit {
                    needed: self.held.saturating_add(bytes),
                    limit: self.limit,
                    tensor: self.tensor.clone(),
                });
            };
            self.held -= (unused.len() * size_of::<L>()) as u64;
        }
        self.held += bytes;
        self.peak = self.peak.max(self.held);
        Ok(vec![L::default(); length])
    }

    /// Takes a tensor's buffer back, if nobody else uses it.
    pub(crate) fn give<N: Number<Lane = L>>(&mut self, tensor: CountTensor<N>) {
        if let Ok(buffer) = Arc::try_unwrap(tensor.buffer) {
            self.planned = self.planned.saturating_sub(buffer.planned);
            if buffer.lanes.len() >= POOLED {
                self.free.push(buffer.lanes);
            } else if buffer.planned > 0 {
                // The single lane of `CountTensor::ones` was never on loan.
                self.held -= (buffer.lanes.len() * size_of::<L>()) as u64;
            }
        }
    }

    /// Most bytes held at once.
    pub(crate) fn peak(&self) -> u64 {
        self.peak
    }

    /// Most bytes the run that is planned for would hold at once, and where.
    pub(crate) fn planned_peak(&self) -> (u64, &str) {
        (self.planned_peak, &self.peak_tensor)
    }
}
