//! Counting while counts fit 32 bits, where lists reach far.
//!
//! Reading numbers that are in no cache nearby is what takes the time there. Half the bytes a number
//! helps, and so does adding up no list by itself: its sum is a difference of running sums over many
//! lists, so that reads of one do not wait for a jump at the end of another. (Integers only: running
//! sums would round numbers away.)

use std::ops::Range;

use crate::graph::lists::csr::{Index, with_indices};
use crate::graph::lists::node_set::{Marked, Marks};
use crate::graph::lists::source::{Rows, Source};
use crate::graph::survey::blocks::Survey;
use crate::graph::survey::stretches::Stretch;

/// Nodes, and edges, whose lists are added up in one go at most.
const NODES: usize = 64;
const EDGES: usize = 1 << 11;
/// Numbers read before they are added up.
const AT_ONCE: usize = 8;

/// Bytes of numbers between a chunk and the farthest that it reads, on average, from which on words
/// are worth it: what the nearer caches of a core hold.
const FAR: usize = 1 << 18;
/// The part of the edges that may be counted faster otherwise: side by side, or in stretches.
const OTHERS: usize = 8;

/// Whether a graph without multiplicities is worth being counted so as long as its counts fit.
pub(crate) fn are_worth<S: Source>(survey: &Survey, source: &S) -> bool {
    let offsets = source.offsets();
    let edges = |all: usize, nodes: Range<usize>| {
        all.saturating_add(offsets.get(nodes.end).saturating_sub(offsets.get(nodes.start)))
    };
    let few = |edges: usize| edges <= source.edges() / OTHERS;
    size_of::<f64>() * survey.mean_reach() >= FAR
        && few(survey.wide.iter().cloned().fold(0, edges))
        && few(survey.stretches.iter().map(Stretch::nodes).fold(0, edges))
}

/// Counts nodes from the last of `range` on into `counts`, and returns the end of those that are
/// left: it stops where one does not fit.
pub(crate) fn run<I: Index>(
    rows: &Rows<'_, I>,
    range: Range<usize>,
    counts: &mut [u32],
    outputs: &Marks,
) -> usize {
    let outputs = outputs.view();
    with_indices!(rows.offsets, offsets => {
        pulp::Arch::new().dispatch(Run { offsets, rows, range, counts, outputs })
    })
}

/// [`run`], compiled for every instruction set.
struct Run<'f, 'r, O, I> {
    offsets: &'f [O],
    rows: &'f Rows<'r, I>,
    range: Range<usize>,
    counts: &'f mut [u32],
    outputs: Marked<'f>,
}

impl<O: Index, I: Index> pulp::NullaryFnOnce for Run<'_, '_, O, I> {
    type Output = usize;

    #[inline(always)]
    fn call(mut self) -> usize {
        let (start, mut end) = (self.range.start, self.range.end);
        let mut running = [0; EDGES + 1];
        while end > start {
            let mut first = start.max(end.saturating_sub(NODES));
            while self.rows.edges(first, end) > EDGES && end - first > 1 {
                first = first.midpoint(end);
            }
            if self.together(first..end, &mut running).is_none()
                && self.one_by_one(first..end).is_none()
            {
                break;
            }
            end = first;
        }
        end
    }
}

impl<O: Index, I: Index> Run<'_, '_, O, I> {
    /// Counts some nodes, unless one reads another.
    #[inline(always)]
    fn together(&mut self, nodes: Range<usize>, running: &mut [u64; EDGES + 1]) -> Option<()> {
        let offsets = self.offsets.get(nodes.start..=nodes.end)?;
        let (start, end) = (offsets.first()?.position(), offsets.last()?.position());
        let edge = |offset: &O| offset.position().wrapping_sub(start);
        let list = start.wrapping_sub(self.rows.first_edge)..end.wrapping_sub(self.rows.first_edge);
        let list = self.rows.targets.get(list)?;
        let running = running.get_mut(..=list.len())?;
        let ids = || list.iter().map(|id| id.narrow());
        let (least, most) = (ids().fold(u32::MAX, u32::min), ids().fold(0, u32::max));
        if (least as usize) < nodes.end || most as usize >= self.counts.len() {
            return None;
        }
        run_up(self.counts, list, running.get_mut(1..)?)?;
        let counts = self.counts.get_mut(nodes.clone())?;
        let mut large = 0;
        for (count, ends) in counts.iter_mut().zip(offsets.windows(2)) {
            let [from, to] = ends else { return None };
            let sum = running.get(edge(to))?.wrapping_sub(*running.get(edge(from))?);
            large |= sum;
            *count = sum as u32;
        }
        if large > u64::from(u32::MAX) {
            return None;
        }
        if self.outputs.any(nodes.clone()) {
            for (count, _) in
                counts.iter_mut().zip(nodes).filter(|(_, node)| self.outputs.has(*node))
            {
                *count = count.checked_add(1)?;
            }
        }
        Some(())
    }

