//! Stretches of nodes whose lists repeat each other.
//!
//! In an unrolled dense layer, all nodes have the same list; in an unrolled convolution, every
//! entry of a list is one larger than in the list of the node before. Such stretches are found
//! once. All lists of a stretch follow from its first one, so that the others need not be read to
//! be counted.

use std::ops::Range;

use crate::graph::lists::csr::Index;
use crate::graph::lists::source::ListSection;

/// So many nodes with shifted lists are counted side by side.
pub(crate) const SIDE_BY_SIDE: usize = 8;
/// Stretches are looked for among at least so many nodes: in smaller pieces they would not be
/// found.
pub(crate) const ENOUGH: usize = 64;
/// Repeated lists are worth a stretch if they have at least so many entries.
const WORTH: usize = 8;
/// So many edges are compared in one go, so few that they are still in the cache the next time.
const EDGES: usize = 1 << 12;
/// So many identifiers are compared at once.
const AT_ONCE: usize = 16;
/// One look ahead reaches so many stretches.
const AHEAD: usize = 16;
/// After many nodes that begin no stretch, up to so many are passed over.
const MOST_PASSED: usize = 8;

/// Neighbouring nodes whose lists repeat each other, and none of which reads another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stretch {
    first: u32,
    end: u32,
    kind: StretchKind,
}

/// How the list of a node in a stretch follows from that of the node before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StretchKind {
    /// It is the same list.
    Repeated,
    /// Every entry is one larger.
    Shifted,
}

impl Stretch {
    /// The nodes of the stretch.
    pub(crate) fn nodes(&self) -> Range<usize> {
        self.first as usize..self.end as usize
    }
}

/// Goes through nodes from the last to the first, and cuts them into stretches and what lies
/// between.
pub(crate) struct StretchCursor<'s> {
    stretches: &'s [Stretch],
    /// How many of the next stretches need no look ahead.
    ahead: usize,
}

impl<'s> StretchCursor<'s> {
    /// A cursor at `end`; `stretches` are in order from the last to the first.
    pub(crate) fn new(stretches: &'s [Stretch], end: usize) -> Self {
        let passed = stretches.partition_point(|stretch| stretch.first as usize >= end);
        let stretches = stretches.get(passed..).unwrap_or_default();
        // A sweep that begins within a stretch has looked ahead there before. It may begin there
        // again after every node, and must not look ahead every time.
        let within = stretches.first().is_some_and(|stretch| stretch.end as usize > end);
        Self { stretches, ahead: within.into() }
    }

    /// Reads an entry at either end of the next stretches from `start` on, all at once. Most lists
    /// of a stretch are never read, so that those at its ends are in no cache, and the sweep would
    /// wait for each of them.
    #[inline(always)]
    pub(crate) fn look_ahead<I: Index>(&mut self, lists: &ListSection<'_, I>, start: usize) {
        if self.ahead > 0 {
            return;
        }
        let entry =
            |node: usize| lists.targets.get(lists.start(node)).map_or(0, |id| id.position());
        let next = self.stretches.iter().take(AHEAD).map(Stretch::nodes);
        let next = next.take_while(|nodes| nodes.start >= start);
        std::hint::black_box(
            next.fold(0, |all, nodes| all ^ entry(nodes.start) ^ entry(nodes.end)),
        );
        self.ahead = AHEAD;
    }

    /// The longest range at the end of `range` that lies in one stretch, and the kind of the
    /// stretch; or that lies in none.
    #[inline(always)]
    pub(crate) fn last(&mut self, range: Range<usize>) -> (Range<usize>, Option<StretchKind>) {
        let (start, end) = (range.start, range.end);
        while let Some((stretch, rest)) = self.stretches.split_first() {
            let nodes = stretch.nodes();
            if nodes.start >= end {
                self.stretches = rest;
                self.ahead = self.ahead.saturating_sub(1);
                continue;
            }
            if nodes.end < end {
                return (nodes.end.max(start)..end, None);
            }
            return (nodes.start.max(start)..end, Some(stretch.kind));
        }
        (range, None)
    }
}

/// About how many edges are read to count the nodes of a range: a repeated list is read only once.
pub(crate) fn edges_read<I: Index>(
    stretches: &[Stretch],
    lists: &ListSection<'_, I>,
    range: Range<usize>,
) -> usize {
    let (mut cut, mut end, mut edges) =
        (StretchCursor::new(stretches, range.end), range.end, 0usize);
    while end > range.start {
        let (nodes, kind) = cut.last(range.start..end);
        let last = if kind == Some(StretchKind::Repeated) { nodes.start + 1 } else { nodes.end };
        edges = edges.saturating_add(lists.edges(nodes.start, last));
        end = nodes.start;
    }
    edges
}

