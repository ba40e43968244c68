//! Networks: a short list of tensors, and the links between them.

use std::collections::HashMap;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::network::operation::{LinkRole, Operation};
use crate::network::relation::{AxisRelation, Relation};

/// Identifies a tensor of one [`Network`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TensorId(pub usize);

/// What a tensor is to the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// It comes from outside; its elements are the inputs.
    Input,
    /// It is a parameter; the contexts of its elements are counted.
    Parameter {
        /// Whether training changes it (batch-norm statistics are not trained).
        trainable: bool,
    },
    /// It is computed from other tensors.
    Activation,
}

/// A named tensor. A scalar has an empty shape.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tensor {
    /// Unique name.
    pub name: String,
    /// The lengths of the axes, each at least 1.
    pub shape: Vec<u64>,
    /// Input, parameter or activation.
    pub role: Role,
}

impl Tensor {
    /// The number of elements; checked when the tensor is declared.
    #[must_use]
    pub fn elements(&self) -> u64 {
        self.shape.iter().product()
    }
}

/// Which elements of `source` the elements of `target` are computed from: a Kronecker product of
/// axis relations that covers every axis of both tensors once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// The earlier tensor.
    pub source: TensorId,
    /// The later tensor.
    pub target: TensorId,
    /// One relation per group of axes; links of layers that are alike share them.
    pub relations: Arc<[AxisRelation]>,
    /// What the source is to the target.
    pub role: LinkRole,
}

impl Link {
    /// Whether the link mixes neighbouring indices of an axis.
    pub(crate) fn mixes(&self) -> bool {
        self.relations.iter().any(|part| match &part.relation {
            Relation::Same | Relation::All | Relation::Each | Relation::Sum => false,
            Relation::Window(window) => !window.keeps(),
            _ => true,
        })
    }
}

/// A computational graph, tensor by tensor.
///
/// ```
/// use unrolled_core::{AxisRelation, Network, Relation, Role};
/// let mut network = Network::new();
/// let x = network.add("x", &[3], Role::Input)?;
/// let w = network.add("w", &[3, 2], Role::Parameter { trainable: true })?;
/// let y = network.add("y", &[2], Role::Activation)?;
/// network.link(x, y, vec![AxisRelation::new(Relation::All, 0, 0)])?;
/// network.link(w, y, vec![AxisRelation::each(0), AxisRelation::new(Relation::Same, 1, 0)])?;
/// network.mark_output(y)?;
/// assert_eq!(network.tensors().len(), 3);
/// # Ok::<(), unrolled_core::Error>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct Network {
    tensors: Vec<Tensor>,
    operations: Vec<Operation>,
    links: Vec<Link>,
    outputs: Vec<TensorId>,
    names: HashMap<String, TensorId>,
}

impl Network {
    /// An empty network.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Declares a tensor.
    ///
    /// # Errors
    /// A name that is taken already, a zero length, or more than 2^62 elements.
    pub fn add(&mut self, name: &str, shape: &[u64], role: Role) -> Result<TensorId> {
        if self.names.contains_key(name) {
            return Err(Error::DuplicateTensor { name: name.into() });
        }
        let invalid = |reason: &str| Error::InvalidShape {
            name: name.into(),
            shape: shape.to_vec(),
            reason: reason.into(),
        };
        if shape.contains(&0) {
            return Err(invalid("every length must be at least 1"));
        }
        let elements = shape.iter().try_fold(1u64, |product, &n| product.checked_mul(n));
        if elements.is_none_or(|n| n > 1 << 62) {
            return Err(Error::SizeOverflow {
                what: format!("the number of elements of tensor '{name}' of shape {shape:?}"),
            });
        }
        let id = TensorId(self.tensors.len());
        self.tensors.push(Tensor { name: name.into(), shape: shape.to_vec(), role });
        self.operations.push(Operation::default());
        self.names.insert(name.into(), id);
        Ok(id)
    }

