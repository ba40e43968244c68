//! The memory of exact counts: a row of digits for every node, equally wide within a band of nodes.
//!
//! Nodes are counted from the last to the first. Nodes with greater numbers are *behind* a node:
//! they are counted before it.

use std::ops::Range;

use crate::graph::survey::blocks::CHUNK_BITS;
use crate::number::{Exact, Number};

/// So many neighbouring nodes, a chunk, have rows of one width.
pub(crate) const CHUNK: usize = 1 << CHUNK_BITS;

/// The rows of neighbouring nodes, which have one width. The least digit of a row comes first.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Band {
    pub(crate) first: usize,
    pub(crate) end: usize,
    /// The digits of a row.
    pub(crate) digits: usize,
    /// The slab that the rows are in, and their place in it.
    slab: usize,
    start: usize,
}

impl Band {
    /// The digits of all rows.
    fn lanes(&self) -> usize {
        (self.end - self.first) * self.digits
    }

    /// The place in the slab of the row of a node.
    #[inline(always)]
    fn place(&self, node: usize) -> usize {
        self.start.wrapping_add(node.wrapping_sub(self.first).wrapping_mul(self.digits))
    }
}

/// The rows of all nodes that the sweep has reached.
#[derive(Debug)]
pub(crate) struct Bands {
    /// The memory of the rows. Bands fill a slab from its end; a slab that was let go is empty.
    slabs: Vec<Vec<u64>>,
    /// The digits of the latest slab that no band has.
    unused: usize,
    bands: Vec<Band>,
    /// For every chunk of nodes, the band that it belongs to.
    band_of_chunk: Vec<u32>,
    nodes: usize,
}

impl Bands {
    /// No rows yet, for a graph of so many nodes.
    pub(crate) fn new(nodes: usize) -> Self {
        let band_of_chunk = vec![u32::MAX; nodes.div_ceil(CHUNK)];
        Self { slabs: Vec::new(), unused: 0, bands: Vec::new(), band_of_chunk, nodes }
    }

    /// The number of nodes of the graph.
    pub(crate) fn nodes(&self) -> usize {
        self.nodes
    }

    /// The first node that has a row; the number of nodes if none has.
    pub(crate) fn first(&self) -> usize {
        self.latest().map_or(self.nodes, |band| band.first)
    }

    /// The digits of all rows, of which some may have been let go.
    pub(crate) fn lanes(&self) -> usize {
        self.bands.iter().map(Band::lanes).sum()
    }

    /// Gives rows of so many digits, with arbitrary contents, to the nodes from `first` up to those
    /// that have rows; `first` begins a chunk. If that takes a new slab, the slab has at least
    /// `room` digits.
    pub(crate) fn extend(&mut self, first: usize, digits: usize, room: usize) {
        let end = self.first();
        let lanes = (end - first) * digits;
        if lanes > self.unused {
            self.unused = room.max(lanes);
            self.slabs.push(Exact::reserve().take(self.unused));
        }
        self.unused -= lanes;
        let (slab, start) = (self.slabs.len() - 1, self.unused);
        match self.bands.last_mut() {
            Some(band) if band.digits == digits && band.slab == slab => {
                (band.first, band.start) = (first, start);
            }
            _ => self.bands.push(Band { first, end, digits, slab, start }),
        }
        let chunks = first / CHUNK..end.div_ceil(CHUNK);
        self.band_of_chunk[chunks].fill((self.bands.len() - 1) as u32);
    }

    /// The band of the first nodes that have rows.
    pub(crate) fn latest(&self) -> Option<&Band> {
        self.bands.last()
    }

    /// The latest band, its rows, and the rows behind it.
    pub(crate) fn split(&mut self) -> Option<(Band, &mut [u64], RowsBehind<'_>)> {
        let band = *self.bands.last()?;
        let (slab, slabs) = self.slabs.split_last_mut()?;
        let end = band.start + band.lanes();
        let (open, same) = slab.split_at_mut_checked(end)?;
        let behind =
            RowsBehind { slabs, same, end, bands: &self.bands, band_of_chunk: &self.band_of_chunk };
        Some((band, open.get_mut(band.start..)?, behind))
    }

