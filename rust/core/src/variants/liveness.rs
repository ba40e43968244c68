//! Which tensors take part in an architecture.
//!
//! A tensor is *nothing* if all the data that it would be computed from is nothing: a choice of
//! which no option is open, and what is computed from it. A product is nothing if one of its
//! factors is. What is computed from parameters alone is something. A tensor takes part if it is
//! not nothing, and an output is computed from it.

use crate::error::{Error, Result};
use crate::network::{LinkRole, Network, OperationKind, Role, TensorId};

/// In the place of a number of a node or of a gate: there is none.
const NONE: u32 = u32::MAX;

/// The tensors that may be nothing, and the links between them.
///
/// Tensors in a row, each computed from the one before alone and that one read by it alone, take part
/// together, and are one node.
#[derive(Debug, Clone)]
pub(super) struct Skeleton {
    /// In topological order.
    nodes: Vec<Node>,
    /// Those into each node next to each other.
    edges: Vec<Edge>,
    /// The node of every tensor, if it has one. Parameters have one only if a gate opens a link
    /// from them.
    node_of: Vec<u32>,
    outputs: Vec<u32>,
    /// Parameters that have more than one link, or one that a gate opens.
    shared: Vec<SharedParameter>,
}

#[derive(Debug, Clone)]
struct Node {
    first: u32,
    end: u32,
    /// Whether it is something whatever is chosen.
    is_given: bool,
    is_input: bool,
    /// Whether it is nothing as soon as one of its operands is.
    needs_all: bool,
    /// Elements of trainable parameters that are used here only.
    trainable: u64,
}

#[derive(Debug, Clone, Copy)]
struct Edge {
    source: u32,
    gate: u32,
    is_data: bool,
}

#[derive(Debug, Clone)]
struct SharedParameter {
    elements: u64,
    /// The nodes that it is used at, and the gates of those links.
    uses: Vec<(u32, u32)>,
}

impl Skeleton {
    pub(super) fn new(
        network: &Network,
        order: &[TensorId],
        gates: &[Option<usize>],
    ) -> Result<Self> {
        let tensors = network.tensors();
        let overflow =
            || Error::SizeOverflow { what: "the number of tensors, links or options".into() };
        let short = |number: usize| match u32::try_from(number) {
            Ok(number) if number != NONE => Ok(number),
            _ => Err(overflow()),
        };
        let is_parameter = |id: TensorId| matches!(tensors[id.0].role, Role::Parameter { .. });
        let mut into = vec![Vec::new(); tensors.len()];
        let mut from = vec![Vec::new(); tensors.len()];
        let mut has_node: Vec<bool> =
            (0..tensors.len()).map(|id| !is_parameter(TensorId(id))).collect();
        for (number, link) in network.links().iter().enumerate() {
            has_node[link.source.0] |= gates[number].is_some();
            into[link.target.0].push(number);
            from[link.source.0].push(number);
        }
        let mut node_of = vec![NONE; tensors.len()];
        let (mut nodes, mut edges) = (Vec::<Node>::new(), Vec::<Edge>::new());
        let mut is_output = vec![false; tensors.len()];
        for &id in network.outputs() {
            is_output[id.0] = true;
        }
        for &id in order.iter().filter(|id| has_node[id.0]) {
            let first = short(edges.len())?;
            let mut is_given = tensors[id.0].role != Role::Activation;
            let mut has_data = false;
            for &number in &into[id.0] {
                let link = &network.links()[number];
                let gate = gates[number].map_or(Ok(NONE), short)?;
                let source = node_of[link.source.0];
                if source == NONE {
                    continue;
                }
                // A parameter that is added to data does not make up for data that is missing.
                let is_data =
                    link.role == LinkRole::Data && (gate != NONE || !is_parameter(link.source));
                has_data |= is_data;
                edges.push(Edge { source, gate, is_data });
            }
            is_given |= !has_data && !into[id.0].is_empty();
            if let &[Edge { source, gate: NONE, is_data: true }] = &edges[first as usize..] {
                let mut sources = into[id.0].iter().map(|&number| network.links()[number].source);
                let before = sources.find(|one| node_of[one.0] == source);
                let is_alone = |one: TensorId| from[one.0].len() == 1 && !is_output[one.0];
                if !is_given && before.is_some_and(is_alone) {
                    edges.truncate(first as usize);
                    node_of[id.0] = source;
                    continue;
                }
            }
            let kind = network.operation(id)?.kind;
            node_of[id.0] = short(nodes.len())?;
            nodes.push(Node {
                first,
                end: short(edges.len())?,
                is_given,
                is_input: tensors[id.0].role == Role::Input,
                needs_all: matches!(kind, OperationKind::Product | OperationKind::Matmul),
                trainable: 0,
            });
        }
        let mut shared = Vec::new();
        for (id, tensor) in tensors.iter().enumerate() {
            if tensor.role != (Role::Parameter { trainable: true }) {
                continue;
            }
            let uses: Vec<(u32, u32)> = from[id]
                .iter()
                .map(|&number| {
                    let target = node_of[network.links()[number].target.0];
                    Ok((target, gates[number].map_or(Ok(NONE), short)?))
                })
                .collect::<Result<_>>()?;
            match uses[..] {
                [] => {}
                [(target, NONE)] => {
                    let all = &mut nodes[target as usize].trainable;
                    *all = all.checked_add(tensor.elements()).ok_or_else(overflow)?;
                }
                _ => shared.push(SharedParameter { elements: tensor.elements(), uses }),
            }
        }
        let outputs = network.outputs().iter().map(|id| node_of[id.0]).collect();
        if network.outputs().iter().any(|id| node_of[id.0] == NONE) {
            let reason = "a parameter is an output; an output is computed from others";
            return Err(Error::InvalidSetting { reason: reason.into() });
        }
        Ok(Self { nodes, edges, node_of, outputs, shared })
    }

