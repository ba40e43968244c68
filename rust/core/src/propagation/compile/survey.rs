//! What is known of a network before any rule is looked at: what lives, in which order, and along
//! which axes weights are shared.

use super::compiler::Compiler;
use super::factors::{factors_of, is_mixed, regrouped};
use crate::error::{Error, Result};
use crate::network::{
    AxisRelation, Link, LinkRole, Network, Operation, OperationKind, Relation, Role, TensorId,
};
use crate::propagation::functions::OwnFunctions;
use crate::propagation::routing::Routing;

/// What is known of a network before any rule is looked at.
pub(crate) struct Survey {
    /// Tensors in an order in which every link goes forwards.
    pub(crate) order: Vec<TensorId>,
    /// Where derivatives start: the outputs, or what a softmax at the end is taken of.
    pub(crate) ends: Vec<TensorId>,
    /// Whether a tensor lies between an input, or a parameter that is data, and an output.
    pub(crate) lives: Vec<bool>,
    /// Whether a tensor is computed for nothing but indices of embeddings, which let nothing through.
    pub(crate) indices: Vec<bool>,
    /// For every tensor, the axes along which weights are shared.
    pub(crate) positions: Vec<Vec<bool>>,
    /// The kernel of every link with data, by number of the link.
    pub(crate) kernels: Vec<Option<KernelUse>>,
}

/// A kernel at one place of use.
pub(crate) struct KernelUse {
    /// The parameter, or what is computed from it.
    pub(crate) tensor: TensorId,
    /// Whether it is a table whose rows are chosen.
    pub(crate) is_table: bool,
    /// Axes of the target along which the same weights are used again.
    pub(crate) shared: Vec<bool>,
}

impl Survey {
    /// Surveys a network.
    ///
    /// # Errors
    /// A network without outputs, or a cycle.
    pub(crate) fn new(network: &Network) -> Result<Self> {
        let own = OwnFunctions::new();
        let mut compiler = Compiler::new(network, &own)?;
        let ends = compiler.ends()?;
        compiler.mark_living(&ends);
        compiler.mark_indices(&ends);
        compiler.find_wanted_positions();
        for id in compiler.order.clone() {
            if !compiler.lives[id.0] {
                continue;
            }
            if network.tensors()[id.0].role == Role::Activation {
                compiler.find_positions(id);
            } else {
                compiler.positions[id.0] = compiler.wanted[id.0].clone();
            }
        }
        let kernel_of = |link: &Link| {
            let kernel = compiler.kernel_of(link).filter(|_| link.role == LinkRole::Data)?;
            Some(KernelUse {
                tensor: kernel.source,
                is_table: kernel.role == LinkRole::Table,
                shared: compiler.shared_axes(kernel),
            })
        };
        let kernels = network.links().iter().map(kernel_of).collect();
        let Compiler { order, lives, indices, positions, .. } = compiler;
        Ok(Self { order, ends, lives, indices, positions, kernels })
    }
}

/// The names of the functions that a signal meets on its way through a network, each once. Those
/// that only choose rows of a table are not among them.
///
/// # Errors
/// A network without outputs, or a cycle.
pub fn followed_functions(network: &Network) -> Result<Vec<String>> {
    let routing = Routing::of(network)?;
    let network = &*routing.network;
    let survey = Survey::new(network)?;
    let mut names = Vec::new();
    for id in survey.order {
        if !survey.lives[id.0] || survey.indices[id.0] {
            continue;
        }
        if let Ok(Operation { kind: OperationKind::Function, function: Some(name), .. }) =
            network.operation(id)
            && !names.contains(name)
        {
            names.push(name.clone());
        }
    }
    Ok(names)
}

/// Whether a relation joins positions, along which weights are shared, and not channels.
pub(crate) fn joins_positions(
    part: &AxisRelation,
    (source, target): (&[u64], &[u64]),
    (from, to): (&[bool], &[bool]),
) -> bool {
    let long: Vec<usize> =
        part.source_axes.iter().copied().filter(|&axis| source[axis] > 1).collect();
    if long.is_empty() {
        part.target_axes.iter().any(|&axis| to[axis] && target[axis] > 1)
    } else {
        long.iter().all(|&axis| from[axis])
    }
}

