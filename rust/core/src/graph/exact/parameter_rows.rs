//! The exact counts of parameters, which are kept when the rows that they stood in are let go.
//!
//! So the memory of a count follows the width of a graph and not its length. Rows are let go by
//! groups of chunks, each after the last node that reads one of the group.

use std::ops::Range;

use crate::error::Result;
use crate::graph::exact::bands::{Bands, CHUNK};
use crate::graph::exact::digits::trimmed;
use crate::graph::lists::csr::Index;
use crate::graph::lists::node_set::NodeSet;
use crate::graph::lists::source::{Source, lists_changed};
use crate::graph::purposes::COUNTING_PARAMETERS;
use crate::machine::memory::{grow, listed, reserved};
use crate::machine::monitor::Monitor;

/// A group is one in so many chunks of nodes, but at most [`AT_ONCE`] chunks.
const GROUPS: usize = 64;
/// The largest number of chunks in a group.
const AT_ONCE: usize = 16;

/// The counts that are kept, and what is known of when rows can go.
#[derive(Debug)]
pub(crate) struct ParameterRows {
    /// The nodes whose counts are kept.
    wanted: NodeSet,
    /// The number of nodes in a group.
    group: usize,
    /// For every group the first node that reads one of it, and the group; in falling order.
    last_readers: Vec<(u32, u32)>,
    /// How many groups were let go.
    freed: usize,
    /// The nodes that were kept and where their digits begin, in the order in which they were kept.
    places: Vec<(u32, usize)>,
    digits: Vec<u64>,
}

impl ParameterRows {
    /// Finds out which node reads every group last, on the way from the last node to the first.
    pub(crate) fn plan<S: Source>(
        source: &mut S,
        wanted: NodeSet,
        monitor: &Monitor<'_>,
    ) -> Result<Self> {
        let group = CHUNK * (source.nodes() / CHUNK / GROUPS).clamp(1, AT_ONCE);
        // A group that no other node reads can go as soon as it is counted.
        let firsts = (0..source.nodes()).step_by(group);
        let mut last: Vec<u32> = firsts.map(|first| first as u32).collect();
        let mut end = source.nodes();
        while end > 0 {
            let (first, lists) = source.before(end)?;
            for node in (first..end).rev() {
                let list = lists.list(node).ok_or_else(lists_changed)?;
                for id in list {
                    let last = last.get_mut(id.position() / group).ok_or_else(lists_changed)?;
                    *last = (*last).min(node as u32);
                }
                monitor.breathe(list.len() as u64)?;
            }
            end = first;
        }
        let mut last_readers: Vec<(u32, u32)> = last.into_iter().zip(0..).collect();
        last_readers.sort_unstable_by(|a, b| b.cmp(a));
        Ok(Self { wanted, group, last_readers, freed: 0, places: Vec::new(), digits: Vec::new() })
    }

    /// The first node of the group of `node`.
    pub(crate) fn first(&self, node: usize) -> usize {
        node / self.group * self.group
    }

    /// The nodes of a group.
    fn nodes(&self, group: u32) -> Range<usize> {
        let first = group as usize * self.group;
        first..first + self.group
    }

    /// The most bytes of rows that are there at once, given the bytes of the rows of any range of
    /// nodes.
    pub(crate) fn peak(&self, bytes: impl Fn(Range<usize>) -> u64) -> u64 {
        let (mut held, mut peak, mut freed) = (0u64, 0, 0);
        for group in (0..self.last_readers.len() as u32).rev() {
            let nodes = self.nodes(group);
            let is_counted = |(node, _): &&(u32, u32)| *node as usize >= nodes.start;
            held += bytes(nodes.clone());
            peak = peak.max(held);
            while let Some(&(_, group)) = self.last_readers.get(freed).filter(is_counted) {
                held -= bytes(self.nodes(group));
                freed += 1;
            }
        }
        peak
    }

    /// The nodes of the next group that no node before `start` reads, if there is one.
    pub(crate) fn next_freed(&mut self, start: usize) -> Option<Range<usize>> {
        let &(_, group) =
            self.last_readers.get(self.freed).filter(|(node, _)| *node as usize >= start)?;
        self.freed += 1;
        Some(self.nodes(group))
    }

    /// Keeps the counts of those of `nodes` that are wanted.
    ///
    /// # Errors
    /// [`crate::Error::GraphMemory`].
    pub(crate) fn keep(&mut self, nodes: Range<usize>, bands: &Bands) -> Result<()> {
        for node in nodes.filter(|&node| self.wanted.contains(node)) {
            let row = trimmed(bands.row(node).unwrap_or_default());
            grow(COUNTING_PARAMETERS, &mut self.places, 1)?;
            grow(COUNTING_PARAMETERS, &mut self.digits, row.len())?;
            self.places.push((node as u32, self.digits.len()));
            self.digits.extend_from_slice(row);
        }
        Ok(())
    }

    /// Sorts what was kept by node, when everything is counted.
    ///
    /// # Errors
    /// [`crate::Error::GraphMemory`].
    pub(crate) fn finish(&mut self) -> Result<()> {
        let ends = self.places.iter().skip(1).map(|&(_, at)| at).chain([self.digits.len()]);
        let rows = self.places.iter().zip(ends).map(|(&(node, at), end)| (node, at, end));
        let mut rows: Vec<(u32, usize, usize)> =
            listed(COUNTING_PARAMETERS, self.places.len(), rows)?;
        rows.sort_unstable();
        let mut digits = reserved(COUNTING_PARAMETERS, self.digits.len())?;
        for (place, (node, at, end)) in self.places.iter_mut().zip(rows) {
            *place = (node, digits.len());
            digits.extend_from_slice(&self.digits[at..end]);
        }
        self.digits = digits;
        Ok(())
    }

    /// The digits of the count of `node`; `None` if it was not kept.
    pub(crate) fn row(&self, node: usize) -> Option<&[u64]> {
        let at = self.places.binary_search_by_key(&node, |&(kept, _)| kept as usize).ok()?;
        let end = self.places.get(at + 1).map_or(self.digits.len(), |&(_, end)| end);
        self.digits.get(self.places[at].1..end)
    }

    /// The bytes of what was kept.
    pub(crate) fn bytes(&self) -> u64 {
        (8 * self.digits.len() + size_of::<(u32, usize)>() * self.places.len()) as u64
    }
}