    /// Declares an activation together with its operation.
    ///
    /// # Errors
    /// As for [`Network::add`] and [`Network::set_operation`].
    pub fn add_computed(
        &mut self,
        name: &str,
        shape: &[u64],
        operation: Operation,
    ) -> Result<TensorId> {
        check_operation(shape.len(), &operation)
            .map_err(|reason| Error::InvalidOperation { name: name.into(), reason })?;
        let id = self.add(name, shape, Role::Activation)?;
        self.operations[id.0] = operation;
        Ok(id)
    }

    /// Says how a tensor is computed; until then its operation is [`Operation::default`].
    ///
    /// # Errors
    /// An unknown tensor, one that is not computed, an axis that it does not have, or what
    /// [`Operation::check`] refuses.
    pub fn set_operation(&mut self, id: TensorId, operation: Operation) -> Result<()> {
        let tensor = self.tensor(id)?;
        let checked = if tensor.role == Role::Activation {
            check_operation(tensor.shape.len(), &operation)
        } else {
            Err("only activations are computed".into())
        };
        checked.map_err(|reason| Error::InvalidOperation { name: tensor.name.clone(), reason })?;
        self.operations[id.0] = operation;
        Ok(())
    }

    /// How a tensor is computed.
    ///
    /// # Errors
    /// Unknown identifier.
    pub fn operation(&self, id: TensorId) -> Result<&Operation> {
        let unknown = Error::UnknownTensor { id: id.0, tensors: self.tensors.len() };
        self.operations.get(id.0).ok_or(unknown)
    }

    /// Says that `target` is computed from `source`, which is data to it.
    ///
    /// # Errors
    /// As for [`Network::link_as`].
    pub fn link(
        &mut self,
        source: TensorId,
        target: TensorId,
        relations: Vec<AxisRelation>,
    ) -> Result<()> {
        self.link_as(source, target, relations, LinkRole::Data)
    }

    /// Says that `target` is computed from `source`, and what the source is to it.
    ///
    /// # Errors
    /// Unknown tensors; relations that do not cover every axis of both tensors exactly once, or
    /// that do not fit their lengths; a parameter or input as target.
    pub fn link_as(
        &mut self,
        source: TensorId,
        target: TensorId,
        relations: Vec<AxisRelation>,
        role: LinkRole,
    ) -> Result<()> {
        self.check(source, target, &relations)?;
        self.push_link(source, target, relations.into(), role);
        Ok(())
    }

    /// Refuses a link that does not fit.
    pub(crate) fn check(
        &self,
        source: TensorId,
        target: TensorId,
        relations: &[AxisRelation],
    ) -> Result<()> {
        let (from, to) = (self.tensor(source)?, self.tensor(target)?);
        check_link(from, to, relations).map_err(|reason| Error::InvalidLink {
            from: from.name.clone(),
            from_shape: from.shape.clone(),
            to: to.name.clone(),
            to_shape: to.shape.clone(),
            reason,
        })
    }

    /// Adds a link that was checked, or that is known to fit.
    pub(crate) fn push_link(
        &mut self,
        source: TensorId,
        target: TensorId,
        relations: Arc<[AxisRelation]>,
        role: LinkRole,
    ) {
        self.links.push(Link { source, target, relations, role });
    }

    /// Marks a tensor as an output: every element of it counts 1 for itself.
    ///
    /// # Errors
    /// Unknown tensor, or one that is an output already.
    pub fn mark_output(&mut self, id: TensorId) -> Result<()> {
        let name = self.tensor(id)?.name.clone();
        if self.outputs.contains(&id) {
            return Err(Error::DuplicateTensor { name });
        }
        self.outputs.push(id);
        Ok(())
    }

    /// Takes back what was declared last, so that a layer which is refused halfway leaves no trace:
    /// so many tensors and links stay. Links and outputs of tensors that go, go as well.
    pub fn truncate(&mut self, tensors: usize, links: usize) {
        for tensor in self.tensors.drain(tensors.min(self.tensors.len())..) {
            self.names.remove(&tensor.name);
        }
        self.operations.truncate(tensors);
        self.links.truncate(links);
        let stays = |id: &TensorId| id.0 < tensors;
        self.links.retain(|link| stays(&link.source) && stays(&link.target));
        self.outputs.retain(stays);
    }

