//! The memory of an engine: handed out, taken back and watched.
//!
//! Buffers that nobody uses any more go back to a reserve, from which later counts take them.

use std::sync::Arc;

use crate::error::{Error, Result};
use crate::machine::memory::{available_memory, is_to_be_had};
use crate::machine::reserve::{Buffer, LEAST_POOLED, Reserve, with_room};
use crate::network::count_tensor::CountTensor;
use crate::number::{Exact, Number};

/// Hands out buffers, takes them back, and watches how much is out.
#[derive(Debug)]
pub(crate) struct Arena<L: 'static> {
    reserve: &'static Reserve<L>,
    free: Vec<Vec<L>>,
    limit: u64,
    /// The bytes of all buffers, on loan or free.
    held: u64,
    /// The bytes on loan.
    loaned: u64,
    /// The most bytes on loan at once.
    peak: u64,
    /// The bytes that would be on loan in the run that is planned for.
    planned: u64,
    /// The most of these at once.
    planned_peak: u64,
    /// The tensor that was worked on at the planned peak.
    peak_tensor: String,
    /// The bits of a plane in the run that is planned for.
    planned_radix: u64,
    /// How many versions of contents there are so far.
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
    /// An arena that hands out at most `limit` bytes. It also adds up what the same counts would
    /// take in planes of `planned_radix` bits: this is the run that is planned for.
    pub(crate) fn new(reserve: &'static Reserve<L>, limit: u64, planned_radix: u64) -> Self {
        let free = reserve.take_all();
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

    /// A buffer of at least `cells * planes` lanes with arbitrary contents, for counts of so many
    /// bits.
    pub(crate) fn take(&mut self, cells: usize, planes: usize, bits: u64) -> Result<Buffer<L>> {
        let overflow = || Error::SizeOverflow { what: format!("the counts of '{}'", self.tensor) };
        let length = with_room(cells.checked_mul(planes).ok_or_else(overflow)?);
        let fits =
            |lanes: &Vec<L>| (length..=length.saturating_add(length / 4)).contains(&lanes.len());
        let pooled = if length >= LEAST_POOLED { self.free.len() } else { 0 };
        // The buffer that was returned last is the one that is most likely still in the cache.
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

    /// Accounts for a buffer that is written again in place, with counts of so many bits. In the
    /// run that is planned for, the counts may have outgrown the buffer, and need another one
    /// beside it for a while.
    pub(crate) fn rewrite(&mut self, buffer: &mut Buffer<L>, cells: usize, bits: u64) {
        let planned = self.plan(cells, bits);
        self.planned = self.planned.saturating_add(planned).saturating_sub(buffer.planned);
        buffer.planned = planned;
        buffer.version = self.new_version();
    }

    /// The bytes that counts of so many bits take in the run that is planned for, on top of what is
    /// planned.
    fn plan(&mut self, cells: usize, bits: u64) -> u64 {
        let planes = usize::try_from(bits.div_ceil(self.planned_radix).max(1));
        let lanes = with_room(cells.saturating_mul(planes.unwrap_or(usize::MAX)));
        let planned = (lanes as u64).saturating_mul(8);
        if self.planned.saturating_add(planned) > self.planned_peak {
            self.planned_peak = self.planned.saturating_add(planned);
            self.peak_tensor.clone_from(&self.tensor);
        }
        planned
    }

    /// A new version, for contents that are about to be written.
    fn new_version(&mut self) -> u64 {
        self.versions += 1;
        self.versions
    }

    /// A new buffer; unused ones are let go if there would be too many bytes otherwise.
    ///
    /// # Errors
    /// [`Error::MemoryLimit`].
    fn allocate(&mut self, length: usize) -> Result<Vec<L>> {
        let bytes = (length as u64).saturating_mul(size_of::<L>() as u64);
        while self.held.saturating_add(bytes) > self.limit {
            let Some(unused) = self.free.pop() else {
                return Err(Error::MemoryLimit {
                    needed: self.loaned.saturating_add(bytes),
                    complete: false,
                    exact: self.planned_radix == Exact::RADIX_BITS,
                    limit: self.limit,
                    is_free: false,
                    tensor: self.tensor.clone(),
                });
            };
            self.held -= bytes_of(&unused);
        }
        if !is_to_be_had(bytes) {
            return Err(Error::MemoryLimit {
                needed: self.loaned.saturating_add(bytes),
                complete: false,
                exact: self.planned_radix == Exact::RADIX_BITS,
                limit: available_memory().min(self.limit),
                is_free: true,
                tensor: self.tensor.clone(),
            });
        }
        self.held += bytes;
        Ok(vec![L::default(); length])
    }

    /// Takes the buffer of a tensor back, if nobody else uses it.
    pub(crate) fn give<N: Number<Lane = L>>(&mut self, tensor: CountTensor<N>) {
        let Some(buffer) = Arc::into_inner(tensor.buffer).filter(|buffer| buffer.bytes > 0) else {
            return;
        };
        self.loaned -= buffer.bytes;
        self.planned = self.planned.saturating_sub(buffer.planned);
        if buffer.lanes.len() >= LEAST_POOLED {
            self.free.push(buffer.lanes);
        } else {
            self.held -= bytes_of(&buffer.lanes);
        }
    }

    /// The most bytes that were on loan at once.
    pub(crate) fn peak(&self) -> u64 {
        self.peak
    }

    /// The most bytes that the run that is planned for would have on loan at once, and the tensor
    /// that is worked on then.
    pub(crate) fn planned_peak(&self) -> (u64, &str) {
        (self.planned_peak, &self.peak_tensor)
    }
}

fn bytes_of<L>(lanes: &[L]) -> u64 {
    size_of_val(lanes) as u64
}
