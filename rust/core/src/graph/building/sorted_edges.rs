//! Edges that come sorted by source: where lists begin, and what is worth knowing of them, from one
//! look at the edges, from the last to the first. A piece of them is small enough to stay in the
//! cache while it is looked at.

use std::ops::Range;

use crate::error::Result;
use crate::graph::lists::csr::{Index, Indices, MOST_NODES};
use crate::graph::lists::node_set::pack_bits;
use crate::graph::survey::blocks::{Numbering, SurveyBuilder, extremes};
use crate::graph::survey::stretches::ENOUGH;
use crate::machine::memory::available_memory;
use crate::machine::monitor::Monitor;

/// Edges in one piece.
const PIECE: usize = 1 << 14;
/// Edges that are compared at once.
const LANES: usize = 64;

/// Edges that begin a list are written down so many at a time.
const GROUP: usize = 16;

/// The extremes of no targets.
const NONE: (u32, u32) = (u32::MAX, 0);

/// The extremes of two parts.
#[inline(always)]
fn joined(one: (u32, u32), other: (u32, u32)) -> (u32, u32) {
    (one.0.min(other.0), one.1.max(other.1))
}

/// What is found in a piece.
#[derive(Default)]
struct Found {
    /// The edges that begin a list, counted from the beginning of the piece; and room for more.
    room: Vec<u32>,
    heads: usize,
    /// The extremes of the targets of each list that begins in the piece, as far as they are in it,
    /// if those may not be the first and the last one.
    extremes: Vec<(u32, u32)>,
    /// The extremes of the targets before the first head.
    before: (u32, u32),
    /// The largest target.
    most: usize,
    /// Whether a source is less than the one before.
    falls: bool,
    /// Whether all edges lead to larger numbers.
    rising: bool,
}

/// Where the lists of edges begin whose sources never fall, and how their nodes are numbered.
/// `None` if sources do fall, or nodes are out of range, or do not fit into memory.
///
/// # Errors
/// [`crate::Error::Interrupted`].
pub(crate) fn ordered<S: Index, T: Index>(
    sources: &[S],
    targets: &[T],
    nodes: Option<usize>,
    monitor: &Monitor<'_>,
) -> Result<Option<(Indices<'static>, Numbering)>> {
    if sources.len() <= u32::MAX as usize {
        lists(sources, targets, nodes, |edge| edge as u32, monitor)
    } else {
        lists(sources, targets, nodes, |edge| edge as u64, monitor)
    }
}

