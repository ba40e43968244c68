//! Counting in words of 32 bits, in graphs whose lists reach far, as long as counts fit.
//!
//! In such a graph most of the time is spent on reading numbers that are in no cache nearby. Two
//! things help. A number has half as many bytes. And no list is added up by itself: its sum is the
//! difference of two running sums over many lists, so that the reads of one list need not wait for
//! the jump at the end of another. This is done with integers only, since running sums of
//! floating-point numbers would round the small ones away.

use std::ops::Range;

use crate::graph::lists::csr::{Index, with_indices};
use crate::graph::lists::node_set::{NodeSet, NodeSetView};
use crate::graph::lists::source::{ListSection, Source};
use crate::graph::survey::blocks::Survey;
use crate::graph::survey::stretches::Stretch;

/// At most so many nodes, with so many edges, share one running sum.
const NODES: usize = 64;
const EDGES: usize = 1 << 11;
/// How many numbers are read before they are added up.
const AT_ONCE: usize = 8;

/// Words are worth it if the numbers between a chunk and the farthest node that it reads have at
/// least so many bytes on average, which is about what the nearer caches of a core hold.
const FAR: usize = 1 << 18;
/// At most one in so many edges may belong to wide blocks, and one to stretches: these are counted
/// faster in other ways.
const OTHERS: usize = 8;

/// Whether words are worth it for a graph, which must have no multiplicities.
pub(crate) fn is_worth_it<S: Source>(survey: &Survey, source: &S) -> bool {
    let offsets = source.offsets();
    let edges = |all: usize, nodes: Range<usize>| {
        all.saturating_add(offsets.get(nodes.end).saturating_sub(offsets.get(nodes.start)))
    };
    let few = |edges: usize| edges <= source.edges() / OTHERS;
    size_of::<f64>() * survey.mean_reach() >= FAR
        && few(survey.wide.iter().cloned().fold(0, edges))
        && few(survey.stretches.iter().map(Stretch::nodes).fold(0, edges))
}

/// Counts the nodes of `range` into `counts`, the last one first, up to one whose count does not
/// fit. Returns the end of the nodes that are left.
pub(crate) fn count_in_words<I: Index>(
    lists: &ListSection<'_, I>,
    range: Range<usize>,
    counts: &mut [u32],
    outputs: &NodeSet,
) -> usize {
    let outputs = outputs.view();
    with_indices!(lists.offsets, offsets => {
        pulp::Arch::new().dispatch(WordSums { offsets, lists, range, counts, outputs })
    })
}

/// The work of [`count_in_words`], compiled for every instruction set.
struct WordSums<'f, 'r, O, I> {
    offsets: &'f [O],
    lists: &'f ListSection<'r, I>,
    range: Range<usize>,
    counts: &'f mut [u32],
    outputs: NodeSetView<'f>,
}

impl<O: Index, I: Index> pulp::NullaryFnOnce for WordSums<'_, '_, O, I> {
    type Output = usize;

    #[inline(always)]
    fn call(mut self) -> usize {
        let (start, mut end) = (self.range.start, self.range.end);
        let mut running = [0; EDGES + 1];
        while end > start {
            let mut first = start.max(end.saturating_sub(NODES));
            while self.lists.edges(first, end) > EDGES && end - first > 1 {
                first = first.midpoint(end);
            }
            if self.count_group(first..end, &mut running).is_none()
                && self.count_separately(first..end).is_none()
            {
                break;
            }
            end = first;
        }
        end
    }
}

impl<O: Index, I: Index> WordSums<'_, '_, O, I> {
    /// Counts some nodes by one running sum; `None` if one of them reads another or a count does
    /// not fit.
    #[inline(always)]
    fn count_group(&mut self, nodes: Range<usize>, running: &mut [u64; EDGES + 1]) -> Option<()> {
        let offsets = self.offsets.get(nodes.start..=nodes.end)?;
        let (start, end) = (offsets.first()?.position(), offsets.last()?.position());
        let edge = |offset: &O| offset.position().wrapping_sub(start);
        let list =
            start.wrapping_sub(self.lists.first_edge)..end.wrapping_sub(self.lists.first_edge);
        let list = self.lists.targets.get(list)?;
        let running = running.get_mut(..=list.len())?;
        let ids = || list.iter().map(|id| id.narrow());
        let (least, most) = (ids().fold(u32::MAX, u32::min), ids().fold(0, u32::max));
        if (least as usize) < nodes.end || most as usize >= self.counts.len() {
            return None;
        }
        accumulate(self.counts, list, running.get_mut(1..)?)?;
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
        if self.outputs.intersects(nodes.clone()) {
            for (count, _) in
                counts.iter_mut().zip(nodes).filter(|(_, node)| self.outputs.contains(*node))
            {
                *count = count.checked_add(1)?;
            }
        }
        Some(())
    }