    /// Makes the next rows begin a new slab.
    pub(crate) fn leave_slab(&mut self) {
        self.unused = 0;
    }

    /// Lets go of the rows of some nodes, whose slabs hold no others; returns how many digits they
    /// had.
    pub(crate) fn release(&mut self, nodes: Range<usize>) -> usize {
        let from = self.bands.partition_point(|band| band.first >= nodes.end);
        let to = self.bands.partition_point(|band| band.first >= nodes.start);
        let bands = &self.bands[from..to];
        if let (Some(first), Some(last)) = (bands.first(), bands.last()) {
            let slabs = &mut self.slabs[first.slab..=last.slab];
            Exact::reserve().put(slabs.iter_mut().map(std::mem::take).collect());
        }
        bands.iter().map(Band::lanes).sum()
    }

    /// The row of `node`, if it is there.
    pub(crate) fn row(&self, node: usize) -> Option<&[u64]> {
        let band = self.bands.get(*self.band_of_chunk.get(node / CHUNK)? as usize)?;
        self.slabs.get(band.slab)?.get(band.place(node)..)?.get(..band.digits)
    }
}

impl Drop for Bands {
    fn drop(&mut self) {
        Exact::reserve().put(std::mem::take(&mut self.slabs));
    }
}

/// The rows of all bands but the latest.
#[derive(Clone, Copy)]
pub(crate) struct RowsBehind<'b> {
    /// All slabs but the latest one.
    slabs: &'b [Vec<u64>],
    /// The latest slab, from the place `end` on.
    same: &'b [u64],
    end: usize,
    bands: &'b [Band],
    band_of_chunk: &'b [u32],
}

impl RowsBehind<'_> {
    /// The row of a node.
    #[inline(always)]
    pub(crate) fn row(&self, node: usize) -> Option<&[u64]> {
        let (rows, digits) = self.rows(node)?;
        rows.get(..digits)
    }

    /// The rows of neighbouring nodes, if they all belong to one band, and the digits of each.
    #[inline(always)]
    pub(crate) fn stretch(&self, node: usize, length: usize) -> Option<(&[u64], usize)> {
        let (rows, digits) = self.rows(node)?;
        let last = self.band_of_chunk.get(node.wrapping_add(length).wrapping_sub(1) / CHUNK)?;
        let rows = rows.get(..length.wrapping_mul(digits))?;
        (self.band_of_chunk.get(node / CHUNK)? == last).then_some((rows, digits))
    }

    /// The slab of a node from its row on, and the digits of the row.
    #[inline(always)]
    pub(crate) fn rows(&self, node: usize) -> Option<(&[u64], usize)> {
        let band = self.bands.get(*self.band_of_chunk.get(node / CHUNK)? as usize)?;
        let place = band.place(node);
        let rows = match self.slabs.get(band.slab) {
            Some(slab) => slab.get(place..)?,
            None => self.same.get(place.wrapping_sub(self.end)..)?,
        };
        Some((rows, band.digits))
    }
}

/// The rows that a task may read: those that are counted already.
#[derive(Clone, Copy)]
pub(crate) struct CountedRows<'d> {
    /// The rows of the band being written that may be read, and the node of the first of them.
    /// `None` if these are all rows behind the node that is counted.
    pub(crate) near: Option<(&'d [u64], usize)>,
    /// The rows of other bands.
    pub(crate) behind: RowsBehind<'d>,
}

impl CountedRows<'_> {
    /// The row of a node, given the rows `near` of the band being written, the first of which is
    /// that of node `base`.
    #[inline(always)]
    pub(crate) fn row<'r>(
        &'r self,
        near: &'r [u64],
        base: usize,
        digits: usize,
        node: usize,
    ) -> Option<&'r [u64]> {
        let start = node.wrapping_sub(base).wrapping_mul(digits);
        if node >= base && start < near.len() {
            return near.get(start..start.wrapping_add(digits));
        }
        self.behind.row(node)
    }
}
