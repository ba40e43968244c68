//! The survey of a graph: whether its numbering is topological already, which nodes can be counted
//! side by side, and how large counts can get.
//!
//! Nodes none of which reads another are a *block*. A survey goes from the last node to the first,
//! and reads every list once. 256 neighbouring nodes are a *chunk*, which shares its bounds.

use std::ops::Range;

use crate::error::{Error, Result};
use crate::graph::lists::csr::{Index, MOST_NODES, with_indices};
use crate::graph::lists::source::{ListSection, Source, lists_changed};
use crate::graph::survey::stretches::{ENOUGH, ListTable, Stretch};
use crate::machine::monitor::Monitor;

/// A block with at least so many edges may be worth sharing out among threads.
const WIDE: usize = 1 << 15;
/// The most nodes of a piece, between two looks at the monitor.
const PIECE: usize = 1 << 16;
/// About the most edges of a piece, so that it stays in the cache.
const EDGES: usize = 1 << 16;
/// Lists up to this length are read as if they had it.
const SHORT: usize = 16;
/// Masks for lists shorter than what is read: from `SHORT - length` on, the first `length` masks
/// are all ones and the others 0. (As a constant, compilers would turn them into jumps.)
static MASKS: [u32; 2 * SHORT] = {
    let mut masks = [0; 2 * SHORT];
    let mut entry = 0;
    while entry < SHORT {
        masks[entry] = u32::MAX;
        entry += 1;
    }
    masks
};
/// The nodes of a chunk, as a power of two.
pub(crate) const CHUNK_BITS: u32 = 8;

/// In log space, lists at least this long are added up in four strands, shorter ones in sequence;
/// how often a number is rounded depends on it.
pub(crate) const LONG: usize = 32;

/// What is known of a graph all of whose edges go from a smaller number to a larger one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Survey {
    /// Blocks with many edges, from the last nodes to the first.
    pub(crate) wide: Vec<Range<usize>>,
    /// For every chunk, bits that no count in it exceeds if all multiplicities are 1.
    pub(crate) bits: Vec<u32>,
    /// For every chunk, by how many bits a count in it can exceed both a single path and the
    /// largest count that the chunk reads outside, if all multiplicities are 1.
    pub(crate) growth: Vec<u32>,
    /// For every chunk, the largest successor of any of its nodes.
    pub(crate) reach: Vec<u32>,
    /// For every chunk, how often a number can have been rounded on its way into a sum there, if
    /// all multiplicities are 1 and no output has a successor.
    pub(crate) roundings: Vec<u32>,
    /// The number of edges.
    pub(crate) edges: usize,
    /// The stretches, from the last nodes to the first.
    pub(crate) stretches: Vec<Stretch>,
}

impl Survey {
    /// How many nodes it is from the beginning of a chunk to the largest successor of any of its
    /// nodes, on average.
    pub(crate) fn mean_reach(&self) -> usize {
        let first = |chunk: usize| chunk << CHUNK_BITS;
        let beyond = self.reach.iter().enumerate();
        let beyond = beyond.map(|(chunk, &most)| (most as usize).saturating_sub(first(chunk)));
        beyond.sum::<usize>() / self.reach.len().max(1)
    }
}

/// How the nodes of a graph are numbered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Numbering {
    /// Every edge goes from a smaller number to a larger one.
    Topological(Survey),
    /// Some edge does not, but all nodes are in range.
    Other,
}

/// Makes a survey, list by list from the last node to the first.
pub(crate) struct SurveyBuilder {
    survey: Survey,
    /// The end of the block that is being put together; it begins with the latest node seen.
    end: usize,
    /// The end of its edges.
    last: usize,
    /// The length of its longest list.
    degree: usize,
    /// The bits of the counts behind the block.
    growth: f64,
    /// The bits of the counts behind the block in which the present chunk began.
    before: f64,
    /// The largest successor since the present chunk began.
    reach: u32,
    /// The roundings behind the block.
    behind: usize,
    /// The latest degree, and how many bits it adds to a count. Most blocks have the degree of the
    /// block before, so that this saves logarithms.
    latest: (usize, f64),
}

/// Why a look at a piece ended early.
enum Stop {
    /// A successor of this node is out of range.
    Beyond(usize),
    /// An edge does not go up.
    Falling,
    /// The lists were changed.
    Changed,
}

