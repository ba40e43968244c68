//! Random graphs of the shapes that the engine treats specially.

use std::ops::Range;

use unrolled_core::{ParameterNodes, Roles};

use crate::brute_force::EdgeList;

/// Random numbers from a seed (SplitMix64).
pub(crate) struct Draw(pub(crate) u64);

impl Draw {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number in `range`, which must not be empty.
    fn of(&mut self, range: Range<usize>) -> usize {
        range.start + (self.next() % range.len() as u64) as usize
    }

    /// True in one of `times` cases; never if that is 0.
    fn once_in(&mut self, times: usize) -> bool {
        times > 0 && self.next().is_multiple_of(times as u64)
    }

    /// A multiplicity, which is 1 in most cases.
    fn times(&mut self) -> u64 {
        match self.of(0..8) {
            0 => 2,
            1 => self.next() >> self.of(1..64) | 1,
            2 => u64::MAX,
            _ => 1,
        }
    }
}

/// Layers, each of which leads densely to the next one. One in `odd` nodes has a list of its own.
pub(crate) fn layers(draw: &mut Draw, widths: &[usize], odd: usize) -> EdgeList {
    let starts: Vec<usize> = widths
        .iter()
        .scan(0, |end, width| {
            *end += width;
            Some(*end - width)
        })
        .collect();
    let nodes = widths.iter().sum();
    let mut edges = Vec::new();
    for layer in 1..widths.len() {
        let next = starts[layer]..starts[layer] + widths[layer];
        for node in starts[layer - 1]..starts[layer] {
            let own = draw.once_in(odd);
            for target in next.clone() {
                let target = if own { draw.of(starts[layer]..nodes) } else { target };
                edges.push((node as u32, target as u32, 1));
            }
        }
    }
    EdgeList { nodes, edges, roles: Roles::default() }
}

/// Every node has the list of the node after it with each entry one less, except that one in `odd`
/// nodes has a list of its own. Entries are at least `gap` and at most `window` nodes further.
pub(crate) fn shifted(
    draw: &mut Draw,
    nodes: usize,
    degree: usize,
    gap: usize,
    window: usize,
    odd: usize,
) -> EdgeList {
    let list = |draw: &mut Draw| -> Vec<usize> {
        (0..degree).map(|_| draw.of(gap..gap + window)).collect()
    };
    let mut steps = list(draw);
    let mut edges = Vec::new();
    for node in (0..nodes).rev() {
        if draw.once_in(odd) {
            match draw.of(0..3) {
                0 => steps = list(draw),
                1 => steps[draw.of(0..degree)] = draw.of(gap..gap + window),
                _ => {
                    let at = draw.of(0..degree);
                    steps.rotate_left(at);
                }
            }
        }
        let shorter = usize::from(draw.once_in(3 * odd));
        let targets = steps[shorter..].iter().map(|step| node + step);
        edges.extend(targets.filter(|&to| to < nodes).map(|to| (node as u32, to as u32, 1)));
    }
    edges.reverse();
    EdgeList { nodes, edges, roles: Roles::default() }
}

