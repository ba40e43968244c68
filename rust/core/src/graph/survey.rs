//! What is worth knowing of a graph before it is counted: whether its numbering is topological
//! already, which nodes can be counted side by side, and how large counts can get.

use std::ops::Range;

use crate::error::{Error, Result};
use crate::graph::csr::{Index, with_indices};
use crate::graph::roundings::in_sum;
use crate::graph::source::{Rows, Source, changed};
use crate::graph::stretches::{Stretch, find};
use crate::monitor::Monitor;

/// Edges that make it worth waking a second thread.
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

/// See the module. Of a graph all of whose edges go from a smaller number to a larger.
#[derive(Debug, Clone, Default)]
pub(crate) struct Survey {
    /// Ranges of nodes with many edges and none of them inside, from the last nodes to the first.
    pub(crate) wide: Vec<Range<usize>>,
    /// For every chunk of nodes, bits that no count in it exceeds if all multiplicities are 1.
    pub(crate) bits: Vec<u32>,
    /// For every chunk of nodes, how often a number can have been rounded on its way into a sum
    /// there, if all multiplicities are 1 and no output has a successor.
    pub(crate) roundings: Vec<u32>,
    pub(crate) edges: usize,
    /// Without multiplicities, from the last nodes to the first.
    pub(crate) stretches: Vec<Stretch>,
}

/// What a look at the numbering finds.
pub(crate) enum Numbering {
    Topological(Survey),
    /// Some edge does not go up; all nodes are in range.
    Other,
}

/// The block that is being put together: nodes from the latest one seen to before `end`.
struct State {
    survey: Survey,
    end: usize,
    degree: usize,
    /// Bits of the counts behind the block, and of those in it.
    growth: f64,
    bits: u32,
    /// Roundings behind the block, and with those in it.
    behind: usize,
    roundings: u32,
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
    let mut state = State {
        survey: Survey::default(),
        end: nodes,
        degree: 0,
        growth: 0.0,
        bits: 1,
        behind: 0,
        roundings: 0,
    };
    state.survey.bits = vec![0; nodes.div_ceil(1 << CHUNK_BITS)];
    state.survey.roundings = vec![0; nodes.div_ceil(1 << CHUNK_BITS)];
    state.survey.edges = source.edges();
    monitor.start(source.edges() as u64);
    let mut rising = true;
    let mut end = nodes;
    while end > 0 {
        let (first, rows) = source.before(end)?;
        while end > first {
            let start = shortened(&rows, first..end);
            let task = Look { rows: &rows, range: start..end, nodes, state: &mut state, rising };
            match pulp::Arch::new().dispatch(task) {
                Ok(()) => {}
                Err(Stop::Falling) => {
                    // Once more from here, now for the range alone.
                    rising = false;
                    continue;
                }
                Err(Stop::Beyond(node)) => return Err(beyond(&rows, node, nodes)),
                Err(Stop::Changed) => return Err(changed()),
            }
            if rising && rows.multiplicity.is_none() {
                // Of what was just read, and is in the cache.
                let found = &mut state.survey.stretches;
                let found = with_indices!(rows.offsets, offsets => {
                    pulp::Arch::new().dispatch(|| find(offsets, &rows, start..end, found))
                });
                found.ok_or_else(changed)?;
            }
            monitor.advance(rows.edges(start, end) as u64)?;
            end = start;
        }
        if end == 0 {
            state.close(0, &rows);
        }
    }
    if !rising {
        return Ok(Numbering::Other);
    }
    monitor.finish()?;
    Ok(Numbering::Topological(state.survey))
}

/// Where a piece that ends with `range` begins.
fn shortened<I: Index>(rows: &Rows<'_, I>, range: Range<usize>) -> usize {
    let mut start = range.start.max(range.end.saturating_sub(PIECE));
    while rows.edges(start, range.end) > EDGES && range.end - start > 1 {
        start = start.midpoint(range.end);
    }
    start
}

fn beyond<I: Index>(rows: &Rows<'_, I>, node: usize, nodes: usize) -> Error {
    let row = rows.row(node).unwrap_or_default();
    let id = row.iter().map(|id| id.position()).find(|&id| id >= nodes).unwrap_or(nodes);
    let reason = format!("node {node} has successor {id}, but there are {nodes} nodes, from 0");
    Error::InvalidGraph { reason }
}

impl State {
    /// The block begins with `start`; the next one ends before it.
    #[cold]
    fn close<I: Index>(&mut self, start: usize, rows: &Rows<'_, I>) {
        if rows.edges(start, self.end) >= WIDE {
            self.survey.wide.push(start..self.end);
        }
        self.behind = self.behind.saturating_add(in_sum(self.degree));
        self.growth += ((self.degree + 1) as f64).log2();
        (self.end, self.degree) = (start, 0);
        self.bound();
    }

    /// A count is at most the degree times the largest behind the block, and 1 for an output.
    fn bound(&mut self) {
        self.bits = (self.growth + ((self.degree + 1) as f64).log2()) as u32 + 1;
        let roundings = self.behind.saturating_add(in_sum(self.degree));
        self.roundings = u32::try_from(roundings).unwrap_or(u32::MAX);
    }
}

/// Looks at a piece of the nodes, compiled for every instruction set.
struct Look<'l, 'r, I> {
    rows: &'l Rows<'r, I>,
    range: Range<usize>,
    nodes: usize,
    state: &'l mut State,
    rising: bool,
}

impl<I: Index + Ord> pulp::NullaryFnOnce for Look<'_, '_, I> {
    type Output = std::result::Result<(), Stop>;

    #[inline(always)]
    fn call(self) -> Self::Output {
        let Self { rows, range, nodes, state, rising } = self;
        for node in range.rev() {
            let (least, most) = extremes(rows, node).ok_or(Stop::Changed)?;
            if most as usize >= nodes {
                return Err(Stop::Beyond(node));
            }
            if !rising {
                continue;
            }
            if least as usize <= node {
                return Err(Stop::Falling);
            }
            if (least as usize) < state.end {
                state.close(node + 1, rows);
            }
            let degree = rows.edges(node, node + 1);
            if degree > state.degree {
                state.degree = degree;
                state.bound();
            }
            let chunk = &mut state.survey.bits[node >> CHUNK_BITS];
            *chunk = (*chunk).max(state.bits);
            state.survey.roundings[node >> CHUNK_BITS] = state.roundings;
        }
        Ok(())
    }
}

/// The least and the most of a list, which no node is if there is none.
#[inline(always)]
fn extremes<I: Index>(rows: &Rows<'_, I>, node: usize) -> Option<(u32, u32)> {
    let (start, stop) = (rows.start(node), rows.start(node + 1));
    let (mut least, mut most) = (u32::MAX, 0);
    // As if all short lists had the same length: where lengths differ at random, processors foresee
    // no end of a loop.
    let from = rows.targets.get(start..)?.first_chunk::<SHORT>();
    let masks = MASKS.get(SHORT.wrapping_sub(stop.wrapping_sub(start))..).unwrap_or_default();
    if let (Some(ids), Some(masks)) = (from, masks.first_chunk::<SHORT>()) {
        for lane in 0..SHORT {
            least = least.min(ids[lane].narrow() | !masks[lane]);
            most = most.max(ids[lane].narrow() & masks[lane]);
        }
    } else {
        for id in rows.targets.get(start..stop)? {
            least = least.min(id.narrow());
            most = most.max(id.narrow());
        }
    }
    Some((least, most))
}