    /// Counts some nodes one by one; `None` if a count does not fit.
    #[inline(always)]
    fn count_separately(&mut self, nodes: Range<usize>) -> Option<()> {
        for node in nodes.rev() {
            let mut sum = u64::from(self.outputs.contains(node));
            for id in self.lists.list(node)? {
                sum = sum.saturating_add(u64::from(*self.counts.get(id.position())?));
            }
            *self.counts.get_mut(node)? = u32::try_from(sum).ok()?;
        }
        Some(())
    }
}

/// Writes the running sum over the counts of the nodes in `list`, all of which must be in `counts`.
#[inline(always)]
fn accumulate<I: Index>(counts: &[u32], list: &[I], running: &mut [u64]) -> Option<()> {
    let last = counts.len().checked_sub(1)?;
    // No node is larger. The minimum lets the compiler see that, so that it need not check every
    // edge.
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

    /// For every node its successors, as distances, and whether it is an output. Some nodes read
    /// near ones, most only nodes far away.
    fn graphs() -> impl Strategy<Value = Vec<(Vec<usize>, bool)>> {
        let reach = prop_oneof![Just(1usize..3), Just(100..400)];
        let most = prop_oneof![8 => Just(9usize), 1 => Just(100), 1 => Just(EDGES + 9)];
        let list = (reach, most).prop_flat_map(|(reach, most)| {
            (prop::collection::vec(reach, 0..most), prop::bool::weighted(0.05))
        });
        prop::collection::vec(list, 1..800)
    }

    /// Counts a whole graph: the end of the nodes that are left, and the counts.
    fn count_all<I: Index>(
        offsets: &Indices<'_>,
        targets: &[I],
        outputs: &NodeSet,
    ) -> (usize, Vec<u32>) {
        let first_edge = offsets.get(0);
        let lists = ListSection { offsets, first_edge, targets, multiplicity: None };
        // What the counts are before must not matter.
        let mut counts = vec![7; offsets.len() - 1];
        (count_in_words(&lists, 0..offsets.len() - 1, &mut counts, outputs), counts)
    }

    proptest! {
        #![proptest_config(ProptestConfig { max_shrink_iters: 300, ..ProptestConfig::with_cases(100) })]

        #[test]
        fn counts_are_right_as_far_as_they_fit(graph in graphs()) {
            let nodes = graph.len();
            let (mut offsets, mut targets) = (vec![0u32], Vec::new());
            let mut outputs = NodeSet::empty(nodes).unwrap();
            for (node, (steps, output)) in graph.iter().enumerate() {
                let ids = steps.iter().map(|step| node + step).filter(|&id| id < nodes);
                targets.extend(ids.map(|id| id as u32));
                offsets.push(targets.len() as u32);
                if *output || targets.len() as u32 == offsets[node] {
                    outputs.insert(node);
                }
            }
            let mut wanted = vec![0u64; nodes];
            for node in (0..nodes).rev() {
                let list = &targets[offsets[node] as usize..offsets[node + 1] as usize];
                let sum = list.iter().fold(0, |sum: u64, &id| sum.saturating_add(wanted[id as usize]));
                wanted[node] = sum.saturating_add(outputs.contains(node).into());
            }
            // Once more with wider integers, and offsets as if other edges came before.
            let wide: Vec<u64> = offsets.iter().map(|&edge| (1 << 33) + u64::from(edge)).collect();
            let ids: Vec<u64> = targets.iter().map(|&id| id.into()).collect();
            let (left, counts) = count_all(&offsets.into(), &targets, &outputs);
            let others = count_all(&wide.into(), &ids, &outputs);
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