/// Several graphs side by side, in blocks that alternate and have `lengths`. In some of them counts
/// grow with every node, in others hardly at all. Now and then an edge leads from one to another,
/// however far.
pub(crate) fn interleaved(draw: &mut Draw, blocks: usize, lengths: Range<usize>) -> EdgeList {
    let degrees: Vec<usize> = (0..draw.of(2..5)).map(|_| [1, 2, 4, 12][draw.of(0..4)]).collect();
    let rare = draw.of(4..100);
    let mut members: Vec<Vec<usize>> = degrees.iter().map(|_| Vec::new()).collect();
    let mut edges = Vec::new();
    let mut nodes = 0;
    // Nodes are made from the last to the first, and their numbers are turned round afterwards.
    for _ in 0..blocks {
        let own = draw.of(0..degrees.len());
        for _ in 0..draw.of(lengths.clone()) {
            let other = draw.of(0..degrees.len());
            if draw.once_in(rare) && !members[other].is_empty() {
                let known = members[other].len();
                let recent = known.saturating_sub(if draw.once_in(2) { 4 } else { known });
                let target = members[other][draw.of(recent..known)];
                edges.push((nodes, target));
            }
            let known = members[own].len();
            if known > 0 && !draw.once_in(rare) {
                for _ in 0..draw.of(1..degrees[own] + 1) {
                    let recent = known.saturating_sub(3);
                    edges.push((nodes, members[own][draw.of(recent..known)]));
                }
            }
            members[own].push(nodes);
            nodes += 1;
        }
    }
    let flipped = |node: usize| (nodes - 1 - node) as u32;
    let edges = edges.iter().rev().map(|&(from, to)| (flipped(from), flipped(to), 1)).collect();
    EdgeList { nodes, edges, roles: Roles::default() }
}

/// The graph above a tower, in which counts grow by three bits with every storey. Nodes without
/// successors lead to random storeys.
pub(crate) fn raised(draw: &mut Draw, mut edge_list: EdgeList, storeys: usize) -> EdgeList {
    if storeys == 0 {
        return edge_list;
    }
    let mut is_end = vec![true; edge_list.nodes];
    edge_list.edges.iter().for_each(|&(from, _, _)| is_end[from as usize] = false);
    let first = edge_list.nodes;
    for node in (0..first).filter(|&node| is_end[node]) {
        // Most nodes lead to the upper storeys.
        let depth = if draw.once_in(4) { storeys } else { 1 + storeys / 8 };
        for _ in 0..draw.of(1..4) {
            edge_list.edges.push((node as u32, draw.of(first..first + depth) as u32, 1));
        }
    }
    for node in first..first + storeys - 1 {
        edge_list.edges.extend([(node as u32, node as u32 + 1, 1); 8]);
    }
    edge_list.nodes += storeys;
    edge_list
}

/// The graph with multiplicities.
pub(crate) fn weighted(draw: &mut Draw, mut edge_list: EdgeList) -> EdgeList {
    edge_list.edges.iter_mut().for_each(|edge| edge.2 = draw.times());
    edge_list
}

/// The graph with random outputs, inputs and parameters, some of them tied.
pub(crate) fn with_roles(draw: &mut Draw, mut edge_list: EdgeList) -> EdgeList {
    let nodes = edge_list.nodes;
    let some = |draw: &mut Draw| -> Vec<u32> {
        let rare = [1, 3, 40][draw.of(0..3)];
        (0..nodes as u32).filter(|_| draw.once_in(rare)).collect()
    };
    edge_list.roles = Roles {
        outputs: (!draw.once_in(3)).then(|| some(draw)),
        inputs: draw.once_in(2).then(|| some(draw)),
        parameters: match draw.of(0..3) {
            0 => ParameterNodes::Sources,
            1 => ParameterNodes::Nodes(some(draw)),
            _ => {
                let groups = draw.of(1..2 * nodes + 1);
                let label = |_| draw.of(0..groups + groups / 4 + 1) as i64 - (groups / 4) as i64;
                ParameterNodes::Labels((0..nodes).map(label).collect())
            }
        },
    };
    edge_list
}

/// The same graph, with other numbers for its nodes and its edges in another order.
pub(crate) fn shuffled(draw: &mut Draw, mut edge_list: EdgeList) -> EdgeList {
    let mut number: Vec<u32> = (0..edge_list.nodes as u32).collect();
    (1..number.len()).for_each(|at| number.swap(at, draw.of(0..at + 1)));
    for (from, to, _) in &mut edge_list.edges {
        (*from, *to) = (number[*from as usize], number[*to as usize]);
    }
    (1..edge_list.edges.len()).for_each(|at| edge_list.edges.swap(at, draw.of(0..at + 1)));
    edge_list
}
