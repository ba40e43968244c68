//! Sums over successor lists that the innermost loop leaves: with multiplicities, or across scales.

use crate::graph::lists::csr::Index;
use crate::graph::lists::source::Rows;
use crate::graph::log::list_sums::strands;
use crate::graph::log::scaled_counts::Numbers;

/// See the module.
pub(crate) struct Across<'r, I> {
    /// The latest list, and its sum: where a layer begins in another scale, all its lists do.
    latest: &'r [I],
    latest_sum: f64,
}

impl<'r, I: Index> Across<'r, I> {
    pub(crate) fn new() -> Self {
        Self { latest: &[], latest_sum: 0.0 }
    }

    /// The sum of a node's list in the scale of the latest epoch; not a number if some of its
    /// numbers are neither of that nor of the epoch before. `None` if the list leads nowhere.
    pub(crate) fn sum(
        &mut self,
        numbers: Numbers<'_>,
        rows: &Rows<'r, I>,
        node: usize,
    ) -> Option<f64> {
        let row = rows.row(node)?;
        if let Some(times) = rows.times(node) {
            // Each number is taken some times.
            let sum = strands(row, |at, id| Some(numbers.across(id)? * *times.get(at)? as f64));
            return Some(sum.unwrap_or(f64::NAN));
        }
        if !same(row, self.latest) {
            let sum = strands(row, |_, id| numbers.across(id)).unwrap_or(f64::NAN);
            (self.latest, self.latest_sum) = (row, sum);
        }
        Some(self.latest_sum)
    }
}

/// Whether two lists are the same; they mostly differ in their first entry, or not at all.
#[inline(always)]
fn same<I: Index>(row: &[I], other: &[I]) -> bool {
    row.len() == other.len() && row.first() == other.first() && row == other
}