    /// The tensors that have a node, with its number, in the order of declaration.
    pub(super) fn tensors(&self) -> impl Iterator<Item = (usize, TensorId)> + '_ {
        let numbered = self.node_of.iter().enumerate().filter(|&(_, &node)| node != NONE);
        numbered.map(|(id, &node)| (node as usize, TensorId(id)))
    }

    /// How much there is to look at.
    pub(super) fn size(&self) -> u64 {
        (self.nodes.len() + self.edges.len()) as u64
    }

    /// The node of a tensor; parameters may have none.
    pub(super) fn node_of(&self, id: TensorId) -> Option<usize> {
        self.node_of.get(id.0).filter(|&&node| node != NONE).map(|&node| node as usize)
    }
}

/// Which nodes take part in an architecture; kept from one to the next.
#[derive(Debug, Clone)]
pub(super) struct Live {
    /// First whether a node is something, then whether it takes part.
    live: Vec<bool>,
    /// Whether an output is computed from a node; in `has_path`, whether it is computed from an
    /// input.
    needed: Vec<bool>,
}

impl Live {
    pub(super) fn new(skeleton: &Skeleton) -> Self {
        let nodes = skeleton.nodes.len();
        Self { live: vec![false; nodes], needed: vec![false; nodes] }
    }

    /// Whether a node takes part.
    #[inline]
    pub(super) fn of(&self, node: usize) -> bool {
        self.live[node]
    }

    /// Finds what takes part where these gates are open.
    pub(super) fn find(&mut self, skeleton: &Skeleton, open: &[bool]) {
        let is_open = |edge: &Edge| edge.gate == NONE || open[edge.gate as usize];
        let Self { live, needed } = self;
        for (at, node) in skeleton.nodes.iter().enumerate() {
            let mut edges = skeleton.edges[node.first as usize..node.end as usize].iter();
            // Most sources are nothing, as most options are not taken.
            let arrives = |edge: &Edge| live[edge.source as usize] && is_open(edge);
            live[at] = node.is_given
                || if node.needs_all {
                    let mut data = edges.filter(|edge| edge.is_data).peekable();
                    data.peek().is_some() && data.all(arrives)
                } else {
                    edges.any(|edge| edge.is_data && arrives(edge))
                };
        }
        needed.fill(false);
        for &output in &skeleton.outputs {
            needed[output as usize] = true;
        }
        for (at, node) in skeleton.nodes.iter().enumerate().rev() {
            live[at] &= needed[at];
            if live[at] {
                for edge in &skeleton.edges[node.first as usize..node.end as usize] {
                    if is_open(edge) {
                        needed[edge.source as usize] = true;
                    }
                }
            }
        }
    }

    /// Whether an output takes part.
    pub(super) fn has_output(&self, skeleton: &Skeleton) -> bool {
        skeleton.outputs.iter().any(|&output| self.live[output as usize])
    }

    /// Whether an output is computed from an input, after [`Live::find`] for the same gates.
    pub(super) fn has_path(&mut self, skeleton: &Skeleton, open: &[bool]) -> bool {
        let is_reached = &mut self.needed;
        for (at, node) in skeleton.nodes.iter().enumerate() {
            let edges = &skeleton.edges[node.first as usize..node.end as usize];
            is_reached[at] = self.live[at]
                && (node.is_input
                    || edges.iter().any(|edge| {
                        edge.is_data
                            && (edge.gate == NONE || open[edge.gate as usize])
                            && is_reached[edge.source as usize]
                    }));
        }
        skeleton.outputs.iter().any(|&output| is_reached[output as usize])
    }

    /// Says of every open gate whether a link that it opens takes part.
    pub(super) fn mark(&self, skeleton: &Skeleton, open: &[bool], is_used: &mut [bool]) {
        is_used.fill(false);
        for (node, _) in skeleton.nodes.iter().zip(&self.live).filter(|(_, live)| **live) {
            for edge in &skeleton.edges[node.first as usize..node.end as usize] {
                if edge.gate != NONE && open[edge.gate as usize] && self.live[edge.source as usize]
                {
                    is_used[edge.gate as usize] = true;
                }
            }
        }
    }

    /// Elements of trainable parameters that take part.
    pub(super) fn trainable(&self, skeleton: &Skeleton, open: &[bool]) -> u64 {
        let mut sum = 0u64;
        for (node, &live) in skeleton.nodes.iter().zip(&self.live) {
            sum = sum.saturating_add(if live { node.trainable } else { 0 });
        }
        let is_used = |&(node, gate): &(u32, u32)| {
            self.live[node as usize] && (gate == NONE || open[gate as usize])
        };
        for parameter in &skeleton.shared {
            if parameter.uses.iter().any(is_used) {
                sum = sum.saturating_add(parameter.elements);
            }
        }
        sum
    }
}
