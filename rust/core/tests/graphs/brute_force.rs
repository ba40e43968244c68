//! A slow counter of graphs, with single edges and big integers, which shares no code with the
//! crate.

use std::collections::BTreeMap;

use num_bigint::BigUint;
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;
use unrolled_core::{
    Csr, Graph, GraphCountOptions, GraphCounts, Indices, Kinds, Lists, Monitor, NodeOrder,
    ParameterNodes, Result, Roles, Towards, from_edges,
};

/// The relative error of a binary logarithm that is allowed.
const TOLERANCE: f64 = 1e-13;

/// A graph as a list of edges.
#[derive(Debug, Clone)]
pub(crate) struct EdgeList {
    pub(crate) nodes: usize,
    /// Every edge: source, target and multiplicity.
    pub(crate) edges: Vec<(u32, u32, u64)>,
    pub(crate) roles: Roles,
}

impl EdgeList {
    /// For every node the nodes that its edges lead to or, if `backwards`, come from.
    fn rows(&self, backwards: bool) -> Vec<Vec<(usize, u64)>> {
        let mut rows = vec![Vec::new(); self.nodes];
        for &(source, target, times) in &self.edges {
            let (from, to) = if backwards { (target, source) } else { (source, target) };
            rows[from as usize].push((to as usize, times));
        }
        rows
    }

    /// For every node the number of paths that lead to marked nodes or, if `backwards`, come from
    /// them.
    fn path_counts(&self, marks: &[bool], backwards: bool) -> Vec<BigUint> {
        let rows = self.rows(backwards);
        let mut readers = vec![0usize; self.nodes];
        rows.iter().flatten().for_each(|&(to, _)| readers[to] += 1);
        let mut order: Vec<usize> = (0..self.nodes).filter(|&node| readers[node] == 0).collect();
        let mut next = 0;
        while let Some(&node) = order.get(next) {
            next += 1;
            for &(to, _) in &rows[node] {
                readers[to] -= 1;
                if readers[to] == 0 {
                    order.push(to);
                }
            }
        }
        assert_eq!(order.len(), self.nodes, "the test's own graph has a cycle");
        let mut counts = vec![BigUint::ZERO; self.nodes];
        for node in order.into_iter().rev() {
            let mut sum = BigUint::from(u8::from(marks[node]));
            for &(to, times) in &rows[node] {
                if times == 1 {
                    sum += &counts[to];
                } else {
                    sum += &counts[to] * times;
                }
            }
            counts[node] = sum;
        }
        counts
    }

    fn ends(&self, backwards: bool) -> Vec<bool> {
        self.rows(backwards).iter().map(Vec::is_empty).collect()
    }

    fn marks(&self, ids: &[u32]) -> Vec<bool> {
        let mut marks = vec![false; self.nodes];
        ids.iter().for_each(|&id| marks[id as usize] = true);
        marks
    }

    fn outputs(&self) -> Vec<bool> {
        self.roles.outputs.as_ref().map_or_else(|| self.ends(false), |ids| self.marks(ids))
    }

    fn labels(&self) -> Vec<i64> {
        let of_marks = |marks: Vec<bool>| {
            (0..).zip(marks).map(|(node, is)| if is { node } else { -1 }).collect()
        };
        match &self.roles.parameters {
            ParameterNodes::Sources => of_marks(self.ends(true)),
            ParameterNodes::Nodes(ids) => of_marks(self.marks(ids)),
            ParameterNodes::Labels(labels) => labels.iter().map(|&label| label.max(-1)).collect(),
        }
    }

    fn inputs(&self) -> Vec<bool> {
        let others = || {
            let sources = self.ends(true).into_iter();
            sources.zip(self.labels()).map(|(source, label)| source && label < 0).collect()
        };
        self.roles.inputs.as_ref().map_or_else(others, |ids| self.marks(ids))
    }

