//! Successor lists from edges in any order, by a counting sort in two steps.
//!
//! The first step gathers edges in buckets of neighbouring nodes; a bucket is so small that the
//! second step, which sorts it, stays in the cache. Edges that come sorted skip both (see
//! `sorted_edges.rs`).

use std::borrow::Cow;
use std::ops::Range;

use crate::error::{Error, Result};
use crate::graph::building::sorted_edges::sorted_lists;
use crate::graph::lists::csr::{
    Csr, Index, Indices, MOST_NODES, check_multiplicity, check_nodes, with_indices,
};
use crate::graph::purposes::BUILDING;
use crate::graph::survey::blocks::Numbering;
use crate::graph::survey::node_order::NodeOrder;
use crate::machine::memory::{check_free, zeroed};
use crate::machine::monitor::Monitor;
use crate::machine::team::{Team, parts};

/// The edges in one piece of the work.
const PIECE: usize = 1 << 20;
/// The nodes in a bucket, as a power of two, of which the counters stay in the cache.
const BUCKET_BITS: u32 = 12;
/// The most buckets: every bucket needs a cache line of its own while edges are gathered.
const MOST_BUCKETS: usize = 1 << 11;

/// Edges that can be visited piece by piece, always in the same order.
pub(crate) trait Edges: Sync {
    /// How many there are.
    fn len(&self) -> usize;
    /// Whether edges have multiplicities.
    fn has_multiplicity(&self) -> bool;
    /// Calls `visit(row, column, multiplicity)` for the edges of `piece`.
    fn visit(&self, piece: Range<usize>, visit: impl FnMut(u32, u32, u64));
}

/// Edges given by sources and targets, all of which are nodes.
pub(crate) struct Pairs<'a, S, T> {
    sources: &'a [S],
    targets: &'a [T],
    multiplicity: Option<&'a [u64]>,
}

impl<S: Index, T: Index> Edges for Pairs<'_, S, T> {
    fn len(&self) -> usize {
        self.sources.len()
    }

    fn has_multiplicity(&self) -> bool {
        self.multiplicity.is_some()
    }

    #[inline(always)]
    fn visit(&self, piece: Range<usize>, mut visit: impl FnMut(u32, u32, u64)) {
        let pairs = self.sources[piece.clone()].iter().zip(&self.targets[piece.clone()]);
        match self.multiplicity {
            None => pairs.for_each(|(s, t)| visit(s.position() as u32, t.position() as u32, 1)),
            Some(multiplicity) => pairs.zip(&multiplicity[piece]).for_each(|((s, t), &times)| {
                visit(s.position() as u32, t.position() as u32, times)
            }),
        }
    }
}

