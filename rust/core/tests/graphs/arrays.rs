//! Arrays that may not be a graph: either they are refused, or they make the right graph.

use proptest::prelude::*;
use unrolled_core::{
    Csr, Error, Graph, GraphCountOptions, Indices, Lists, Monitor, NodeOrder, ParameterNodes,
    Roles, Towards, from_edges,
};

use crate::brute_force::{EdgeList, check};
use crate::cases;

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

/// Lists with something wrong now and then. Most edges go up, so that most lists are graphs.
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

pub(crate) fn some_roles() -> impl Strategy<Value = Roles> {
    let ids = || prop::collection::vec(prop_oneof![40 => 0u32..12, 1 => any::<u32>()], 0..4);
    let parameters = prop_oneof![
        4 => Just(ParameterNodes::Sources),
        2 => ids().prop_map(ParameterNodes::Nodes),
        1 => prop::collection::vec(any::<i64>(), 0..12).prop_map(ParameterNodes::Labels),
    ];
    (prop::option::of(ids()), prop::option::of(ids()), parameters)
        .prop_map(|(outputs, inputs, parameters)| Roles { outputs, inputs, parameters })
}

/// The edges of lists that were accepted.
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

/// Tries to make a graph of lists, and checks it if that succeeds; says whether it did.
fn try_graph(
    lists: Csr<'_>,
    roles: Roles,
    order: NodeOrder,
    ranked: bool,
) -> Result<bool, TestCaseError> {
    let silent = Monitor::silent();
    let edges = edges_of(&lists);
    let nodes = lists.nodes();
    let Ok(graph) = Graph::new(Lists::Memory(lists), roles.clone(), order, 2, &silent) else {
        return Ok(false);
    };
    let edge_list = EdgeList { nodes, edges, roles };
    if nodes > 0 && !ranked {
        check(&edge_list, false)?;
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
    fn lists_of_any_numbers_make_the_right_graph_or_are_refused((offsets, targets, times) in arrays(), roles in some_roles(), rank in rank()) {
        if let Ok(lists) = Csr::new(offsets, targets, times.map(Into::into)) {
            let ranked = rank.is_some();
            let order = rank.map(NodeOrder::ranked).unwrap_or_default();
            try_graph(lists, roles, order, ranked)?;
        }
    }

    /// Somebody may write to the lists of a graph after it was checked.
    #[test]
    fn lists_changed_after_the_check_give_errors_and_no_panic((offsets, targets, times) in arrays(), roles in some_roles(), exact: bool) {
        let silent = Monitor::silent();
        let nodes = offsets.len().saturating_sub(1);
        let none = Csr::new(vec![0u32; nodes + 1].into(), Vec::<u32>::new().into(), None).unwrap();
        let graph = Graph::new(Lists::Memory(none), Roles::default(), NodeOrder::default(), 1, &silent).unwrap();
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
        let _ = Graph::new(Lists::Memory(lists), roles, NodeOrder::default(), 1, &silent);
        let longer = Csr::trusted(vec![0u32; nodes + 2].into(), Vec::<u32>::new().into(), None);
        prop_assert!(Graph::with_frame(Lists::Memory(longer), frame()).is_err());
    }

    #[test]
    fn edges_of_any_numbers_make_the_right_lists_or_are_refused(
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
        // By default there are as many nodes as identifiers mention; a billion would only take
        // time.
        let ids = [&sources, &targets].map(|ids| (0..ids.len()).map(|at| ids.get(at)).max());
        let largest = ids.into_iter().flatten().max().unwrap_or(0);
        let billions = (1000..u32::MAX as usize - 1).contains(&largest);
        let nodes = if billions { nodes.or(Some(16)) } else { nodes };
        let shared = times.as_deref().map(Into::into);
        if let Ok((lists, order)) = from_edges(&sources, targets.borrowed(), shared, nodes, 2, &silent) {
            let mut found = edges_of(&lists);
            let at = |edge| (sources.get(edge) as u32, targets.get(edge) as u32, times.as_ref().map_or(1, |times| times[edge]));
            let mut wanted: Vec<_> = (0..sources.len()).map(at).collect();
            wanted.sort_by_key(|edge| edge.0);
            found.sort_by_key(|edge| edge.0);
            prop_assert_eq!(found, wanted);
            try_graph(lists, roles, order, false)?;
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
    let error =
        Graph::new(Lists::Memory(lists), Roles::default(), NodeOrder::default(), 1, &silent)
            .unwrap_err();
    let Error::GraphCycle { nodes } = error else { panic!("{error}") };
    assert_eq!((nodes.len(), nodes.first()), (4, nodes.last()));
    assert!(nodes.windows(2).all(|pair| (pair[0] + 1) % 3 == pair[1]));
}

#[test]
fn the_order_of_other_lists_is_refused() {
    let silent = Monitor::silent();
    let edges = |sources: Vec<u32>, targets: Vec<u32>| {
        from_edges(&sources.into(), targets.into(), None, None, 1, &silent).unwrap()
    };
    let (lists, _) = edges(vec![0, 1], vec![1, 2]);
    for (_, order) in [edges(vec![0, 1, 1], vec![1, 2, 2]), edges(vec![0, 2], vec![1, 3])] {
        let lists = Lists::Memory(lists.clone());
        let error = Graph::new(lists, Roles::default(), order, 1, &silent).unwrap_err();
        assert!(error.to_string().contains("other lists"), "{error}");
    }
}
