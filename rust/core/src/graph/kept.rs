//! Counts of parameters, kept when the bands they stand in are let go.

use crate::error::Result;
use crate::graph::bands::{Band, Bands, CHUNK};
use crate::graph::csr::Index;
use crate::graph::digits::trimmed;
use crate::graph::marks::Marks;
use crate::graph::source::{Source, changed};
use crate::monitor::Monitor;

/// See the module.
#[derive(Debug)]
pub(crate) struct Kept {
    /// Which nodes' counts are kept.
    wanted: Marks,
    /// Bands with the lowest node that reads each, the highest of these first.
    last_readers: Vec<(u32, u32)>,
    /// How many of them were let go.
    freed: usize,
    /// Nodes kept, in the order in which they were: node, and where its digits begin.
    places: Vec<(u32, usize)>,
    digits: Vec<u64>,
}

impl Kept {
    /// Finds out by which node every band is read last.
    pub(crate) fn plan<S: Source>(
        source: &mut S,
        wanted: Marks,
        bands: &Bands,
        monitor: &Monitor<'_>,
    ) -> Result<Self> {
        let mut last: Vec<u32> = vec![u32::MAX; bands.of.len()];
        let mut end = source.nodes();
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
        // A band that no other node reads can go when it is counted.
        let first = |(band, number): (&Band, u32)| (band.first as u32, number);
        let mut last_readers: Vec<(u32, u32)> = bands.bands.iter().zip(0..).map(first).collect();
        for (&node, &band) in last.iter().zip(&bands.of) {
            let reader = &mut last_readers[band as usize].0;
            *reader = node.min(*reader);
        }
        last_readers.sort_unstable_by(|a, b| b.cmp(a));
        Ok(Self { wanted, last_readers, freed: 0, places: Vec::new(), digits: Vec::new() })
    }

    /// Most bytes of bands that are there at once.
    pub(crate) fn peak(&self, bands: &Bands) -> u64 {
        let (mut held, mut peak, mut freed) = (0u64, 0, 0);
        for band in bands.bands.iter().rev() {
            held += band.bytes();
            peak = peak.max(held);
            while let Some(&(_, gone)) =
                self.last_readers.get(freed).filter(|(node, _)| *node as usize >= band.first)
            {
                held -= bands.bands[gone as usize].bytes();
                freed += 1;
            }
        }
        peak
    }

    /// A band that no node before `start` reads, if there is another one.
    pub(crate) fn next_freed(&mut self, start: usize) -> Option<usize> {
        let &(_, band) =
            self.last_readers.get(self.freed).filter(|(node, _)| *node as usize >= start)?;
        self.freed += 1;
        Some(band as usize)
    }

    /// Keeps the wanted counts of a band.
    pub(crate) fn keep(&mut self, band: &Band) {
        for node in (band.first..band.end).filter(|&node| self.wanted.has(node)) {
            self.places.push((node as u32, self.digits.len()));
            self.digits.extend(trimmed(band.row(node).unwrap_or_default()));
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
