//! Exact counts of nodes: rows of digits, equally wide within a band of nodes.

use crate::graph::survey::CHUNK_BITS;
use crate::number::{Exact, Number};

/// Nodes that one width is found for.
pub(crate) const CHUNK: usize = 1 << CHUNK_BITS;

/// Counts of neighbouring nodes, all of one width.
#[derive(Debug, Default)]
pub(crate) struct Band {
    pub(crate) first: usize,
    pub(crate) end: usize,
    /// Digits of a row, the least first in each; none before the band is counted or after it is
    /// freed.
    pub(crate) rows: Vec<u64>,
    pub(crate) digits: usize,
}

impl Band {
    /// Bytes of its rows, when it has any.
    pub(crate) fn bytes(&self) -> u64 {
        (size_of::<u64>() * self.lanes()) as u64
    }

    fn lanes(&self) -> usize {
        (self.end - self.first) * self.digits
    }

    /// Gives it memory, with arbitrary contents.
    pub(crate) fn open(&mut self) {
        self.rows = Exact::reserve().take(self.lanes());
    }

    /// Takes its memory back.
    pub(crate) fn close(&mut self) {
        if !self.rows.is_empty() {
            Exact::reserve().put(vec![std::mem::take(&mut self.rows)]);
        }
    }

    /// The row of `node`.
    #[inline(always)]
    pub(crate) fn row(&self, node: usize) -> Option<&[u64]> {
        let start = node.wrapping_sub(self.first).wrapping_mul(self.digits);
        self.rows.get(start..start.wrapping_add(self.digits))
    }
}

impl Drop for Band {
    fn drop(&mut self) {
        self.close();
    }
}

/// The bands of a graph, from the first nodes to the last.
#[derive(Debug)]
pub(crate) struct Bands {
    pub(crate) bands: Vec<Band>,
    /// For every chunk of nodes, which band has it.
    pub(crate) of: Vec<u32>,
}

impl Bands {
    /// Joins chunks of the same width, of which there are `widths` in digits; at most so many chunks
    /// in a band.
    pub(crate) fn new(widths: &[usize], nodes: usize, most: usize) -> Self {
        let mut bands: Vec<Band> = Vec::new();
        let mut of = Vec::with_capacity(widths.len());
        for (chunk, &digits) in widths.iter().enumerate() {
            let end = nodes.min((chunk + 1) * CHUNK);
            match bands.last_mut() {
                Some(band) if band.digits == digits && end - band.first <= most * CHUNK => {
                    band.end = end;
                }
                _ => bands.push(Band { first: chunk * CHUNK, end, rows: Vec::new(), digits }),
            }
            of.push((bands.len() - 1) as u32);
        }
        Self { bands, of }
    }

    /// Which band has a node.
    pub(crate) fn of(&self, node: usize) -> Option<usize> {
        self.of.get(node / CHUNK).map(|&band| band as usize)
    }

    /// The row of `node`.
    pub(crate) fn row(&self, node: usize) -> Option<&[u64]> {
        self.bands.get(self.of(node)?)?.row(node)
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bands.iter().map(Band::bytes).sum()
    }
}
