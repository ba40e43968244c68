//! Topological order: lists in which every edge goes up, and the same edges turned round.

use std::ops::Range;

use crate::error::{Error, Result};
use crate::graph::building::edges::{Edges, sort};
use crate::graph::lists::csr::{Csr, Index, with_indices};
use crate::graph::lists::source::lists_changed;
use crate::graph::purposes::NUMBERING;
use crate::machine::memory::{filled, grow, reserved, zeroed};
use crate::machine::monitor::Monitor;
use crate::machine::team::{Team, parts};

/// So many nodes are worked on between two looks at the monitor.
const PIECE: usize = 1 << 14;

/// The lists of a graph whose nodes were renumbered so that every edge goes up.
#[derive(Debug)]
pub(crate) struct TopologicalLists {
    pub(crate) csr: Csr<'static>,
    /// The new number of every node.
    pub(crate) rank: Vec<u32>,
}

/// Numbers the nodes of a graph topologically. All targets must be in range.
///
/// # Errors
/// [`Error::GraphCycle`], [`Error::Interrupted`].
pub(crate) fn renumber(
    csr: &Csr<'_>,
    team: &Team,
    monitor: &Monitor<'_>,
) -> Result<TopologicalLists> {
    let nodes = csr.nodes();
    monitor.start(3 * csr.edges() as u64 + nodes as u64);
    let order = with_indices!(&csr.targets, targets => topological_order(csr, targets, monitor))?;
    let mut rank = zeroed::<u32>(NUMBERING, nodes)?;
    for (number, &node) in order.iter().enumerate() {
        rank[node as usize] = number as u32;
    }
    monitor.advance(nodes as u64)?;
    let csr = with_indices!(&csr.targets, targets => relabel(csr, targets, &order, &rank, team, monitor))?;
    monitor.finish()?;
    Ok(TopologicalLists { csr, rank })
}

/// The nodes in topological order, by the length of the longest path to them (A. B. Kahn,
/// Topological sorting of large networks, Commun. ACM 1962, with a queue).
fn topological_order<I: Index>(
    csr: &Csr<'_>,
    targets: &[I],
    monitor: &Monitor<'_>,
) -> Result<Vec<u32>> {
    let nodes = csr.nodes();
    let mut waiting = zeroed::<u32>(NUMBERING, nodes)?;
    let many = || Error::SizeOverflow { what: "the number of edges to one node".into() };
    for piece in targets.chunks(8 * PIECE) {
        for id in piece {
            let count = waiting.get_mut(id.position()).ok_or_else(lists_changed)?;
            *count = count.checked_add(1).ok_or_else(many)?;
        }
        monitor.advance(piece.len() as u64)?;
    }
    let mut order: Vec<u32> = reserved(NUMBERING, nodes)?;
    order.extend((0..nodes as u32).filter(|&node| waiting[node as usize] == 0));
    let mut next = 0;
    while next < order.len() {
        let end = order.len().min(next + PIECE);
        let mut edges = 0;
        for at in next..end {
            let list = targets.get(csr.range(order[at] as usize)).ok_or_else(lists_changed)?;
            edges += list.len();
            for id in list {
                let count = waiting.get_mut(id.position()).ok_or_else(lists_changed)?;
                *count = count.checked_sub(1).ok_or_else(lists_changed)?;
                if *count == 0 {
                    order.push(id.position() as u32);
                }
            }
        }
        next = end;
        monitor.advance(edges as u64)?;
    }
    if order.len() < nodes {
        return Err(Error::GraphCycle { nodes: one_cycle(csr, targets, &waiting)? });
    }
    Ok(order)
}

/// One cycle among the nodes that still wait for a predecessor: a walk backwards among them must
/// come to some node again.
fn one_cycle<I: Index>(csr: &Csr<'_>, targets: &[I], waiting: &[u32]) -> Result<Vec<usize>> {
    const NONE: u32 = u32::MAX;
    let mut predecessor = filled(NUMBERING, waiting.len(), NONE)?;
    for node in (0..waiting.len()).filter(|&node| waiting[node] > 0) {
        for id in targets.get(csr.range(node)).unwrap_or_default() {
            if let Some(before) = predecessor.get_mut(id.position()) {
                *before = node as u32;
            }
        }
    }
    let Some(mut at) = waiting.iter().position(|&count| count > 0) else {
        return Ok(Vec::new());
    };
    let mut step = filled(NUMBERING, waiting.len(), NONE)?;
    let mut path = Vec::new();
    while step[at] == NONE {
        step[at] = path.len() as u32;
        grow(NUMBERING, &mut path, 1)?;
        path.push(at);
        if predecessor[at] == NONE {
            return Ok(path);
        }
        at = predecessor[at] as usize;
    }
    path.drain(..step[at] as usize);
    path.push(at);
    path.reverse();
    Ok(path)
}

