//! Explicit graphs against a slow counter, and against arrays that are no graphs.
//!
//! `TEST_CASES_FACTOR=100 cargo test --test graphs` runs a hundred times as many cases.
#![allow(clippy::unwrap_used, reason = "a test that fails may panic")]

mod families;
mod networks;
mod plain;
mod roundings;

use families::{Draw, interleaved, layers, raised, shifted, shuffled, weighted, with_roles};
use networks::{expanded, networks};
use num_bigint::BigUint;
use plain::{Plain, check, near};
use proptest::prelude::*;
use unrolled_core::{
    CountOptions, Csr, Error, FileLists, FilePlace, Graph, GraphCountOptions, GraphCounts, Indices,
    Lists, Monitor, ParameterNodes, Roles, Towards, count, from_edges, unroll,
};

fn cases(default: u32) -> ProptestConfig {
    let factor = std::env::var("TEST_CASES_FACTOR").ok().and_then(|factor| factor.parse().ok());
    ProptestConfig {
        // Structured graphs are drawn from a seed: smaller numbers make no simpler graph.
        max_shrink_iters: 2000,
        ..ProptestConfig::with_cases(default.saturating_mul(factor.unwrap_or(1)))
    }
}

/// What is done to a graph before it is counted.
#[derive(Debug, Clone, Copy)]
struct Dress {
    seed: u64,
    weights: bool,
    roles: bool,
    permuted: bool,
    wide: bool,
}

fn dress() -> impl Strategy<Value = Dress> {
    let often = prop::bool::weighted(0.3);
    (any::<u64>(), prop::bool::weighted(0.2), any::<bool>(), often, any::<bool>()).prop_map(
        |(seed, weights, roles, permuted, wide)| Dress { seed, weights, roles, permuted, wide },
    )
}

impl Dress {
    /// Checks the graph of `made`, dressed.
    fn check(self, made: impl Fn(&mut Draw) -> Plain) -> Result<(), TestCaseError> {
        let draw = &mut Draw(self.seed);
        let mut plain = made(draw);
        if self.weights {
            plain = weighted(draw, plain);
        }
        if self.permuted {
            plain = shuffled(draw, plain);
        }
        if self.roles {
            plain = with_roles(draw, plain);
        }
        check(&plain, self.wide)
    }
}

/// Any edges between a few nodes, of any ids.
fn small() -> impl Strategy<Value = Plain> {
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
            Plain { nodes: number.len(), edges: risen.collect(), roles }
        })
}

proptest! {
    #![proptest_config(cases(2000))]
    #[test]
    fn small_graphs(plain in small(), wide: bool) {
        check(&plain, wide)?;
    }
}

proptest! {
    #![proptest_config(cases(150))]

    #[test]
    fn equal_lists(
        dress in dress(),
        widths in prop::collection::vec(1usize..36, 2..12),
        odd in prop_oneof![Just(0usize), 2usize..40],
        storeys in prop_oneof![Just(0usize), 1usize..400],
    ) {
        dress.check(|draw| {
            let plain = layers(draw, &widths, odd);
            raised(draw, plain, storeys)
        })?;
    }

    #[test]
    fn shifted_lists(
        dress in dress(),
        nodes in 2usize..500,
        degree in prop_oneof![1usize..9, 16usize..41],
        gap in 1usize..80,
        window in prop_oneof![1usize..30, 30usize..300],
        odd in prop_oneof![Just(0usize), 2usize..100],
        storeys in prop_oneof![Just(0usize), 1usize..400],
    ) {
        dress.check(|draw| {
            let plain = shifted(draw, nodes, degree, gap, window, odd);
            raised(draw, plain, storeys)
        })?;
    }

    #[test]
    fn counts_of_all_magnitudes(
        dress in dress(),
        blocks in 1usize..30,
        most in prop_oneof![2usize..20, 100usize..200],
    ) {
        dress.check(|draw| interleaved(draw, blocks, 1..most))?;
    }
}

