//! A set of nodes, one bit each.

use std::ops::Range;

use crate::graph::lists::csr::Index;

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Marks {
    words: Vec<u64>,
    nodes: usize,
}

/// [`Marks`] to be looked at, without a look behind a reference to them for every node.
#[derive(Clone, Copy)]
pub(crate) struct Marked<'m> {
    words: &'m [u64],
}

impl Marked<'_> {
    /// Whether `node` is marked; nodes beyond the end are not.
    #[inline(always)]
    pub(crate) fn has(self, node: usize) -> bool {
        self.words.get(node / 64).is_some_and(|word| word >> (node % 64) & 1 == 1)
    }

    /// Whether one of `nodes` is marked.
    #[inline(always)]
    pub(crate) fn any(self, mut nodes: Range<usize>) -> bool {
        let words = self.words.get(nodes.start / 64..nodes.end.div_ceil(64));
        // Mostly there is none in the words around them either.
        words.is_none_or(|words| words.iter().any(|&word| word != 0))
            && nodes.any(|node| self.has(node))
    }
}

impl Marks {
    pub(crate) fn none(nodes: usize) -> Self {
        Self { words: vec![0; nodes.div_ceil(64)], nodes }
    }

    /// Marks the nodes that are equal to the next one among as many values and one.
    pub(crate) fn of_equal<I: Index>(values: &[I]) -> Self {
        let nodes = values.len().saturating_sub(1);
        let equal = |start: usize| {
            let mut bytes = [0; 64];
            let ends = values.get(start + 1..).unwrap_or_default();
            for ((byte, value), end) in bytes.iter_mut().zip(&values[start..]).zip(ends) {
                *byte = u8::from(value == end);
            }
            word(&bytes)
        };
        Self { words: (0..nodes).step_by(64).map(equal).collect(), nodes }
    }

    /// Marks `node`; whether it was marked before.
    pub(crate) fn mark(&mut self, node: usize) -> bool {
        let (word, bit) = (&mut self.words[node / 64], 1 << (node % 64));
        let before = *word & bit != 0;
        *word |= bit;
        before
    }

    pub(crate) fn clear(&mut self, node: usize) {
        self.words[node / 64] &= !(1 << (node % 64));
    }

    /// Whether `node` is marked; nodes beyond the end are not.
    #[inline(always)]
    pub(crate) fn has(&self, node: usize) -> bool {
        self.view().has(node)
    }

    #[inline(always)]
    pub(crate) fn view(&self) -> Marked<'_> {
        Marked { words: &self.words }
    }

    pub(crate) fn count(&self) -> usize {
        self.words.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// All other nodes.
    pub(crate) fn inverted(mut self) -> Self {
        for word in &mut self.words {
            *word = !*word;
        }
        if let (Some(last), rest @ 1..) = (self.words.last_mut(), self.nodes % 64) {
            *last &= (1 << rest) - 1;
        }
        self
    }

    /// The marked nodes, rising.
    pub(crate) fn iter(&self) -> impl Iterator<Item = usize> {
        self.words.iter().enumerate().flat_map(|(at, &word)| {
            let mut rest = word;
            std::iter::from_fn(move || {
                if rest == 0 {
                    return None;
                }
                let bit = rest.trailing_zeros() as usize;
                rest &= rest - 1;
                Some(64 * at + bit)
            })
        })
    }
}

/// Bytes that are 0 or 1, as bits.
#[inline(always)]
pub(crate) fn word(bytes: &[u8; 64]) -> u64 {
    // Multiplied so that each comes to its place among the highest eight.
    let bits =
        |bytes: &[u8; 8]| u64::from_le_bytes(*bytes).wrapping_mul(0x0102_0408_1020_4080) >> 56;
    bytes.as_chunks().0.iter().rev().fold(0, |word, bytes| word << 8 | bits(bytes))
}
