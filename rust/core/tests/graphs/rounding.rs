//! Deep graphs whose counts grow so slowly that doubles lose what is added.

use num_bigint::BigUint;
use unrolled_core::{
    Csr, Graph, GraphCountOptions, Lists, Monitor, NodeOrder, ParameterNodes, Roles,
};

use crate::brute_force::{log2, near};

/// A node of a chain, and what it adds to the count of the node after it.
#[derive(Clone, Copy)]
struct Link {
    ends: usize,
    times: u64,
    /// Whether the node after it comes first in its list.
    first: bool,
}

/// Checks the logarithms of a chain of `links` against integers, on several threads. The last link
/// leads to a node with `2^bits` paths. There are `idle` nodes without edges beside it.
fn check(links: &[Link], bits: usize, idle: usize, weighted: bool) {
    let silent = Monitor::silent();
    let end = (links.len() + bits) as u32;
    let mut expected = vec![BigUint::from(1u8); end as usize + 1 + idle];
    let (mut offsets, mut targets, mut times) = (vec![0u32], Vec::new(), Vec::new());
    for (node, link) in (0u32..).zip(links) {
        let mut list = vec![(end, 1); link.ends];
        list.insert(if link.first { 0 } else { link.ends }, (node + 1, link.times));
        targets.extend(list.iter().map(|edge| edge.0));
        times.extend(list.iter().map(|edge| edge.1));
        offsets.push(targets.len() as u32);
    }
    for node in links.len() as u32..end {
        targets.extend([node + 1; 2]);
        times.extend([1; 2]);
        offsets.push(targets.len() as u32);
    }
    offsets.resize(expected.len() + 1, targets.len() as u32);
    for node in (0..end as usize).rev() {
        expected[node] = match links.get(node) {
            Some(link) => &expected[node + 1] * link.times + link.ends,
            None => &expected[node + 1] * 2u8,
        };
    }
    let times = weighted.then_some(times.into());
    let lists = Csr::new(offsets.into(), targets.into(), times).unwrap();
    let graph =
        Graph::new(Lists::Memory(lists), Roles::default(), NodeOrder::default(), 1, &silent)
            .unwrap();
    let count = |threads| {
        let options = GraphCountOptions { exact: false, threads, ..GraphCountOptions::default() };
        graph.count(&options, &silent).unwrap().log2(1, &silent).unwrap()
    };
    let found = count(1);
    for (node, (&found, expected)) in found.iter().zip(&expected).enumerate() {
        let wanted = log2(expected);
        assert!(near(found, wanted), "log2 of node {node}: {found} for {wanted}");
    }
    assert_eq!(count(3), found);
}

#[test]
fn roundings_in_long_lists_are_compensated() {
    // Only some of the nodes have a list at all.
    for (depth, ends) in [(10_000, 30), (40_000, 9), (3_000, 31), (3_000, 32), (5_000, 200)] {
        for first in [true, false] {
            check(&vec![Link { ends, times: 1, first }; depth], 54, 20 * depth, false);
        }
    }
}

#[test]
fn roundings_across_scales_are_compensated() {
    // Counts that begin at 2^511 change their scale on the way; those from 2^600 on have the next
    // one.
    for bits in [505, 511, 512, 600] {
        let link = Link { ends: 60, times: 1, first: true };
        check(&vec![link; 20_000], bits, 0, false);
    }
}

#[test]
fn rounded_multiplicities_are_compensated() {
    // Two of these multiplicities have more digits than a double.
    let link = |times| Link { ends: 3, times, first: true };
    for times in [1, 3, (1 << 53) + 1, u64::MAX] {
        let mut links = vec![link(1); 30_000];
        links.iter_mut().step_by(100).for_each(|link| link.times = times);
        check(&links, 54, 0, true);
    }
}

#[test]
fn sums_of_tied_parameters_lose_no_small_terms() {
    // One node has 2^54 paths, and many have a single path, none of which a double can add to it.
    let (bits, single) = (54u32, 1_000_000usize);
    let silent = Monitor::silent();
    let targets: Vec<u32> = (1..=bits).flat_map(|node| [node; 2]).collect();
    let mut offsets: Vec<u32> = (0..=bits).map(|node| 2 * node).collect();
    offsets.resize(bits as usize + 2 + single, 2 * bits);
    let mut labels = vec![-1i64; offsets.len() - 1];
    labels[0] = 7;
    labels[bits as usize + 1..].fill(7);
    let roles = Roles { parameters: ParameterNodes::Labels(labels), ..Roles::default() };
    let lists = Csr::new(offsets.into(), targets.into(), None).unwrap();
    let graph = Graph::new(Lists::Memory(lists), roles, NodeOrder::default(), 1, &silent).unwrap();
    let options = GraphCountOptions { exact: false, ..GraphCountOptions::default() };
    let counts = graph.count(&options, &silent).unwrap();
    let wanted = log2(&(BigUint::from(1u64 << bits) + single));
    assert!(near(counts.group(&graph, 7, &silent).unwrap().log2(), wanted));
    let spectrum = counts.spectrum(&graph, &silent).unwrap();
    assert!(near(spectrum.mantissas[0].log2() + spectrum.exponents[0] as f64, wanted));
}
