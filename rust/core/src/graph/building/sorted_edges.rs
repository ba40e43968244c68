//! Successor lists from edges that come sorted by source.
//!
//! One look at the edges, from the last to the first, finds where lists begin and surveys the
//! graph. It goes piece by piece, and a piece is small enough to stay in the cache while it is
//! looked at.

use std::ops::Range;

use crate::error::Result;
use crate::graph::lists::csr::{Index, Indices, MOST_NODES};
use crate::graph::lists::node_set::pack_bits;
use crate::graph::purposes::BUILDING;
use crate::graph::survey::blocks::{Numbering, SurveyBuilder, extremes};
use crate::graph::survey::stretches::ENOUGH;
use crate::machine::memory::{available_memory, zeroed};
use crate::machine::monitor::Monitor;

/// The edges in one piece.
const PIECE: usize = 1 << 14;
/// So many edges are compared at once.
const COMPARED: usize = 64;

/// The places of edges that begin a list are written so many at a time.
const GROUP: usize = 16;

/// The least and the greatest target of an empty list.
const NONE: (u32, u32) = (u32::MAX, 0);

/// The least and the greatest target of two parts together.
#[inline(always)]
fn join_extremes(one: (u32, u32), other: (u32, u32)) -> (u32, u32) {
    (one.0.min(other.0), one.1.max(other.1))
}

/// What a look at a piece finds.
#[derive(Default)]
struct PieceSummary {
    /// Where lists begin: the edges that begin a list, counted from the beginning of the piece, and
    /// room for more.
    room: Vec<u32>,
    /// How many lists begin in the piece.
    heads: usize,
    /// The extreme targets of every list that begins in the piece, as far as it lies in the piece.
    /// Empty if every list is sorted, so that its extremes are its first and its last target.
    extremes: Vec<(u32, u32)>,
    /// The extreme targets of the edges before the first list that begins in the piece.
    before: (u32, u32),
    /// The largest target.
    most: usize,
    /// Whether a source is less than the one before.
    falls: bool,
    /// Whether all edges lead to larger numbers.
    rising: bool,
}

/// The offsets of the successor lists of edges whose sources never fall, and how their nodes are
/// numbered. `None` if sources do fall, if nodes are out of range, or if offsets would not fit into
/// memory.
///
/// # Errors
/// [`crate::Error::Interrupted`].
pub(crate) fn sorted_lists<S: Index, T: Index>(
    sources: &[S],
    targets: &[T],
    nodes: Option<usize>,
    monitor: &Monitor<'_>,
) -> Result<Option<(Indices<'static>, Numbering)>> {
    if sources.len() <= u32::MAX as usize {
        build_lists(sources, targets, nodes, |edge| edge as u32, monitor)
    } else {
        build_lists(sources, targets, nodes, |edge| edge as u64, monitor)
    }
}

