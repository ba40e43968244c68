//! Exact counts of nodes: rows of digits, equally wide within a band of nodes.

use std::ops::Range;

use crate::graph::survey::blocks::CHUNK_BITS;
use crate::number::{Exact, Number};

/// Nodes that one width is found for.
pub(crate) const CHUNK: usize = 1 << CHUNK_BITS;

/// Counts of neighbouring nodes, all of one width, the digits of each the least first.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Band {
    pub(crate) first: usize,
    pub(crate) end: usize,
    /// Digits of a row.
    pub(crate) digits: usize,
    /// Which slab the rows are in, and where they begin.
    slab: usize,
    at: usize,
}

impl Band {
    /// Digits of all rows.
    fn lanes(&self) -> usize {
        (self.end - self.first) * self.digits
    }

    /// Where the row of one of its nodes begins.
    #[inline(always)]
    fn place(&self, node: usize) -> usize {
        self.at.wrapping_add(node.wrapping_sub(self.first).wrapping_mul(self.digits))
    }
}

/// Rows of the nodes that were reached so far, from the last nodes to the first.
#[derive(Debug)]
pub(crate) struct Bands {
    /// Memory, which bands fill from the end of each slab; none after it is freed.
    slabs: Vec<Vec<u64>>,
    /// Digits of the latest slab that no band has.
    free: usize,
    bands: Vec<Band>,
    /// For every chunk of nodes, which band has it.
    of: Vec<u32>,
    nodes: usize,
}

impl Bands {
    pub(crate) fn new(nodes: usize) -> Self {
        let of = vec![u32::MAX; nodes.div_ceil(CHUNK)];
        Self { slabs: Vec::new(), free: 0, bands: Vec::new(), of, nodes }
    }

    pub(crate) fn nodes(&self) -> usize {
        self.nodes
    }

    /// The first node that has a row.
    pub(crate) fn first(&self) -> usize {
        self.latest().map_or(self.nodes, |band| band.first)
    }

    /// Digits of all rows, those let go, too.
    pub(crate) fn lanes(&self) -> usize {
        self.bands.iter().map(Band::lanes).sum()
    }

    /// Gives rows of so many digits to the nodes from `first`, which begins a chunk, to those that
    /// have rows; if that takes a new slab, it has at least `room` digits, with arbitrary contents.
    pub(crate) fn extend(&mut self, first: usize, digits: usize, room: usize) {
        let end = self.first();
        let lanes = (end - first) * digits;
        if lanes > self.free {
            self.free = room.max(lanes);
            self.slabs.push(Exact::reserve().take(self.free));
        }
        self.free -= lanes;
        let (slab, at) = (self.slabs.len() - 1, self.free);
        match self.bands.last_mut() {
            Some(band) if band.digits == digits && band.slab == slab => {
                (band.first, band.at) = (first, at);
            }
            _ => self.bands.push(Band { first, end, digits, slab, at }),
        }
        let chunks = first / CHUNK..end.div_ceil(CHUNK);
        self.of[chunks].fill((self.bands.len() - 1) as u32);
    }

    /// The band of the first nodes that have rows.
    pub(crate) fn latest(&self) -> Option<&Band> {
        self.bands.last()
    }

    /// The latest band, its rows, and those behind it.
    pub(crate) fn split(&mut self) -> Option<(Band, &mut [u64], RowsBehind<'_>)> {
        let band = *self.bands.last()?;
        let (slab, slabs) = self.slabs.split_last_mut()?;
        let end = band.at + band.lanes();
        let (open, same) = slab.split_at_mut_checked(end)?;
        let behind = RowsBehind { slabs, same, end, bands: &self.bands, of: &self.of };
        Some((band, open.get_mut(band.at..)?, behind))
    }

    /// The next rows get a new slab.
    pub(crate) fn leave_slab(&mut self) {
        self.free = 0;
    }

    /// Takes back the memory of some nodes, whose slabs have no others; gives how many digits the
    /// rows had.
    pub(crate) fn free(&mut self, nodes: Range<usize>) -> usize {
        let from = self.bands.partition_point(|band| band.first >= nodes.end);
        let to = self.bands.partition_point(|band| band.first >= nodes.start);
        let bands = &self.bands[from..to];
        if let (Some(first), Some(last)) = (bands.first(), bands.last()) {
            let slabs = &mut self.slabs[first.slab..=last.slab];
            Exact::reserve().put(slabs.iter_mut().map(std::mem::take).collect());
        }
        bands.iter().map(Band::lanes).sum()
    }

    /// The row of `node`.
    pub(crate) fn row(&self, node: usize) -> Option<&[u64]> {
        let band = self.bands.get(*self.of.get(node / CHUNK)? as usize)?;
        self.slabs.get(band.slab)?.get(band.place(node)..)?.get(..band.digits)
    }
}

impl Drop for Bands {
    fn drop(&mut self) {
        Exact::reserve().put(std::mem::take(&mut self.slabs));
    }
}

/// Rows behind the latest band.
#[derive(Clone, Copy)]
pub(crate) struct RowsBehind<'b> {
    /// All slabs but the latest.
    slabs: &'b [Vec<u64>],
    /// The latest, from `end` on.
    same: &'b [u64],
    end: usize,
    bands: &'b [Band],
    of: &'b [u32],
}

impl RowsBehind<'_> {
    /// The row of a node.
    #[inline(always)]
    pub(crate) fn row(&self, node: usize) -> Option<&[u64]> {
        let (rows, digits) = self.rows(node)?;
        rows.get(..digits)
    }

    /// The rows of neighbouring nodes, if one band has them all, and the digits of each.
    #[inline(always)]
    pub(crate) fn stretch(&self, node: usize, length: usize) -> Option<(&[u64], usize)> {
        let (rows, digits) = self.rows(node)?;
        let last = self.of.get(node.wrapping_add(length).wrapping_sub(1) / CHUNK)?;
        let rows = rows.get(..length.wrapping_mul(digits))?;
        (self.of.get(node / CHUNK)? == last).then_some((rows, digits))
    }

    /// What the slab of a node has from its row on, and the digits of the row.
    #[inline(always)]
    pub(crate) fn rows(&self, node: usize) -> Option<(&[u64], usize)> {
        let band = self.bands.get(*self.of.get(node / CHUNK)? as usize)?;
        let place = band.place(node);
        let rows = match self.slabs.get(band.slab) {
            Some(slab) => slab.get(place..)?,
            None => self.same.get(place.wrapping_sub(self.end)..)?,
        };
        Some((rows, band.digits))
    }
}

/// Rows that are counted.
#[derive(Clone, Copy)]
pub(crate) struct CountedRows<'d> {
    /// Those of the same band that may be read, and the node of the first; `None` for all of them.
    pub(crate) near: Option<(&'d [u64], usize)>,
    pub(crate) behind: RowsBehind<'d>,
}

impl CountedRows<'_> {
    /// The row of any node, given those of the same band.
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
