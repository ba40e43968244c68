//! What is worth knowing of a graph before it is counted: whether its numbering is topological
//! already, which nodes can be counted side by side, and how large counts can get.

use std::ops::Range;

use crate::error::{Error, Result};
use crate::graph::lists::csr::{Index, MOST_NODES, with_indices};
use crate::graph::lists::source::{ListSection, Source, lists_changed};
use crate::graph::survey::stretches::{ENOUGH, Lists, Stretch};
use crate::machine::monitor::Monitor;

/// Edges that may make it worth to share a block out among threads.
const WIDE: usize = 1 << 15;
/// Nodes looked at between two looks at the monitor, and edges, about, lest they leave the cache.
const PIECE: usize = 1 << 16;
const EDGES: usize = 1 << 16;
/// Lists up to this length are looked at as if they had it.
const SHORT: usize = 16;
/// From `SHORT - length` on, masks of the entries that there are. (A `static`, lest compilers make
/// jumps of it.)
static MASKS: [u32; 2 * SHORT] = {
    let mut masks = [0; 2 * SHORT];
    let mut entry = 0;
    while entry < SHORT {
        masks[entry] = u32::MAX;
        entry += 1;
    }
    masks
};
/// Nodes that share one bound, as a power of two; also the nodes of a chunk of exact counts.
pub(crate) const CHUNK_BITS: u32 = 8;

/// In log space, lists at least this long are added up in four strands, shorter ones in sequence.
pub(crate) const LONG: usize = 32;

/// See the module. Of a graph all of whose edges go from a smaller number to a larger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Survey {
    /// Ranges of nodes with many edges and none of them inside, from the last nodes to the first.
    pub(crate) wide: Vec<Range<usize>>,
    /// For every chunk of nodes, bits that no count in it exceeds if all multiplicities are 1.
    pub(crate) bits: Vec<u32>,
    /// For every chunk of nodes, bits that a count in it can have more than the largest count that it
    /// reads outside, and than a single path, if all multiplicities are 1.
    pub(crate) growth: Vec<u32>,
    /// For every chunk of nodes, its largest successor.
    pub(crate) reach: Vec<u32>,
    /// For every chunk of nodes, how often a number can have been rounded on its way into a sum
    /// there, if all multiplicities are 1 and no output has a successor.
    pub(crate) roundings: Vec<u32>,
    pub(crate) edges: usize,
    /// From the last nodes to the first.
    pub(crate) stretches: Vec<Stretch>,
}

impl Survey {
    /// How many nodes there are from the beginning of a chunk to the farthest successor of any of its
    /// nodes, on average.
    pub(crate) fn mean_reach(&self) -> usize {
        let first = |chunk: usize| chunk << CHUNK_BITS;
        let beyond = self.reach.iter().enumerate();
        let beyond = beyond.map(|(chunk, &most)| (most as usize).saturating_sub(first(chunk)));
        beyond.sum::<usize>() / self.reach.len().max(1)
    }
}

/// What a look at the numbering finds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Numbering {
    Topological(Survey),
    /// Some edge does not go up; all nodes are in range.
    Other,
}

/// A survey that is being made, node by node from the last one to the first.
pub(crate) struct SurveyBuilder {
    survey: Survey,
    /// The block that is being put together: nodes from the latest one seen to before `end`, edges
    /// to before `last`, lists up to the length `degree`.
    end: usize,
    last: usize,
    degree: usize,
    /// Bits of the counts behind the block.
    growth: f64,
    /// Bits of the counts behind the block that the latest chunk began in, and the largest successor
    /// since.
    before: f64,
    reach: u32,
    /// Roundings behind the block.
    behind: usize,
    /// The latest degree, and how many bits it adds to a count: few blocks differ from the next one.
    latest: (usize, f64),
}

enum Stop {
    Beyond(usize),
    Falling,
    Changed,
}

