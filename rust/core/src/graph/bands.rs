//! Exact counts of nodes: rows of digits of radix 2^56, equally wide within a band of nodes.

use num_bigint::BigUint;

use crate::graph::survey::CHUNK_BITS;
use crate::number::{Exact, Number};

/// Bits of a digit: up to 255 of them can be added up in 64 bits before carries are settled.
pub(crate) const DIGIT_BITS: u32 = 56;
/// The digit of a sum.
pub(crate) const DIGIT: u64 = (1 << DIGIT_BITS) - 1;
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

/// How many digits hold this many bits; beyond 16, a multiple of 4.
pub(crate) fn digits(bits: u64) -> usize {
    let digits = bits.div_ceil(u64::from(DIGIT_BITS)).max(1) as usize;
    if digits <= 16 { digits } else { digits.next_multiple_of(4) }
}

/// A row without the zeros at its upper end.
pub(crate) fn trimmed(row: &[u64]) -> &[u64] {
    let length = row.iter().rposition(|&digit| digit != 0).map_or(0, |last| last + 1);
    &row[..length]
}

/// The integer of a row.
pub(crate) fn integer(row: &[u64]) -> BigUint {
    let mut words: Vec<u32> = Vec::with_capacity(2 * row.len());
    let (mut held, mut bits) = (0u128, 0);
    for &digit in trimmed(row) {
        held |= u128::from(digit) << bits;
        bits += DIGIT_BITS;
        while bits >= 32 {
            words.push(held as u32);
            held >>= 32;
            bits -= 32;
        }
    }
    words.push(held as u32);
    BigUint::new(words)
}
