//! The scaling that a model begins with, such as a division by 255: the one place that knows it.
//!
//! Preprocessing makes numbers of mean zero and mean square one of whatever comes. Where an input is
//! read by nothing but straight lines, one after the other and perhaps moved in between, what comes
//! out of them is what enters the model. Sweeps begin there with their default law, scores of
//! architectures as well, and reports compare with the mean square that a signal has there.

use std::collections::HashMap;

use super::functions::{Function, OwnFunctions};
use crate::error::Result;
use crate::network::{LinkRole, Network, OperationKind, Relation, Role, TensorId};

/// What a model does to an input before anything else: `slope * x + offset`.
#[derive(Debug, Clone)]
pub(crate) struct Scaling {
    pub(crate) slope: f64,
    pub(crate) offset: f64,
    /// The tensors that scale.
    pub(crate) functions: Vec<TensorId>,
}

/// The scaling of every input that has one.
///
/// # Errors
/// Tensors that do not belong to the network.
pub(crate) fn scalings(
    network: &Network,
    own: &OwnFunctions,
) -> Result<HashMap<TensorId, Scaling>> {
    let mut readers: HashMap<TensorId, Vec<usize>> = HashMap::new();
    let mut sources: HashMap<TensorId, usize> = HashMap::new();
    for (number, link) in network.links().iter().enumerate() {
        readers.entry(link.source).or_default().push(number);
        *sources.entry(link.target).or_default() += 1;
    }
    let mut found = HashMap::new();
    for (number, tensor) in network.tensors().iter().enumerate() {
        if tensor.role != Role::Input {
            continue;
        }
        let input = TensorId(number);
        let mut scaling = Scaling { slope: 1.0, offset: 0.0, functions: Vec::new() };
        let mut at = input;
        while let Some([only]) = readers.get(&at).map(Vec::as_slice) {
            let link = &network.links()[*only];
            let moves =
                |relation: &Relation| matches!(relation, Relation::Same | Relation::Reshape);
            let is_whole = link.relations.iter().all(|part| moves(&part.relation));
            if link.role != LinkRole::Data || !is_whole || sources.get(&link.target) != Some(&1) {
                break;
            }
            let operation = network.operation(link.target)?;
            match (operation.kind, operation.function.as_deref()) {
                (OperationKind::Move, _) => {}
                (OperationKind::Function, Some(name)) if !own.contains_key(name) => {
                    let line = Function::from_name(name).and_then(|function| function.line());
                    let Some((slope, offset)) = line.filter(|&(slope, _)| slope != 0.0) else {
                        break;
                    };
                    scaling.slope *= slope;
                    scaling.offset = slope * scaling.offset + offset;
                    scaling.functions.push(link.target);
                }
                _ => break,
            }
            at = link.target;
        }
        let is_known = scaling.slope != 0.0 && scaling.slope.is_finite();
        if !scaling.functions.is_empty() && is_known && scaling.offset.is_finite() {
            found.insert(input, scaling);
        }
    }
    Ok(found)
}