/// Successor lists that are looked through for stretches.
pub(crate) struct ListTable<'l, O, I> {
    pub(crate) offsets: &'l [O],
    /// The number of the edge that `targets` begins with.
    pub(crate) first_edge: usize,
    pub(crate) targets: &'l [I],
}

impl<O: Index, I: Index> ListTable<'_, O, I> {
    /// Adds the stretches among `nodes` to `stretches`, from the last to the first, which has the
    /// stretches among the nodes that follow, and its latest one may go on.
    #[inline(always)]
    pub(crate) fn find(&self, nodes: Range<usize>, stretches: &mut Vec<Stretch>) {
        let goes_on = |latest: &Stretch| latest.first as usize == nodes.end;
        let more = usize::from(stretches.last().is_some_and(goes_on));
        let (mut end, mut passed) = (nodes.end + more, 1);
        while end > nodes.start + 1 {
            match self.stretch_before(nodes.start, end) {
                Some((stretch, least)) if add(stretches, stretch, least) => {
                    (end, passed) = (stretch.first as usize, 1);
                }
                _ => {
                    end = end.saturating_sub(passed);
                    passed = (passed + 1).min(MOST_PASSED);
                }
            }
        }
    }

    /// The list of a node, if it is there.
    #[inline(always)]
    fn list(&self, node: usize) -> Option<&[I]> {
        let place = |node: usize| self.offsets.get(node)?.position().checked_sub(self.first_edge);
        self.targets.get(place(node)?..place(node + 1)?)
    }

    /// The longest stretch that ends at `end` and begins no earlier than `start`, and the least
    /// node that it leads to; `None` if there is none worth it.
    #[inline(always)]
    fn stretch_before(&self, start: usize, end: usize) -> Option<(Stretch, usize)> {
        let (before, last) = (self.list(end - 2)?, self.list(end - 1)?);
        let by = before.first()?.steps_to(*last.first()?);
        // In most cases this is enough to know that there is none.
        let short = by == 0 && last.len() < WORTH;
        if by > 1 || before.len() != last.len() || short {
            return None;
        }
        let (first, least, kind) = if by == 0 {
            (self.first_alike::<0>(start, end)?, usize::MAX, StretchKind::Repeated)
        } else {
            // No node of a stretch may lead to another. Nodes beyond are not even looked at; they
            // would be looked at again for the next stretch.
            let least = last.iter().map(|id| id.position()).min()?;
            let room = least.saturating_sub(end);
            let first = self.first_alike::<1>(start.max((end - 1).saturating_sub(room)), end)?;
            (first, least.saturating_sub(end - 1 - first), StretchKind::Shifted)
        };
        Some((Stretch { first: first as u32, end: end as u32, kind }, least))
    }

    /// The first node, from `start` on, of the longest range that ends at `end` and in which every
    /// list is that of the next node less `BY`.
    #[inline(always)]
    fn first_alike<const BY: usize>(&self, start: usize, end: usize) -> Option<usize> {
        let degree = self.list(end - 1)?.len();
        let most = (EDGES / degree).max(1);
        let mut first = end - 1;
        loop {
            let nodes = self.equally_long(start..first, degree, most)?;
            let stop = self.offsets.get(first)?.position().checked_sub(self.first_edge)?;
            let lists = self.targets.get(stop.checked_sub(nodes * degree)?..stop + degree)?;
            let (before, after) = (lists.get(..nodes * degree)?, lists.get(degree..)?);
            let more = count_following::<BY, I>(before, after) / degree;
            first -= more;
            if more < most {
                return Some(first);
            }
        }
    }

    /// How many lists in a row at the end of `nodes` have `degree` entries, up to `most`.
    #[inline(always)]
    fn equally_long(&self, nodes: Range<usize>, degree: usize, most: usize) -> Option<usize> {
        let starts = self.offsets.get(nodes.clone())?;
        let mut expected = self.offsets.get(nodes.end)?.position();
        let mut lists = 0;
        for start in starts.iter().rev().take(most) {
            expected = expected.wrapping_sub(degree);
            if start.position() != expected {
                break;
            }
            lists += 1;
        }
        Some(lists)
    }
}

