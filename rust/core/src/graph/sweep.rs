//! Sweeps over a graph, from its last node to its first.
//!
//! [`drive`] cuts the nodes into pieces and hands them to a [`Sweep`], which does the counting.
//! There are sweeps in `exact/` and `log/`.

use std::ops::Range;

use crate::error::Result;
use crate::graph::lists::csr::Index;
use crate::graph::lists::source::{ListSection, Source};
use crate::graph::survey::blocks::Survey;
use crate::machine::monitor::Monitor;
use crate::machine::team::Team;

/// The most nodes between two looks at the monitor.
const NODES: usize = 1 << 14;
/// About the most edges between two looks at the monitor.
const EDGES: usize = 1 << 20;
/// The most nodes of a wide piece. Scales are settled between pieces.
const WIDE_NODES: usize = 1 << 16;

/// What a sweep does with nodes; they come in pieces, from the last piece to the first.
pub(crate) trait Sweep<I: Index> {
    /// Counts the nodes of `range`, one after the other, from the last to the first.
    fn narrow(
        &mut self,
        lists: &ListSection<'_, I>,
        range: Range<usize>,
        monitor: &Monitor<'_>,
    ) -> Result<()>;

    /// Counts the nodes of `range`, none of which reads another. The counts must not depend on the
    /// number of threads.
    fn wide(
        &mut self,
        lists: &ListSection<'_, I>,
        range: Range<usize>,
        team: &Team,
        monitor: &Monitor<'_>,
    ) -> Result<()>;
}

/// Sweeps over all nodes. A step of the monitor is an edge or a node.
pub(crate) fn drive<S: Source>(
    source: &mut S,
    survey: &Survey,
    team: &Team,
    monitor: &Monitor<'_>,
    sweep: &mut impl Sweep<S::Id>,
) -> Result<()> {
    let mut wide = survey.wide.iter().peekable();
    let mut end = source.nodes();
    while end > 0 {
        let (first, lists) = source.before(end)?;
        while end > first {
            let (range, side_by_side) = match wide.peek() {
                Some(block) if block.end >= end => (block.start.max(first)..end, true),
                Some(block) => (block.end.max(first)..end, false),
                None => (first..end, false),
            };
            let most = if side_by_side { WIDE_NODES } else { NODES };
            let piece = last_piece(&lists, range, most);
            end = piece.start;
            if wide.peek().is_some_and(|block| end <= block.start) {
                wide.next();
            }
            let steps = piece.len().saturating_add(lists.edges(piece.start, piece.end));
            if side_by_side {
                sweep.wide(&lists, piece, team, monitor)?;
            } else {
                sweep.narrow(&lists, piece, monitor)?;
            }
            monitor.advance(steps as u64)?;
        }
    }
    Ok(())
}

/// The last piece of `range`, with at most `most` nodes and not too many edges.
fn last_piece<I: Index>(
    lists: &ListSection<'_, I>,
    range: Range<usize>,
    most: usize,
) -> Range<usize> {
    let mut start = range.start.max(range.end.saturating_sub(most));
    while lists.edges(start, range.end) > EDGES && range.end - start > 1 {
        start = start.midpoint(range.end);
    }
    start..range.end
}
