//! `Variants`: a network, what opens its links, and what takes part in an architecture; and what the
//! threads that go through architectures share.

use std::sync::{Mutex, PoisonError};

use crate::error::{Error, Result};
use crate::machine::Monitor;
use crate::network::{Network, TensorId};
use crate::variants::liveness::{LANES, Live, Skeleton};

/// In the place of an option that takes no part in an architecture.
pub const UNUSED: u32 = u32::MAX;

/// Architectures that a thread works on before it takes the next ones.
pub(super) const BATCH: usize = LANES;

/// A network, and which of its links are open in which architecture.
#[derive(Debug, Clone)]
pub struct Variants {
    pub(super) network: Network,
    /// The gate of the first option of every place; the last number is that of all gates.
    pub(super) starts: Vec<usize>,
    /// The gate that opens each link, if it is not always open.
    pub(super) gates: Vec<Option<usize>>,
    pub(super) order: Vec<TensorId>,
    pub(super) skeleton: Skeleton,
}

/// What takes part in one architecture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Its tensors, in the order of declaration.
    pub tensors: Vec<TensorId>,
    /// The numbers of its links.
    pub links: Vec<usize>,
    /// Its outputs, in the order in which they were marked.
    pub outputs: Vec<TensorId>,
}

impl Variants {
    /// Takes a network, the number of options at each place, and for every link the place and the
    /// option that open it if it is not always open.
    ///
    /// # Errors
    /// [`Error::InvalidSetting`] for a place without options, or links that name a place or an
    /// option that does not exist; [`Error::Cycle`]; [`Error::NothingToCount`] without an output,
    /// or if no choice makes a path to an output.
    pub fn new(
        network: Network,
        options: &[usize],
        choices: &[Option<(usize, usize)>],
    ) -> Result<Self> {
        let invalid = |reason: String| Error::InvalidSetting { reason };
        if choices.len() != network.links().len() {
            return Err(invalid(format!(
                "expected a choice or none for each of {} links, got {}",
                network.links().len(),
                choices.len()
            )));
        }
        let mut starts = vec![0usize];
        for (place, &count) in options.iter().enumerate() {
            if count == 0 {
                return Err(invalid(format!("place {place} has no options")));
            }
            let end = starts.last().and_then(|start| start.checked_add(count));
            starts.push(end.ok_or_else(|| invalid("too many options".into()))?);
        }
        let mut gates = Vec::with_capacity(choices.len());
        for &choice in choices {
            gates.push(match choice {
                Some((place, option)) if options.get(place).is_some_and(|&n| option < n) => {
                    Some(starts[place] + option)
                }
                Some((place, option)) => {
                    return Err(invalid(format!("there is no option {option} of place {place}")));
                }
                None => None,
            });
        }
        if network.outputs().is_empty() {
            let reason = "the network has no output; mark at least one tensor as output";
            return Err(Error::NothingToCount { reason: reason.into() });
        }
        let order = network.topological_order()?;
        let skeleton = Skeleton::new(&network, &order, &gates)?;
        let variants = Self { network, starts, gates, order, skeleton };
        let all_open = vec![u64::MAX; variants.gates()];
        let mut live = Live::new(&variants.skeleton);
        live.find(&variants.skeleton, &all_open);
        if live.has_output(&variants.skeleton) == 0 {
            let reason = "whatever is chosen, no path leads to an output";
            return Err(Error::NothingToCount { reason: reason.into() });
        }
        Ok(variants)
    }

    /// How many places of choice there are.
    #[must_use]
    pub fn places(&self) -> usize {
        self.starts.len() - 1
    }

    /// How many options there are at all places together.
    #[must_use]
    pub fn gates(&self) -> usize {
        self.starts.last().copied().unwrap_or(0)
    }

    /// The network that all architectures are variants of.
    #[must_use]
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// What takes part in an architecture.
    ///
    /// # Errors
    /// [`Error::InvalidSetting`] for a row of another length, or an option that does not exist.
    pub fn part(&self, row: &[u32]) -> Result<Part> {
        self.check_rows(row, 1)?;
        let mut open = vec![0; self.gates()];
        self.open(row, &mut open);
        let mut live = Live::new(&self.skeleton);
        live.find(&self.skeleton, &open);
        let mut is_live = vec![false; self.network.tensors().len()];
        for (node, id) in self.skeleton.tensors() {
            is_live[id.0] = live.of(node) != 0;
        }
        let mut links = Vec::new();
        let is_open = |number: usize| self.gates[number].is_none_or(|gate| open[gate] != 0);
        for (number, link) in self.network.links().iter().enumerate() {
            let from = self.skeleton.node_of(link.source);
            let starts = from.is_none_or(|node| live.of(node) != 0);
            if is_open(number) && starts && is_live[link.target.0] {
                is_live[link.source.0] = true;
                links.push(number);
            }
        }
        let tensors = (0..is_live.len()).filter(|&id| is_live[id]).map(TensorId).collect();
        let outputs = self.network.outputs().iter().copied().filter(|id| is_live[id.0]).collect();
        Ok(Part { tensors, links, outputs })
    }