proptest! {
    #![proptest_config(cases(5))]

    /// Blocks large enough to be shared out among threads, above counts on both sides of 2^512.
    #[test]
    fn wide_layers(
        dress in dress(),
        widths in prop::collection::vec(182usize..280, 2..4),
        odd in prop_oneof![Just(0usize), 2usize..40],
        storeys in prop_oneof![Just(0usize), 140usize..200, 300usize..700],
    ) {
        dress.check(|draw| {
            let plain = layers(draw, &widths, odd);
            raised(draw, plain, storeys)
        })?;
    }

    /// Layers of more nodes than are counted in one piece.
    #[test]
    fn thin_wide_layers(dress in dress(), width in 20_000usize..70_000, degree in 1usize..4) {
        dress.check(|draw| shifted(draw, 2 * width, degree, width, width, 5000))?;
    }
}

#[test]
fn counts_that_jump() {
    // Counts of 3 * 700 bits, then many of a single path, then again large ones; and among these
    // one that only sees a single path.
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
                check(&Plain { nodes, edges, roles: Roles::default() }, false)
                    .map_err(|e| format!("{storeys} {small} {large}: {e}"))
                    .unwrap();
            }
        }
    }
}

#[test]
fn counts_that_grow_slowly() {
    // Counts of 54 bits and more, to which every node adds a single path that a double cannot hold.
    let (doubled, nodes) = (54, 300_000u32);
    let rising = nodes - doubled..nodes - 1;
    let doubling = rising.flat_map(|node| [(node, node + 1, 1); 2]);
    let slow = (0..nodes - doubled).flat_map(|node| [(node, node + 1, 1), (node, nodes - 1, 1)]);
    let edges = slow.chain(doubling).collect();
    let plain = Plain { nodes: nodes as usize, edges, roles: Roles::default() };
    check(&plain, false).unwrap();
}

