//! How far rounding may have moved the logarithms of counts.
//!
//! Nothing is subtracted, so a count is off by at most one unit of rounding for every addition or
//! product on the way to it, and that way has at most as many as the longest path. Below 2^53
//! nothing is rounded at all. Bounded first from what is known of blocks of nodes; where that is not
//! enough, node by node.

use std::ops::Range;

use crate::error::Result;
use crate::graph::lists::csr::Index;
use crate::graph::lists::node_set::Marks;
use crate::graph::lists::source::{Rows, Source, changed};
use crate::graph::log::list_sums::LONG;
use crate::graph::log::scaled_counts::Scaled;
use crate::graph::survey::blocks::{CHUNK_BITS, Survey};
use crate::graph::sweep::Sweep;
use crate::machine::monitor::Monitor;
use crate::machine::team::Team;

/// Relative error of a logarithm that is put up with; taking logarithms adds some to it.
const TOLERANCE: f64 = 0.9e-13;
/// What one rounding moves a logarithm, at most.
const STEP: f64 = f64::EPSILON / 2.0 / std::f64::consts::LN_2;
/// Bits from which on doubles are rounded.
const ROUNDED: u64 = 53;

/// Most roundings on one number's way into the sum of a list of this length.
pub(crate) fn in_sum(length: usize) -> usize {
    if length < LONG { length.saturating_sub(1) } else { length.div_ceil(4) + 1 }
}

/// Whether so many roundings may have moved the logarithm of a count of more than `bits` too far.
fn too_many(roundings: u32, bits: u64) -> bool {
    f64::from(roundings) * STEP > TOLERANCE * bits as f64
}

/// Whether blocks of nodes tell that no logarithm has moved too far. Without multiplicities.
pub(crate) fn are_few<S: Source>(
    scaled: &Scaled,
    survey: &Survey,
    outputs: &Marks,
    source: &S,
) -> bool {
    // An output that is used further adds its own path to its sum.
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

/// Bounds the roundings of every node, until one has too many.
pub(crate) struct RoundingSweep<'a> {
    pub(crate) found_too_many: bool,
    roundings: Vec<u32>,
    scaled: &'a Scaled,
    outputs: &'a Marks,
}

impl<'a> RoundingSweep<'a> {
    pub(crate) fn new(scaled: &'a Scaled, outputs: &'a Marks) -> Self {
        let roundings = vec![0; scaled.values.len()];
        Self { found_too_many: false, roundings, scaled, outputs }
    }

    /// Bytes it takes.
    pub(crate) fn bytes(nodes: usize) -> u64 {
        (size_of::<u32>() * nodes) as u64
    }

    fn bound<I: Index>(&mut self, rows: &Rows<'_, I>, range: Range<usize>) -> Option<()> {
        for node in range.rev() {
            if self.scaled.is_below_rounding(node) {
                continue;
            }
            let row = rows.row(node)?;
            let mut most = 0;
            for id in row {
                most = most.max(*self.roundings.get(id.position())?);
            }
            // A multiplicity is rounded, and the product with it.
            let weighted = if rows.multiplicity.is_some() { 2 } else { 0 };
            let own = in_sum(row.len()) + weighted + usize::from(self.outputs.has(node));
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
    fn narrow(&mut self, rows: &Rows<'_, I>, range: Range<usize>, _: &Monitor<'_>) -> Result<()> {
        if self.found_too_many {
            return Ok(());
        }
        self.bound(rows, range).ok_or_else(changed)
    }

    fn wide(
        &mut self,
        rows: &Rows<'_, I>,
        range: Range<usize>,
        _: &Team,
        monitor: &Monitor<'_>,
    ) -> Result<()> {
        self.narrow(rows, range, monitor)
    }
}
