//! What is known while a network is compiled, and how to ask it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};

use super::factors::Mixtures;
use crate::error::{Error, Result};
use crate::network::{AxisRelation, Link, LinkRole, Network, Relation, Role, TensorId};
use crate::propagation::functions::OwnFunctions;
use crate::propagation::geometry::{Sums, lengths, sums};
use crate::propagation::program::{DataLink, Operator, ParameterUse, Program, Resolution};
use crate::propagation::routing::Routing;

/// How many programs were compiled.
static COMPILED: AtomicU64 = AtomicU64::new(1);

pub(super) struct Compiler<'a> {
    pub(super) network: &'a Network,
    pub(super) own: &'a OwnFunctions,
    /// What is known of experts, whose network this is; `None` where nobody asked.
    pub(super) routing: Option<&'a Routing<'a>>,
    pub(super) order: Vec<TensorId>,
    /// The links that lead to every tensor, and those that lead from it.
    pub(super) into: Vec<Vec<&'a Link>>,
    pub(super) from: Vec<Vec<&'a Link>>,
    /// Whether a tensor has a place in the program.
    pub(super) lives: Vec<bool>,
    /// Whether a tensor is computed for nothing but indices of embeddings.
    pub(super) indices: Vec<bool>,
    /// For every tensor, the axes along which its readers share weights, and the axes along which
    /// it was itself computed with shared weights.
    pub(super) wanted: Vec<Vec<bool>>,
    pub(super) positions: Vec<Vec<bool>>,
    /// For every tensor the axes that are positions in part only, by the same two.
    pub(super) wanted_mixtures: Vec<Mixtures>,
    pub(super) mixtures: Vec<Mixtures>,
    pub(super) roots: Vec<Vec<usize>>,
    pub(super) parameter_of: HashMap<usize, usize>,
    pub(super) function_of: HashMap<String, usize>,
    pub(super) program: Program,
    pub(super) unknown: Vec<(String, String)>,
    /// The link of the network behind each one of the program.
    pub(super) originals: Vec<&'a Link>,
}

impl<'a> Compiler<'a> {
    pub(super) fn new(network: &'a Network, own: &'a OwnFunctions) -> Result<Self> {
        let tensors = network.tensors().len();
        let mut into = vec![Vec::new(); tensors];
        let mut from = vec![Vec::new(); tensors];
        for link in network.links() {
            into[link.target.0].push(link);
            from[link.source.0].push(link);
        }
        let mut parameters = Vec::new();
        let mut parameter_of = HashMap::new();
        for (id, tensor) in network.tensors().iter().enumerate() {
            if matches!(tensor.role, Role::Parameter { .. }) {
                parameter_of.insert(id, parameters.len());
                parameters.push(ParameterUse {
                    tensor: TensorId(id),
                    role: None,
                    target: None,
                    source: None,
                    fan_in: 1.0,
                    fan_out: 1.0,
                    elements: tensor.elements() as f64,
                    uses: 0,
                });
            }
        }
        Ok(Self {
            network,
            own,
            routing: None,
            order: network.topological_order()?,
            into,
            from,
            lives: vec![false; tensors],
            indices: vec![false; tensors],
            wanted: vec![Vec::new(); tensors],
            positions: vec![Vec::new(); tensors],
            wanted_mixtures: vec![Mixtures::new(); tensors],
            mixtures: vec![Mixtures::new(); tensors],
            roots: vec![Vec::new(); tensors],
            parameter_of,
            function_of: HashMap::new(),
            program: Program {
                number: COMPILED.fetch_add(1, Ordering::Relaxed),
                nodes: Vec::new(),
                links: Vec::new(),
                parameters,
                functions: Vec::new(),
                routes: Vec::new(),
                node_of: vec![None; tensors],
                outputs: Vec::new(),
                cut: Vec::new(),
                computed: Vec::new(),
                scalings: HashMap::new(),
                resolution: Resolution::Mean,
                cells: 0,
                slopes: 0,
            },
            unknown: Vec::new(),
            originals: Vec::new(),
        })
    }

    pub(super) fn shape(&self, id: TensorId) -> &'a [u64] {
        &self.network.tensors()[id.0].shape
    }

    fn name(&self, id: TensorId) -> &'a str {
        &self.network.tensors()[id.0].name
    }

    /// The kernel that belongs to a link with data. Each belongs to the latest data before it that
    /// has none, or to the first after it.
    pub(super) fn kernel_of(&self, data: &Link) -> Option<&'a Link> {
        let mut waiting: Option<&'a Link> = None;
        let mut last: Option<&'a Link> = None;
        for &link in &self.into[data.target.0] {
            match link.role {
                LinkRole::Kernel | LinkRole::Table => {
                    if let Some(owner) = last.take() {
                        if std::ptr::eq(owner, data) {
                            return Some(link);
                        }
                    } else {
                        waiting = Some(link);
                    }
                }
                LinkRole::Data => {
                    if let Some(kernel) = waiting.take() {
                        if std::ptr::eq(link, data) {
                            return Some(kernel);
                        }
                        last = None;
                    } else {
                        last = Some(link);
                    }
                }
                _ => {}
            }
        }
        None
    }

    /// Axes of the target of a kernel along which the same weights are used again.
    pub(super) fn shared_axes(&self, kernel: &Link) -> Vec<bool> {
        let mut shared = vec![false; self.shape(kernel.target).len()];
        for part in kernel.relations.iter() {
            let is_shared = match part.relation {
                Relation::Sum | Relation::Taps { .. } | Relation::TransposedTaps { .. } => true,
                Relation::All => self.shape(kernel.source)[part.source_axes[0]] == 1,
                _ => false,
            };
            for &axis in &part.target_axes {
                shared[axis] = is_shared;
            }
        }
        shared
    }

    pub(super) fn sums_of(&self, link: &Link, part: &AxisRelation, average: bool) -> Result<Sums> {
        let lengths = lengths(part, self.shape(link.source), self.shape(link.target));
        sums(&part.relation, lengths, average).ok_or_else(|| self.too_long(link))
    }

    pub(super) fn too_long(&self, link: &Link) -> Error {
        Error::SizeOverflow {
            what: format!(
                "an axis between '{}' and '{}', which would be followed index by index,",
                self.name(link.source),
                self.name(link.target)
            ),
        }
    }

    pub(super) fn product(&self, link: &Link, average: bool) -> Result<Sums> {
        let mut product = Sums::ONE;
        for part in link.relations.iter() {
            product = product.times(self.sums_of(link, part, average)?);
        }
        Ok(product)
    }

    pub(super) fn refuse(&mut self, id: TensorId, reason: impl Into<String>) {
        self.unknown.push((self.name(id).into(), reason.into()));
    }

    pub(super) fn data_links(&self, id: TensorId) -> Vec<&'a Link> {
        self.into[id.0]
            .iter()
            .copied()
            .filter(|link| link.role == LinkRole::Data && self.lives[link.source.0])
            .collect()
    }

    pub(super) fn push(&mut self, link: &'a Link, operator: Operator) {
        if let Some(source) = self.program.node_of[link.source.0] {
            self.program.links.push(DataLink { source, operator, map: None, slopes: 0 });
            self.originals.push(link);
        }
    }
}