/// The work of [`sorted_lists`], with offsets of a given width.
fn build_lists<S: Index, T: Index, O: Index + Default>(
    sources: &[S],
    targets: &[T],
    nodes: Option<usize>,
    offset: impl Fn(usize) -> O,
    monitor: &Monitor<'_>,
) -> Result<Option<(Indices<'static>, Numbering)>>
where
    Indices<'static>: From<Vec<O>>,
{
    let edges = sources.len();
    let known = sources.last().map_or(0, |last| last.position().saturating_add(1));
    let most = nodes.unwrap_or(MOST_NODES);
    if known > most || !fits::<O>(nodes.unwrap_or(known)) {
        return Ok(None);
    }
    let mut lists = ListBuilder::new(edges, known, nodes.unwrap_or(known), offset)?;
    let (mut largest, mut rising) = (known, true);
    let mut summary = PieceSummary::default();
    let mut end = edges;
    // One thread reads memory about as fast as it can be read.
    while end > 0 {
        let piece = (end - 1) / PIECE * PIECE..end;
        end = piece.start;
        let look = SummarizePiece { sources, targets, piece: piece.clone(), summary: &mut summary };
        pulp::Arch::new().dispatch(look);
        if summary.falls || summary.most >= most {
            return Ok(None);
        }
        largest = largest.max(summary.most + 1);
        rising &= summary.rising;
        lists.take(&sources[piece.clone()], &targets[piece.clone()], piece.start, &summary);
        if lists.looked - lists.next >= ENOUGH || end == 0 {
            lists.survey.find_stretches(&lists.offsets, 0, targets, lists.next..lists.looked);
            lists.looked = lists.next;
        }
        monitor.advance(piece.len() as u64)?;
    }
    let nodes = nodes.unwrap_or(largest);
    if !fits::<O>(nodes) {
        return Ok(None);
    }
    monitor.finish()?;
    Ok(Some(lists.finish(known, nodes, rising)))
}

/// Whether there is memory for the offsets of so many nodes.
fn fits<O>(nodes: usize) -> bool {
    let needed = size_of::<O>() as u64 * nodes as u64;
    // It is not worth asking the system for a small graph.
    needed < 1 << 26 || needed <= available_memory()
}

/// Puts lists together, from the last to the first.
struct ListBuilder<O, F> {
    offsets: Vec<O>,
    offset: F,
    /// The latest list that is complete.
    next: usize,
    /// The edge that it begins with.
    end: usize,
    /// The first node that was looked through for stretches.
    looked: usize,
    /// The extreme targets of the edges that were seen of the list before `next`.
    extremes: (u32, u32),
    survey: SurveyBuilder,
}

impl<O: Index + Default, F: Fn(usize) -> O> ListBuilder<O, F>
where
    Indices<'static>: From<Vec<O>>,
{
    /// No list yet, of a graph of so many nodes; those from `known` on have no successors.
    fn new(edges: usize, known: usize, nodes: usize, offset: F) -> Result<Self> {
        let mut offsets = zeroed::<O>(BUILDING, nodes + 1)?;
        offsets[known] = offset(edges);
        let survey = SurveyBuilder::new(known, edges);
        let extremes = NONE;
        Ok(Self { offsets, offset, next: known, end: edges, looked: known, extremes, survey })
    }

    /// Adds the lists that begin in a piece, of which the first edge is `start`.
    fn take<S: Index, T: Index>(
        &mut self,
        sources: &[S],
        targets: &[T],
        start: usize,
        summary: &PieceSummary,
    ) {
        // These are copied: a compiler cannot know that writing offsets does not change them.
        let (mut next, mut end, mut extremes) = (self.next, self.end, self.extremes);
        let mut stop = targets.len();
        for (head, &edge) in summary.heads().iter().enumerate().rev() {
            let (at, edge) = (edge as usize, start + edge as usize);
            let node = sources[at].narrow() as usize;
            if node + 1 < next {
                self.skip(node + 1..next, end);
            }
            if let Some(offset) = self.offsets.get_mut(node) {
                *offset = (self.offset)(edge);
            }
            let ends = || (targets[at].narrow(), targets[stop - 1].narrow());
            let here = summary.extremes.get(head).copied().unwrap_or_else(ends);
            self.survey.add_list(node, edge..end, join_extremes(extremes, here));
            (next, end, extremes, stop) = (node, edge, NONE, at);
        }
        let extremes = join_extremes(extremes, summary.before);
        (self.next, self.end, self.extremes) = (next, end, extremes);
    }

    /// Adds nodes without successors, before the list that begins with the edge `end`.
    #[cold]
    fn skip(&mut self, nodes: Range<usize>, end: usize) {
        self.survey.add_nodes_without_successors(nodes.clone());
        let end = (self.offset)(end);
        self.offsets.get_mut(nodes).unwrap_or_default().fill(end);
    }

    /// The offsets and the numbering, when all edges were seen. Nodes from `known` on have no
    /// successors.
    fn finish(mut self, known: usize, nodes: usize, rising: bool) -> (Indices<'static>, Numbering) {
        self.skip(0..self.next, self.end);
        let edges = self.offsets[known];
        self.offsets.resize(nodes + 1, edges);
        self.offsets[known..].fill(edges);
        let numbering = if rising {
            Numbering::Topological(self.survey.finish(nodes))
        } else {
            Numbering::Other
        };
        (self.offsets.into(), numbering)
    }
}

/// A look at a piece, compiled for every instruction set.
struct SummarizePiece<'l, S, T> {
    sources: &'l [S],
    targets: &'l [T],
    piece: Range<usize>,
    summary: &'l mut PieceSummary,
}