/// Adds a stretch that leads to nodes from `least` on, if it is long enough; says whether it did.
/// The stretch may share its last node with the first node of the latest stretch. Then it extends
/// that stretch if both are of one kind, or else leaves the node to it.
#[inline(always)]
fn add(stretches: &mut Vec<Stretch>, mut stretch: Stretch, least: usize) -> bool {
    if let Some(latest) = stretches.last_mut().filter(|latest| latest.first + 1 == stretch.end) {
        if latest.kind == stretch.kind && least >= latest.end as usize {
            latest.first = stretch.first;
            return stretch.nodes().len() > 1;
        }
        stretch.end -= 1;
    }
    let worth_it = stretch.nodes().len()
        >= if stretch.kind == StretchKind::Shifted { SIDE_BY_SIDE } else { 2 };
    if worth_it {
        stretches.push(stretch);
    }
    worth_it
}

/// About how many entries in a row, at the end of both slices, are `BY` larger in `after` than in
/// `before`.
#[inline(always)]
fn count_following<const BY: usize, I: Index>(before: &[I], after: &[I]) -> usize {
    let ((first_before, before), (first_after, after)) =
        (before.as_rchunks::<AT_ONCE>(), after.as_rchunks::<AT_ONCE>());
    // A chunk is never left early, so that all of it is compared at once.
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
    if follows(first_before, first_after) { alike + first_before.len() } else { alike }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Successor lists of layers, each of which leads to the next one: densely, by a window, or one
    /// node to one node with gaps.
    fn layers(kinds: &[(u8, usize)]) -> Vec<Vec<u32>> {
        let mut lists = Vec::new();
        for (layer, &(kind, width)) in kinds.iter().enumerate() {
            let next = kinds.get(layer + 1).map_or(0, |&(_, width)| width);
            let first = lists.len() + width;
            lists.extend((0..width).map(|unit| {
                let list = match kind {
                    0 => 0..next,
                    1 => unit.saturating_sub(1)..next.min(unit + 2),
                    _ => unit..next.min(unit + 1),
                };
                let kept = |unit: &usize| kind != 2 || !unit.is_multiple_of(13);
                list.filter(kept).map(|unit| (first + unit) as u32).collect::<Vec<u32>>()
            }));
        }
        lists
    }

    /// The stretches among all nodes, which are looked through in pieces from the last one on.
    fn find_all(lists: &[Vec<u32>], piece: usize) -> Vec<Stretch> {
        let mut offsets = vec![0u64];
        for list in lists {
            offsets.push(offsets[offsets.len() - 1] + list.len() as u64);
        }
        let targets = lists.concat();
        let graph = ListTable { offsets: &offsets, first_edge: 0, targets: &targets };
        let (mut stretches, mut end) = (Vec::new(), lists.len());
        while end > 0 {
            let start = end.saturating_sub(piece);
            graph.find(start..end, &mut stretches);
            end = start;
        }
        stretches
    }

    proptest! {
        #![proptest_config(ProptestConfig { max_shrink_iters: 500, ..ProptestConfig::with_cases(300) })]

        /// All nodes of a stretch have the lists that follow from its first list, and none reads
        /// another. Stretches follow each other from the last to the first.
        #[test]
        fn stretches_are_what_they_say(
            kinds in prop::collection::vec((0u8..3, 1usize..60), 1..8),
            piece in 1usize..200,
        ) {
            let lists = layers(&kinds);
            let mut end = lists.len();
            for stretch in find_all(&lists, piece) {
                let nodes = stretch.nodes();
                prop_assert!(nodes.len() >= 2 && nodes.end <= end, "{:?} before {}", stretch, end);
                end = nodes.start;
                let by = u32::from(stretch.kind == StretchKind::Shifted);
                for (further, node) in nodes.clone().enumerate() {
                    let told = lists[nodes.start].iter().map(|id| id + by * further as u32);
                    prop_assert!(told.eq(lists[node].iter().copied()));
                    prop_assert!(lists[node].iter().all(|&id| id as usize >= nodes.end));
                }
            }
        }
    }

    #[test]
    fn layers_are_found_almost_whole() {
        // A dense layer, and a window whose first and last nodes have shorter lists.
        let lists = layers(&[(0, 140), (1, 150), (0, 150)]);
        for piece in [ENOUGH, 1000] {
            let mut kinds = [0, 0];
            for stretch in find_all(&lists, piece) {
                kinds[usize::from(stretch.kind == StretchKind::Shifted)] += stretch.nodes().len();
            }
            // A few nodes may be passed over before a stretch is noticed.
            let most = [140, 148];
            for (nodes, most) in kinds.into_iter().zip(most) {
                assert!((most - MOST_PASSED..=most).contains(&nodes), "{kinds:?}, pieces {piece}");
            }
        }
    }
}