/// The part of the renumbered lists that one task writes.
struct TaskPart<'r> {
    nodes: Range<usize>,
    targets: &'r mut [u32],
    multiplicity: &'r mut [u64],
}

/// The lists of nodes in the given order, with successors by their ranks.
fn relabel<I: Index>(
    csr: &Csr<'_>,
    targets: &[I],
    order: &[u32],
    rank: &[u32],
    team: &Team,
    monitor: &Monitor<'_>,
) -> Result<Csr<'static>> {
    let mut offsets = reserved(NUMBERING, order.len() + 1)?;
    offsets.push(0u64);
    let mut edges = 0u64;
    for &node in order {
        edges += csr.range(node as usize).len() as u64;
        offsets.push(edges);
    }
    let mut lists = zeroed::<u32>(NUMBERING, targets.len())?;
    let mut times = zeroed::<u64>(NUMBERING, csr.multiplicity.as_ref().map_or(0, |m| m.len()))?;
    let mut rest = (&mut lists[..], &mut times[..]);
    let mut pieces = Vec::new();
    for nodes in parts(0..order.len(), order.len().div_ceil(PIECE), 1) {
        let length = (offsets[nodes.end] - offsets[nodes.start]) as usize;
        let (targets, later_targets) =
            rest.0.split_at_mut_checked(length).ok_or_else(lists_changed)?;
        let (multiplicity, later_multiplicity) = rest.1.split_at_mut(rest.1.len().min(length));
        rest = (later_targets, later_multiplicity);
        pieces.push(TaskPart { nodes, targets, multiplicity });
    }
    let cost = |part: &TaskPart<'_>| part.targets.len() as u64;
    team.each(pieces.into_iter(), monitor, cost, |mut part| {
        for &node in &order[part.nodes.clone()] {
            let range = csr.range(node as usize);
            let (own, later) =
                part.targets.split_at_mut_checked(range.len()).ok_or_else(lists_changed)?;
            let ids = targets.get(range.clone()).ok_or_else(lists_changed)?;
            for (new, id) in own.iter_mut().zip(ids) {
                *new = *rank.get(id.position()).ok_or_else(lists_changed)?;
            }
            part.targets = later;
            if let Some(times) = csr.multiplicity() {
                let times = times.get(range.clone()).ok_or_else(lists_changed)?;
                let (own, later) = part.multiplicity.split_at_mut(range.len());
                own.copy_from_slice(times);
                part.multiplicity = later;
            }
        }
        Ok(())
    })?;
    let multiplicity = csr.multiplicity().map(|_| times.into());
    Ok(Csr { offsets: offsets.into(), targets: lists.into(), multiplicity })
}

/// The edges of a topologically numbered graph turned round. Nodes are numbered from the other end,
/// so that edges go up again.
pub(crate) fn reverse(csr: &Csr<'_>, team: &Team, monitor: &Monitor<'_>) -> Result<Csr<'static>> {
    monitor.start(2 * csr.edges() as u64);
    let nodes = csr.nodes();
    with_indices!(&csr.targets, targets => {
        let edges = ReversedEdges { csr, targets, last: (nodes.max(1) - 1) as u32 };
        edges.check()?;
        sort(&edges, nodes, team, monitor)
    })
}

/// The edges of a graph turned round, with nodes numbered from the other end.
struct ReversedEdges<'a, I> {
    csr: &'a Csr<'a>,
    targets: &'a [I],
    last: u32,
}

impl<I: Index> ReversedEdges<'_, I> {
    /// Refuses lists that were changed after they were checked and lead out of the arrays.
    fn check(&self) -> Result<()> {
        let beyond = self.targets.iter().any(|id| id.position() > self.last as usize);
        if beyond { Err(lists_changed()) } else { Ok(()) }
    }

    /// The node in whose list an edge is.
    fn source(&self, edge: usize) -> usize {
        let (mut low, mut high) = (0, self.csr.nodes());
        while low < high {
            let middle = low.midpoint(high);
            if self.csr.offsets.get(middle + 1) <= edge { low = middle + 1 } else { high = middle }
        }
        low.min(self.last as usize)
    }
}

impl<I: Index> Edges for ReversedEdges<'_, I> {
    fn len(&self) -> usize {
        self.targets.len()
    }

    fn has_multiplicity(&self) -> bool {
        self.csr.multiplicity.is_some()
    }

    #[inline(always)]
    fn visit(&self, piece: Range<usize>, mut visit: impl FnMut(u32, u32, u64)) {
        let mut node = self.source(piece.start);
        let mut end = self.csr.offsets.get(node + 1);
        let multiplicity = self.csr.multiplicity();
        for edge in piece {
            while edge >= end && node < self.last as usize {
                node += 1;
                end = self.csr.offsets.get(node + 1);
            }
            let row = self.last - (self.targets[edge].position() as u32).min(self.last);
            let times = multiplicity.map_or(1, |times| times.get(edge).copied().unwrap_or(1));
            visit(row, self.last - node as u32, times);
        }
    }
}