/// What is summed up over the edges of a piece.
struct EdgeSums<T> {
    /// The largest target.
    most: T,
    /// Whether some source falls or some edge does not go up.
    wrong: bool,
    /// Whether the targets of some list fall.
    unsorted: bool,
}

impl<S: Index, T: Index> pulp::NullaryFnOnce for SummarizePiece<'_, S, T> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self { sources, targets, piece, summary } = self;
        summary.room.resize(PIECE + GROUP, 0);
        let mut heads = 0;
        let (Some(sources), Some(targets)) = (sources.get(..piece.end), targets.get(..piece.end))
        else {
            return;
        };
        let mut start = piece.start;
        let mut sums = EdgeSums { most: targets[start], wrong: false, unsorted: false };
        if start == 0 {
            summary.room[0] = 0;
            heads = 1;
            sums.wrong = targets[0].position() <= sources[0].position();
            start = 1;
        }
        let (mut few_from, mut few_to) = ([sources[0]; COMPARED + 1], [targets[0]; COMPARED + 1]);
        while start < piece.end {
            let from = window(sources, start - 1, &mut few_from);
            let to = window(targets, start - 1, &mut few_to);
            let begins = compare(from, to, &mut sums);
            heads = write_places(begins, (start - piece.start) as u32, &mut summary.room, heads);
            start += COMPARED;
        }
        summary.heads = heads;
        summary.conclude(sources, targets, piece, &sums);
    }
}

/// The identifiers of [`COMPARED`] edges and of the one before, from `start` on. If there are too
/// few, they are copied to `few`, and the last one is repeated.
#[inline(always)]
fn window<'w, I: Index>(
    ids: &'w [I],
    start: usize,
    few: &'w mut [I; COMPARED + 1],
) -> &'w [I; COMPARED + 1] {
    let ids = &ids[start..];
    ids.first_chunk().unwrap_or_else(|| {
        *few = std::array::from_fn(|lane| ids[lane.min(ids.len() - 1)]);
        few
    })
}

/// Compares edges with the ones before, all but the first. Returns a bit for every edge that begins
/// a list.
#[inline(always)]
fn compare<S: Index, T: Index>(
    from: &[S; COMPARED + 1],
    to: &[T; COMPARED + 1],
    sums: &mut EdgeSums<T>,
) -> u64 {
    let mut begins = [0u8; COMPARED];
    for lane in 0..COMPARED {
        let (source, target) = (from[lane + 1], to[lane + 1]);
        let same = source == from[lane];
        begins[lane] = u8::from(!same);
        sums.most = sums.most.max(target);
        sums.wrong |= (source < from[lane]) | (target.position() <= source.position());
        sums.unsorted |= same & (target < to[lane]);
    }
    pack_bits(&begins)
}

/// Adds the places of the bits that are set, counted from `first`, to the first `heads` entries of
/// `room`. Returns how many entries there are then. A whole group is always written: where numbers
/// of bits differ at random, a processor cannot foresee the end of a loop.
#[inline(always)]
fn write_places(mut bits: u64, first: u32, room: &mut [u32], heads: usize) -> usize {
    let all = heads + bits.count_ones() as usize;
    let mut at = heads;
    while bits != 0 {
        let Some(group) = room.get_mut(at..).and_then(|room| room.first_chunk_mut::<GROUP>())
        else {
            return heads;
        };
        for place in group {
            *place = first.wrapping_add(bits.trailing_zeros());
            bits &= bits.wrapping_sub(1);
        }
        at += GROUP;
    }
    all
}

impl PieceSummary {
    /// The edges that begin a list.
    fn heads(&self) -> &[u32] {
        self.room.get(..self.heads).unwrap_or_default()
    }

