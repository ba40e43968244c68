//! Networks whose counts are moments of the lengths of another network's contexts.
//!
//! With `C` the number of the paths of an element, `S1` the sum of their lengths and `S2` that of
//! the squares, one more link turns the three into `C`, `S1 + C` and `S2 + 2 S1 + C`. This is
//! linear. So a network in which every tensor has one more axis, of length three, and every link
//! one more factor counts all three by the ordinary sweep, exactly or in log space.

use crate::error::Result;
use crate::network::relation::{AxisRelation, Relation, SparseRows};
use crate::network::tensors::{Network, Role, Tensor, TensorId};

/// The network whose counts are the number of paths, the sum of their lengths and the sum of the
/// squares. Tensors keep their identifiers. Every tensor that is computed gets a companion before
/// it, to which all its links lead, and the length grows once, between the two. Every output leads
/// to a companion, too, at which paths have length zero.
pub(crate) fn moment_network(network: &Network) -> Result<Network> {
    let mut larger = Network::new();
    for tensor in network.tensors() {
        larger.add(&tensor.name, &with_leading_axis(3, &tensor.shape), tensor.role)?;
    }
    let mut before: Vec<Option<TensorId>> = vec![None; network.tensors().len()];
    for link in network.links() {
        let target = network.tensor(link.target)?;
        let entrance = match before[link.target.0] {
            Some(entrance) => entrance,
            None => {
                let entrance = add_companion(&mut larger, target, "before", 3)?;
                larger.link(entrance, link.target, first_axis_related(one_step(), target))?;
                *before[link.target.0].insert(entrance)
            }
        };
        let mut relations: Vec<AxisRelation> = link.relations.iter().map(shift_axes).collect();
        relations.push(AxisRelation::new(Relation::Same, 0, 0));
        larger.link(link.source, entrance, relations)?;
    }
    for &output in network.outputs() {
        let tensor = network.tensor(output)?;
        let end = add_companion(&mut larger, tensor, "end", 1)?;
        larger.link(
            output,
            end,
            first_axis_related(Relation::Slice { start: 0, step: 1 }, tensor),
        )?;
        larger.mark_output(end)?;
    }
    Ok(larger)
}

/// Adds a companion of a tensor, with an axis of this length before its own.
fn add_companion(
    larger: &mut Network,
    tensor: &Tensor,
    what: &str,
    length: u64,
) -> Result<TensorId> {
    let mut name = format!("{}, {what}", tensor.name);
    while larger.find(&name).is_some() {
        name.push('.');
    }
    larger.add(&name, &with_leading_axis(length, &tensor.shape), Role::Activation)
}

/// The relations of two tensors that differ in their first axes only, which are related by `first`.
fn first_axis_related(first: Relation, tensor: &Tensor) -> Vec<AxisRelation> {
    let same = (1..=tensor.shape.len()).map(|axis| AxisRelation::new(Relation::Same, axis, axis));
    std::iter::once(AxisRelation::new(first, 0, 0)).chain(same).collect()
}

/// How the three sums change with one link more: which sums at the source each sum at the target
/// enters into, and how often.
fn one_step() -> Relation {
    Relation::Sparse(SparseRows {
        offsets: vec![0, 3, 5, 6],
        indices: vec![0, 1, 2, 1, 2, 2],
        multiplicities: vec![1, 1, 1, 1, 2, 1],
    })
}

/// A shape with one more axis before its own.
fn with_leading_axis(length: u64, shape: &[u64]) -> Vec<u64> {
    std::iter::once(length).chain(shape.iter().copied()).collect()
}

/// The same relation between axes that have moved up by one.
fn shift_axes(part: &AxisRelation) -> AxisRelation {
    let mut part = part.clone();
    for axis in part.source_axes.iter_mut().chain(&mut part.target_axes) {
        *axis += 1;
    }
    part
}
