//! Sums over the successor lists that the innermost loop leaves: lists with multiplicities, and
//! lists that reach from the latest epoch into the one before it.

use crate::graph::lists::csr::Index;
use crate::graph::lists::source::ListSection;
use crate::graph::log::list_sums::sum_list;
use crate::graph::log::scaled_counts::EpochNumbers;

/// Adds up lists across two epochs.
pub(crate) struct MixedSums<'r, I> {
    /// The latest list and its sum. All lists of a dense layer are equal, and so all of them cross
    /// the border of the epoch if one does.
    latest: &'r [I],
    latest_sum: f64,
}

impl<'r, I: Index> MixedSums<'r, I> {
    pub(crate) fn new() -> Self {
        Self { latest: &[], latest_sum: 0.0 }
    }

    /// The sum of a node's list in the scale of the latest epoch. It is not a number if some node
    /// in the list belongs neither to that epoch nor to the one before. `None` if there is no such
    /// list.
    pub(crate) fn sum(
        &mut self,
        numbers: EpochNumbers<'_>,
        lists: &ListSection<'r, I>,
        node: usize,
    ) -> Option<f64> {
        let list = lists.list(node)?;
        if let Some(times) = lists.multiplicities(node) {
            let sum =
                sum_list(list, |at, id| Some(numbers.get_either(id)? * *times.get(at)? as f64));
            return Some(sum.unwrap_or(f64::NAN));
        }
        if !same(list, self.latest) {
            let sum = sum_list(list, |_, id| numbers.get_either(id)).unwrap_or(f64::NAN);
            (self.latest, self.latest_sum) = (list, sum);
        }
        Some(self.latest_sum)
    }
}

/// Whether two lists are equal. Lists that differ mostly do so in their first entry.
#[inline(always)]
fn same<I: Index>(list: &[I], other: &[I]) -> bool {
    list.len() == other.len() && list.first() == other.first() && list == other
}
