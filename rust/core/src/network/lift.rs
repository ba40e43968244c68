//! Networks whose counts are moments of the lengths of another network's contexts, or of the grades
//! of its paths.
//!
//! With `C` the number of the paths of an element, `S1` the sum of their lengths and `S2` that of
//! the squares, one more link turns the three into `C`, `S1 + C` and `S2 + 2 S1 + C`. This is
//! linear. So a network in which every tensor has one more axis, of length three, and every link
//! one more factor counts all three by the ordinary sweep, exactly or in log space. A link of grade
//! g is worth g links: `C`, `S1 + g C` and `S2 + 2 g S1 + g^2 C`.

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
                larger.link(entrance, link.target, first_axis_related(steps(1), target))?;
                *before[link.target.0].insert(entrance)
            }
        };
        let mut relations: Vec<AxisRelation> = link.relations.iter().map(shift_axes).collect();
        relations.push(AxisRelation::new(Relation::Same, 0, 0));
        larger.link(link.source, entrance, relations)?;
    }
    for &output in network.outputs() {
        add_end(&mut larger, output, network.tensor(output)?)?;
    }
    Ok(larger)
}

/// The network whose first parameter has three counts: the number of paths from the inputs to the
/// outputs, the sum of their grades and the sum of the squares. The links have the given grades, in
/// order, and those beyond the end of the list have none. If no link has any, there is one count.
pub(crate) fn graded_network(network: &Network, grades: &[u32]) -> Result<Network> {
    let length = if grades.iter().any(|&grade| grade > 0) { 3 } else { 1 };
    let mut larger = Network::new();
    for tensor in network.tensors() {
        larger.add(&tensor.name, &with_leading_axis(length, &tensor.shape), Role::Activation)?;
    }
    let parameter = Role::Parameter { trainable: true };
    let name = free_name(&larger, "paths".into());
    let paths = larger.add(&name, &[length], parameter)?;
    // The sweep refuses outputs that no parameter leads to, and networks without any; this one
    // leads to all outputs, and to one of its own.
    let name = free_name(&larger, "apart".into());
    let apart = larger.add(&name, &[], parameter)?;
    let name = free_name(&larger, "alone".into());
    let alone = larger.add(&name, &[], Role::Activation)?;
    larger.link(apart, alone, vec![])?;
    larger.mark_output(alone)?;
    for (number, tensor) in network.tensors().iter().enumerate() {
        if tensor.role == Role::Input {
            let mut relations = sums(1, tensor);
            relations.push(AxisRelation::new(Relation::Same, 0, 0));
            larger.link(paths, TensorId(number), relations)?;
        }
    }
    for (number, link) in network.links().iter().enumerate() {
        if matches!(network.tensor(link.source)?.role, Role::Parameter { .. }) {
            continue;
        }
        let mut relations: Vec<AxisRelation> = link.relations.iter().map(shift_axes).collect();
        relations.push(AxisRelation::new(steps(grades.get(number).copied().unwrap_or(0)), 0, 0));
        larger.link(link.source, link.target, relations)?;
    }
    for &output in network.outputs() {
        let end = add_end(&mut larger, output, network.tensor(output)?)?;
        let mut relations = sums(1, network.tensor(output)?);
        relations.push(AxisRelation::sum(0));
        larger.link(apart, end, relations)?;
    }
    Ok(larger)
}

/// Adds a companion behind an output, at which paths have length zero.
fn add_end(larger: &mut Network, output: TensorId, tensor: &Tensor) -> Result<TensorId> {
    let end = add_companion(larger, tensor, "end", 1)?;
    let first = Relation::Slice { start: 0, step: 1 };
    larger.link(output, end, first_axis_related(first, tensor))?;
    larger.mark_output(end)?;
    Ok(end)
}

/// A relation for every axis of a tensor that its source does not have, moved up by `offset`.
fn sums(offset: usize, tensor: &Tensor) -> Vec<AxisRelation> {
    (0..tensor.shape.len()).map(|axis| AxisRelation::sum(axis + offset)).collect()
}

/// Adds a companion of a tensor, with an axis of this length before its own.
fn add_companion(
    larger: &mut Network,
    tensor: &Tensor,
    what: &str,
    length: u64,
) -> Result<TensorId> {
    let name = free_name(larger, format!("{}, {what}", tensor.name));
    larger.add(&name, &with_leading_axis(length, &tensor.shape), Role::Activation)
}

/// A name that no tensor has, as near to the given one as there is.
fn free_name(network: &Network, mut name: String) -> String {
    while network.find(&name).is_some() {
        name.push('.');
    }
    name
}

/// The relations of two tensors that differ in their first axes only, which are related by `first`.
fn first_axis_related(first: Relation, tensor: &Tensor) -> Vec<AxisRelation> {
    let same = (1..=tensor.shape.len()).map(|axis| AxisRelation::new(Relation::Same, axis, axis));
    std::iter::once(AxisRelation::new(first, 0, 0)).chain(same).collect()
}

/// How the three sums change with so many links more: which sums at the source each sum at the
/// target enters into, and how often.
fn steps(number: u32) -> Relation {
    let number = u64::from(number);
    if number == 0 {
        return Relation::Same;
    }
    Relation::Sparse(SparseRows {
        offsets: vec![0, 3, 5, 6],
        indices: vec![0, 1, 2, 1, 2, 2],
        multiplicities: vec![1, number, number * number, 1, 2 * number, 1],
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
