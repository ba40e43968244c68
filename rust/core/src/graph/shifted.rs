//! Nodes whose successor lists are the same but shifted by one from node to node, as in
//! convolutions and grids: their successors' counts stand one after the other.

use crate::graph::csr::Index;
use crate::graph::source::Rows;

/// Nodes that are compared at once.
pub(crate) const STEP: usize = 8;
/// Nodes found at once, at most.
pub(crate) const MOST: usize = 64;

/// How many of the nodes from `first` to `last` have the list of `last`, shifted by one for each: a
/// multiple of [`STEP`], and none leads to another.
#[inline(always)]
pub(crate) fn shifted<I: Index>(rows: &Rows<'_, I>, first: usize, last: usize) -> usize {
    let row = rows.row(last).unwrap_or_default();
    let least = row.iter().map(|id| id.position()).min().unwrap_or(0);
    let nodes = (last + 1 - first).min(MOST).min(least.saturating_sub(last));
    let most = nodes / STEP * STEP;
    let mut length = 0;
    // The last node of a step is compared with the node behind it as well.
    while length < most && step_is_shifted(rows, last - length, length > 0, row.len()) {
        length += STEP;
    }
    length
}

/// Whether the [`STEP`] nodes up to `last`, and maybe one more, have lists of this length, each
/// shifted by one from the next.
#[inline(always)]
fn step_is_shifted<I: Index>(
    rows: &Rows<'_, I>,
    last: usize,
    one_more: bool,
    degree: usize,
) -> bool {
    let first = last + 1 - STEP;
    let nodes = STEP + usize::from(one_more);
    let start = rows.start(first);
    for node in 1..=nodes {
        if rows.start(first + node).wrapping_sub(start) != node * degree {
            return false;
        }
    }
    let Some(all) = rows.targets.get(start..start.wrapping_add(nodes * degree)) else {
        return false;
    };
    let (lower, upper) = (&all[..all.len() - degree], &all[degree..]);
    let mut shifted = true;
    for at in 0..lower.len().min(upper.len()) {
        shifted &= upper[at].follows(lower[at]);
    }
    shifted
}