/// Looks at all edges once.
///
/// # Errors
/// [`Error::InvalidGraph`] for an edge to a node that there is not, [`Error::Interrupted`], and
/// what the source may give.
pub(crate) fn survey<S: Source>(source: &mut S, monitor: &Monitor<'_>) -> Result<Numbering> {
    let nodes = source.nodes();
    let mut blocks = SurveyBuilder::new(nodes, source.edges());
    monitor.start(source.edges() as u64);
    let mut rising = true;
    let mut end = nodes;
    while end > 0 {
        let (first, lists) = source.before(end)?;
        let mut looked = end;
        while end > first {
            let start = shortened(&lists, first..end);
            let (lists, range) = (&lists, start..end);
            let blocks = &mut blocks;
            match pulp::Arch::new().dispatch(Look { lists, range, nodes, blocks, rising }) {
                Ok(()) => {}
                Err(Stop::Falling) => {
                    // Once more from here, now for the range alone.
                    rising = false;
                    continue;
                }
                Err(Stop::Beyond(node)) => return Err(beyond(lists, node, nodes)),
                Err(Stop::Changed) => return Err(lists_changed()),
            }
            if rising && (looked - start >= ENOUGH || start == first) {
                // Of what was just read, and is in the cache.
                with_indices!(lists.offsets, offsets => {
                    blocks.stretches(offsets, lists.first_edge, lists.targets, start..looked);
                });
                looked = start;
            }
            monitor.advance(lists.edges(start, end) as u64)?;
            end = start;
        }
    }
    if !rising {
        return Ok(Numbering::Other);
    }
    monitor.finish()?;
    Ok(Numbering::Topological(blocks.finish(nodes)))
}

/// Most roundings on one number's way into the sum of a list of this length.
pub(crate) fn in_sum(length: usize) -> usize {
    if length < LONG { length.saturating_sub(1) } else { length.div_ceil(4) + 1 }
}

/// Where a piece that ends with `range` begins.
fn shortened<I: Index>(lists: &ListSection<'_, I>, range: Range<usize>) -> usize {
    let mut start = range.start.max(range.end.saturating_sub(PIECE));
    while lists.edges(start, range.end) > EDGES && range.end - start > 1 {
        start = start.midpoint(range.end);
    }
    start
}

fn beyond<I: Index>(lists: &ListSection<'_, I>, node: usize, nodes: usize) -> Error {
    let list = lists.list(node).unwrap_or_default();
    let id = list.iter().map(|id| id.position()).find(|&id| id >= nodes).unwrap_or(nodes);
    let reason = format!("node {node} has successor {id}, but there are {nodes} nodes, from 0");
    Error::InvalidGraph { reason }
}

impl SurveyBuilder {
    pub(crate) fn new(nodes: usize, edges: usize) -> Self {
        let chunks = nodes.div_ceil(1 << CHUNK_BITS);
        let (wide, stretches) = (Vec::new(), Vec::new());
        let (bits, growth) = (vec![1; chunks], vec![1; chunks]);
        let (reach, roundings) = (vec![0; chunks], vec![0; chunks]);
        Self {
            survey: Survey { wide, bits, growth, reach, roundings, edges, stretches },
            end: MOST_NODES,
            last: edges,
            degree: 0,
            growth: 0.0,
            before: 0.0,
            reach: 0,
            behind: 0,
            latest: (0, 0.0),
        }
    }

    /// The next node has the edges `list`; `least` and `most` are the extremes of its successors.
    // Mostly reads: what was just written could not be read at once.
    #[inline(always)]
    pub(crate) fn list(&mut self, node: usize, list: Range<usize>, (least, most): (u32, u32)) {
        if (least as usize) < self.end {
            self.close(node + 1, list.end);
        }
        if list.len() > self.degree {
            self.degree = list.len();
        }
        if most > self.reach {
            self.reach = most;
        }
        if node.is_multiple_of(1 << CHUNK_BITS) {
            self.settle(node >> CHUNK_BITS);
        }
    }

    /// The next nodes have no successors.
    pub(crate) fn empty(&mut self, nodes: Range<usize>) {
        let chunks = nodes.start.div_ceil(1 << CHUNK_BITS)..nodes.end.div_ceil(1 << CHUNK_BITS);
        chunks.rev().for_each(|chunk| self.settle(chunk));
    }

    /// Looks for stretches among some nodes, before which none were looked at; their lists are among
    /// `targets`, which begin with the edge `first_edge`.
    pub(crate) fn stretches<O: Index, I: Index>(
        &mut self,
        offsets: &[O],
        first_edge: usize,
        targets: &[I],
        nodes: Range<usize>,
    ) {
        let lists = Lists { offsets, first_edge, targets };
        pulp::Arch::new().dispatch(|| lists.find(nodes, &mut self.survey.stretches));
    }

