//! Sets of nodes, with one bit for every node of a graph.

use std::ops::Range;

use crate::error::Result;
use crate::graph::lists::csr::Index;
use crate::graph::purposes::MARKING;
use crate::machine::memory::{listed, zeroed};

/// A set of nodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NodeSet {
    words: Vec<u64>,
    nodes: usize,
}

/// A borrowed [`NodeSet`]. Its words are at hand, so that a loop over nodes need not follow a
/// reference to the set and another to its words for every node.
#[derive(Clone, Copy)]
pub(crate) struct NodeSetView<'m> {
    words: &'m [u64],
}

impl NodeSetView<'_> {
    /// Whether the set contains `node`; it contains no node beyond the end of the graph.
    #[inline(always)]
    pub(crate) fn contains(self, node: usize) -> bool {
        self.words.get(node / 64).is_some_and(|word| word >> (node % 64) & 1 == 1)
    }

    /// Whether the set contains any of `nodes`.
    #[inline(always)]
    pub(crate) fn intersects(self, mut nodes: Range<usize>) -> bool {
        let words = self.words.get(nodes.start / 64..nodes.end.div_ceil(64));
        // In most cases the words around `nodes` are zero, which is faster to see.
        words.is_none_or(|words| words.iter().any(|&word| word != 0))
            && nodes.any(|node| self.contains(node))
    }
}

impl NodeSet {
    /// The empty set in a graph of so many nodes.
    ///
    /// # Errors
    /// [`crate::Error::GraphMemory`].
    pub(crate) fn empty(nodes: usize) -> Result<Self> {
        Ok(Self { words: zeroed(MARKING, nodes.div_ceil(64))?, nodes })
    }

    /// The same set once more.
    ///
    /// # Errors
    /// [`crate::Error::GraphMemory`].
    pub(crate) fn try_clone(&self) -> Result<Self> {
        let words = listed(MARKING, self.words.len(), self.words.iter().copied())?;
        Ok(Self { words, nodes: self.nodes })
    }

    /// The nodes `v` for which `values[v]` equals `values[v + 1]`; there is one value more than
    /// there are nodes. Of the offsets of successor lists, these are the nodes without successors.
    ///
    /// # Errors
    /// [`crate::Error::GraphMemory`].
    pub(crate) fn of_equal_neighbours<I: Index>(values: &[I]) -> Result<Self> {
        let nodes = values.len().saturating_sub(1);
        let equal = |start: usize| {
            let mut bytes = [0; 64];
            let ends = values.get(start + 1..).unwrap_or_default();
            for ((byte, value), end) in bytes.iter_mut().zip(&values[start..]).zip(ends) {
                *byte = u8::from(value == end);
            }
            pack_bits(&bytes)
        };
        let words = (0..nodes).step_by(64).map(equal);
        Ok(Self { words: listed(MARKING, nodes.div_ceil(64), words)?, nodes })
    }

    /// Adds `node`, and says whether it was missing.
    pub(crate) fn insert(&mut self, node: usize) -> bool {
        let (word, bit) = (&mut self.words[node / 64], 1 << (node % 64));
        let missing = *word & bit == 0;
        *word |= bit;
        missing
    }

    /// Takes `node` out.
    pub(crate) fn remove(&mut self, node: usize) {
        self.words[node / 64] &= !(1 << (node % 64));
    }

    /// Whether the set contains `node`; it contains no node beyond the end of the graph.
    #[inline(always)]
    pub(crate) fn contains(&self, node: usize) -> bool {
        self.view().contains(node)
    }

    /// The set, borrowed.
    #[inline(always)]
    pub(crate) fn view(&self) -> NodeSetView<'_> {
        NodeSetView { words: &self.words }
    }

    /// How many nodes there are in the set.
    pub(crate) fn count(&self) -> usize {
        self.words.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// The nodes of the graph that are not in the set.
    pub(crate) fn complement(mut self) -> Self {
        for word in &mut self.words {
            *word = !*word;
        }
        if let (Some(last), rest @ 1..) = (self.words.last_mut(), self.nodes % 64) {
            *last &= (1 << rest) - 1;
        }
        self
    }

    /// The nodes of the set as a list, from the smallest to the largest.
    ///
    /// # Errors
    /// [`crate::Error::GraphMemory`].
    pub(crate) fn ids(&self) -> Result<Vec<u32>> {
        listed(MARKING, self.count(), self.iter().map(|node| node as u32))
    }

    /// The nodes of the set, from the smallest to the largest.
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

/// Packs 64 bytes, each of them 0 or 1, into the bits of a word.
#[inline(always)]
pub(crate) fn pack_bits(bytes: &[u8; 64]) -> u64 {
    // The product moves the lowest bit of every byte to its place among the highest eight bits.
    let bits =
        |bytes: &[u8; 8]| u64::from_le_bytes(*bytes).wrapping_mul(0x0102_0408_1020_4080) >> 56;
    bytes.as_chunks().0.iter().rev().fold(0, |word, bytes| word << 8 | bits(bytes))
}
