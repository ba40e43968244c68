//! Scores of networks so small that they can be worked out by hand, and of their variants.
#![allow(clippy::unwrap_used, reason = "a test that fails may panic")]

use std::f64::consts::PI;

use unrolled_core::propagation::OwnFunctions;
use unrolled_core::scores::{Plan, Scores, Workspace};
use unrolled_core::variants::{VariantScorer, Variants};
use unrolled_core::{
    AxisRelation, LinkRole, Monitor, Network, Operation, OperationKind, Relation, Role, TensorId,
};

const TRAINABLE: Role = Role::Parameter { trainable: true };

fn dense(network: &mut Network, x: TensorId, name: &str, units: u64) -> TensorId {
    let inputs = network.tensor(x).unwrap().shape[0];
    let kernel = network.add(&format!("{name}/kernel"), &[inputs, units], TRAINABLE).unwrap();
    let affine = Operation::new(OperationKind::Affine);
    let y = network.add_computed(name, &[units], affine).unwrap();
    network.link(x, y, vec![AxisRelation::new(Relation::All, 0, 0)]).unwrap();
    let reads = vec![AxisRelation::each(0), AxisRelation::new(Relation::Same, 1, 0)];
    network.link_as(kernel, y, reads, LinkRole::Kernel).unwrap();
    y
}

fn pointwise(network: &mut Network, xs: &[TensorId], name: &str, operation: Operation) -> TensorId {
    let shape = network.tensor(xs[0]).unwrap().shape.clone();
    let y = network.add_computed(name, &shape, operation).unwrap();
    for &x in xs {
        network.link(x, y, vec![AxisRelation::new(Relation::Same, 0, 0)]).unwrap();
    }
    y
}

fn score(network: &Network) -> Scores {
    let plan = Plan::compile(network, &OwnFunctions::new()).unwrap();
    plan.score(&mut Workspace::new(&plan))
}

fn assert_close(found: f64, expected: f64) {
    assert!((found / expected - 1.0).abs() < 1e-13, "{found} instead of {expected}");
}

#[test]
fn two_layers_around_a_relu_are_as_worked_out_by_hand() {
    let mut network = Network::new();
    let x = network.add("x", &[9], Role::Input).unwrap();
    let hidden = dense(&mut network, x, "hidden", 4);
    let relu =
        Operation { function: Some("relu".into()), ..Operation::new(OperationKind::Function) };
    let active = pointwise(&mut network, &[hidden], "relu", relu);
    let output = dense(&mut network, active, "output", 16);
    network.mark_output(output).unwrap();
    let scores = score(&network);
    // Units: 4 sqrt(9) and 16 sqrt(4). Variances stay one; the derivative of an output by a
    // preactivation has 16/4 of the mean square of its own, times 1/2 over (1 - 1/pi)/2.
    assert_close(scores.effective_units, 12.0 + 32.0);
    let powers = [4.0 * 4.0 * PI / (PI - 1.0), 16.0];
    let roots = [(powers[0] * 12.0).sqrt(), (powers[1] * 32.0).sqrt()];
    let total = roots[0] + roots[1];
    let entropy: f64 = roots
        .iter()
        .zip([12.0, 32.0])
        .map(|(root, units)| -(root / total) * (root / total / units).ln())
        .sum();
    assert_close(scores.saliency_entropy, entropy);
    assert_close(scores.macs, 9.0 * 4.0 + 4.0 * 16.0);
    assert_close(scores.depth, 2.0);
}

/// Two layers between an input and an output, each behind a choice of its own to take it or not.
fn choices() -> VariantScorer {
    let mut network = Network::new();
    let x = network.add("x", &[9], Role::Input).unwrap();
    let one = dense(&mut network, x, "one", 4);
    let two = dense(&mut network, x, "two", 4);
    let sum = Operation::new(OperationKind::Sum);
    let y = pointwise(&mut network, &[one, two], "sum", sum);
    network.mark_output(y).unwrap();
    let into_sum = |source: TensorId| [one, two].iter().position(|&end| end == source);
    let choices: Vec<Option<(usize, usize)>> = network
        .links()
        .iter()
        .map(|link| if link.target == y { Some((into_sum(link.source)?, 1)) } else { None })
        .collect();
    let variants = Variants::new(network, &[2, 2], &choices).unwrap();
    VariantScorer::new(variants, &OwnFunctions::new()).unwrap()
}

#[test]
fn what_is_not_taken_has_no_part_in_scores() {
    let rows = [1, 1, 1, 0, 0, 0];
    let found = choices().scores(&rows, 3, 1, &Monitor::silent()).unwrap();
    assert_close(found[0].0.macs, 72.0);
    assert_close(found[0].0.saliency_entropy, 24f64.ln());
    assert_close(found[1].0.macs, 36.0);
    assert_close(found[1].0.saliency_entropy, 12f64.ln());
    assert_eq!(found[2].0.saliency_entropy, f64::NEG_INFINITY);
    assert_eq!((found[2].0.macs, found[2].0.depth), (0.0, 0.0));
    assert_eq!(found.iter().map(|one| one.1).collect::<Vec<_>>(), [72.0, 36.0, 0.0]);
}

/// The place of an architecture among others must not matter, nor how many there are: they are
/// worked on in batches.
#[test]
fn architectures_score_alike_alone_and_among_others() {
    let scorer = choices();
    let all: Vec<u32> = (0..150u32).flat_map(|number| [number % 2, number / 2 % 2]).collect();
    let together = scorer.scores(&all, 150, 1, &Monitor::silent()).unwrap();
    let sizes = scorer.sizes(&all, 150, 1, &Monitor::silent()).unwrap();
    for (number, row) in all.chunks(2).enumerate() {
        let alone = scorer.scores(row, 1, 1, &Monitor::silent()).unwrap();
        assert_eq!(together[number], alone[0], "architecture {number}");
        assert_eq!(sizes[number].macs, alone[0].0.macs, "architecture {number}");
        assert_eq!(sizes[number].parameters, alone[0].1, "architecture {number}");
    }
}
