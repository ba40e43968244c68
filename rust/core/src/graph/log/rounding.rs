//! Bounds on how far rounding has moved the logarithms of counts.
//!
//! Nothing is subtracted, so that a count is off by at most one unit of rounding for every addition
//! or product on the way to it, and there are at most as many as on the longest path. Below 2^53
//! nothing is rounded at all. The bound comes from the survey's blocks of nodes first; where that
//! is not enough, [`RoundingSweep`] bounds node by node.

use std::ops::Range;

use crate::error::Result;
use crate::graph::lists::csr::Index;
use crate::graph::lists::node_set::NodeSet;
use crate::graph::lists::source::{ListSection, Source, lists_changed};
use crate::graph::log::scaled_counts::ScaledCounts;
use crate::graph::survey::blocks::{CHUNK_BITS, Survey, roundings_in_sum};
use crate::graph::sweep::Sweep;
use crate::machine::monitor::Monitor;
use crate::machine::team::Team;

/// The largest relative error of a logarithm that is put up with. Taking the logarithm adds some
/// more.
const TOLERANCE: f64 = 0.9e-13;
/// One rounding moves a binary logarithm by at most this.
const STEP: f64 = f64::EPSILON / 2.0 / std::f64::consts::LN_2;
/// A count with more bits than this may be rounded.
const ROUNDED: u64 = 53;

/// Whether so many roundings may have moved the logarithm of a count with more than `bits` bits too
/// far.
fn too_many(roundings: u32, bits: u64) -> bool {
    f64::from(roundings) * STEP > TOLERANCE * bits as f64
}

/// Whether the survey alone shows that no logarithm has moved too far. The graph must have no
/// multiplicities.
pub(crate) fn roundings_are_few<S: Source>(
    scaled: &ScaledCounts,
    survey: &Survey,
    outputs: &NodeSet,
    source: &S,
) -> bool {
    // An output with successors adds its own path to its sum: one more addition.
    let offsets = source.offsets();
    let used = outputs.iter().filter(|&node| offsets.get(node) != offsets.get(node + 1)).count();
    let used = u32::try_from(used).unwrap_or(u32::MAX);
    survey.roundings.iter().enumerate().all(|(chunk, &roundings)| {
        let roundings = roundings.saturating_add(used);
        let first = chunk << CHUNK_BITS;
        let nodes = first..(first + (1 << CHUNK_BITS)).min(scaled.values.len());
        !too_many(roundings, ROUNDED)
            || scaled
                .least_bits(nodes)
                .is_none_or(|bits| !too_many(roundings, bits.saturating_sub(1)))
    })
}

/// Bounds the roundings of every node, up to one that has too many.
pub(crate) struct RoundingSweep<'a> {
    pub(crate) found_too_many: bool,
    roundings: Vec<u32>,
    scaled: &'a ScaledCounts,
    outputs: &'a NodeSet,
}

impl<'a> RoundingSweep<'a> {
    /// A sweep over the counts that were made.
    pub(crate) fn new(scaled: &'a ScaledCounts, outputs: &'a NodeSet) -> Self {
        let roundings = vec![0; scaled.values.len()];
        Self { found_too_many: false, roundings, scaled, outputs }
    }

    /// The bytes that the sweep takes.
    pub(crate) fn bytes(nodes: usize) -> u64 {
        (size_of::<u32>() * nodes) as u64
    }

    /// Bounds the roundings of the nodes of `range`; `None` if a list was changed.
    fn bound<I: Index>(&mut self, lists: &ListSection<'_, I>, range: Range<usize>) -> Option<()> {
        for node in range.rev() {
            if self.scaled.is_below_rounding(node) {
                continue;
            }
            let list = lists.list(node)?;
            let mut most = 0;
            for id in list {
                most = most.max(*self.roundings.get(id.position())?);
            }
            // A multiplicity is rounded, and so is the product with it.
            let weighted = if lists.multiplicity.is_some() { 2 } else { 0 };
            let own =
                roundings_in_sum(list.len()) + weighted + usize::from(self.outputs.contains(node));
            most = most.saturating_add(u32::try_from(own).unwrap_or(u32::MAX));
            *self.roundings.get_mut(node)? = most;
            if too_many(most, ROUNDED) && too_many(most, self.scaled.bits(node).saturating_sub(1)) {
                self.found_too_many = true;
                break;
            }
        }
        Some(())
    }
}

impl<I: Index> Sweep<I> for RoundingSweep<'_> {
    fn narrow(
        &mut self,
        lists: &ListSection<'_, I>,
        range: Range<usize>,
        _: &Monitor<'_>,
    ) -> Result<()> {
        if self.found_too_many {
            return Ok(());
        }
        self.bound(lists, range).ok_or_else(lists_changed)
    }

    fn wide(
        &mut self,
        lists: &ListSection<'_, I>,
        range: Range<usize>,
        _: &Team,
        monitor: &Monitor<'_>,
    ) -> Result<()> {
        self.narrow(lists, range, monitor)
    }
}
