//! Random networks, and the counts of their parameters element by element.

use num_bigint::BigUint;
use proptest::prelude::*;
use unrolled_core::{AxisRelation, Counts, Network, Relation, Role, SparseRows, TensorId, Window};

/// The counts of every element of a parameter, from its runs.
pub(crate) fn expanded(counts: &Counts, at: usize) -> Vec<(BigUint, f64)> {
    let parameter = &counts.parameters[at];
    let mut cells: Vec<usize> = vec![0];
    for runs in parameter.runs() {
        cells = cells
            .iter()
            .flat_map(|&cell| {
                runs.iter().enumerate().flat_map(move |(run, &length)| {
                    std::iter::repeat_n(cell * runs.len() + run, length as usize)
                })
            })
            .collect();
    }
    let value = |cell: usize| {
        let level = &parameter.levels[parameter.level_index[cell] as usize].value;
        (level.exact.clone().unwrap_or_default(), level.log2())
    };
    cells.into_iter().map(value).collect()
}

/// One axis of a link: the relation, and the lengths of the source axis and of the target axis.
#[derive(Debug, Clone)]
struct Step {
    relation: Relation,
    source: Option<u64>,
    target: Option<u64>,
}

fn step(source: u64) -> impl Strategy<Value = Step> {
    let windows = (1u64..8, 1u64..4, 1u64..3, -1i64..4);
    let both =
        move |relation, target| Step { relation, source: Some(source), target: Some(target) };
    prop_oneof![
        3 => Just(both(Relation::Same, source)),
        1 => (1u64..5).prop_map(move |n| both(Relation::All, n)),
        1 => (1u64..4).prop_map(|n| Step { relation: Relation::Sum, source: None, target: Some(n) }),
        1 => Just(Step { relation: Relation::Each, source: Some(source), target: None }),
        4 => (windows.clone(), 1u64..8).prop_map(move |((size, stride, dilation, padding), n)| {
            both(Relation::Window(Window { size, stride, dilation, padding }), n)
        }),
        2 => (windows, 1u64..8).prop_map(move |((size, stride, dilation, padding), n)| {
            both(Relation::TransposedWindow(Window { size, stride, dilation, padding }), n)
        }),
        1 => prop::collection::vec(prop::option::weighted(0.9, 0..source), 1..7).prop_map(move |indices| {
            let n = indices.len() as u64;
            both(Relation::Select { indices }, n)
        }),
        1 => prop::collection::vec(prop::collection::vec((0..source, prop_oneof![1u64..5, 1u64..200_000, 1u64..1 << 20, (1u64 << 18)..1 << 20]), 0..4), 1..5)
            .prop_map(move |rows| {
                let ends = rows.iter().scan(0, |end, row| {
                    *end += row.len() as u64;
                    Some(*end)
                });
                let offsets = std::iter::once(0).chain(ends).collect();
                let (indices, multiplicities) = rows.concat().into_iter().unzip();
                both(Relation::Sparse(SparseRows { offsets, indices, multiplicities }), rows.len() as u64)
            }),
    ]
}

/// A layer: how every axis of the tensor before is read, the order of the new axes, whether a skip
/// link from an older tensor of equal shape joins, and whether the result is an output.
type Layer = (Vec<Step>, bool, bool, bool, bool);

fn layer(shape: Vec<u64>) -> impl Strategy<Value = Layer> {
    let steps: Vec<_> = shape.into_iter().map(step).collect();
    (steps, any::<bool>(), any::<bool>(), prop::bool::weighted(0.2), any::<bool>())
}