fn lists<S: Index, T: Index, O: Index + Default>(
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
    let mut lists = Lists::new(edges, known, nodes.unwrap_or(known), offset);
    let (mut largest, mut rising) = (known, true);
    let mut found = Found::default();
    let mut end = edges;
    // One thread: memory is read about as fast as it can be.
    while end > 0 {
        let piece = (end - 1) / PIECE * PIECE..end;
        end = piece.start;
        let look = Look { sources, targets, piece: piece.clone(), found: &mut found };
        pulp::Arch::new().dispatch(look);
        if found.falls || found.most >= most {
            return Ok(None);
        }
        largest = largest.max(found.most + 1);
        rising &= found.rising;
        lists.take(&sources[piece.clone()], &targets[piece.clone()], piece.start, &found);
        if lists.looked - lists.next >= ENOUGH || end == 0 {
            lists.blocks.stretches(&lists.offsets, 0, targets, lists.next..lists.looked);
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
    // Small ones are not worth asking the system.
    needed < 1 << 26 || needed <= available_memory()
}

/// Lists that are being put together, from the last to the first.
struct Lists<O, F> {
    offsets: Vec<O>,
    offset: F,
    /// The list before which others are to be found, and where it begins.
    next: usize,
    end: usize,
    /// Nodes from here on were looked through for stretches.
    looked: usize,
    /// The extremes of the targets that were seen of the list before that.
    extremes: (u32, u32),
    blocks: SurveyBuilder,
}

impl<O: Index + Default, F: Fn(usize) -> O> Lists<O, F>
where
    Indices<'static>: From<Vec<O>>,
{
    /// Of so many nodes, and those from `known` on have no successors.
    fn new(edges: usize, known: usize, nodes: usize, offset: F) -> Self {
        let mut offsets = vec![O::default(); nodes + 1];
        offsets[known] = offset(edges);
        let blocks = SurveyBuilder::new(known, edges);
        let extremes = NONE;
        Self { offsets, offset, next: known, end: edges, looked: known, extremes, blocks }
    }

    /// Adds the lists that begin in a piece.
    fn take<S: Index, T: Index>(
        &mut self,
        sources: &[S],
        targets: &[T],
        start: usize,
        found: &Found,
    ) {
        // ParameterRows at hand: a compiler cannot tell these from what is written to.
        let (mut next, mut end, mut extremes) = (self.next, self.end, self.extremes);
        let mut stop = targets.len();
        for (head, &edge) in found.heads().iter().enumerate().rev() {
            let (at, edge) = (edge as usize, start + edge as usize);
            let node = sources[at].narrow() as usize;
            if node + 1 < next {
                self.skip(node + 1..next, end);
            }
            if let Some(offset) = self.offsets.get_mut(node) {
                *offset = (self.offset)(edge);
            }
            let ends = || (targets[at].narrow(), targets[stop - 1].narrow());
            let here = found.extremes.get(head).copied().unwrap_or_else(ends);
            self.blocks.list(node, edge..end, joined(extremes, here));
            (next, end, extremes, stop) = (node, edge, NONE, at);
        }
        let extremes = joined(extremes, found.before);
        (self.next, self.end, self.extremes) = (next, end, extremes);
    }

    /// Nodes without successors, before the list that begins with the edge `end`.
    #[cold]
    fn skip(&mut self, nodes: Range<usize>, end: usize) {
        self.blocks.empty(nodes.clone());
        let end = (self.offset)(end);
        self.offsets.get_mut(nodes).unwrap_or_default().fill(end);
    }

    /// The first nodes may have no successors, and those from `known` on have none.
    fn finish(mut self, known: usize, nodes: usize, rising: bool) -> (Indices<'static>, Numbering) {
        self.skip(0..self.next, self.end);
        let edges = self.offsets[known];
        self.offsets.resize(nodes + 1, edges);
        self.offsets[known..].fill(edges);
        let numbering = if rising {
            Numbering::Topological(self.blocks.finish(nodes))
        } else {
            Numbering::Other
        };
        (self.offsets.into(), numbering)
    }
}

/// Looks at a piece, compiled for every instruction set.
struct Look<'l, S, T> {
    sources: &'l [S],
    targets: &'l [T],
    piece: Range<usize>,
    found: &'l mut Found,
}

/// What edges have in common.
struct Sums<T> {
    most: T,
    /// Whether some source falls or some edge does not go up.
    wrong: bool,
    /// Whether the targets of some list fall.
    unsorted: bool,
}

impl<S: Index, T: Index> pulp::NullaryFnOnce for Look<'_, S, T> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self { sources, targets, piece, found } = self;
        found.room.resize(PIECE + GROUP, 0);
        let mut heads = 0;
        let (Some(sources), Some(targets)) = (sources.get(..piece.end), targets.get(..piece.end))
        else {
            return;
        };
        let mut start = piece.start;
        let mut sums = Sums { most: targets[start], wrong: false, unsorted: false };
        if start == 0 {
            found.room[0] = 0;
            heads = 1;
            sums.wrong = targets[0].position() <= sources[0].position();
            start = 1;
        }
        let (mut few_from, mut few_to) = ([sources[0]; LANES + 1], [targets[0]; LANES + 1]);
        while start < piece.end {
            let from = window(sources, start - 1, &mut few_from);
            let to = window(targets, start - 1, &mut few_to);
            let begins = compare(from, to, &mut sums);
            heads = write_down(begins, (start - piece.start) as u32, &mut found.room, heads);
            start += LANES;
        }
        found.heads = heads;
        found.conclude(sources, targets, piece, &sums);
    }
}

/// The edges from `start` on; where there are too few, they are put into `few`, the last one again
/// and again.
#[inline(always)]
fn window<'w, I: Index>(
    ids: &'w [I],
    start: usize,
    few: &'w mut [I; LANES + 1],
) -> &'w [I; LANES + 1] {
    let ids = &ids[start..];
    ids.first_chunk().unwrap_or_else(|| {
        *few = std::array::from_fn(|lane| ids[lane.min(ids.len() - 1)]);
        few
    })
}

/// A bit for every edge but the first whose list begins with it.
#[inline(always)]
fn compare<S: Index, T: Index>(
    from: &[S; LANES + 1],
    to: &[T; LANES + 1],
    sums: &mut Sums<T>,
) -> u64 {
    let mut begins = [0u8; LANES];
    for lane in 0..LANES {
        let (source, target) = (from[lane + 1], to[lane + 1]);
        let same = source == from[lane];
        begins[lane] = u8::from(!same);
        sums.most = sums.most.max(target);
        sums.wrong |= (source < from[lane]) | (target.position() <= source.position());
        sums.unsorted |= same & (target < to[lane]);
    }
    pack_bits(&begins)
}

/// Adds the places of the bits that are set, from `first` on, to `heads` entries; gives how many there
/// are then. Some more are written: where numbers of bits differ at random, processors foresee no
/// end of a loop.
#[inline(always)]
fn write_down(mut bits: u64, first: u32, room: &mut [u32], heads: usize) -> usize {
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

impl Found {
    fn heads(&self) -> &[u32] {
        self.room.get(..self.heads).unwrap_or_default()
    }

    #[inline(always)]
    fn conclude<S: Index, T: Index>(
        &mut self,
        sources: &[S],
        targets: &[T],
        piece: Range<usize>,
        sums: &Sums<T>,
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
            for (found, &head) in self.extremes.iter_mut().zip(&self.room).rev() {
                let start = piece.start + head as usize;
                *found = all(start, end);
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

    /// Numbers that only have to be scattered.
    fn scattered(seed: u64) -> u64 {
        let mixed = (seed ^ (seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Lists of up to `degree` successors, some of none; `falling` edges in a million do not go up.
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

        /// One look from the last edge to the first finds what a look at each list finds.
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
            let found = ordered(&sources, &targets, given, &silent).unwrap();
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
            prop_assert!(ordered(&sources, &targets, None, &silent).unwrap().is_none());
        }
    }
}
