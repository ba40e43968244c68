//! Unrolling: a small network as an explicit graph.
//!
//! This is the one place that knows both networks and graphs.

use crate::error::{Error, Result};
use crate::graph::lists::csr::check_nodes;
use crate::graph::{Csr, NodeOrder, ParameterNodes, Roles, from_edges};
use crate::machine::memory::{Purpose, available_memory, check_room, grow};
use crate::machine::monitor::Monitor;
use crate::network::{Network, Role, TensorId};

/// The bytes that an edge takes while the graph is built.
const EDGE_BYTES: u64 = 32;
/// For so many edges memory is asked for at a time.
const AT_ONCE: usize = 1 << 16;

/// What memory is needed for, in messages.
const UNROLLING: Purpose = Purpose {
    what: "unrolling the network into a graph",
    advice: "count the network itself, which needs no graph",
};

/// A network as a graph: see [`unroll`].
#[derive(Debug, Clone)]
pub struct Unrolled {
    /// Successor lists of the elements.
    pub lists: Csr<'static>,
    /// What is known of the order of the elements in the lists.
    pub order: NodeOrder,
    /// The elements of outputs, inputs and parameters.
    pub roles: Roles,
    /// The tensors in the order in which their elements are numbered, each with the number of its
    /// first element. The elements of a tensor follow in row-major order.
    pub tensors: Vec<(TensorId, u64)>,
}

/// Expands a network into a graph with one node for every element of every tensor and one edge for
/// every time an element is computed from another. Every element of a parameter is a parameter of
/// its own.
///
/// Time and memory grow with the number of edges, so that this is for small networks. `limit` is
/// the most bytes that the graph may take; by default most of what is free.
///
/// ```
/// use unrolled_core::{
///     AxisRelation, Graph, GraphCountOptions, Lists, Monitor, Network, Role, unroll,
/// };
/// let mut network = Network::new();
/// let w = network.add("w", &[3], Role::Parameter { trainable: true })?;
/// let y = network.add("y", &[], Role::Activation)?;
/// network.link(w, y, vec![AxisRelation::each(0)])?;
/// network.mark_output(y)?;
/// let monitor = Monitor::silent();
/// let unrolled = unroll(&network, None, &monitor)?;
/// assert_eq!((unrolled.lists.nodes(), unrolled.lists.edges()), (4, 3));
/// let lists = Lists::Memory(unrolled.lists);
/// let graph = Graph::new(lists, unrolled.roles, unrolled.order, 1, &monitor)?;
/// let counts = graph.count(&GraphCountOptions::default(), &monitor)?;
/// assert_eq!(counts.spectrum(&graph, &monitor)?.degeneracies, [3]);
/// # Ok::<(), unrolled_core::Error>(())
/// ```
///
/// # Errors
/// [`Error::GraphMemory`] if the graph would not fit, [`Error::Cycle`], [`Error::Interrupted`].
pub fn unroll(network: &Network, limit: Option<u64>, monitor: &Monitor<'_>) -> Result<Unrolled> {
    let limit = limit.unwrap_or_else(available_memory);
    let mut tensors = Vec::new();
    let mut starts = vec![0u64; network.tensors().len()];
    let mut nodes = 0u64;
    let too_many = || Error::SizeOverflow { what: "the number of elements of all tensors".into() };
    for id in network.topological_order()? {
        tensors.push((id, nodes));
        starts[id.0] = nodes;
        nodes = nodes.checked_add(network.tensor(id)?.elements()).ok_or_else(too_many)?;
    }
    check_nodes(nodes)?;
    let fits = |edges: usize| {
        let needed = nodes.saturating_mul(16).saturating_add(edges as u64 * EDGE_BYTES);
        check_room(UNROLLING, needed, limit)
    };
    fits(0)?;
    monitor.start(network.links().len() as u64);
    let (mut sources, mut targets, mut times) = (Vec::new(), Vec::new(), Vec::new());
    for edge in network.edges() {
        if sources.len().is_multiple_of(AT_ONCE) {
            fits(sources.len() + AT_ONCE)?;
            grow(UNROLLING, &mut sources, AT_ONCE)?;
            grow(UNROLLING, &mut targets, AT_ONCE)?;
            grow(UNROLLING, &mut times, AT_ONCE)?;
            monitor.breathe(1 << 20)?;
        }
        sources.push((starts[edge.source.0.0] + edge.source.1) as u32);
        targets.push((starts[edge.target.0.0] + edge.target.1) as u32);
        times.push(edge.multiplicity);
    }
    let multiplicity = times.iter().any(|&times| times != 1).then(|| times.into());
    let (lists, order) =
        from_edges(&sources.into(), targets.into(), multiplicity, Some(nodes), 1, monitor)?;
    let elements = |id: TensorId| {
        let start = starts[id.0];
        let length = network.tensors()[id.0].elements();
        start as u32..(start + length) as u32
    };
    let all_elements = |ids: &mut dyn Iterator<Item = TensorId>| -> Result<Vec<u32>> {
        let mut nodes = Vec::new();
        for id in ids {
            let more = elements(id);
            grow(UNROLLING, &mut nodes, more.len())?;
            nodes.extend(more);
        }
        nodes.sort_unstable();
        Ok(nodes)
    };
    let of_role = |wanted: fn(Role) -> bool| {
        let ids = (0..starts.len()).map(TensorId);
        all_elements(&mut ids.filter(|id| wanted(network.tensors()[id.0].role)))
    };
    let outputs = all_elements(&mut network.outputs().iter().copied())?;
    let parameters = of_role(|role| matches!(role, Role::Parameter { .. }))?;
    let roles = Roles {
        outputs: Some(outputs),
        inputs: Some(of_role(|role| role == Role::Input)?),
        parameters: ParameterNodes::Nodes(parameters),
    };
    Ok(Unrolled { lists, order, roles, tensors })
}