    /// The count of every node.
    fn counts(&self, towards: Towards) -> Vec<BigUint> {
        let to_outputs = || self.path_counts(&self.outputs(), false);
        let from_inputs = || {
            let inputs = self.inputs();
            self.path_counts(&if inputs.contains(&true) { inputs } else { self.ends(true) }, true)
        };
        match towards {
            Towards::Outputs => to_outputs(),
            Towards::Inputs => from_inputs(),
            Towards::Both => to_outputs().iter().zip(from_inputs()).map(|(a, b)| a * b).collect(),
        }
    }

    /// The lists that the crate makes of the edges, which have 64 bits if `wide`.
    pub(crate) fn lists(&self, wide: bool, threads: usize) -> Result<(Csr<'static>, NodeOrder)> {
        let ids = |values: Vec<u32>| -> Indices<'static> {
            if wide {
                values.into_iter().map(u64::from).collect::<Vec<_>>().into()
            } else {
                values.into()
            }
        };
        let sources = ids(self.edges.iter().map(|edge| edge.0).collect());
        let targets = ids(self.edges.iter().map(|edge| edge.1).collect());
        let times: Vec<u64> = self.edges.iter().map(|edge| edge.2).collect();
        let times = times.iter().any(|&times| times != 1).then(|| times.into());
        let nodes = Some(self.nodes as u64);
        from_edges(&sources, targets, times, nodes, threads, &Monitor::silent())
    }
}

pub(crate) fn log2(count: &BigUint) -> f64 {
    let shift = count.bits().saturating_sub(120);
    let top = u128::try_from(count >> shift).unwrap();
    (top as f64).log2() + shift as f64
}

/// Whether a logarithm is the expected one up to rounding.
pub(crate) fn near(found: f64, expected: f64) -> bool {
    found == expected || (found - expected).abs() <= TOLERANCE * expected.abs()
}

/// Checks that the crate finds what the slow counter finds, with all options.
pub(crate) fn check(edge_list: &EdgeList, wide: bool) -> std::result::Result<(), TestCaseError> {
    let silent = Monitor::silent();
    let fail = |error: unrolled_core::Error| TestCaseError::fail(error.to_string());
    let (lists, order) = edge_list.lists(wide, 1).map_err(fail)?;
    let graph = Graph::new(Lists::Memory(lists), edge_list.roles.clone(), order, 1, &silent)
        .map_err(fail)?;
    prop_assert_eq!((graph.nodes(), graph.edges()), (edge_list.nodes, edge_list.edges.len()));
    prop_assert_eq!(edge_list.marks(&graph.outputs().map_err(fail)?), edge_list.outputs());
    prop_assert_eq!(edge_list.marks(&graph.inputs(&silent).map_err(fail)?), edge_list.inputs());
    prop_assert_eq!(graph.parameter_labels(&silent).map_err(fail)?, edge_list.labels());
    for towards in [Towards::Outputs, Towards::Inputs, Towards::Both] {
        let expected = edge_list.counts(towards);
        let options = GraphCountOptions { towards, threads: 1, ..GraphCountOptions::default() };
        for exact in [true, false] {
            let alone = GraphCountOptions { exact, ..options.clone() };
            let counts = graph.count(&alone, &silent).map_err(fail)?;
            let logarithms = all_equal(&counts, &expected)?;
            let team = GraphCountOptions { threads: 3, ..alone.clone() };
            let with_threads = graph.count(&team, &silent).map_err(fail)?;
            prop_assert_eq!(all_equal(&with_threads, &expected)?, logarithms.clone());
            let some = GraphCountOptions { kinds: Kinds::Parameters, ..alone };
            let kept = graph.count(&some, &silent).map_err(fail)?;
            let is_kept: Vec<bool> = match towards {
                Towards::Inputs => edge_list.outputs(),
                _ => edge_list.labels().iter().map(|&label| label >= 0).collect(),
            };
            kept_only(&kept, &counts, &logarithms, &is_kept)?;
            for counts in [&counts, &kept] {
                parameters(edge_list, &graph, counts, &expected)?;
            }
        }
    }
    Ok(())
}