    /// Finds what is left to be found, given the heads and the sums.
    #[inline(always)]
    fn conclude<S: Index, T: Index>(
        &mut self,
        sources: &[S],
        targets: &[T],
        piece: Range<usize>,
        sums: &EdgeSums<T>,
    ) {
        self.most = sums.most.position();
        self.falls = sums.wrong && falls(&sources[piece.start.saturating_sub(1)..]);
        self.rising = !sums.wrong;
        let first = self.heads().first().map_or(piece.len(), |&head| head as usize);
        self.before = match targets.get(piece.start..piece.start + first) {
            Some([only]) => (only.narrow(), only.narrow()),
            Some([least, .., most]) => (least.narrow(), most.narrow()),
            _ => NONE,
        };
        self.extremes.clear();
        if sums.unsorted {
            let mut end = piece.end;
            let all = |start, end| extremes(targets, start, end).unwrap_or(NONE);
            self.extremes.resize(self.heads, NONE);
            for (extremes, &head) in self.extremes.iter_mut().zip(&self.room).rev() {
                let start = piece.start + head as usize;
                *extremes = all(start, end);
                end = start;
            }
            self.before = all(piece.start, end);
        }
    }
}

/// Whether some identifier is less than the one before.
#[inline(always)]
fn falls<I: Index>(ids: &[I]) -> bool {
    ids.iter().zip(&ids[1..]).fold(false, |falls, (before, id)| falls | (id < before))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::graph::lists::csr::Csr;
    use crate::graph::lists::source::Memory;
    use crate::graph::survey::blocks::survey;

    /// A number that looks random (the mixing function of SplitMix64).
    fn scattered(seed: u64) -> u64 {
        let mixed = (seed ^ (seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Edges by source: lists of up to `degree` successors, some of them empty. `falling` in a
    /// million edges do not go up.
    fn edges(nodes: u64, degree: u64, sorted: bool, falling: u64, seed: u64) -> Vec<(u32, u64)> {
        let mut edges = Vec::new();
        for node in 0..nodes {
            let draw = |at: u64| scattered(seed ^ (node << 20 | at));
            let length = (draw(0) % (2 * degree + 1)).saturating_sub(degree);
            let step = |at| if draw(at) % 1_000_000 < falling { 0 } else { 1 + draw(at) % 500 };
            let mut list: Vec<_> = (1..=length).map(|at| node + step(at)).collect();
            if sorted {
                list.sort_unstable();
            }
            edges.extend(list.into_iter().map(|target| (node as u32, target)));
        }
        edges
    }

    proptest! {
        #![proptest_config(ProptestConfig { max_shrink_iters: 200, ..ProptestConfig::with_cases(60) })]

        /// One look from the last edge to the first finds the same as a survey of the finished
        /// lists.
        #[test]
        fn one_look_is_enough(
            nodes in 1u64..9000,
            degree in prop_oneof![Just(1u64), Just(8), Just(40)],
            sorted in any::<bool>(),
            falling in prop_oneof![4 => Just(0u64), 1 => Just(3)],
            extra in prop::option::of(0usize..2000),
            seed in any::<u64>(),
        ) {
            let edges = edges(nodes, degree, sorted, falling, seed);
            let (sources, targets): (Vec<u32>, Vec<u64>) = edges.iter().copied().unzip();
            let needed = edges.iter().map(|edge| edge.1.max(edge.0.into()) as usize + 1).max();
            let given = extra.map(|extra| needed.unwrap_or(0) + extra);
            let silent = Monitor::silent();
            let found = sorted_lists(&sources, &targets, given, &silent).unwrap();
            let (offsets, numbering) = found.unwrap();

            let mut wanted = vec![0u32; given.or(needed).unwrap_or(0) + 1];
            sources.iter().for_each(|&source| wanted[source as usize + 1] += 1);
            (1..wanted.len()).for_each(|node| wanted[node] += wanted[node - 1]);
            prop_assert!(matches!(&offsets, Indices::Narrow(found) if **found == wanted));

            let csr = Csr::new(offsets, targets.into(), None).unwrap();
            let Indices::Wide(targets) = &csr.targets else { unreachable!() };
            let mut source = Memory { offsets: &csr.offsets, targets, multiplicity: None };
            prop_assert_eq!(survey(&mut source, &silent).unwrap(), numbering);
        }

        /// Sources that fall anywhere are noticed.
        #[test]
        fn falling_sources_are_refused(length in 2usize..40_000, at in any::<prop::sample::Index>()) {
            let mut sources: Vec<u32> = (1..=length as u32).collect();
            let at = 1 + at.index(length - 1);
            sources[at] = at as u32 - 1;
            let targets = vec![length as u32 + 1; length];
            let silent = Monitor::silent();
            prop_assert!(sorted_lists(&sources, &targets, None, &silent).unwrap().is_none());
        }
    }
}