/// Sorts edges known_nodes as two arrays into successor lists; what is found out about the order of
/// their nodes on the way comes with them, for [`Graph::new`](crate::Graph::new).
///
/// Edges with one source keep their order. Sorted sources are recognised; then nothing is sorted,
/// and the lists are `targets` as they came. `threads` may be 0 for one a core.
///
/// # Errors
/// [`Error::InvalidGraph`] for arrays of different lengths, a node beyond `nodes` (by default, as
/// many as the edges mention), too many nodes, or a multiplicity of 0; [`Error::GraphMemory`] if
/// the lists would not fit into memory; [`Error::Interrupted`].
///
/// ```
/// use unrolled_core::{Indices, Monitor, from_edges};
///
/// // 1 -> 2, 0 -> 2, 0 -> 1
/// let (sources, targets): (Indices, Indices) = (vec![1u32, 0, 0].into(), vec![2u32, 2, 1].into());
/// let (lists, _) = from_edges(&sources, targets, None, None, 1, &Monitor::silent())?;
/// let Indices::Narrow(targets) = lists.targets() else { unreachable!("few nodes have 32 bits") };
/// assert_eq!(targets[..], [2, 1, 2]);
/// # Ok::<(), unrolled_core::Error>(())
/// ```
pub fn from_edges<'a>(
    sources: &Indices<'_>,
    targets: Indices<'a>,
    multiplicity: Option<Cow<'a, [u64]>>,
    nodes: Option<u64>,
    threads: usize,
    monitor: &Monitor<'_>,
) -> Result<(Csr<'a>, NodeOrder)> {
    let edges = sources.len();
    if targets.len() != edges {
        return Err(Error::InvalidGraph {
            reason: format!("{edges} sources but {} targets; give one an edge", targets.len()),
        });
    }
    if let Some(multiplicity) = &multiplicity {
        check_multiplicity(multiplicity, edges)?;
    }
    let team = Team::new(threads);
    monitor.start(3 * edges as u64);
    let known_nodes = nodes.map(|nodes| usize::try_from(nodes).unwrap_or(usize::MAX));
    if known_nodes.is_none_or(|nodes| nodes <= MOST_NODES) {
        let sorted = with_indices!(sources, sources => with_indices!(&targets, targets => {
            sorted_lists(sources, targets, known_nodes, monitor)
        }))?;
        if let Some((offsets, numbering)) = sorted {
            let csr = Csr { offsets, targets, multiplicity };
            let order = NodeOrder::surveyed(csr.nodes(), numbering);
            return Ok((csr, order));
        }
    }
    let extent = with_indices!(sources, sources => with_indices!(&targets, targets => {
        extent(sources, targets, &team, monitor)
    }))?;
    let nodes = nodes.unwrap_or(extent.nodes);
    check_nodes(nodes)?;
    if nodes < extent.nodes {
        return Err(out_of_range(sources, &targets, nodes));
    }
    check_memory(nodes, edges)?;
    let csr = with_indices!(sources, sources => with_indices!(&targets, targets => {
        let pairs = Pairs { sources, targets, multiplicity: multiplicity.as_deref() };
        sort(&pairs, nodes as usize, &team, monitor)
    }))?;
    let order = if extent.rising {
        NodeOrder::default()
    } else {
        NodeOrder::surveyed(csr.nodes(), Numbering::Other)
    };
    Ok((csr, order))
}

/// How far edges reach.
#[derive(Debug, Clone, Copy)]
struct Extent {
    /// How many nodes there must be.
    nodes: u64,
    /// Whether every edge leads to a larger number.
    rising: bool,
}

/// The extent of all edges.
fn extent<S: Index, T: Index>(
    sources: &[S],
    targets: &[T],
    team: &Team,
    monitor: &Monitor<'_>,
) -> Result<Extent> {
    let pieces = parts(0..sources.len(), sources.len().div_ceil(PIECE), 1);
    let mut extents = vec![Extent { nodes: 0, rising: true }; pieces.len()];
    let cost = |(piece, _): &(&Range<usize>, &mut Extent)| piece.len() as u64;
    team.each(pieces.iter().zip(extents.iter_mut()), monitor, cost, |(piece, extent)| {
        let (sources, targets) = (&sources[piece.clone()], &targets[piece.clone()]);
        *extent = pulp::Arch::new().dispatch(|| extent_of_piece(sources, targets));
        Ok(())
    })?;
    let joined = extents
        .into_iter()
        .reduce(|a, b| Extent { nodes: a.nodes.max(b.nodes), rising: a.rising & b.rising });
    Ok(joined.unwrap_or(Extent { nodes: 0, rising: true }))
}

/// The extent of some edges. The loop is never left early, so that many edges are compared at a
/// time.
#[inline(always)]
fn extent_of_piece<S: Index, T: Index>(sources: &[S], targets: &[T]) -> Extent {
    let (mut most, mut falling) = (0, false);
    for (source, target) in sources.iter().zip(targets) {
        let (source, target) = (source.position(), target.position());
        most = most.max(source.max(target));
        falling |= target <= source;
    }
    Extent { nodes: (most as u64).saturating_add(1), rising: !falling }
}

