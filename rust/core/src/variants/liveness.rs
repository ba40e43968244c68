//! Which tensors take part in an architecture.
//!
//! A tensor is *nothing* if all the data that it would be computed from is nothing: a choice of
//! which no option is open, and what is computed from it. A product is nothing if one of its
//! factors is. What is computed from parameters alone is something. A tensor takes part if it is
//! not nothing, and an output is computed from it.

use crate::error::{Error, Result};
use crate::network::{LinkRole, Network, OperationKind, Role, TensorId};
use crate::propagation::{MASKED_ATTENTION, PART_OF_ATTENTION};

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

impl Edge {
    /// Where the gate is open.
    #[inline]
    fn is_open(&self, open: &[u64]) -> u64 {
        if self.gate == NONE { u64::MAX } else { open[self.gate as usize] }
    }
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
            let operation = network.operation(id)?;
            let function = operation.function.as_deref();
            let is_attention = matches!(function, Some(MASKED_ATTENTION | PART_OF_ATTENTION));
            node_of[id.0] = short(nodes.len())?;
            nodes.push(Node {
                first,
                end: short(edges.len())?,
                is_given,
                is_input: tensors[id.0].role == Role::Input,
                needs_all: is_attention
                    || matches!(operation.kind, OperationKind::Product | OperationKind::Matmul),
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

/// As many architectures as are looked at together: one for each bit of a word.
pub(super) const LANES: usize = u64::BITS as usize;

/// The numbers of the bits that are set.
pub(super) fn bits(mut word: u64) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let lane = (word != 0).then(|| word.trailing_zeros() as usize)?;
        word &= word - 1;
        Some(lane)
    })
}

/// Which nodes take part in which of up to 64 architectures; kept from some to the next. Each has a
/// bit in every word, in the words for gates as well.
#[derive(Debug, Clone)]
pub(super) struct Live {
    /// First where a node is something, then where it takes part.
    live: Vec<u64>,
    /// Where an output is computed from a node; in `have_paths`, where it is computed from an
    /// input.
    needed: Vec<u64>,
}

impl Live {
    pub(super) fn new(skeleton: &Skeleton) -> Self {
        let nodes = skeleton.nodes.len();
        Self { live: vec![0; nodes], needed: vec![0; nodes] }
    }

    /// Where a node takes part.
    #[inline]
    pub(super) fn of(&self, node: usize) -> u64 {
        self.live[node]
    }

    /// Finds what takes part where these gates are open.
    pub(super) fn find(&mut self, skeleton: &Skeleton, open: &[u64]) {
        let Self { live, needed } = self;
        for (at, node) in skeleton.nodes.iter().enumerate() {
            let edges = skeleton.edges[node.first as usize..node.end as usize].iter();
            let mut arriving = edges
                .filter(|edge| edge.is_data)
                .map(|edge| live[edge.source as usize] & edge.is_open(open));
            live[at] = if node.is_given {
                u64::MAX
            } else if node.needs_all {
                arriving.next().map_or(0, |first| arriving.fold(first, |all, one| all & one))
            } else {
                arriving.fold(0, |any, one| any | one)
            };
        }
        needed.fill(0);
        for &output in &skeleton.outputs {
            needed[output as usize] = u64::MAX;
        }
        for (at, node) in skeleton.nodes.iter().enumerate().rev() {
            live[at] &= needed[at];
            let here = live[at];
            if here != 0 {
                for edge in &skeleton.edges[node.first as usize..node.end as usize] {
                    needed[edge.source as usize] |= here & edge.is_open(open);
                }
            }
        }
    }

    /// Where an output takes part.
    pub(super) fn has_output(&self, skeleton: &Skeleton) -> u64 {
        skeleton.outputs.iter().fold(0, |any, &output| any | self.live[output as usize])
    }

    /// Where an output is computed from an input, after [`Live::find`] for the same gates.
    pub(super) fn have_paths(&mut self, skeleton: &Skeleton, open: &[u64]) -> u64 {
        let is_reached = &mut self.needed;
        for (at, node) in skeleton.nodes.iter().enumerate() {
            let edges = skeleton.edges[node.first as usize..node.end as usize].iter();
            let arriving = edges
                .filter(|edge| edge.is_data)
                .fold(0, |any, edge| any | is_reached[edge.source as usize] & edge.is_open(open));
            is_reached[at] = self.live[at] & if node.is_input { u64::MAX } else { arriving };
        }
        skeleton.outputs.iter().fold(0, |any, &output| any | is_reached[output as usize])
    }

    /// Says of every gate where it is open and a link that it opens takes part.
    pub(super) fn mark(&self, skeleton: &Skeleton, open: &[u64], used: &mut [u64]) {
        used.fill(0);
        for (node, live) in skeleton.nodes.iter().zip(&self.live).filter(|(_, live)| **live != 0) {
            for edge in &skeleton.edges[node.first as usize..node.end as usize] {
                if edge.gate != NONE {
                    used[edge.gate as usize] |=
                        live & edge.is_open(open) & self.live[edge.source as usize];
                }
            }
        }
    }

    /// Elements of trainable parameters that take part, for each architecture.
    pub(super) fn trainable(&self, skeleton: &Skeleton, open: &[u64]) -> [u64; LANES] {
        let mut sums = [0u64; LANES];
        let mut add = |elements: u64, used: u64| {
            for lane in bits(used) {
                sums[lane] = sums[lane].saturating_add(elements);
            }
        };
        for (node, &live) in skeleton.nodes.iter().zip(&self.live) {
            if node.trainable > 0 {
                add(node.trainable, live);
            }
        }
        for parameter in &skeleton.shared {
            let used = parameter.uses.iter().fold(0, |any, &(node, gate)| {
                any | self.live[node as usize]
                    & if gate == NONE { u64::MAX } else { open[gate as usize] }
            });
            add(parameter.elements, used);
        }
        sums
    }
}
