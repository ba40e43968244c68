//! Counts of parameters, kept when the rows they stand in are let go.

use std::ops::Range;

use crate::error::Result;
use crate::graph::exact::bands::{Bands, CHUNK};
use crate::graph::exact::digits::trimmed;
use crate::graph::lists::csr::Index;
use crate::graph::lists::node_set::NodeSet;
use crate::graph::lists::source::{Source, lists_changed};
use crate::machine::monitor::Monitor;

/// Chunks of nodes whose counts are let go at once, which are a group: this part of all, but not more
/// than these.
const GROUPS: usize = 64;
const AT_ONCE: usize = 16;

/// See the module.
#[derive(Debug)]
pub(crate) struct ParameterRows {
    /// Which nodes' counts are kept.
    wanted: NodeSet,
    /// Nodes of a group.
    group: usize,
    /// Groups with the lowest node that reads each, the highest of these first.
    last_readers: Vec<(u32, u32)>,
    /// How many of them were let go.
    freed: usize,
    /// Nodes kept, in the order in which they were: node, and where its digits begin.
    places: Vec<(u32, usize)>,
    digits: Vec<u64>,
}

impl ParameterRows {
    /// Finds out by which node every group is read last.
    pub(crate) fn plan<S: Source>(
        source: &mut S,
        wanted: NodeSet,
        monitor: &Monitor<'_>,
    ) -> Result<Self> {
        let group = CHUNK * (source.nodes() / CHUNK / GROUPS).clamp(1, AT_ONCE);
        // A group that no other node reads can go when it is counted.
        let firsts = (0..source.nodes()).step_by(group);
        let mut last: Vec<u32> = firsts.map(|first| first as u32).collect();
        let mut end = source.nodes();
        while end > 0 {
            let (first, rows) = source.before(end)?;
            for node in (first..end).rev() {
                let row = rows.list(node).ok_or_else(lists_changed)?;
                for id in row {
                    let last = last.get_mut(id.position() / group).ok_or_else(lists_changed)?;
                    *last = (*last).min(node as u32);
                }
                monitor.breathe(row.len() as u64)?;
            }
            end = first;
        }
        let mut last_readers: Vec<(u32, u32)> = last.into_iter().zip(0..).collect();
        last_readers.sort_unstable_by(|a, b| b.cmp(a));
        Ok(Self { wanted, group, last_readers, freed: 0, places: Vec::new(), digits: Vec::new() })
    }

    /// Where the group of a node begins.
    pub(crate) fn first(&self, node: usize) -> usize {
        node / self.group * self.group
    }

    /// The nodes of a group.
    fn nodes(&self, group: u32) -> Range<usize> {
        let first = group as usize * self.group;
        first..first + self.group
    }

    /// Most bytes of rows that are there at once, given those of the nodes of every group.
    pub(crate) fn peak(&self, bytes: impl Fn(Range<usize>) -> u64) -> u64 {
        let (mut held, mut peak, mut freed) = (0u64, 0, 0);
        for group in (0..self.last_readers.len() as u32).rev() {
            let nodes = self.nodes(group);
            let done = |(node, _): &&(u32, u32)| *node as usize >= nodes.start;
            held += bytes(nodes.clone());
            peak = peak.max(held);
            while let Some(&(_, gone)) = self.last_readers.get(freed).filter(done) {
                held -= bytes(self.nodes(gone));
                freed += 1;
            }
        }
        peak
    }

    /// The nodes of a group that no node before `start` reads, if there is another one.
    pub(crate) fn next_freed(&mut self, start: usize) -> Option<Range<usize>> {
        let &(_, group) =
            self.last_readers.get(self.freed).filter(|(node, _)| *node as usize >= start)?;
        self.freed += 1;
        Some(self.nodes(group))
    }

    /// Keeps the wanted counts of some nodes.
    pub(crate) fn keep(&mut self, nodes: Range<usize>, bands: &Bands) {
        for node in nodes.filter(|&node| self.wanted.contains(node)) {
            self.places.push((node as u32, self.digits.len()));
            self.digits.extend(trimmed(bands.row(node).unwrap_or_default()));
        }
    }

    /// All is counted: sorts what was kept.
    pub(crate) fn finish(&mut self) {
        let ends = self.places.iter().skip(1).map(|&(_, at)| at).chain([self.digits.len()]);
        let mut rows: Vec<(u32, usize, usize)> =
            self.places.iter().zip(ends).map(|(&(node, at), end)| (node, at, end)).collect();
        rows.sort_unstable();
        let mut digits = Vec::with_capacity(self.digits.len());
        for (place, (node, at, end)) in self.places.iter_mut().zip(rows) {
            *place = (node, digits.len());
            digits.extend_from_slice(&self.digits[at..end]);
        }
        self.digits = digits;
    }

    /// The digits of the count of `node`; `None` if it was not kept.
    pub(crate) fn row(&self, node: usize) -> Option<&[u64]> {
        let at = self.places.binary_search_by_key(&node, |&(kept, _)| kept as usize).ok()?;
        let end = self.places.get(at + 1).map_or(self.digits.len(), |&(_, end)| end);
        self.digits.get(self.places[at].1..end)
    }

    pub(crate) fn bytes(&self) -> u64 {
        (8 * self.digits.len() + size_of::<(u32, usize)>() * self.places.len()) as u64
    }
}
