//! Graphs whose lists are read from files.

use num_bigint::BigUint;
use proptest::prelude::*;
use unrolled_core::{
    Csr, Error, FileLists, FilePlace, Graph, GraphCountOptions, GraphCounts, Lists, Monitor,
    NodeOrder, Roles, Towards,
};

use crate::arrays::some_roles;
use crate::brute_force::near;
use crate::{cases, small};

/// Writes the arrays of lists to a file, targets of 64 bits if `wide` and else of 32.
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
    fn files_count_as_memory_does(edge_list in small(), wide: bool) {
        let silent = Monitor::silent();
        let (lists, order) = edge_list.lists(false, 1).unwrap();
        let place = file("small", &lists, wide);
        let (offsets, edges) = (lists.offsets().clone(), lists.edges());
        let in_memory =
            Graph::new(Lists::Memory(lists), edge_list.roles.clone(), order, 1, &silent).unwrap();
        let in_file = Lists::File(FileLists::new(place, offsets, edges).unwrap());
        let found = Graph::new(in_file, edge_list.roles.clone(), NodeOrder::default(), 1, &silent);
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
                // Turned round, edges come in another order, so that sums are rounded otherwise.
                let logarithms = counts.log2(1, &silent).unwrap();
                let wanted = expected.log2(1, &silent).unwrap();
                prop_assert!(logarithms.iter().zip(&wanted).all(|(a, b)| near(*a, *b)));
                if exact {
                    let nodes = edge_list.nodes;
                    prop_assert_eq!(integers(&counts, nodes), integers(&expected, nodes));
                }
            }
        }
    }

    /// A file of any bytes is read as if it held lists.
    #[test]
    fn a_file_of_any_bytes_gives_errors_and_no_panic(
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
        if let Ok(graph) = Graph::new(lists, roles, NodeOrder::default(), 1, &silent) {
            for towards in [Towards::Outputs, Towards::Inputs, Towards::Both] {
                let options = GraphCountOptions { towards, ..GraphCountOptions::default() };
                prop_assert_eq!(graph.count(&options, &silent).is_ok(), graph.nodes() > 0);
            }
        }
    }
}

#[test]
fn a_file_of_many_sections_counts_as_memory_does() {
    let silent = Monitor::silent();
    // There are more edges than are read at once, and than are turned round at once.
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
    let graph = Graph::new(lists, Roles::default(), NodeOrder::default(), 2, &silent).unwrap();
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

#[test]
fn a_file_shorter_than_its_lists_is_refused() {
    let silent = Monitor::silent();
    let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("short");
    std::fs::write(&path, [0; 64]).unwrap();
    let edges = [9usize, 17, 1 << 40, usize::MAX >> 1, usize::MAX >> 3];
    let starts = [0u64, 32, 64, 65, u64::MAX - 3, u64::MAX];
    for (edges, start) in edges.iter().flat_map(|&edges| starts.map(|start| (edges, start))) {
        let place = FilePlace::open(&path, start, true, None).unwrap();
        let offsets = vec![0u64, 0, edges as u64].into();
        let lists = Lists::File(FileLists::new(place, offsets, edges).unwrap());
        let refused = Graph::new(lists, Roles::default(), NodeOrder::default(), 1, &silent);
        assert!(matches!(refused, Err(Error::GraphFile { .. })), "{edges} from {start}");
    }
}