/// Checks that every node has the expected count; returns the logarithms.
fn all_equal(
    counts: &GraphCounts,
    expected: &[BigUint],
) -> std::result::Result<Vec<u64>, TestCaseError> {
    let logarithms = counts.log2(1, &Monitor::silent()).unwrap();
    prop_assert_eq!(logarithms.len(), expected.len());
    for (node, (&found, expected)) in logarithms.iter().zip(expected).enumerate() {
        let wanted = log2(expected);
        prop_assert!(near(found, wanted), "log2 of node {}: {} for {}", node, found, wanted);
        let value = counts.value(node).unwrap();
        prop_assert!(near(value.log2(), wanted));
        prop_assert_eq!(value.exact.is_some(), counts.is_exact());
        if let Some(exact) = value.exact {
            prop_assert_eq!(&exact, expected, "count of node {}", node);
        }
    }
    prop_assert!(counts.value(expected.len()).is_err());
    Ok(logarithms.into_iter().map(f64::to_bits).collect())
}

/// Checks that counts that are kept equal those of all nodes, and that others are refused.
fn kept_only(
    kept: &GraphCounts,
    all: &GraphCounts,
    logarithms: &[u64],
    is_kept: &[bool],
) -> std::result::Result<(), TestCaseError> {
    let found = kept.log2(3, &Monitor::silent()).unwrap();
    for (node, &is_kept) in is_kept.iter().enumerate() {
        if is_kept {
            prop_assert_eq!(found[node].to_bits(), logarithms[node]);
            let (kept, all) = (kept.value(node).unwrap(), all.value(node).unwrap());
            prop_assert_eq!(kept.exact, all.exact);
        } else {
            prop_assert!(found[node].is_nan() && kept.value(node).is_err());
        }
    }
    Ok(())
}

/// Checks the spectrum and the counts of tied parameters or, if paths come from the inputs, of
/// outputs.
fn parameters(
    edge_list: &EdgeList,
    graph: &Graph<'_>,
    counts: &GraphCounts,
    expected: &[BigUint],
) -> std::result::Result<(), TestCaseError> {
    let silent = Monitor::silent();
    let labels = if counts.towards() == Towards::Inputs {
        let outputs = (0..).zip(edge_list.outputs());
        outputs.map(|(node, is)| if is { node } else { -1 }).collect()
    } else {
        edge_list.labels()
    };
    let mut sums: BTreeMap<i64, BigUint> = BTreeMap::new();
    let mut weight_nodes = 0;
    for (label, count) in labels.iter().zip(expected).filter(|(label, _)| **label >= 0) {
        *sums.entry(*label).or_default() += count;
        weight_nodes += u64::from(*count != BigUint::ZERO);
    }
    let mut levels: BTreeMap<&BigUint, u64> = BTreeMap::new();
    for sum in sums.values().filter(|sum| **sum != BigUint::ZERO) {
        *levels.entry(sum).or_default() += 1;
    }
    let spectrum = counts.spectrum(graph, &silent).unwrap();
    prop_assert_eq!(spectrum.parameters, sums.len() as u64);
    prop_assert_eq!(spectrum.weight_nodes, weight_nodes);
    prop_assert_eq!(spectrum.degeneracies.iter().sum::<u64>(), levels.values().sum::<u64>());
    let total = sums.values().sum::<BigUint>();
    prop_assert!(near(spectrum.total.log2(), log2(&total)));
    if counts.is_exact() {
        prop_assert_eq!(spectrum.total.exact.as_ref(), Some(&total));
        let found: Vec<_> = (0..spectrum.degeneracies.len())
            .map(|level| (counts.level(&spectrum, level).unwrap(), spectrum.degeneracies[level]))
            .collect();
        let wanted: Vec<_> =
            levels.into_iter().map(|(count, times)| (count.clone(), times)).collect();
        prop_assert_eq!(found, wanted);
    }
    prop_assert_eq!(counts.level(&spectrum, spectrum.degeneracies.len()), None);
    if counts.towards() != Towards::Inputs {
        for (&label, sum) in sums.iter().take(100) {
            let value = counts.group(graph, label, &silent).unwrap();
            prop_assert!(near(value.log2(), log2(sum)));
            prop_assert_eq!(value.exact.as_ref(), counts.is_exact().then_some(sum));
        }
        prop_assert!(counts.group(graph, i64::MAX, &silent).is_err());
    }
    Ok(())
}