/// The error for edges that mention a node beyond `nodes`.
fn out_of_range(sources: &Indices<'_>, targets: &Indices<'_>, nodes: u64) -> Error {
    let beyond = |ids: &Indices<'_>| (0..ids.len()).find(|&edge| ids.get(edge) as u64 >= nodes);
    let (what, edge, id) = match (beyond(sources), beyond(targets)) {
        (Some(edge), _) => ("source", edge, sources.get(edge)),
        (None, Some(edge)) => ("target", edge, targets.get(edge)),
        (None, None) => ("node", 0, 0),
    };
    Error::InvalidGraph {
        reason: format!(
            "the {what} of edge {edge} is {id}, but there are {nodes} nodes, numbered from 0"
        ),
    }
}

/// Refuses a graph whose lists would not fit into memory.
fn check_memory(nodes: u64, edges: usize) -> Result<()> {
    let needed = 12 * nodes + 12 * edges as u64;
    // It is not worth asking the system for a small graph.
    if needed < 1 << 26 {
        return Ok(());
    }
    check_free(BUILDING, needed)
}

/// Offsets in 32 bits, if the number of edges fits.
fn narrow_offsets<'a>(offsets: Vec<u64>, edges: usize) -> Result<Indices<'a>> {
    if edges > u32::MAX as usize {
        return Ok(offsets.into());
    }
    let mut narrow = zeroed::<u32>(BUILDING, offsets.len())?;
    for (short, offset) in narrow.iter_mut().zip(offsets) {
        *short = offset as u32;
    }
    Ok(narrow.into())
}

/// The edges of one piece, bucket by bucket; those of one bucket are in the order in which they
/// came.
#[derive(Default)]
struct PieceBuckets {
    /// Where every bucket begins, and the end of the last one.
    starts: Vec<u32>,
    /// Every edge: its row within the bucket in the upper half, its column in the lower half.
    pairs: Vec<u64>,
    /// The multiplicities of the edges, if they have any.
    multiplicity: Vec<u64>,
}

/// One bucket of the result.
struct Bucket<'r> {
    number: usize,
    offsets: &'r mut [u64],
    targets: &'r mut [u32],
    multiplicity: &'r mut [u64],
    /// The number of edges before the bucket.
    before: u64,
}

/// The successor lists of edges in any order, all of which lead from nodes to nodes.
pub(crate) fn sort<'a, E: Edges>(
    edges: &E,
    nodes: usize,
    team: &Team,
    monitor: &Monitor<'_>,
) -> Result<Csr<'a>> {
    let mut bits = BUCKET_BITS;
    while nodes >> bits >= MOST_BUCKETS {
        bits += 1;
    }
    let gathered = gather(edges, nodes, bits, team, monitor)?;
    let mut offsets = zeroed::<u64>(BUILDING, nodes + 1)?;
    let mut targets = zeroed::<u32>(BUILDING, edges.len())?;
    let weighted = if edges.has_multiplicity() { edges.len() } else { 0 };
    let mut multiplicity = zeroed::<u64>(BUILDING, weighted)?;
    let mut buckets = Vec::new();
    let mut rest = (&mut offsets[..nodes], &mut targets[..], &mut multiplicity[..]);
    let mut before = 0u64;
    for number in 0..nodes.div_ceil(1 << bits) {
        let sizes = gathered.iter().map(|piece| piece.starts[number + 1] - piece.starts[number]);
        let size = sizes.map(u64::from).sum::<u64>();
        let (offsets, later_offsets) = rest.0.split_at_mut(rest.0.len().min(1 << bits));
        let (targets, later_targets) = rest.1.split_at_mut(size as usize);
        let (multiplicity, later_multiplicity) =
            rest.2.split_at_mut(rest.2.len().min(size as usize));
        rest = (later_offsets, later_targets, later_multiplicity);
        buckets.push(Bucket { number, offsets, targets, multiplicity, before });
        before += size;
    }
    let cost = |bucket: &Bucket<'_>| bucket.targets.len() as u64;
    team.each(buckets.into_iter(), monitor, cost, |bucket| {
        bucket.fill(&gathered);
        Ok(())
    })?;
    offsets[nodes] = edges.len() as u64;
    monitor.finish()?;
    Ok(Csr {
        offsets: narrow_offsets(offsets, edges.len())?,
        targets: targets.into(),
        multiplicity: edges.has_multiplicity().then(|| multiplicity.into()),
    })
}

