//! Explicit graphs, compared with a slow counter.
//!
//! `TEST_CASES_FACTOR=100 cargo test --test graphs` runs a hundred times as many cases.
#![allow(clippy::unwrap_used, reason = "a test that fails may panic")]

mod arrays;
mod brute_force;
#[path = "../common/mod.rs"]
mod common;
mod families;
mod files;
mod memory;
mod rounding;

use brute_force::{EdgeList, check};
use common::networks::{expanded, networks};
use families::{Draw, interleaved, layers, raised, shifted, shuffled, weighted, with_roles};
use proptest::prelude::*;
use unrolled_core::{
    CountOptions, Error, Graph, GraphCountOptions, Lists, Monitor, ParameterNodes, Roles, count,
    unroll,
};

fn cases(default: u32) -> ProptestConfig {
    let factor = std::env::var("TEST_CASES_FACTOR").ok().and_then(|factor| factor.parse().ok());
    ProptestConfig {
        // Structured graphs are drawn from a seed, so that smaller numbers make no simpler graph.
        max_shrink_iters: 2000,
        ..ProptestConfig::with_cases(default.saturating_mul(factor.unwrap_or(1)))
    }
}

/// What is done to a graph before it is counted.
#[derive(Debug, Clone, Copy)]
struct Variation {
    seed: u64,
    weights: bool,
    roles: bool,
    permuted: bool,
    wide: bool,
}

fn variation() -> impl Strategy<Value = Variation> {
    let often = prop::bool::weighted(0.3);
    (any::<u64>(), prop::bool::weighted(0.2), any::<bool>(), often, any::<bool>()).prop_map(
        |(seed, weights, roles, permuted, wide)| Variation { seed, weights, roles, permuted, wide },
    )
}

impl Variation {
    /// Draws a graph, varies it, and checks its counts.
    fn check(self, draw_graph: impl Fn(&mut Draw) -> EdgeList) -> Result<(), TestCaseError> {
        let draw = &mut Draw(self.seed);
        let mut edge_list = draw_graph(draw);
        if self.weights {
            edge_list = weighted(draw, edge_list);
        }
        if self.permuted {
            edge_list = shuffled(draw, edge_list);
        }
        if self.roles {
            edge_list = with_roles(draw, edge_list);
        }
        check(&edge_list, self.wide)
    }
}

/// Graphs of a few nodes with any numbers and any edges between them.
fn small() -> impl Strategy<Value = EdgeList> {
    (1u32..24)
        .prop_flat_map(|nodes| {
            let times =
                prop_oneof![8 => Just(1), 1 => 1..5u64, 1 => any::<u64>().prop_map(|n| n | 1)];
            let edges = prop::collection::vec((0..nodes, 0..nodes, times), 0..80);
            let ids = || prop::option::of(prop::collection::vec(0..nodes, 0..6));
            let labels = prop::collection::vec(-3i64..8, nodes as usize);
            let parameters = prop_oneof![
                Just(ParameterNodes::Sources),
                prop::collection::vec(0..nodes, 0..8).prop_map(ParameterNodes::Nodes),
                labels.prop_map(ParameterNodes::Labels),
            ];
            let number = prop_oneof![
                1 => Just((0..nodes).collect::<Vec<u32>>()),
                2 => Just((0..nodes).collect::<Vec<u32>>()).prop_shuffle(),
            ];
            (edges, ids(), ids(), parameters, number)
        })
        .prop_map(|(edges, outputs, inputs, parameters, number)| {
            let risen = edges
                .into_iter()
                .filter(|(from, to, _)| from != to)
                .map(|(a, b, times)| (number[a.min(b) as usize], number[a.max(b) as usize], times));
            let roles = Roles { outputs, inputs, parameters };
            EdgeList { nodes: number.len(), edges: risen.collect(), roles }
        })
}

proptest! {
    #![proptest_config(cases(2000))]
    #[test]
    fn small_graphs_count_as_brute_force_does(edge_list in small(), wide: bool) {
        check(&edge_list, wide)?;
    }
}

proptest! {
    #![proptest_config(cases(150))]

    #[test]
    fn graphs_with_equal_lists_count_as_brute_force_does(
        variation in variation(),
        widths in prop::collection::vec(1usize..36, 2..12),
        odd in prop_oneof![Just(0usize), 2usize..40],
        storeys in prop_oneof![Just(0usize), 1usize..400],
    ) {
        variation.check(|draw| {
            let edge_list = layers(draw, &widths, odd);
            raised(draw, edge_list, storeys)
        })?;
    }

    #[test]
    fn graphs_with_shifted_lists_count_as_brute_force_does(
        variation in variation(),
        nodes in 2usize..500,
        degree in prop_oneof![1usize..9, 16usize..41],
        gap in 1usize..80,
        window in prop_oneof![1usize..30, 30usize..300],
        odd in prop_oneof![Just(0usize), 2usize..100],
        storeys in prop_oneof![Just(0usize), 1usize..400],
    ) {
        variation.check(|draw| {
            let edge_list = shifted(draw, nodes, degree, gap, window, odd);
            raised(draw, edge_list, storeys)
        })?;
    }

    #[test]
    fn counts_of_all_magnitudes_are_those_of_brute_force(
        variation in variation(),
        blocks in 1usize..30,
        most in prop_oneof![2usize..20, 100usize..200],
    ) {
        variation.check(|draw| interleaved(draw, blocks, 1..most))?;
    }
}