    /// Whether a path leads from an input to an output, for each architecture: over tensors that
    /// take part and links that carry data.
    ///
    /// # Errors
    /// Rows that do not fit, too little memory for the result, or an interruption.
    pub fn have_paths(
        &self,
        rows: &[u32],
        architectures: usize,
        monitor: &Monitor<'_>,
    ) -> Result<Vec<bool>> {
        self.check_rows(rows, architectures)?;
        let mut found = room(architectures, &false)?;
        self.each_batch(rows, architectures, monitor, |first, open, live| {
            let have_paths = live.have_paths(&self.skeleton, open);
            for (lane, has_path) in found[first..].iter_mut().take(BATCH).enumerate() {
                *has_path = have_paths >> lane & 1 != 0;
            }
        })?;
        Ok(found)
    }

    /// Architectures with [`UNUSED`] in the place of every option that takes no part. Those for
    /// which this is equal are the same network.
    ///
    /// # Errors
    /// Rows that do not fit, too little memory for the result, or an interruption.
    pub fn canonical(
        &self,
        rows: &[u32],
        architectures: usize,
        monitor: &Monitor<'_>,
    ) -> Result<Vec<u32>> {
        self.check_rows(rows, architectures)?;
        let mut found = room(rows.len(), &UNUSED)?;
        let mut used = vec![0; self.gates()];
        let places = self.places();
        self.each_batch(rows, architectures, monitor, |first, open, live| {
            live.mark(&self.skeleton, open, &mut used);
            for architecture in first..architectures.min(first + BATCH) {
                let row = &rows[architecture * places..][..places];
                let cells = found[architecture * places..].iter_mut();
                for ((cell, &start), &option) in cells.zip(&self.starts).zip(row) {
                    if used[start + option as usize] >> (architecture - first) & 1 != 0 {
                        *cell = option;
                    }
                }
            }
        })?;
        Ok(found)
    }

    /// Finds what takes part in batches of architectures. `work` is given the number of the first
    /// one, where gates are open, and where tensors take part.
    fn each_batch(
        &self,
        rows: &[u32],
        architectures: usize,
        monitor: &Monitor<'_>,
        mut work: impl FnMut(usize, &[u64], &mut Live),
    ) -> Result<()> {
        let mut open = vec![0; self.gates()];
        let mut live = Live::new(&self.skeleton);
        let places = self.places();
        monitor.start(architectures as u64);
        for first in (0..architectures).step_by(BATCH) {
            let end = architectures.min(first + BATCH);
            self.open(&rows[first * places..end * places], &mut open);
            live.find(&self.skeleton, &open);
            work(first, &open, &mut live);
            monitor.advance((end - first) as u64)?;
            monitor.breathe(self.skeleton.size() * 4)?;
        }
        Ok(())
    }

    /// Refuses what is not a row for each of so many architectures, and options that do not exist.
    pub(super) fn check_rows(&self, rows: &[u32], architectures: usize) -> Result<()> {
        let places = self.places();
        if architectures.checked_mul(places) != Some(rows.len()) {
            return Err(Error::InvalidSetting {
                reason: format!(
                    "expected {places} options for each of {architectures} architectures, got {}",
                    rows.len()
                ),
            });
        }
        for (at, &option) in rows.iter().enumerate() {
            let place = at % places;
            let options = self.starts[place + 1] - self.starts[place];
            if option as usize >= options {
                return Err(Error::InvalidSetting {
                    reason: format!(
                        "architecture {} takes option {option} at place {place}, which has \
                         {options}",
                        at / places
                    ),
                });
            }
        }
        Ok(())
    }

    /// Opens the gates of up to 64 architectures, each at a bit of its own, and closes all others.
    pub(super) fn open(&self, rows: &[u32], open: &mut [u64]) {
        open.fill(0);
        for (lane, row) in rows.chunks(self.places().max(1)).take(LANES).enumerate() {
            for (&start, &option) in self.starts.iter().zip(row) {
                if let Some(gate) = open.get_mut(start + option as usize) {
                    *gate |= 1 << lane;
                }
            }
        }
    }
}

/// What threads work with, which each takes while it works: there are as many as threads.
pub(super) struct Desks<T>(Mutex<Vec<T>>);

impl<T> Desks<T> {
    pub(super) fn new() -> Self {
        Self(Mutex::new(Vec::new()))
    }

    pub(super) fn take(&self, new: impl FnOnce() -> T) -> T {
        let free = { self.0.lock().unwrap_or_else(PoisonError::into_inner).pop() };
        free.unwrap_or_else(new)
    }

    pub(super) fn give(&self, one: T) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(one);
    }
}

/// Room for one result of each architecture.
///
/// # Errors
/// [`Error::SizeOverflow`].
pub(super) fn room<T: Clone>(architectures: usize, empty: &T) -> Result<Vec<T>> {
    let mut found = Vec::new();
    found.try_reserve_exact(architectures).map_err(|_| Error::SizeOverflow {
        what: format!("the number of architectures, {architectures},"),
    })?;
    found.resize(architectures, empty.clone());
    Ok(found)
}