    /// All nodes were seen; the last ones of so many may have been left out if they have no
    /// successors.
    pub(crate) fn finish(mut self, nodes: usize) -> Survey {
        self.close(0, 0);
        let chunks = nodes.div_ceil(1 << CHUNK_BITS);
        self.survey.bits.resize(chunks, 1);
        self.survey.growth.resize(chunks, 1);
        self.survey.reach.resize(chunks, 0);
        self.survey.roundings.resize(chunks, 0);
        self.survey
    }

    /// The block begins with the node `start` and the edge `first`; the next one ends before it.
    #[inline(never)]
    fn close(&mut self, start: usize, first: usize) {
        if self.last.saturating_sub(first) >= WIDE {
            self.survey.wide.push(start..self.end);
        }
        self.behind = self.behind.saturating_add(in_sum(self.degree));
        self.growth += self.bits_of_degree();
        (self.end, self.last, self.degree) = (start, first, 0);
    }

    /// A count is at most the degree times the largest behind the block, and 1 for an output.
    fn bits_of_degree(&mut self) -> f64 {
        if self.latest.0 != self.degree {
            self.latest = (self.degree, ((self.degree + 1) as f64).log2());
        }
        self.latest.1
    }

    /// The bounds of a chunk, when all of its nodes were seen: they only grow on the way.
    #[inline(never)]
    fn settle(&mut self, chunk: usize) {
        let bits = self.growth + self.bits_of_degree();
        let roundings = self.behind.saturating_add(in_sum(self.degree));
        let Survey { bits: all_bits, growth, reach, roundings: all_roundings, .. } =
            &mut self.survey;
        if let (Some(most_bits), Some(growth), Some(reach), Some(most_roundings)) = (
            all_bits.get_mut(chunk),
            growth.get_mut(chunk),
            reach.get_mut(chunk),
            all_roundings.get_mut(chunk),
        ) {
            *most_bits = (bits as u32).saturating_add(1);
            *growth = ((bits - self.before) as u32).saturating_add(1);
            *reach = self.reach;
            *most_roundings = u32::try_from(roundings).unwrap_or(u32::MAX);
        }
        // The block may go on.
        (self.before, self.reach) = (self.growth, 0);
    }
}

/// Looks at a piece of the nodes, compiled for every instruction set.
struct Look<'l, 'r, I> {
    lists: &'l ListSection<'r, I>,
    range: Range<usize>,
    nodes: usize,
    blocks: &'l mut SurveyBuilder,
    rising: bool,
}

impl<I: Index + Ord> pulp::NullaryFnOnce for Look<'_, '_, I> {
    type Output = std::result::Result<(), Stop>;

    #[inline(always)]
    fn call(self) -> Self::Output {
        let Self { lists, range, nodes, blocks, rising } = self;
        for node in range.rev() {
            let (start, stop) = (lists.start(node), lists.start(node + 1));
            let (least, most) = extremes(lists.targets, start, stop).ok_or(Stop::Changed)?;
            if most as usize >= nodes {
                return Err(Stop::Beyond(node));
            }
            if !rising {
                continue;
            }
            if least as usize <= node {
                return Err(Stop::Falling);
            }
            let list = lists.offsets.get(node)..lists.offsets.get(node + 1);
            blocks.list(node, list, (least, most));
        }
        Ok(())
    }
}

/// The least and the most of a list, which no node is if there is none.
#[inline(always)]
pub(crate) fn extremes<I: Index>(targets: &[I], start: usize, stop: usize) -> Option<(u32, u32)> {
    let (mut least, mut most) = (u32::MAX, 0);
    // As if all short lists had the same length: where lengths differ at random, processors foresee
    // no end of a loop.
    let from = targets.get(start..)?.first_chunk::<SHORT>();
    let masks = MASKS.get(SHORT.wrapping_sub(stop.wrapping_sub(start))..).unwrap_or_default();
    if let (Some(ids), Some(masks)) = (from, masks.first_chunk::<SHORT>()) {
        for lane in 0..SHORT {
            least = least.min(ids[lane].narrow() | !masks[lane]);
            most = most.max(ids[lane].narrow() & masks[lane]);
        }
    } else {
        for id in targets.get(start..stop)? {
            least = least.min(id.narrow());
            most = most.max(id.narrow());
        }
    }
    Some((least, most))
}