/// Whether an operation is a softmax, or the logarithm of one, which importers name.
fn is_softmax(operation: &Operation) -> bool {
    let is_logarithm = operation.function.as_deref() == Some("log_softmax");
    operation.kind == OperationKind::Softmax
        || (operation.kind == OperationKind::Other && is_logarithm)
}

impl Compiler<'_> {
    /// Where derivatives start: the outputs, or the argument of a softmax that is an output, or of
    /// the logarithm of one.
    pub(super) fn ends(&mut self) -> Result<Vec<TensorId>> {
        if self.network.outputs().is_empty() {
            return Err(Error::NothingToCount {
                reason: "the network has no output; mark one with output()".into(),
            });
        }
        let mut ends = Vec::new();
        for &output in self.network.outputs() {
            let mut end = output;
            while is_softmax(self.network.operation(end)?) {
                let Some(link) = self.into[end.0].first() else { break };
                self.program.cut.push(end);
                end = link.source;
            }
            if !ends.contains(&end) {
                ends.push(end);
            }
        }
        Ok(ends)
    }

    /// Marks what lies between an input, or a parameter that is data, and an output.
    pub(super) fn mark_living(&mut self, ends: &[TensorId]) {
        let mut reaches = vec![false; self.lives.len()];
        for end in ends {
            reaches[end.0] = true;
        }
        for &id in self.order.iter().rev() {
            if reaches[id.0] {
                for link in &self.into[id.0] {
                    reaches[link.source.0] |= link.role == LinkRole::Data;
                }
            }
        }
        for &id in &self.order {
            self.lives[id.0] = reaches[id.0]
                && match self.network.tensors()[id.0].role {
                    Role::Input | Role::Parameter { .. } => true,
                    Role::Activation => {
                        self.into[id.0].iter().any(|link| self.lives[link.source.0])
                    }
                };
        }
    }

    /// Marks what is computed for nothing but indices of embeddings. Whatever its operations are,
    /// nothing flows through them.
    pub(super) fn mark_indices(&mut self, ends: &[TensorId]) {
        for &id in self.order.iter().rev() {
            let is_inner = self.lives[id.0]
                && !ends.contains(&id)
                && self.network.tensors()[id.0].role == Role::Activation;
            let mut readers = self.from[id.0]
                .iter()
                .filter(|link| link.role == LinkRole::Data && self.lives[link.target.0])
                .map(|link| link.target)
                .peekable();
            self.indices[id.0] = is_inner
                && readers.peek().is_some()
                && readers.all(|reader| {
                    let operation = self.network.operation(reader);
                    self.indices[reader.0]
                        || operation.is_ok_and(|one| one.kind == OperationKind::Embedding)
                });
        }
    }

    /// Axes of every tensor along which those that read it share their weights.
    pub(super) fn find_wanted_positions(&mut self) {
        for &id in self.order.iter().rev() {
            let shape = self.shape(id);
            let mut wanted = vec![false; shape.len()];
            let mut mixtures = vec![Vec::new(); shape.len()];
            for link in &self.from[id.0] {
                if link.role != LinkRole::Data || !self.lives[link.target.0] {
                    continue;
                }
                let seen = match self.kernel_of(link) {
                    Some(kernel) => self.shared_axes(kernel),
                    None => self.wanted[link.target.0].clone(),
                };
                let pools = self.network.operation(link.target).is_ok_and(|operation| {
                    matches!(operation.kind, OperationKind::Average | OperationKind::MaxPool)
                });
                let has_kernel = self.kernel_of(link).is_some();
                for part in link.relations.iter() {
                    if !has_kernel && matches!(part.relation, Relation::Same | Relation::Reshape) {
                        let target = self.shape(link.target);
                        let behind = &self.wanted_mixtures[link.target.0];
                        let factors = factors_of(&part.target_axes, target, &seen, behind);
                        let lengths = part.source_axes.iter().map(|&axis| shape[axis]);
                        if let Some(found) =
                            is_mixed(&factors).then(|| regrouped(&factors, lengths)).flatten()
                        {
                            for (&axis, own) in part.source_axes.iter().zip(found) {
                                wanted[axis] |=
                                    !own.is_empty() && own.iter().all(|factor| factor.is_position);
                                if is_mixed(&own) {
                                    mixtures[axis] = own;
                                }
                            }
                            continue;
                        }
                    }
                    let is_window = !matches!(part.relation, Relation::Same | Relation::Reshape);
                    let all = !part.target_axes.is_empty()
                        && part.target_axes.iter().all(|&axis| {
                            seen.get(axis).copied().unwrap_or(false)
                                || self.shape(link.target)[axis] == 1
                        });
                    for &axis in &part.source_axes {
                        wanted[axis] |= (pools && is_window) || all;
                    }
                }
            }
            self.wanted[id.0] = wanted;
            self.wanted_mixtures[id.0] = mixtures;
        }
    }

    /// Axes of a computed tensor along which weights are shared, from those of its sources.
    pub(super) fn find_positions(&mut self, id: TensorId) {
        let shape = self.shape(id);
        let mut known = vec![false; shape.len()];
        let mut positions = vec![false; shape.len()];
        let mut mixtures = vec![Vec::new(); shape.len()];
        let is_product = self
            .network
            .operation(id)
            .is_ok_and(|operation| operation.kind == OperationKind::Matmul);
        for link in &self.into[id.0] {
            if link.role != LinkRole::Data || !self.lives[link.source.0] {
                continue;
            }
            if let Some(kernel) = self.kernel_of(link) {
                for (axis, shared) in self.shared_axes(kernel).into_iter().enumerate() {
                    known[axis] = true;
                    positions[axis] |= shared;
                }
                continue;
            }
            let (of_source, lengths) = (&self.positions[link.source.0], self.shape(link.source));
            if of_source.len() != lengths.len() {
                continue; // Its operation is not known, which will be an error.
            }
            for part in link.relations.iter() {
                // An axis that a product of matrices sums over says nothing of the result's axes.
                let is_summed = is_product && part.relation == Relation::All;
                if is_summed && part.source_axes.iter().any(|&axis| lengths[axis] > 1) {
                    continue;
                }
                if matches!(part.relation, Relation::Same | Relation::Reshape) {
                    let before = &self.mixtures[link.source.0];
                    let factors = factors_of(&part.source_axes, lengths, of_source, before);
                    let own = part.target_axes.iter().map(|&axis| shape[axis]);
                    if let Some(found) =
                        is_mixed(&factors).then(|| regrouped(&factors, own)).flatten()
                    {
                        for (&axis, own) in part.target_axes.iter().zip(found) {
                            known[axis] = true;
                            positions[axis] |=
                                !own.is_empty() && own.iter().all(|factor| factor.is_position);
                            if is_mixed(&own) {
                                mixtures[axis] = own;
                            }
                        }
                        continue;
                    }
                }
                let long = part.source_axes.iter().filter(|&&axis| lengths[axis] > 1);
                let flags: Vec<bool> = long.map(|&axis| of_source[axis]).collect();
                let narrow = flags.is_empty();
                if narrow && part.target_axes.iter().any(|&axis| shape[axis] > 1) {
                    continue;
                }
                let is_position = if narrow {
                    part.source_axes.iter().any(|&axis| of_source[axis])
                } else {
                    flags.iter().all(|&flag| flag)
                };
                for &axis in &part.target_axes {
                    known[axis] = true;
                    positions[axis] |= is_position;
                }
            }
        }
        for axis in 0..shape.len() {
            if !known[axis] {
                // The axis is new: an element repeated along it is at as many positions.
                positions[axis] = true;
            }
        }
        for (mixture, _) in
            mixtures.iter_mut().zip(&positions).filter(|(_, is_position)| **is_position)
        {
            mixture.clear();
        }
        self.positions[id.0] = positions;
        self.mixtures[id.0] = mixtures;
    }

    pub(super) fn count_positions(&self, id: TensorId) -> f64 {
        let axes = self.shape(id).iter().zip(&self.positions[id.0]);
        axes.map(|(&length, &is_position)| if is_position { length as f64 } else { 1.0 }).product()
    }
}
