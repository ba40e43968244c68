//! Exact counts of nodes: rows of digits of radix 2^56, equally wide within a chunk of nodes.

use std::ops::Range;

use num_bigint::BigUint;

use crate::graph::survey::CHUNK_BITS;

/// Bits of a digit: up to 255 of them can be added up in 64 bits before carries are settled.
pub(crate) const DIGIT_BITS: u32 = 56;
/// The digit of a sum.
pub(crate) const DIGIT: u64 = (1 << DIGIT_BITS) - 1;
/// Nodes of a chunk.
pub(crate) const CHUNK: usize = 1 << CHUNK_BITS;

/// The counts of [`CHUNK`] nodes.
#[derive(Debug, Default)]
pub(crate) struct Chunk {
    /// Digits of a row, the least first in each; none before the chunk is counted or after it is
    /// freed.
    pub(crate) rows: Vec<u64>,
    pub(crate) digits: usize,
}

impl Chunk {
    /// Bytes of its rows, when it has any.
    pub(crate) fn bytes(&self) -> u64 {
        bytes(self.digits)
    }

    /// The row of `node`, at its place in the chunk.
    pub(crate) fn row(&self, node: usize) -> Option<&[u64]> {
        let start = (node % CHUNK) * self.digits;
        self.rows.get(start..start + self.digits)
    }
}

/// How many digits hold this many bits; beyond 16, a multiple of 4.
pub(crate) fn digits(bits: u64) -> usize {
    let digits = bits.div_ceil(u64::from(DIGIT_BITS)).max(1) as usize;
    if digits <= 16 { digits } else { digits.next_multiple_of(4) }
}

/// Bytes of a chunk whose rows have this many digits.
pub(crate) fn bytes(digits: usize) -> u64 {
    (size_of::<u64>() * CHUNK * digits) as u64
}

/// The nodes of a chunk.
pub(crate) fn nodes_of(chunk: usize, nodes: usize) -> Range<usize> {
    chunk * CHUNK..nodes.min((chunk + 1) * CHUNK)
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
