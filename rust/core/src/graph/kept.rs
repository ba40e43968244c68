//! Counts of parameters, kept when the chunks they stand in are let go.

use crate::error::Result;
use crate::graph::chunks::{CHUNK, Chunk, bytes, nodes_of, trimmed};
use crate::graph::csr::Index;
use crate::graph::marks::Marks;
use crate::graph::source::{Source, changed};
use crate::monitor::Monitor;

/// See the module.
#[derive(Debug)]
pub(crate) struct Kept {
    /// Which nodes' counts are kept.
    wanted: Marks,
    /// Chunks with the lowest node that reads each, the highest of these first.
    last_readers: Vec<(u32, u32)>,
    /// How many of them were let go.
    freed: usize,
    /// Nodes kept, in the order in which they were: node, and where its digits begin.
    places: Vec<(u32, usize)>,
    digits: Vec<u64>,
    nodes: usize,
}

impl Kept {
    /// Finds out by which node every chunk is read last.
    pub(crate) fn plan<S: Source>(
        source: &mut S,
        wanted: Marks,
        monitor: &Monitor<'_>,
    ) -> Result<Self> {
        let nodes = source.nodes();
        let chunks = nodes.div_ceil(CHUNK);
        // A chunk that no other node reads can go when it is counted.
        let mut last: Vec<u32> = (0..chunks).map(|chunk| (chunk * CHUNK) as u32).collect();
        let mut end = nodes;
        while end > 0 {
            let (first, rows) = source.before(end)?;
            for node in (first..end).rev() {
                let row = rows.row(node).ok_or_else(changed)?;
                for id in row {
                    *last.get_mut(id.position() / CHUNK).ok_or_else(changed)? = node as u32;
                }
                monitor.breathe(row.len() as u64)?;
            }
            end = first;
        }
        let first_node = |chunk: usize| (chunk * CHUNK) as u32;
        let reader = |(chunk, &node): (usize, &u32)| (node.min(first_node(chunk)), chunk as u32);
        let mut last_readers: Vec<(u32, u32)> = last.iter().enumerate().map(reader).collect();
        last_readers.sort_unstable_by(|a, b| b.cmp(a));
        Ok(Self { wanted, last_readers, freed: 0, places: Vec::new(), digits: Vec::new(), nodes })
    }

    /// Most bytes of chunks that are there at once, with these widths, if `at_once` are filled
    /// before one is let go.
    pub(crate) fn peak(&self, widths: &[usize], at_once: usize) -> u64 {
        let (mut held, mut peak, mut freed) = (0u64, 0, 0);
        for chunk in (0..widths.len()).rev() {
            held += bytes(widths[chunk]);
            peak = peak.max(held);
            let counted = (chunk + at_once - 1) * CHUNK;
            while let Some(&(_, gone)) =
                self.last_readers.get(freed).filter(|(node, _)| *node as usize >= counted)
            {
                held -= bytes(widths[gone as usize]);
                freed += 1;
            }
        }
        peak
    }

    /// A chunk that no node before `start` reads, if there is another one.
    pub(crate) fn next_freed(&mut self, start: usize) -> Option<usize> {
        let &(_, chunk) =
            self.last_readers.get(self.freed).filter(|(node, _)| *node as usize >= start)?;
        self.freed += 1;
        Some(chunk as usize)
    }

    /// Keeps the wanted counts of a chunk.
    pub(crate) fn keep(&mut self, chunk: &Chunk, number: usize) {
        for node in nodes_of(number, self.nodes).filter(|&node| self.wanted.has(node)) {
            self.places.push((node as u32, self.digits.len()));
            self.digits.extend(trimmed(chunk.row(node).unwrap_or_default()));
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
