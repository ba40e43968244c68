//! Sums of rows for several nodes at a time, whose lists are shifted.
//!
//! If every list is the one before it shifted by one, then the rows that the nodes read for one
//! entry stand side by side, too, and are added as one long row.

use crate::graph::exact::bands::CountedRows;
use crate::graph::exact::digits::{BATCH, add_four, add_row, settle};
use crate::graph::lists::csr::Index;

/// The rows that may be read: `near`, those of the band being written from node `base` on, and the
/// rows behind the band.
pub(crate) struct ReadableRows<'c, 'd> {
    pub(crate) near: &'c [u64],
    pub(crate) base: usize,
    pub(crate) digits: usize,
    pub(crate) counted: &'c CountedRows<'d>,
}

impl ReadableRows<'_, '_> {
    /// The rows of neighbouring nodes, `length` digits of them, if all are in `near`.
    #[inline(always)]
    fn stretch(&self, node: usize, length: usize) -> Option<&[u64]> {
        let start = node.wrapping_sub(self.base).checked_mul(self.digits)?;
        self.near.get(start..)?.get(..length)
    }

    /// Adds the rows of neighbouring nodes, from `node` on, to `sums`.
    #[inline(always)]
    fn add(&self, sums: &mut [u64], node: usize) -> Option<()> {
        if let Some(rows) = self.stretch(node, sums.len()) {
            add_row(sums, rows);
            return Some(());
        }
        let lanes = sums.len() / self.digits;
        if let Some((rows, digits)) = self.counted.behind.stretch(node, lanes) {
            match digits {
                1 => add_narrow::<1>(sums, self.digits, rows),
                2 => add_narrow::<2>(sums, self.digits, rows),
                3 => add_narrow::<3>(sums, self.digits, rows),
                _ => {
                    let sums = sums.chunks_exact_mut(self.digits);
                    for (sums, row) in sums.zip(rows.chunks_exact(digits)) {
                        add_row(sums, row);
                    }
                }
            }
            return Some(());
        }
        for (lane, sums) in sums.chunks_exact_mut(self.digits).enumerate() {
            let node = node.wrapping_add(lane);
            add_row(sums, self.counted.row(self.near, self.base, self.digits, node)?);
        }
        Some(())
    }

    /// The rows of [`ReadableRows::stretch`] for four entries of a list.
    #[inline(always)]
    fn four_stretches<I: Index>(
        &self,
        ids: [I; 4],
        further: usize,
        length: usize,
    ) -> Option<[&[u64]; 4]> {
        let stretch = |id: I| self.stretch(id.position().wrapping_add(further), length);
        let [a, b, c, d] = ids;
        Some([stretch(a)?, stretch(b)?, stretch(c)?, stretch(d)?])
    }

    /// Writes the sums, without carries, of neighbouring nodes with shifted lists. The entries of
    /// the first list are those of `list` plus `further`.
    #[inline(always)]
    pub(crate) fn sum_side_by_side<I: Index>(
        &self,
        mut list: &[I],
        further: usize,
        sums: &mut [u64],
    ) -> Option<()> {
        let first = list.split_first_chunk::<4>();
        let first = first
            .and_then(|(&ids, rest)| Some((self.four_stretches(ids, further, sums.len())?, rest)));
        match first {
            Some((rows, rest)) => {
                add_four::<false>(sums, rows);
                list = rest;
            }
            None => sums.fill(0),
        }
        for (number, ids) in list.chunks(BATCH).enumerate() {
            // A part of a sum is no larger than the sum, so that its last digit carries nothing
            // out.
            let mut settled = sums.chunks_exact_mut(self.digits).map(|sums| settle(sums, 0));
            if number > 0 && settled.any(|carry| carry > 0) {
                return None;
            }
            let (fours, rest) = ids.as_chunks::<4>();
            for &ids in fours {
                if let Some(rows) = self.four_stretches(ids, further, sums.len()) {
                    add_four::<true>(sums, rows);
                } else {
                    for id in ids {
                        self.add(sums, id.position().wrapping_add(further))?;
                    }
                }
            }
            for id in rest {
                self.add(sums, id.position().wrapping_add(further))?;
            }
        }
        Some(())
    }
}

/// Adds rows of `N` digits to the lower digits of sums that have `digits` each.
#[inline(always)]
fn add_narrow<const N: usize>(sums: &mut [u64], digits: usize, rows: &[u64]) {
    for (sums, row) in sums.chunks_exact_mut(digits).zip(rows.as_chunks::<N>().0) {
        match sums.first_chunk_mut::<N>() {
            // The compiler knows this length, and unrolls the loop.
            Some(sums) => add_row(sums, row),
            None => add_row(sums, row),
        }
    }
}