    /// Counts nodes one after the other.
    #[inline(always)]
    fn one_by_one(&mut self, nodes: Range<usize>) -> Option<()> {
        for node in nodes.rev() {
            let mut sum = u64::from(self.outputs.has(node));
            for id in self.rows.row(node)? {
                sum = sum.saturating_add(u64::from(*self.counts.get(id.position())?));
            }
            *self.counts.get_mut(node)? = u32::try_from(sum).ok()?;
        }
        Some(())
    }
}

/// Writes the running sum of the counts of `list`, all of which are there.
#[inline(always)]
fn run_up<I: Index>(counts: &[u32], list: &[I], running: &mut [u64]) -> Option<()> {
    let last = counts.len().checked_sub(1)?;
    // None is larger; where that can be seen, edges need no jump each.
    let count = |id: I| counts[id.position().min(last)];
    let (mut sum, mut read) = (0u64, [0; AT_ONCE]);
    let (eights, rest) = list.as_chunks::<AT_ONCE>();
    let (running, ends) = running.as_chunks_mut::<AT_ONCE>();
    for (sums, ids) in running.iter_mut().zip(eights) {
        for (read, &id) in read.iter_mut().zip(ids) {
            *read = count(id);
        }
        for (place, &count) in sums.iter_mut().zip(&read) {
            sum = sum.wrapping_add(count.into());
            *place = sum;
        }
    }
    for (place, &id) in ends.iter_mut().zip(rest) {
        sum = sum.wrapping_add(count(id).into());
        *place = sum;
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::graph::lists::csr::Indices;

    /// Successors and outputs of nodes, some of which read a node near, most only some far away.
    fn graphs() -> impl Strategy<Value = Vec<(Vec<usize>, bool)>> {
        let reach = prop_oneof![Just(1usize..3), Just(100..400)];
        let most = prop_oneof![8 => Just(9usize), 1 => Just(100), 1 => Just(EDGES + 9)];
        let list = (reach, most).prop_flat_map(|(reach, most)| {
            (prop::collection::vec(reach, 0..most), prop::bool::weighted(0.05))
        });
        prop::collection::vec(list, 1..800)
    }

    /// The end of the nodes that are left, and the counts.
    fn run_on<I: Index>(
        offsets: &Indices<'_>,
        targets: &[I],
        outputs: &Marks,
    ) -> (usize, Vec<u32>) {
        let first_edge = offsets.get(0);
        let rows = Rows { offsets, first_edge, targets, multiplicity: None };
        // What is there before must not matter.
        let mut counts = vec![7; offsets.len() - 1];
        (run(&rows, 0..offsets.len() - 1, &mut counts, outputs), counts)
    }

    proptest! {
        #![proptest_config(ProptestConfig { max_shrink_iters: 300, ..ProptestConfig::with_cases(100) })]

        #[test]
        fn counts_are_right_as_far_as_they_fit(graph in graphs()) {
            let nodes = graph.len();
            let (mut offsets, mut targets) = (vec![0u32], Vec::new());
            let mut outputs = Marks::none(nodes);
            for (node, (steps, output)) in graph.iter().enumerate() {
                let ids = steps.iter().map(|step| node + step).filter(|&id| id < nodes);
                targets.extend(ids.map(|id| id as u32));
                offsets.push(targets.len() as u32);
                if *output || targets.len() as u32 == offsets[node] {
                    outputs.mark(node);
                }
            }
            let mut wanted = vec![0u64; nodes];
            for node in (0..nodes).rev() {
                let list = &targets[offsets[node] as usize..offsets[node + 1] as usize];
                let sum = list.iter().fold(0, |sum: u64, &id| sum.saturating_add(wanted[id as usize]));
                wanted[node] = sum.saturating_add(outputs.has(node).into());
            }
            // Of other types, and as if there were edges before.
            let wide: Vec<u64> = offsets.iter().map(|&edge| (1 << 33) + u64::from(edge)).collect();
            let ids: Vec<u64> = targets.iter().map(|&id| id.into()).collect();
            let (left, counts) = run_on(&offsets.into(), &targets, &outputs);
            let others = run_on(&wide.into(), &ids, &outputs);
            prop_assert_eq!((left, &counts[left..]), (others.0, &others.1[left..]));
            for node in left..nodes {
                prop_assert_eq!(u64::from(counts[node]), wanted[node], "node {}", node);
            }
            let last = &wanted[left.saturating_sub(NODES)..left];
            let largest = last.iter().copied().max().unwrap_or(u64::MAX);
            prop_assert!(largest > u64::from(u32::MAX), "stopped at {}", left);
        }
    }
}