proptest! {
    #![proptest_config(cases(5))]

    /// Blocks are large enough to be shared out among threads, and lead to counts on both sides of
    /// 2^512.
    #[test]
    fn layers_shared_out_among_threads_count_as_brute_force_does(
        variation in variation(),
        widths in prop::collection::vec(182usize..280, 2..4),
        odd in prop_oneof![Just(0usize), 2usize..40],
        storeys in prop_oneof![Just(0usize), 140usize..200, 300usize..700],
    ) {
        variation.check(|draw| {
            let edge_list = layers(draw, &widths, odd);
            raised(draw, edge_list, storeys)
        })?;
    }

    /// Layers have more nodes than are counted in one piece.
    #[test]
    fn layers_of_more_nodes_than_a_piece_count_as_brute_force_does(variation in variation(), width in 20_000usize..70_000, degree in 1usize..4) {
        variation.check(|draw| shifted(draw, 2 * width, degree, width, width, 5000))?;
    }
}

#[test]
fn counts_that_jump_by_hundreds_of_digits_are_right() {
    // There are counts of 3 * 700 bits, then many nodes with a single path, then large counts
    // again, and among these a node with a single path.
    for storeys in [150, 300, 400, 700, 1200] {
        for small in [1usize, 70, 200] {
            for large in [1usize, 63, 64, 65, 130] {
                let (mut edges, mut nodes) = (Vec::new(), 0usize);
                let mut add = |targets: &[usize]| {
                    edges.extend(targets.iter().map(|&to| (nodes, to)));
                    nodes += 1;
                    nodes - 1
                };
                let end = add(&[]);
                let mut top = end;
                for _ in 0..storeys {
                    top = add(&[top; 8]);
                }
                let alone: Vec<usize> = (0..small).map(|_| add(&[])).collect();
                for _ in 0..large {
                    top = add(&[top; 2]);
                }
                let single = add(&alone[small - 1..]);
                let both = add(&[single, top]);
                add(&[single, single, both]);
                add(&alone);
                let flipped = |node: usize| (nodes - 1 - node) as u32;
                let edges = edges.iter().rev().map(|&(a, b)| (flipped(a), flipped(b), 1)).collect();
                check(&EdgeList { nodes, edges, roles: Roles::default() }, false)
                    .map_err(|e| format!("{storeys} {small} {large}: {e}"))
                    .unwrap();
            }
        }
    }
}

#[test]
fn counts_that_grow_slowly_do_not_stand_still() {
    // Counts have 54 bits and more, and every node adds a single path, which a double cannot hold.
    let (doubled, nodes) = (54, 300_000u32);
    let rising = nodes - doubled..nodes - 1;
    let doubling = rising.flat_map(|node| [(node, node + 1, 1); 2]);
    let slow = (0..nodes - doubled).flat_map(|node| [(node, node + 1, 1), (node, nodes - 1, 1)]);
    let edges = slow.chain(doubling).collect();
    let edge_list = EdgeList { nodes: nodes as usize, edges, roles: Roles::default() };
    check(&edge_list, false).unwrap();
}

proptest! {
    #![proptest_config(cases(1000))]
    #[test]
    fn unrolled_networks_count_as_networks_do(network in networks()) {
        let silent = Monitor::silent();
        let limit = Some(1 << 30);
        let options = CountOptions { memory_limit: limit, ..CountOptions::default() };
        let expected = match count(&network, &options, &silent) {
            Ok(counts) => Some(counts),
            Err(Error::NothingToCount { .. }) => None,
            Err(error) => return Err(TestCaseError::fail(error.to_string())),
        };
        let unrolled = unroll(&network, limit, &silent).unwrap();
        let graph =
            Graph::new(Lists::Memory(unrolled.lists), unrolled.roles, unrolled.order, 1, &silent).unwrap();
        let counts = graph.count(&GraphCountOptions::default(), &silent).unwrap();
        let spectrum = counts.spectrum(&graph, &silent).unwrap();
        let Some(expected) = expected else {
            prop_assert!(spectrum.degeneracies.is_empty());
            return Ok(());
        };
        prop_assert_eq!(&spectrum.total.exact, &expected.total.exact);
        prop_assert_eq!(
            spectrum.degeneracies.iter().sum::<u64>(),
            expected.spectrum().unwrap().iter().map(|level| level.level.degeneracy).sum::<u64>()
        );
        for (at, parameter) in expected.parameters.iter().enumerate() {
            let tensor = unrolled.tensors.iter().find(|(id, _)| *id == parameter.tensor).unwrap();
            for (element, (wanted, _)) in expanded(&expected, at).into_iter().enumerate() {
                let found = counts.value(tensor.1 as usize + element).unwrap().exact;
                prop_assert_eq!(found, Some(wanted));
            }
        }
    }
}
