//! Random networks, compared with counting single elements.
#![allow(clippy::unwrap_used, reason = "a test that fails may panic")]

mod common;

use std::collections::HashMap;

use common::networks::{expanded, networks};
use num_bigint::BigUint;
use proptest::prelude::*;
use unrolled_core::{
    CountOptions, Counts, Monitor, Network, Role, TensorId, count, extreme_lengths, length_sums,
};

/// The counts of every element of every tensor, by walking single edges backwards.
fn by_elements(network: &Network) -> Vec<Vec<BigUint>> {
    let mut counts: Vec<Vec<BigUint>> = network
        .tensors()
        .iter()
        .map(|tensor| vec![BigUint::ZERO; tensor.elements() as usize])
        .collect();
    for output in network.outputs() {
        counts[output.0].fill(1u32.into());
    }
    let mut into: HashMap<TensorId, Vec<_>> = HashMap::new();
    for edge in network.edges() {
        into.entry(edge.target.0).or_default().push(edge);
    }
    for id in network.topological_order().unwrap().into_iter().rev() {
        for edge in into.remove(&id).unwrap_or_default() {
            let ((from, i), (to, o)) = (edge.source, edge.target);
            let passed = &counts[to.0][o as usize] * edge.multiplicity;
            counts[from.0][i as usize] += passed;
        }
    }
    counts
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]
    #[test]
    fn counts_equal_those_of_single_edges(network in networks()) {
        let expected = by_elements(&network);
        let silent = Monitor::silent();
        let options = CountOptions { memory_limit: Some(1 << 30), ..CountOptions::default() };
        let exact = match count(&network, &options, &silent) {
            Ok(counts) => counts,
            Err(unrolled_core::Error::NothingToCount { .. }) => {
                let parameters = network.tensors().iter().enumerate()
                    .filter(|(_, tensor)| matches!(tensor.role, Role::Parameter { .. }));
                for (id, _) in parameters {
                    prop_assert!(expected[id].iter().all(|count| *count == BigUint::ZERO));
                }
                return Ok(());
            }
            Err(error) => return Err(TestCaseError::fail(error.to_string())),
        };
        let log = count(&network, &CountOptions { exact: false, ..options }, &silent).unwrap();
        let mut total = BigUint::ZERO;
        for (at, parameter) in exact.parameters.iter().enumerate() {
            let want = &expected[parameter.tensor.0];
            let got = expanded(&exact, at);
            let near = expanded(&log, at);
            prop_assert_eq!(got.len(), want.len());
            for ((want, (count, log2)), (_, near)) in want.iter().zip(&got).zip(&near) {
                prop_assert_eq!(want, count);
                total += count;
                prop_assert!(log2 == near || (log2 - near).abs() <= 1e-12 * log2.abs().max(1e-3));
            }
        }
        prop_assert_eq!(exact.total.exact.as_ref(), Some(&total));
        prop_assert!((exact.total.log2() - log.total.log2()).abs() <= 1e-12 * log.total.log2().max(1.0));
    }
}

/// The lengths of all paths from every element of every tensor to an output, and how many paths
/// have each.
fn lengths_by_elements(network: &Network) -> Vec<Vec<HashMap<u64, BigUint>>> {
    let mut found: Vec<Vec<HashMap<u64, BigUint>>> = network
        .tensors()
        .iter()
        .map(|tensor| vec![HashMap::new(); tensor.elements() as usize])
        .collect();
    for output in network.outputs() {
        for paths in &mut found[output.0] {
            paths.insert(0, 1u32.into());
        }
    }
    let mut into: HashMap<TensorId, Vec<_>> = HashMap::new();
    for edge in network.edges() {
        into.entry(edge.target.0).or_default().push(edge);
    }
    for id in network.topological_order().unwrap().into_iter().rev() {
        for edge in into.remove(&id).unwrap_or_default() {
            let ((from, i), (to, o)) = (edge.source, edge.target);
            for (length, paths) in found[to.0][o as usize].clone() {
                *found[from.0][i as usize].entry(length + 1).or_default() +=
                    paths * edge.multiplicity;
            }
        }
    }
    found
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3_000))]

    #[test]
    fn lengths_are_those_of_the_paths(network in networks()) {
        let expected = lengths_by_elements(&network);
        let options = CountOptions::default();
        let Ok(sums) = length_sums(&network, &options, &Monitor::silent()) else { return Ok(()) };
        let [shortest, longest] = [false, true]
            .map(|longest| extreme_lengths(&network, longest, &options, &Monitor::silent()).unwrap());
        for at in 0..sums.parameters.len() {
            let paths = &expected[sums.parameters[at].tensor.0];
            let powers = (0..3u32).flat_map(|power| paths.iter().map(move |paths| {
                paths.iter().map(|(&length, number)| number * length.pow(power)).sum::<BigUint>()
            }));
            let found = expanded(&sums, at);
            prop_assert!(powers.eq(found.into_iter().map(|(sum, _)| sum)));
            let codes = |counts: &Counts| -> Vec<u64> {
                expanded(counts, at).into_iter().map(|(_, log2)| log2.exp2().round() as u64).collect()
            };
            let beyond = |length: Option<&u64>| length.map_or(0, |length| length + 1);
            let least: Vec<u64> = paths.iter().map(|p| beyond(p.keys().min())).collect();
            let most: Vec<u64> = paths.iter().map(|p| beyond(p.keys().max())).collect();
            prop_assert_eq!(codes(&shortest), least);
            prop_assert_eq!(codes(&longest), most);
        }
    }
}