proptest! {
    #![proptest_config(cases(1000))]
    #[test]
    fn unrolled_networks(network in networks()) {
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
            Graph::new(Lists::Memory(unrolled.lists), unrolled.roles, None, 1, &silent).unwrap();
        let counts = graph.count(&GraphCountOptions::default(), &silent).unwrap();
        let spectrum = counts.spectrum(&graph, &silent).unwrap();
        let Some(expected) = expected else {
            prop_assert!(spectrum.degeneracies.is_empty());
            return Ok(());
        };
        prop_assert_eq!(&spectrum.total.exact, &expected.total.exact);
        prop_assert_eq!(
            spectrum.degeneracies.iter().sum::<u64>(),
            expected.spectrum().iter().map(|level| level.level.degeneracy).sum::<u64>()
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

// Arrays that may be no graph

/// Integers of either width, some of them far out of range.
fn indices(small: u32, most: usize) -> impl Strategy<Value = Indices<'static>> {
    let id = prop_oneof![
        60 => (0..small).prop_map(u64::from),
        1 => Just(u64::MAX),
        1 => Just(1 << 32),
        1 => Just(u64::from(u32::MAX)),
        1 => any::<u64>(),
    ];
    (prop::collection::vec(id, 0..most), any::<bool>()).prop_map(|(values, narrow)| {
        if narrow {
            values.into_iter().map(|value| value as u32).collect::<Vec<_>>().into()
        } else {
            values.into()
        }
    })
}

/// Lists, with something wrong now and then; mostly rising, so that most are graphs.
fn arrays() -> impl Strategy<Value = (Indices<'static>, Indices<'static>, Option<Vec<u64>>)> {
    let wrong = || prop::bool::weighted(0.04);
    let times = prop_oneof![6 => Just(1u64), 1 => Just(2), 1 => any::<u64>()];
    let row = prop::collection::vec((0u64..12, times), 0..5);
    let damage = (wrong(), wrong(), wrong(), any::<prop::sample::Index>(), any::<u64>());
    (prop::collection::vec(row, 0..12), any::<[bool; 3]>(), damage).prop_map(
        |(rows, kinds, damage)| {
            let nodes = rows.len() as u64;
            let (mut offsets, mut targets, mut times) = (vec![0u64], Vec::new(), Vec::new());
            for (node, row) in (0u64..).zip(rows) {
                for (step, weight) in row {
                    if node + 1 < nodes {
                        targets.push((node + 1 + step).min(nodes - 1));
                        times.push(weight);
                    }
                }
                offsets.push(targets.len() as u64);
            }
            let (in_offsets, in_targets, in_times, at, value) = damage;
            let damaged = |values: &mut Vec<u64>| {
                if values.is_empty() || value % 5 == 0 {
                    values.push(value % 7);
                } else {
                    let at = at.index(values.len());
                    values[at] = if value % 3 == 0 { value } else { value % 16 };
                }
            };
            for (is, values) in
                [(in_offsets, &mut offsets), (in_targets, &mut targets), (in_times, &mut times)]
            {
                if is {
                    damaged(values);
                }
            }
            let as_indices = |values: Vec<u64>, narrow: bool| -> Indices<'static> {
                if narrow {
                    values.into_iter().map(|value| value as u32).collect::<Vec<_>>().into()
                } else {
                    values.into()
                }
            };
            let [narrow_offsets, narrow_targets, has_times] = kinds;
            (
                as_indices(offsets, narrow_offsets),
                as_indices(targets, narrow_targets),
                has_times.then_some(times),
            )
        },
    )
}

fn some_roles() -> impl Strategy<Value = Roles> {
    let ids = || prop::collection::vec(prop_oneof![40 => 0u32..12, 1 => any::<u32>()], 0..4);
    let parameters = prop_oneof![
        4 => Just(ParameterNodes::Sources),
        2 => ids().prop_map(ParameterNodes::Nodes),
        1 => prop::collection::vec(any::<i64>(), 0..12).prop_map(ParameterNodes::Labels),
    ];
    (prop::option::of(ids()), prop::option::of(ids()), parameters)
        .prop_map(|(outputs, inputs, parameters)| Roles { outputs, inputs, parameters })
}

/// Edges of lists that were accepted.
fn edges_of(lists: &Csr<'_>) -> Vec<(u32, u32, u64)> {
    let rows = (0..lists.nodes()).flat_map(|node| {
        (lists.offsets().get(node)..lists.offsets().get(node + 1)).map(move |e| (node, e))
    });
    rows.map(|(node, edge)| {
        let times = lists.multiplicity().map_or(1, |times| times[edge]);
        (node as u32, lists.targets().get(edge) as u32, times)
    })
    .collect()
}

/// Makes a graph of lists, if that can be, and then it must be the right one.
fn try_graph(lists: Csr<'_>, roles: Roles, rank: Option<Vec<u32>>) -> Result<bool, TestCaseError> {
    let silent = Monitor::silent();
    let edges = edges_of(&lists);
    let nodes = lists.nodes();
    let ranked = rank.is_some();
    let Ok(graph) = Graph::new(Lists::Memory(lists), roles.clone(), rank, 2, &silent) else {
        return Ok(false);
    };
    let plain = Plain { nodes, edges, roles };
    if nodes > 0 && !ranked {
        check(&plain, false)?;
    } else {
        for towards in [Towards::Outputs, Towards::Inputs, Towards::Both] {
            let options = GraphCountOptions { towards, ..GraphCountOptions::default() };
            let counts = graph.count(&options, &silent);
            prop_assert_eq!(counts.is_ok(), nodes > 0);
        }
    }
    Ok(true)
}

proptest! {
    #![proptest_config(cases(3000))]

    #[test]
    fn any_lists((offsets, targets, times) in arrays(), roles in some_roles(), rank in rank()) {
        if let Ok(lists) = Csr::new(offsets, targets, times.map(Into::into)) {
            try_graph(lists, roles, rank)?;
        }
    }

    /// Lists of a checked graph that someone wrote to afterwards.
    #[test]
    fn changed_lists((offsets, targets, times) in arrays(), roles in some_roles(), exact: bool) {
        let silent = Monitor::silent();
        let nodes = offsets.len().saturating_sub(1);
        let none = Csr::new(vec![0u32; nodes + 1].into(), Vec::<u32>::new().into(), None).unwrap();
        let graph = Graph::new(Lists::Memory(none), Roles::default(), None, 1, &silent).unwrap();
        let lists = Csr::trusted(offsets, targets, times.map(Into::into));
        let frame = || graph.frame().clone();
        let changed = Graph::with_frame(Lists::Memory(lists.clone()), frame()).unwrap();
        for towards in [Towards::Outputs, Towards::Inputs, Towards::Both] {
            let options = GraphCountOptions { exact, towards, ..GraphCountOptions::default() };
            if let Ok(counts) = changed.count(&options, &silent) {
                let _ = counts.log2(2, &silent);
                let _ = counts.spectrum(&changed, &silent);
            }
        }
        let _ = Graph::new(Lists::Memory(lists), roles, None, 1, &silent);
        let longer = Csr::trusted(vec![0u32; nodes + 2].into(), Vec::<u32>::new().into(), None);
        prop_assert!(Graph::with_frame(Lists::Memory(longer), frame()).is_err());
    }

    #[test]
    fn any_edges(
        sources in indices(10, 24),
        targets in indices(10, 24),
        cut in prop::bool::weighted(0.8),
        times in prop::option::weighted(0.3, prop::collection::vec(prop_oneof![9 => 1..9u64, 1 => any::<u64>()], 0..24)),
        nodes in prop::option::of(prop_oneof![5 => 0..20u64, 1 => (1 << 32) - 1..u64::MAX]),
        roles in some_roles(),
    ) {
        let silent = Monitor::silent();
        let length = if cut { sources.len().min(targets.len()) } else { usize::MAX };
        let (sources, targets) = (shortened(&sources, length), shortened(&targets, length));
        let times = times.map(|mut times| { times.resize(times.len().min(length), 1); times });
        // By default as many nodes as ids: a billion of them would only take time, or memory.
        let ids = [&sources, &targets].map(|ids| (0..ids.len()).map(|at| ids.get(at)).max());
        let largest = ids.into_iter().flatten().max().unwrap_or(0);
        let billions = (1000..u32::MAX as usize - 1).contains(&largest);
        let nodes = if billions { nodes.or(Some(16)) } else { nodes };
        if let Ok(lists) = from_edges(&sources, &targets, times.as_deref(), nodes, 2, &silent) {
            let mut found = edges_of(&lists);
            let at = |edge| (sources.get(edge) as u32, targets.get(edge) as u32, times.as_ref().map_or(1, |times| times[edge]));
            let mut wanted: Vec<_> = (0..sources.len()).map(at).collect();
            wanted.sort_by_key(|edge| edge.0);
            found.sort_by_key(|edge| edge.0);
            prop_assert_eq!(found, wanted);
            try_graph(lists, roles, None)?;
        }
    }
}

fn rank() -> impl Strategy<Value = Option<Vec<u32>>> {
    prop::option::weighted(0.2, prop::collection::vec(0u32..12, 0..12))
}

fn shortened(indices: &Indices<'_>, length: usize) -> Indices<'static> {
    (0..indices.len().min(length)).map(|at| indices.get(at) as u64).collect::<Vec<_>>().into()
}

#[test]
fn a_cycle_is_named() {
    let silent = Monitor::silent();
    let lists = Csr::new(vec![0u32, 1, 2, 4, 4].into(), vec![1u32, 2, 0, 3].into(), None).unwrap();
    let error = Graph::new(Lists::Memory(lists), Roles::default(), None, 1, &silent).unwrap_err();
    let Error::GraphCycle { nodes } = error else { panic!("{error}") };
    assert_eq!((nodes.len(), nodes.first()), (4, nodes.last()));
    assert!(nodes.windows(2).all(|pair| (pair[0] + 1) % 3 == pair[1]));
}

// Lists in files

/// Writes arrays to a file, the targets 32 bits wide or 64.
fn file(name: &str, lists: &Csr<'_>, wide: bool) -> FilePlace {
    let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let targets = (0..lists.edges()).map(|edge| lists.targets().get(edge) as u64);
    let mut bytes: Vec<u8> = b"twelve bytes".to_vec();
    let width = if wide { 8 } else { 4 };
    targets.for_each(|target| bytes.extend(&target.to_le_bytes()[..width]));
    let start = bytes.len() as u64;
    lists.multiplicity().unwrap_or_default().iter().for_each(|t| bytes.extend(t.to_le_bytes()));
    std::fs::write(&path, bytes).unwrap();
    FilePlace::open(&path, 12, wide, lists.multiplicity().map(|_| start)).unwrap()
}

fn integers(counts: &GraphCounts, nodes: usize) -> Vec<BigUint> {
    (0..nodes).map(|node| counts.value(node).unwrap().exact.unwrap()).collect()
}

proptest! {
    #![proptest_config(cases(200))]

    #[test]
    fn files_count_as_memory_does(plain in small(), wide: bool) {
        let silent = Monitor::silent();
        let lists = plain.lists(false, 1).unwrap();
        let place = file("small", &lists, wide);
        let (offsets, edges) = (lists.offsets().clone(), lists.edges());
        let in_memory =
            Graph::new(Lists::Memory(lists), plain.roles.clone(), None, 1, &silent).unwrap();
        let in_file = Lists::File(FileLists::new(place, offsets, edges).unwrap());
        let found = Graph::new(in_file, plain.roles.clone(), None, 1, &silent);
        if in_memory.frame().ranks().is_some() {
            let refused = matches!(found, Err(Error::GraphFile { .. }));
            prop_assert!(refused);
            return Ok(());
        }
        let found = found.unwrap();
        prop_assert_eq!(found.inputs(&silent).unwrap(), in_memory.inputs(&silent).unwrap());
        for towards in [Towards::Outputs, Towards::Inputs, Towards::Both] {
            for exact in [true, false] {
                let options = GraphCountOptions { exact, towards, ..GraphCountOptions::default() };
                let counts = found.count(&options, &silent).unwrap();
                let expected = in_memory.count(&options, &silent).unwrap();
                // Turned round, edges come in another order, and sums of floats with them.
                let logarithms = counts.log2(1, &silent).unwrap();
                let wanted = expected.log2(1, &silent).unwrap();
                prop_assert!(logarithms.iter().zip(&wanted).all(|(a, b)| near(*a, *b)));
                if exact {
                    let nodes = plain.nodes;
                    prop_assert_eq!(integers(&counts, nodes), integers(&expected, nodes));
                }
            }
        }
    }

    /// A file of anything, read as what it is not.
    #[test]
    fn any_file(
        bytes in prop::collection::vec(prop_oneof![3 => Just(0u8), 3 => 0..8u8, 1 => any::<u8>()], 0..200),
        offsets in prop::collection::vec(0u32..6, 0..8),
        place in (0u64..40, any::<bool>(), prop::option::of(prop_oneof![9 => 0u64..80, 1 => any::<u64>()])),
        roles in some_roles(),
    ) {
        let silent = Monitor::silent();
        let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("anything");
        std::fs::write(&path, bytes).unwrap();
        let (targets, wide, times) = place;
        let place = FilePlace::open(&path, targets, wide, times).unwrap();
        let ends = offsets.iter().scan(0, |end, length| { *end += length; Some(*end) });
        let offsets: Vec<u32> = std::iter::once(0).chain(ends).collect();
        let edges = offsets.last().copied().unwrap_or(0) as usize;
        let lists = Lists::File(FileLists::new(place, offsets.into(), edges).unwrap());
        if let Ok(graph) = Graph::new(lists, roles, None, 1, &silent) {
            for towards in [Towards::Outputs, Towards::Inputs, Towards::Both] {
                let options = GraphCountOptions { towards, ..GraphCountOptions::default() };
                prop_assert_eq!(graph.count(&options, &silent).is_ok(), graph.nodes() > 0);
            }
        }
    }
}

#[test]
fn a_file_is_read_in_stretches() {
    let silent = Monitor::silent();
    // More edges than are read at once, and than are turned round at once.
    let (width, layers) = (1040u32, 5u32);
    let targets = (0..layers - 1)
        .flat_map(|layer| (0..width).flat_map(move |_| (layer + 1) * width..(layer + 2) * width));
    let targets: Vec<u32> = targets.collect();
    let nodes = (width * layers) as usize;
    let edge = |node: usize| (node as u32 * width).min(targets.len() as u32);
    let offsets: Vec<u32> = (0..=nodes).map(edge).collect();
    let lists = Csr::new(offsets.into(), targets.into(), None).unwrap();
    let (offsets, edges) = (lists.offsets().clone(), lists.edges());
    let place = file("stretches", &lists, false);
    let lists = Lists::File(FileLists::new(place, offsets, edges).unwrap());
    let graph = Graph::new(lists, Roles::default(), None, 2, &silent).unwrap();
    let power = |layers: u32| BigUint::from(width).pow(layers);
    for (towards, exponent) in [
        (Towards::Outputs, (|layer| 4 - layer) as fn(u32) -> u32),
        (Towards::Inputs, |layer| layer),
        (Towards::Both, |_| 4),
    ] {
        let options = GraphCountOptions { towards, threads: 2, ..GraphCountOptions::default() };
        let counts = graph.count(&options, &silent).unwrap();
        for node in 0..nodes {
            let expected = power(exponent(node as u32 / width));
            assert_eq!(counts.value(node).unwrap().exact, Some(expected));
        }
    }
}