    /// The tensor with this identifier.
    ///
    /// # Errors
    /// Unknown identifier.
    pub fn tensor(&self, id: TensorId) -> Result<&Tensor> {
        self.tensors.get(id.0).ok_or(Error::UnknownTensor { id: id.0, tensors: self.tensors.len() })
    }

    /// All tensors in the order of declaration; the position is the [`TensorId`].
    #[must_use]
    pub fn tensors(&self) -> &[Tensor] {
        &self.tensors
    }

    /// All links in the order of declaration.
    #[must_use]
    pub fn links(&self) -> &[Link] {
        &self.links
    }

    /// The output tensors in the order they were marked.
    #[must_use]
    pub fn outputs(&self) -> &[TensorId] {
        &self.outputs
    }

    /// The tensor with this name.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<TensorId> {
        self.names.get(name).copied()
    }

    /// Every edge between single elements, one item per edge: source tensor and row-major index,
    /// target tensor and row-major index, multiplicity. For small networks and tests; the number
    /// of edges grows with the product of all sizes.
    pub fn edges(&self) -> impl Iterator<Item = Edge> {
        self.links.iter().flat_map(|link| {
            let from = &self.tensors[link.source.0];
            let to = &self.tensors[link.target.0];
            (0..to.elements()).flat_map(move |o| {
                element_sources(link, from, to, o).into_iter().map(move |(i, multiplicity)| Edge {
                    source: (link.source, i),
                    target: (link.target, o),
                    multiplicity,
                })
            })
        })
    }

    /// Tensors in an order in which every link goes forward.
    ///
    /// # Errors
    /// [`Error::Cycle`] that names the tensors of one cycle.
    pub fn topological_order(&self) -> Result<Vec<TensorId>> {
        let mut waiting = vec![0usize; self.tensors.len()];
        // The links of every source are chained: `latest` is the last one of a source, and `before`
        // the one before each.
        let mut latest: Vec<Option<usize>> = vec![None; self.tensors.len()];
        let mut before = Vec::with_capacity(self.links.len());
        for (number, link) in self.links.iter().enumerate() {
            waiting[link.target.0] += 1;
            before.push(latest[link.source.0].replace(number));
        }
        let mut order: Vec<usize> = (0..self.tensors.len()).filter(|&v| waiting[v] == 0).collect();
        let mut next = 0;
        while next < order.len() {
            let mut at = latest[order[next]];
            while let Some(number) = at {
                let successor = self.links[number].target.0;
                waiting[successor] -= 1;
                if waiting[successor] == 0 {
                    order.push(successor);
                }
                at = before[number];
            }
            next += 1;
        }
        if order.len() < self.tensors.len() {
            return Err(Error::Cycle { path: self.one_cycle(&waiting) });
        }
        Ok(order.into_iter().map(TensorId).collect())
    }

    /// One cycle among the tensors that still wait for a predecessor: a walk backwards among them
    /// must come to some tensor again.
    fn one_cycle(&self, waiting: &[usize]) -> Vec<String> {
        let mut predecessor = vec![None; self.tensors.len()];
        for link in self.links.iter().filter(|link| waiting[link.source.0] > 0) {
            predecessor[link.target.0] = Some(link.source.0);
        }
        let Some(mut at) = waiting.iter().position(|&w| w > 0) else { return Vec::new() };
        let mut step = vec![None; self.tensors.len()];
        let mut path = Vec::new();
        while step[at].is_none() {
            step[at] = Some(path.len());
            path.push(at);
            let Some(before) = predecessor[at] else { break };
            at = before;
        }
        let mut cycle: Vec<usize> = path.split_off(step[at].unwrap_or(0));
        cycle.push(at);
        cycle.reverse();
        cycle.into_iter().map(|v| self.tensors[v].name.clone()).collect()
    }
}

/// An edge between two elements, as yielded by [`Network::edges`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Edge {
    /// Tensor and row-major index of the earlier element.
    pub source: (TensorId, u64),
    /// Tensor and row-major index of the later element.
    pub target: (TensorId, u64),
    /// Number of parallel edges.
    pub multiplicity: u64,
}