/// Gathers the edges of every piece in buckets of `2^bits` nodes.
fn gather<E: Edges>(
    edges: &E,
    nodes: usize,
    bits: u32,
    team: &Team,
    monitor: &Monitor<'_>,
) -> Result<Vec<PieceBuckets>> {
    let buckets = nodes.div_ceil(1 << bits);
    let pieces = parts(0..edges.len(), edges.len().div_ceil(PIECE), 1);
    let mut gathered: Vec<PieceBuckets> = pieces.iter().map(|_| PieceBuckets::default()).collect();
    let cost = |(piece, _): &(&Range<usize>, &mut PieceBuckets)| piece.len() as u64;
    team.each(pieces.iter().zip(gathered.iter_mut()), monitor, cost, |(piece, gathered)| {
        let mut starts = zeroed::<u32>(BUILDING, buckets + 1)?;
        // The arrays of edges may be changed meanwhile; then some edges are left out, but none is
        // written out of bounds.
        edges.visit(piece.clone(), |row, _, _| {
            if let Some(count) = starts.get_mut((row >> bits) as usize + 1) {
                *count += 1;
            }
        });
        for bucket in 0..buckets {
            starts[bucket + 1] += starts[bucket];
        }
        let mut next = starts.clone();
        let mut pairs = zeroed::<u64>(BUILDING, piece.len())?;
        let low = (1u64 << bits) - 1;
        if edges.has_multiplicity() {
            let mut multiplicity = zeroed::<u64>(BUILDING, piece.len())?;
            edges.visit(piece.clone(), |row, column, times| {
                let Some(at) = next.get_mut((row >> bits) as usize) else { return };
                let place = (pairs.get_mut(*at as usize), multiplicity.get_mut(*at as usize));
                if let (Some(pair), Some(number)) = place {
                    *pair = (u64::from(row) & low) << 32 | u64::from(column);
                    *number = times;
                    *at += 1;
                }
            });
            gathered.multiplicity = multiplicity;
        } else {
            edges.visit(piece.clone(), |row, column, _| {
                let Some(at) = next.get_mut((row >> bits) as usize) else { return };
                if let Some(pair) = pairs.get_mut(*at as usize) {
                    *pair = (u64::from(row) & low) << 32 | u64::from(column);
                    *at += 1;
                }
            });
        }
        (gathered.starts, gathered.pairs) = (starts, pairs);
        Ok(())
    })?;
    Ok(gathered)
}

impl Bucket<'_> {
    /// Sorts the bucket's edges by row.
    fn fill(self, gathered: &[PieceBuckets]) {
        let range_in = |piece: &PieceBuckets| {
            piece.starts[self.number] as usize..piece.starts[self.number + 1] as usize
        };
        let mut next = vec![0u64; self.offsets.len() + 1];
        for piece in gathered {
            for pair in &piece.pairs[range_in(piece)] {
                if let Some(count) = next.get_mut((pair >> 32) as usize + 1) {
                    *count += 1;
                }
            }
        }
        for (row, offset) in self.offsets.iter_mut().enumerate() {
            next[row + 1] += next[row];
            *offset = self.before + next[row];
        }
        for piece in gathered {
            let range = range_in(piece);
            for (index, pair) in range.clone().zip(&piece.pairs[range]) {
                let Some(at) = next.get_mut((pair >> 32) as usize) else { continue };
                let Some(target) = self.targets.get_mut(*at as usize) else { continue };
                *target = *pair as u32;
                let number = self.multiplicity.get_mut(*at as usize);
                if let (Some(number), Some(&times)) = (number, piece.multiplicity.get(index)) {
                    *number = times;
                }
                *at += 1;
            }
        }
    }
}
