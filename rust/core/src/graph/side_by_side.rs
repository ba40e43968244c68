//! Rows of nodes whose lists are shifted, added up stretch by stretch.

use crate::graph::csr::Index;
use crate::graph::digits::{BATCH, add_four, add_row, settle};
use crate::graph::fill::Done;

/// Rows of one band that are counted, from that of node `base` on, and those behind it.
pub(crate) struct Counted<'c, 'd> {
    pub(crate) near: &'c [u64],
    pub(crate) base: usize,
    pub(crate) digits: usize,
    pub(crate) done: &'c Done<'d>,
}

impl Counted<'_, '_> {
    /// Rows of neighbouring nodes, if all are of this band.
    #[inline(always)]
    fn stretch(&self, node: usize, length: usize) -> Option<&[u64]> {
        let start = node.wrapping_sub(self.base).checked_mul(self.digits)?;
        self.near.get(start..)?.get(..length)
    }

    /// Adds rows of neighbouring nodes to `sums`.
    #[inline(always)]
    fn add(&self, sums: &mut [u64], node: usize) -> Option<()> {
        if let Some(rows) = self.stretch(node, sums.len()) {
            add_row(sums, rows);
            return Some(());
        }
        let lanes = sums.len() / self.digits;
        if let Some((rows, digits)) = self.done.behind.stretch(node, lanes) {
            for (sums, row) in sums.chunks_exact_mut(self.digits).zip(rows.chunks_exact(digits)) {
                add_row(sums, row);
            }
            return Some(());
        }
        for (lane, sums) in sums.chunks_exact_mut(self.digits).enumerate() {
            let node = node.wrapping_add(lane);
            add_row(sums, self.done.row(self.near, self.base, self.digits, node)?);
        }
        Some(())
    }

    /// The sums of some nodes without carries, the first of which has the list `row`, its entries
    /// `further` on, and every next one the next.
    #[inline(always)]
    pub(crate) fn side_by_side<I: Index>(
        &self,
        row: &[I],
        further: usize,
        sums: &mut [u64],
    ) -> Option<()> {
        sums.fill(0);
        for (number, ids) in row.chunks(BATCH).enumerate() {
            // Nothing is carried out of the last digit of a part of a sum.
            let mut settled = sums.chunks_exact_mut(self.digits).map(|sums| settle(sums, 0));
            if number > 0 && settled.any(|carry| carry > 0) {
                return None;
            }
            let (fours, rest) = ids.as_chunks::<4>();
            for ids in fours {
                let nodes = ids.map(|id| id.position().wrapping_add(further));
                if let [Some(a), Some(b), Some(c), Some(d)] =
                    nodes.map(|node| self.stretch(node, sums.len()))
                {
                    add_four(sums, [a, b, c, d]);
                } else {
                    for node in nodes {
                        self.add(sums, node)?;
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