fn check_operation(rank: usize, operation: &Operation) -> std::result::Result<(), String> {
    if let Some(axis) = operation.axes.iter().find(|&&axis| axis >= rank) {
        return Err(format!("axis {axis} is out of range for {rank} axes"));
    }
    operation.check()
}

/// Refuses relations that do not cover every axis once, or do not fit the shapes.
fn check_link(
    from: &Tensor,
    to: &Tensor,
    relations: &[AxisRelation],
) -> std::result::Result<(), String> {
    if to.role != Role::Activation {
        return Err("only activations are computed from other tensors".into());
    }
    for (side, rank, axes) in [
        ("source", from.shape.len(), all_axes(relations, |r| &r.source_axes)),
        ("target", to.shape.len(), all_axes(relations, |r| &r.target_axes)),
    ] {
        if axes != (0..rank).collect::<Vec<_>>() {
            return Err(format!(
                "the relations cover the {side} axes {axes:?}, not each of {rank} once"
            ));
        }
    }
    for part in relations {
        if !part.arity_fits() {
            return Err(format!(
                "'{}' cannot relate source axes {:?} to target axes {:?}",
                part.relation.name(),
                part.source_axes,
                part.target_axes
            ));
        }
        let source = part.source_axes.iter().map(|&a| from.shape[a]).product();
        let target = part.target_axes.iter().map(|&a| to.shape[a]).product();
        part.relation.check(source, target)?;
    }
    let largest = |part: &AxisRelation| match &part.relation {
        Relation::Sparse(rows) => rows.multiplicities.iter().copied().max().unwrap_or(1),
        _ => 1,
    };
    let multiplicity =
        relations.iter().try_fold(1u64, |product, part| product.checked_mul(largest(part)));
    if multiplicity.is_none_or(|product| product > 1 << 62) {
        return Err("the number of parallel edges between two elements overflows 62 bits".into());
    }
    Ok(())
}

/// The axes of one side of all relations, in rising order.
fn all_axes(relations: &[AxisRelation], side: fn(&AxisRelation) -> &Vec<usize>) -> Vec<usize> {
    let mut axes: Vec<usize> = relations.iter().flat_map(|r| side(r).iter().copied()).collect();
    axes.sort_unstable();
    axes
}

/// The source elements that target element `o` reads through `link`.
fn element_sources(link: &Link, from: &Tensor, to: &Tensor, o: u64) -> Vec<(u64, u64)> {
    let at = unravel(o, &to.shape);
    let mut found = vec![(0u64, 1u64)];
    for part in link.relations.iter() {
        let lengths =
            |shape: &[u64], axes: &[usize]| axes.iter().map(|&a| shape[a]).collect::<Vec<_>>();
        let (inner, outer) =
            (lengths(&from.shape, &part.source_axes), lengths(&to.shape, &part.target_axes));
        let index = part.target_axes.iter().fold(0, |flat, &a| flat * to.shape[a] + at[a]);
        let sources = part.relation.sources(index, inner.iter().product(), outer.iter().product());
        let steps: Vec<u64> =
            part.source_axes.iter().map(|&axis| from.shape[axis + 1..].iter().product()).collect();
        found = found
            .iter()
            .flat_map(|&(flat, multiplicity)| {
                sources.iter().map({
                    let (inner, steps) = (&inner, &steps);
                    move |&(i, m)| {
                        let parts = unravel(i, inner);
                        let offset: u64 = parts.iter().zip(steps).map(|(p, s)| p * s).sum();
                        (flat + offset, multiplicity * m)
                    }
                })
            })
            .collect();
    }
    found
}

/// The index along every axis of a row-major index.
fn unravel(mut flat: u64, shape: &[u64]) -> Vec<u64> {
    let mut at = vec![0; shape.len()];
    for (index, &length) in at.iter_mut().zip(shape).rev() {
        *index = flat % length;
        flat /= length;
    }
    at
}
