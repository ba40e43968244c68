//! What layers that are alike have in common, told once.

use std::sync::{Arc, OnceLock};

use smallvec::SmallVec;

use crate::error::Result;
use crate::network::operation::{LinkRole, Operation};
use crate::network::relation::AxisRelation;
use crate::network::tensors::{Network, Role, TensorId};

/// All that a layer tells a network, but for its name and what it reads: the tensor that it
/// computes, how each tensor that it reads is linked to it, and the parameters that it needs.
///
/// ```
/// use unrolled_core::{
///     AxisRelation, Declaration, LinkRole, Network, Operation, OperationKind, Relation, Role, Weight,
/// };
/// let kernel = Weight {
///     role: LinkRole::Kernel,
///     shape: vec![3, 2],
///     relations: [AxisRelation::each(0), AxisRelation::new(Relation::Same, 1, 0)].into(),
///     trainable: true,
/// };
/// let all: Vec<_> = vec![[AxisRelation::new(Relation::All, 0, 0)].into()];
/// let affine = Operation::new(OperationKind::Affine);
/// let dense = Declaration::new(vec![2], affine, all, vec![kernel]);
/// let mut network = Network::new();
/// let x = network.add("x", &[3], Role::Input)?;
/// let y = network.add_layer("y", &dense, &[x], &[])?;
/// assert_eq!(network.tensor(y)?.shape, [2]);
/// assert_eq!(network.find("y/kernel").map(|id| id.0), Some(1));
/// # Ok::<(), unrolled_core::Error>(())
/// ```
#[derive(Debug)]
pub struct Declaration {
    shape: Vec<u64>,
    operation: Operation,
    /// How each tensor that is read is linked to the one that is computed.
    data: Vec<Arc<[AxisRelation]>>,
    weights: Vec<Weight>,
    /// The shapes of what the first layer read. Its links were checked; those of a layer that reads
    /// the same shapes fit as well.
    fits: OnceLock<Vec<Vec<u64>>>,
}

/// A parameter that layers need, and how they read it.
#[derive(Debug, Clone)]
pub struct Weight {
    /// What it is to the layer; it is named after this.
    pub role: LinkRole,
    /// The lengths of its axes.
    pub shape: Vec<u64>,
    /// How it is linked to the tensor that is computed.
    pub relations: Arc<[AxisRelation]>,
    /// Whether training changes it.
    pub trainable: bool,
}

impl Declaration {
    /// Layers that compute a tensor of this shape. Whether the links fit is found when a layer is
    /// added.
    #[must_use]
    pub fn new(
        shape: Vec<u64>,
        operation: Operation,
        data: Vec<Arc<[AxisRelation]>>,
        mut weights: Vec<Weight>,
    ) -> Self {
        // Scale, shift, mean and variance of a norm are linked alike. Where they share one list, it
        // is told at a glance that they are.
        for at in 1..weights.len() {
            let (before, here) = weights.split_at_mut(at);
            if let Some(alike) = before.iter().find(|one| one.relations == here[0].relations) {
                here[0].relations = Arc::clone(&alike.relations);
            }
        }
        Self { shape, operation, data, weights, fits: OnceLock::new() }
    }

    /// Whether links were checked that are those of a layer which reads such tensors.
    fn fits(&self, network: &Network, sources: &[TensorId], given: &[Option<TensorId>]) -> bool {
        let has_shape = |id: TensorId, shape: &[u64]| {
            network.tensors().get(id.0).is_some_and(|tensor| tensor.shape == shape)
        };
        self.fits.get().is_some_and(|shapes| {
            shapes.len() == sources.len()
                && sources.iter().zip(shapes).all(|(&id, shape)| has_shape(id, shape))
                && given
                    .iter()
                    .zip(&self.weights)
                    .all(|(one, weight)| one.is_none_or(|id| has_shape(id, &weight.shape)))
        })
    }
}

impl Network {
    /// Adds a layer: the parameters that it needs and that are not given, named after the layer,
    /// the tensor that it computes, and its links. All of them or, if something does not fit,
    /// nothing.
    ///
    /// # Errors
    /// As for [`Network::add_computed`] and [`Network::link_as`].
    pub fn add_layer(
        &mut self,
        name: &str,
        layer: &Declaration,
        sources: &[TensorId],
        given: &[Option<TensorId>],
    ) -> Result<TensorId> {
        let (tensors, links) = (self.tensors().len(), self.links().len());
        let added = self.try_add_layer(name, layer, sources, given);
        if added.is_err() {
            self.truncate(tensors, links);
        }
        added
    }

    fn try_add_layer(
        &mut self,
        name: &str,
        layer: &Declaration,
        sources: &[TensorId],
        given: &[Option<TensorId>],
    ) -> Result<TensorId> {
        let fits = layer.fits(self, sources, given);
        let mut parameters: SmallVec<[TensorId; 6]> = SmallVec::new();
        let mut own = String::new();
        for (at, weight) in layer.weights.iter().enumerate() {
            parameters.push(match given.get(at).copied().flatten() {
                Some(id) => id,
                None => {
                    own.clear();
                    own.extend([name, "/", weight.role.name()]);
                    let role = Role::Parameter { trainable: weight.trainable };
                    self.add(&own, &weight.shape, role)?
                }
            });
        }
        let target = self.add_computed(name, &layer.shape, layer.operation.clone())?;
        let data = sources.iter().zip(&layer.data);
        let data = data.map(|(&source, relations)| (source, relations, LinkRole::Data));
        let weights = parameters.into_iter().zip(&layer.weights);
        let weights = weights.map(|(source, weight)| (source, &weight.relations, weight.role));
        for (source, relations, role) in data.chain(weights) {
            if !fits {
                self.check(source, target, relations)?;
            }
            self.push_link(source, target, Arc::clone(relations), role);
        }
        if !fits && sources.len() == layer.data.len() {
            let shapes = sources.iter().filter_map(|id| self.tensors().get(id.0));
            layer.fits.get_or_init(|| shapes.map(|tensor| tensor.shape.clone()).collect());
        }
        Ok(target)
    }
}
