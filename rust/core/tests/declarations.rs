//! Layers that are told once and added many times are those that are told one by one.
#![allow(clippy::unwrap_used, reason = "a test that fails may panic")]

use unrolled_core::{
    AxisRelation, Declaration, Error, LinkRole, Network, Operation, OperationKind, Relation, Role,
    TensorId, Weight,
};

/// A dense layer of three inputs and two units.
fn dense() -> Declaration {
    let kernel = Weight {
        role: LinkRole::Kernel,
        shape: vec![3, 2],
        relations: [AxisRelation::each(0), AxisRelation::new(Relation::Same, 1, 0)].into(),
        trainable: true,
    };
    let all = vec![[AxisRelation::new(Relation::All, 0, 0)].into()];
    Declaration::new(vec![2], Operation::new(OperationKind::Affine), all, vec![kernel])
}

/// What a network consists of, as text.
fn described(network: &Network) -> String {
    format!("{:?} {:?}", network.tensors(), network.links())
}

#[test]
fn layers_of_a_declaration_are_those_that_are_told_one_by_one() {
    let layer = dense();
    let (mut told, mut added) = (Network::new(), Network::new());
    for name in ["first", "second"] {
        let input = format!("{name}/x");
        let x = added.add(&input, &[3], Role::Input).unwrap();
        added.add_layer(name, &layer, &[x], &[]).unwrap();

        let x = told.add(&input, &[3], Role::Input).unwrap();
        let trainable = Role::Parameter { trainable: true };
        let kernel = told.add(&format!("{name}/kernel"), &[3, 2], trainable).unwrap();
        let affine = Operation::new(OperationKind::Affine);
        let y = told.add_computed(name, &[2], affine).unwrap();
        told.link(x, y, vec![AxisRelation::new(Relation::All, 0, 0)]).unwrap();
        let reads = vec![AxisRelation::each(0), AxisRelation::new(Relation::Same, 1, 0)];
        told.link_as(kernel, y, reads, LinkRole::Kernel).unwrap();
    }
    assert_eq!(described(&added), described(&told));
}

/// Links are checked for the first layer; one that reads other shapes must be checked as well.
#[test]
fn a_layer_that_does_not_fit_is_refused_after_one_that_did() {
    let layer = dense();
    let mut network = Network::new();
    let x = network.add("x", &[3], Role::Input).unwrap();
    let plane = network.add("plane", &[3, 3], Role::Input).unwrap();
    let kernel = network.add("w", &[2, 3], Role::Parameter { trainable: true }).unwrap();
    network.add_layer("fits", &layer, &[x], &[]).unwrap();
    let before = described(&network);

    let refused = network.add_layer("plane of inputs", &layer, &[plane], &[]);
    assert!(matches!(refused, Err(Error::InvalidLink { .. })), "{refused:?}");
    let wrong = Weight {
        role: LinkRole::Kernel,
        shape: vec![4],
        relations: [AxisRelation::new(Relation::Same, 0, 0)].into(),
        trainable: true,
    };
    let all = vec![[AxisRelation::new(Relation::All, 0, 0)].into()];
    let never = Declaration::new(vec![2], Operation::default(), all, vec![wrong]);
    let refused = network.add_layer("kernel too long", &never, &[x], &[]);
    assert!(matches!(refused, Err(Error::InvalidLink { .. })), "{refused:?}");
    let refused = network.add_layer("unknown source", &layer, &[TensorId(99)], &[]);
    assert!(matches!(refused, Err(Error::UnknownTensor { .. })), "{refused:?}");
    assert_eq!(described(&network), before, "what was refused has left something behind");

    // A given kernel of another shape is checked, too: its axes are of other lengths here, which
    // the relations allow for the first alone.
    let refused = network.add_layer("tied", &layer, &[x], &[Some(kernel)]);
    assert!(matches!(refused, Err(Error::InvalidLink { .. })), "{refused:?}");
    assert_eq!(described(&network), before);
}