/// Surveys a graph, and reads all its edges once.
///
/// # Errors
/// [`Error::InvalidGraph`] for an edge to a node that does not exist, [`Error::Interrupted`], and
/// the errors of the source.
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
            let start = start_of_piece(&lists, first..end);
            let (lists, range) = (&lists, start..end);
            let blocks = &mut blocks;
            match pulp::Arch::new().dispatch(LookAtPiece { lists, range, nodes, blocks, rising }) {
                Ok(()) => {}
                Err(Stop::Falling) => {
                    // From here on it only matters whether all nodes are in range.
                    rising = false;
                    continue;
                }
                Err(Stop::Beyond(node)) => return Err(out_of_range(lists, node, nodes)),
                Err(Stop::Changed) => return Err(lists_changed()),
            }
            if rising && (looked - start >= ENOUGH || start == first) {
                // These lists were just read, and are still in the cache.
                with_indices!(lists.offsets, offsets => {
                    blocks.find_stretches(offsets, lists.first_edge, lists.targets, start..looked);
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

/// The most roundings of one number on its way into the sum of a list of this length.
pub(crate) fn roundings_in_sum(length: usize) -> usize {
    if length < LONG { length.saturating_sub(1) } else { length.div_ceil(4) + 1 }
}

/// The start of the last piece of `range`.
fn start_of_piece<I: Index>(lists: &ListSection<'_, I>, range: Range<usize>) -> usize {
    let mut start = range.start.max(range.end.saturating_sub(PIECE));
    while lists.edges(start, range.end) > EDGES && range.end - start > 1 {
        start = start.midpoint(range.end);
    }
    start
}

fn out_of_range<I: Index>(lists: &ListSection<'_, I>, node: usize, nodes: usize) -> Error {
    let list = lists.list(node).unwrap_or_default();
    let id = list.iter().map(|id| id.position()).find(|&id| id >= nodes).unwrap_or(nodes);
    let reason = format!("node {node} has successor {id}, but there are {nodes} nodes, from 0");
    Error::InvalidGraph { reason }
}

impl SurveyBuilder {
    /// A survey of a graph of so many nodes and edges, none of which was seen yet.
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

    /// Adds the next node, which has the edges `list`; `least` and `most` are its extreme
    /// successors.
    // It mostly reads. What was written just now could not be read again at once.
    #[inline(always)]
    pub(crate) fn add_list(&mut self, node: usize, list: Range<usize>, (least, most): (u32, u32)) {
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

    /// Adds the next nodes, which have no successors.
    pub(crate) fn add_nodes_without_successors(&mut self, nodes: Range<usize>) {
        let chunks = nodes.start.div_ceil(1 << CHUNK_BITS)..nodes.end.div_ceil(1 << CHUNK_BITS);
        chunks.rev().for_each(|chunk| self.settle(chunk));
    }

    /// Looks for stretches among `nodes`, which come just before those that were looked through.
    /// Their lists are among `targets`, the first of which is the edge `first_edge`.
    pub(crate) fn find_stretches<O: Index, I: Index>(
        &mut self,
        offsets: &[O],
        first_edge: usize,
        targets: &[I],
        nodes: Range<usize>,
    ) {
        let table = ListTable { offsets, first_edge, targets };
        pulp::Arch::new().dispatch(|| table.find(nodes, &mut self.survey.stretches));
    }

    /// The survey of a graph of so many nodes, all of which were added, but for the last ones if
    /// they have no successors.
    pub(crate) fn finish(mut self, nodes: usize) -> Survey {
        self.close(0, 0);
        let chunks = nodes.div_ceil(1 << CHUNK_BITS);
        self.survey.bits.resize(chunks, 1);
        self.survey.growth.resize(chunks, 1);
        self.survey.reach.resize(chunks, 0);
        self.survey.roundings.resize(chunks, 0);
        self.survey
    }

    /// Ends the block, which begins with the node `start` and the edge `first`.
    #[inline(never)]
    fn close(&mut self, start: usize, first: usize) {
        if self.last.saturating_sub(first) >= WIDE {
            self.survey.wide.push(start..self.end);
        }
        self.behind = self.behind.saturating_add(roundings_in_sum(self.degree));
        self.growth += self.bits_of_degree();
        (self.end, self.last, self.degree) = (start, first, 0);
    }

    /// By how many bits counts in the block exceed those behind it: a count is at most the degree
    /// times the largest count behind, plus 1 for an output.
    fn bits_of_degree(&mut self) -> f64 {
        if self.latest.0 != self.degree {
            self.latest = (self.degree, ((self.degree + 1) as f64).log2());
        }
        self.latest.1
    }

    /// Writes the bounds of a chunk, all of whose nodes were added. Bounds only grow on the way.
    #[inline(never)]
    fn settle(&mut self, chunk: usize) {
        let bits = self.growth + self.bits_of_degree();
        let roundings = self.behind.saturating_add(roundings_in_sum(self.degree));
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
        // The block may go on in the next chunk.
        (self.before, self.reach) = (self.growth, 0);
    }
}

/// A look at a piece of the nodes, compiled for every instruction set.
struct LookAtPiece<'l, 'r, I> {
    lists: &'l ListSection<'r, I>,
    range: Range<usize>,
    nodes: usize,
    blocks: &'l mut SurveyBuilder,
    rising: bool,
}

impl<I: Index + Ord> pulp::NullaryFnOnce for LookAtPiece<'_, '_, I> {
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
            blocks.add_list(node, list, (least, most));
        }
        Ok(())
    }
}

/// The least and the greatest node of a list. For an empty list these are no nodes, the least being
/// greater than the greatest. `None` if there is no such list.
#[inline(always)]
pub(crate) fn extremes<I: Index>(targets: &[I], start: usize, stop: usize) -> Option<(u32, u32)> {
    let (mut least, mut most) = (u32::MAX, 0);
    // All short lists are read as if they had the same length. Where lengths differ at random, a
    // processor cannot foresee the end of a loop.
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
