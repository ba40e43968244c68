//! Stretches of nodes whose lists repeat the next node's, as in dense layers, or repeat it with every
//! entry one less, as where a convolution is unrolled. They are found once, and need not be read again
//! to be counted: all of a stretch follows from its first list.

use std::ops::Range;

use crate::graph::csr::Index;
use crate::graph::source::Rows;

/// Nodes of shifted lists that are counted together.
pub(crate) const LANES: usize = 8;
/// Edges of repeated lists that make a stretch worth remembering.
const WORTH: usize = 32;
/// Edges compared in one go, so few that they are still in the cache the next time.
const EDGES: usize = 1 << 12;
/// Identifiers compared at once.
const AT_ONCE: usize = 16;
/// Most nodes passed over after many that begin no stretch.
const MOST_PASSED: usize = 8;

/// Nodes none of which reads another.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stretch {
    first: u32,
    end: u32,
    /// Whether the next list has every entry one larger, or the same.
    pub(crate) shifted: bool,
}

impl Stretch {
    pub(crate) fn nodes(&self) -> Range<usize> {
        self.first as usize..self.end as usize
    }
}

/// Goes through nodes from the last to the first: the stretches, and those between them.
pub(crate) struct Cut<'s> {
    stretches: &'s [Stretch],
}

impl<'s> Cut<'s> {
    /// Of nodes before `end`; `stretches` from the last to the first.
    pub(crate) fn new(stretches: &'s [Stretch], end: usize) -> Self {
        let passed = stretches.partition_point(|stretch| stretch.first as usize >= end);
        Self { stretches: stretches.get(passed..).unwrap_or_default() }
    }

    /// The last nodes of `range`, and whether they are of a stretch, and of which kind.
    #[inline(always)]
    pub(crate) fn last(&mut self, range: Range<usize>) -> (Range<usize>, Option<bool>) {
        let (start, end) = (range.start, range.end);
        while let Some((stretch, rest)) = self.stretches.split_first() {
            let nodes = stretch.nodes();
            if nodes.start >= end {
                self.stretches = rest;
                continue;
            }
            if nodes.end < end {
                return (nodes.end.max(start)..end, None);
            }
            return (nodes.start.max(start)..end, Some(stretch.shifted));
        }
        (range, None)
    }
}

/// Puts down the stretches of `range`, from the last to the first.
#[inline(always)]
pub(crate) fn find<O: Index, I: Index>(
    offsets: &[O],
    rows: &Rows<'_, I>,
    range: Range<usize>,
    found: &mut Vec<Stretch>,
) -> Option<()> {
    let starts = offsets.get(range.start..=range.end)?;
    let start = |node: usize| starts.get(node)?.position().checked_sub(rows.first_edge);
    let (mut end, mut passed) = (range.len(), 1);
    while end > 1 {
        let (low, middle, stop) = (start(end - 2)?, start(end - 1)?, start(end)?);
        let (before, last) = (rows.targets.get(low..middle)?, rows.targets.get(middle..stop)?);
        let degree = last.len();
        let by = match (before.first(), last.first()) {
            (Some(&before), Some(&last)) if low + degree == middle => before.steps_to(last),
            _ => 2,
        };
        let first = match by {
            0 => alike::<0, _, _>(starts, rows, end)?,
            1 => {
                let least = last.iter().map(|id| id.position()).min()?;
                let room = least.checked_sub(range.start + end)?;
                alike::<1, _, _>(starts, rows, end)?.max(end.saturating_sub(room + 1))
            }
            _ => end,
        };
        let nodes = end - first.min(end);
        if nodes > 1 && degree * nodes >= WORTH && (by == 0 || nodes >= LANES) {
            let place = |node: usize| (range.start + node) as u32;
            found.push(Stretch { first: place(first), end: place(end), shifted: by == 1 });
            (end, passed) = (first, 1);
        } else {
            end = end.saturating_sub(passed);
            passed = (passed + 1).min(MOST_PASSED);
        }
    }
    Some(())
}

/// The first of the nodes before `end` whose lists are each `BY` less than the next one's.
#[inline(always)]
fn alike<const BY: usize, O: Index, I: Index>(
    starts: &[O],
    rows: &Rows<'_, I>,
    end: usize,
) -> Option<usize> {
    let stop = starts.get(end)?.position().checked_sub(rows.first_edge)?;
    let degree = stop.checked_sub(starts.get(end - 1)?.position().checked_sub(rows.first_edge)?)?;
    let most = (EDGES / degree).max(1);
    let (mut first, mut stop) = (end - 1, stop - degree);
    loop {
        // Lists before that of `first`, which ends at `stop + degree`.
        let nodes = as_long(starts.get(..=first)?, degree, most);
        let lists = rows.targets.get(stop.checked_sub(nodes * degree)?..stop + degree)?;
        let (before, after) = (lists.get(..nodes * degree)?, lists.get(degree..)?);
        let found = following::<BY, I>(before, after) / degree;
        first -= found;
        stop -= found * degree;
        if found < most {
            return Some(first);
        }
    }
}

/// How many of the last lists have so many entries, of at most so many lists.
#[inline(always)]
fn as_long<O: Index>(starts: &[O], degree: usize, most: usize) -> usize {
    let mut nodes = 0;
    if let Some((stop, starts)) = starts.split_last() {
        let mut expected = stop.position();
        for start in starts.iter().rev().take(most) {
            expected = expected.wrapping_sub(degree);
            if start.position() != expected {
                break;
            }
            nodes += 1;
        }
    }
    nodes
}

/// How many of the last of `after` are `BY` more than their like in `before`, about.
#[inline(always)]
fn following<const BY: usize, I: Index>(before: &[I], after: &[I]) -> usize {
    let ((rest, before), (others, after)) =
        (before.as_rchunks::<AT_ONCE>(), after.as_rchunks::<AT_ONCE>());
    // Without leaving a chunk early, so that all of it is compared at once.
    let follows = |before: &[I], after: &[I]| {
        before.iter().zip(after).fold(true, |alike, (a, b)| alike & (a.plus(BY) == *b))
    };
    let mut alike = 0;
    for (before, after) in before.iter().zip(after).rev() {
        if !follows(before, after) {
            return alike;
        }
        alike += AT_ONCE;
    }
    if follows(rest, others) { alike + rest.len() } else { alike }
}