/// Builds a chain of tensors. Every layer has a parameter, which has a weight for every tap of a
/// window.
fn build(layers: &[Layer], shape: &[u64]) -> Network {
    let mut network = Network::new();
    let mut at = network.add("input", shape, Role::Parameter { trainable: true }).unwrap();
    let mut older: Vec<TensorId> = vec![at];
    let mut shape = shape.to_vec();
    for (number, (steps, swap, skip, output, flat)) in layers.iter().enumerate() {
        let lengths = |step: &Step| step.target;
        let mut next: Vec<u64> = steps.iter().filter_map(lengths).collect();
        let mut place: Vec<usize> = (0..next.len()).collect();
        if *swap {
            next.reverse();
            place.reverse();
        }
        let name = format!("layer{number}");
        let to = network.add(&name, &next, Role::Activation).unwrap();
        let (mut relations, mut taps, mut weight) = (Vec::new(), Vec::new(), Vec::new());
        let (mut source_axis, mut target_axis) = (0, 0);
        for step in steps {
            let target = step.target.map(|_| place[target_axis]);
            match (step.source, target) {
                (Some(_), Some(axis)) => {
                    relations.push(AxisRelation::new(step.relation.clone(), source_axis, axis));
                }
                (None, Some(axis)) => {
                    // Every index of the source axis is read, so that the axis is dropped.
                    relations.push(AxisRelation::sum(axis));
                    relations.push(AxisRelation::each(source_axis));
                }
                _ => relations.push(AxisRelation::each(source_axis)),
            }
            if let Some(axis) = target {
                let extent = shape[source_axis];
                match &step.relation {
                    Relation::Window(window) => {
                        let taps_of = Relation::Taps { window: *window, extent };
                        taps.push(AxisRelation::new(taps_of, weight.len(), axis));
                        weight.push(window.size);
                    }
                    Relation::TransposedWindow(window) => {
                        let taps_of = Relation::TransposedTaps { window: *window, extent };
                        taps.push(AxisRelation::new(taps_of, weight.len(), axis));
                        weight.push(window.size);
                    }
                    Relation::Same => {
                        taps.push(AxisRelation::new(Relation::Same, weight.len(), axis));
                        weight.push(shape[source_axis]);
                    }
                    _ => taps.push(AxisRelation::sum(axis)),
                }
                target_axis += 1;
            }
            source_axis += 1;
        }
        network.link(at, to, relations).unwrap();
        let role = Role::Parameter { trainable: number % 2 == 0 };
        let parameter = network.add(&format!("weight{number}"), &weight, role).unwrap();
        network.link(parameter, to, taps).unwrap();
        if *skip {
            let same = |id: &&TensorId| network.tensor(**id).unwrap().shape == next;
            if let Some(&before) = older.iter().find(same) {
                let relations = (0..next.len())
                    .map(|axis| AxisRelation::new(Relation::Same, axis, axis))
                    .collect();
                network.link(before, to, relations).unwrap();
            }
        }
        if *output {
            network.mark_output(to).unwrap();
        }
        (at, shape) = (to, next);
        older.push(at);
        if *flat {
            let total = shape.iter().product();
            let lengths = if total % 2 == 0 && *skip { vec![total / 2, 2] } else { vec![total] };
            let to = network.add(&format!("flat{number}"), &lengths, Role::Activation).unwrap();
            let axes = |n: usize| (0..n).collect::<Vec<_>>();
            let reshape = AxisRelation::reshape(axes(shape.len()), axes(lengths.len()));
            network.link(at, to, vec![reshape]).unwrap();
            (at, shape) = (to, lengths);
        }
    }
    if !network.outputs().contains(&at) {
        network.mark_output(at).unwrap();
    }
    network
}

/// Random networks of layers that fit one another: each is drawn for the shape that the one before
/// leaves.
pub(crate) fn networks() -> impl Strategy<Value = Network> {
    let grow = |(layers, shape): (Vec<Layer>, Vec<u64>)| {
        let last = build(&layers, &shape);
        let id =
            TensorId(last.tensors().iter().rposition(|t| t.role == Role::Activation).unwrap_or(0));
        let now = last.tensor(id).unwrap().shape.clone();
        (Just((layers, shape)), layer(now)).prop_map(|((mut layers, shape), next)| {
            layers.push(next);
            (layers, shape)
        })
    };
    prop::collection::vec(1u64..7, 1..4)
        .prop_map(|shape| (Vec::new(), shape))
        .prop_flat_map(grow)
        .prop_flat_map(grow)
        .prop_flat_map(grow)
        .prop_flat_map(grow)
        .prop_map(|(layers, shape)| build(&layers, &shape))
}
