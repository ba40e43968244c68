//! Graphs that were checked: successor lists in topological order, and the roles of nodes.
//!
//! How a graph is counted is in `counting.rs`.

use std::borrow::Cow;
use std::sync::{Arc, OnceLock};

use crate::error::{Error, Result};
use crate::graph::building::topological::{TopologicalLists, renumber};
use crate::graph::lists::csr::{Csr, Index, with_indices};
use crate::graph::lists::node_set::NodeSet;
use crate::graph::lists::place::{Lists, with_source};
use crate::graph::lists::source::{Source, lists_changed};
use crate::graph::purposes::MARKING;
use crate::graph::roles::{ParameterNodes, Parameters, Roles, node_set};
use crate::graph::survey::blocks::{Numbering, Survey, survey};
use crate::graph::survey::node_order::{NodeOrder, rank_error};
use crate::machine::memory::{filled, listed};
use crate::machine::monitor::Monitor;
use crate::machine::team::Team;

/// An immutable directed acyclic multigraph with outputs, inputs and parameters.
///
/// A path from a parameter to an output is a context of the parameter (see the crate's
/// documentation).
///
/// ```
/// use unrolled_core::{Csr, Graph, GraphCountOptions, Lists, Monitor, NodeOrder, Roles};
///
/// // 0 -> 1, 0 -> 2, 1 -> 2
/// let lists = Csr::new(vec![0u32, 2, 3, 3].into(), vec![1u32, 2, 2].into(), None)?;
/// let monitor = Monitor::silent();
/// let order = NodeOrder::default();
/// let graph = Graph::new(Lists::Memory(lists), Roles::default(), order, 1, &monitor)?;
/// let counts = graph.count(&GraphCountOptions::default(), &monitor)?;
/// assert_eq!(counts.value(0)?.exact, Some(2u32.into()));
/// # Ok::<(), unrolled_core::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Graph<'a> {
    pub(super) lists: Lists<'a>,
    pub(super) frame: Arc<Frame>,
}

/// Everything that is known of a graph beside its lists: see [`Graph::frame`].
#[derive(Debug)]
pub struct Frame {
    pub(super) nodes: usize,
    /// The survey of the lists that are swept.
    pub(super) survey: Survey,
    /// The number of every node in the lists that are swept, if nodes are numbered otherwise there.
    pub(super) rank: Option<Vec<u32>>,
    /// The lists that are swept, if they are not the graph's own.
    pub(super) renumbered: Option<Csr<'static>>,
    pub(super) outputs: NodeSet,
    inputs: Option<NodeSet>,
    parameters: ParameterNodes,
    /// The nodes without a predecessor, once somebody asked for them.
    sources: OnceLock<NodeSet>,
    /// The parameters node by node, once somebody asked for them.
    resolved: OnceLock<Parameters>,
}

impl<'a> Graph<'a> {
    /// Checks the lists, and numbers the nodes topologically if they are not so already. `order` is
    /// what is known of the order of the nodes before; [`NodeOrder::default`] knows nothing.
    /// `threads` may be 0 for one a core.
    ///
    /// # Errors
    /// [`Error::InvalidGraph`] for successors, outputs, inputs or labels that are out of range;
    /// [`Error::GraphCycle`]; [`Error::GraphFile`] for a file that is not numbered topologically;
    /// [`Error::GraphMemory`]; [`Error::Interrupted`].
    pub fn new(
        lists: Lists<'a>,
        roles: Roles,
        order: NodeOrder,
        threads: usize,
        monitor: &Monitor<'_>,
    ) -> Result<Self> {
        monitor.plan(3);
        let team = Team::new(threads);
        let nodes = lists.nodes();
        let (rank, numbering) = order.parts(nodes, lists.edges())?;
        let outputs = match roles.outputs {
            Some(ids) => node_set(&ids, nodes, "output")?,
            None => nodes_at(sinks(&lists)?, rank.as_deref())?,
        };
        let inputs = roles.inputs.map(|ids| node_set(&ids, nodes, "input")).transpose()?;
        match &roles.parameters {
            ParameterNodes::Sources => {}
            ParameterNodes::Nodes(ids) => {
                node_set(ids, nodes, "parameter")?;
            }
            ParameterNodes::Labels(labels) if labels.len() != nodes => {
                let count = labels.len();
                return Err(Error::InvalidGraph {
                    reason: format!("{count} parameter labels for {nodes} nodes; give one a node"),
                });
            }
            ParameterNodes::Labels(_) => {}
        }
        let numbering = match numbering {
            Some(numbering) => numbering,
            None => with_source!(&lists, source => survey(&mut source, monitor))?,
        };
        let (rank, renumbered, survey) = match (numbering, rank) {
            (Numbering::Topological(survey), rank) => (rank, None, survey),
            (Numbering::Other, Some(_)) => return Err(rank_error("lists that are not sorted")),
            (Numbering::Other, None) => {
                let TopologicalLists { csr, rank } = renumber(lists.memory()?, &team, monitor)?;
                let sorted = Lists::Memory(csr.borrowed());
                let numbering = with_source!(&sorted, source => survey(&mut source, monitor))?;
                let Numbering::Topological(survey) = numbering else {
                    return Err(Error::Internal("renumbering left an edge that falls".into()));
                };
                (Some(rank), Some(csr), survey)
            }
        };
        monitor.complete()?;
        let frame = Frame {
            nodes,
            survey,
            rank,
            renumbered,
            outputs,
            inputs,
            parameters: roles.parameters,
            sources: OnceLock::new(),
            resolved: OnceLock::new(),
        };
        Ok(Self { lists, frame: Arc::new(frame) })
    }

    /// The graph of lists that were checked before, by the [`Graph::new`] that gave this frame. If
    /// the lists were changed since, counting ends with an error.
    ///
    /// # Errors
    /// [`Error::InvalidGraph`] if the lists have another number of nodes.
    pub fn with_frame(lists: Lists<'a>, frame: Arc<Frame>) -> Result<Self> {
        if lists.nodes() == frame.nodes { Ok(Self { lists, frame }) } else { Err(lists_changed()) }
    }

    /// What was found out about the lists, to be used with the same lists again by
    /// [`Graph::with_frame`].
    #[must_use]
    pub fn frame(&self) -> &Arc<Frame> {
        &self.frame
    }

    /// The number of nodes.
    #[must_use]
    pub fn nodes(&self) -> usize {
        self.frame.nodes
    }

    /// The number of edges; parallel edges are counted one by one.
    #[must_use]
    pub fn edges(&self) -> usize {
        self.frame.survey.edges
    }

    /// The outputs, in rising order.
    ///
    /// # Errors
    /// [`Error::GraphMemory`].
    pub fn outputs(&self) -> Result<Vec<u32>> {
        self.frame.outputs.ids()
    }

    /// The inputs, in rising order: those of the roles, or else the nodes without a predecessor
    /// that are no parameters.
    ///
    /// # Errors
    /// [`Error::GraphMemory`], [`Error::Interrupted`], and [`Error::GraphFile`] if a file cannot be
    /// read.
    pub fn inputs(&self, monitor: &Monitor<'_>) -> Result<Vec<u32>> {
        self.input_nodes(monitor)?.ids()
    }

    /// For every node the label of its parameter, or -1 if it is no parameter.
    ///
    /// # Errors
    /// [`Error::GraphMemory`], [`Error::Interrupted`], and [`Error::GraphFile`] if a file cannot be
    /// read.
    pub fn parameter_labels(&self, monitor: &Monitor<'_>) -> Result<Vec<i64>> {
        if let ParameterNodes::Labels(labels) = &self.frame.parameters {
            return listed(MARKING, labels.len(), labels.iter().map(|&label| label.max(-1)));
        }
        let mut labels = filled(MARKING, self.nodes(), -1)?;
        for &node in &self.parameters(monitor)?.nodes {
            labels[node as usize] = i64::from(node);
        }
        Ok(labels)
    }

    /// The parameters node by node.
    pub(crate) fn parameters(&self, monitor: &Monitor<'_>) -> Result<&Parameters> {
        if let Some(parameters) = self.frame.resolved.get() {
            return Ok(parameters);
        }
        let parameters = match &self.frame.parameters {
            ParameterNodes::Sources => Parameters::untied(self.sources(monitor)?)?,
            ParameterNodes::Nodes(ids) => {
                Parameters::untied(&node_set(ids, self.nodes(), "parameter")?)?
            }
            ParameterNodes::Labels(labels) => Parameters::labelled(labels)?,
        };
        Ok(self.frame.resolved.get_or_init(|| parameters))
    }

    /// The inputs as a set.
    pub(crate) fn input_nodes(&self, monitor: &Monitor<'_>) -> Result<Cow<'_, NodeSet>> {
        if let Some(inputs) = &self.frame.inputs {
            return Ok(Cow::Borrowed(inputs));
        }
        let mut inputs = self.sources(monitor)?.try_clone()?;
        for &node in &self.parameters(monitor)?.nodes {
            inputs.remove(node as usize);
        }
        Ok(Cow::Owned(inputs))
    }

    /// The nodes without a predecessor.
    pub(crate) fn sources(&self, monitor: &Monitor<'_>) -> Result<&NodeSet> {
        if let Some(sources) = self.frame.sources.get() {
            return Ok(sources);
        }
        let sources =
            with_source!(&self.lists, source => without_predecessor(&mut source, monitor))?;
        // The graph's own lists tell its sources by their own numbers, even if other lists are
        // swept.
        let rank = if self.frame.renumbered.is_some() { None } else { self.frame.rank.as_deref() };
        let sources = nodes_at(sources, rank)?;
        Ok(self.frame.sources.get_or_init(|| sources))
    }

    /// The number of a node in the lists that are swept.
    pub(crate) fn rank(&self, node: usize) -> usize {
        self.frame.rank(node)
    }
}

impl Frame {
    /// The number of a node in the lists that are swept.
    #[inline(always)]
    pub(crate) fn rank(&self, node: usize) -> usize {
        self.rank.as_ref().map_or(node, |rank| rank[node] as usize)
    }

    /// The number of every node in topologically sorted lists; `None` if nodes are numbered so
    /// already.
    #[must_use]
    pub fn ranks(&self) -> Option<&[u32]> {
        self.rank.as_deref()
    }

    /// The lists in topological order; `None` if the graph's own lists are in that order.
    #[must_use]
    pub fn sorted(&self) -> Option<&Csr<'static>> {
        self.renumbered.as_ref()
    }
}

/// The nodes without a successor.
fn sinks(lists: &Lists<'_>) -> Result<NodeSet> {
    with_indices!(lists.offsets(), offsets => NodeSet::of_equal_neighbours(offsets))
}

/// The nodes that stand at `places` in the lists that are swept.
fn nodes_at(places: NodeSet, rank: Option<&[u32]>) -> Result<NodeSet> {
    let Some(rank) = rank else { return Ok(places) };
    let mut nodes = NodeSet::empty(rank.len())?;
    for (node, &place) in rank.iter().enumerate() {
        if places.contains(place as usize) {
            nodes.insert(node);
        }
    }
    Ok(nodes)
}

/// The nodes without a predecessor, by their numbers in the source.
fn without_predecessor<S: Source>(source: &mut S, monitor: &Monitor<'_>) -> Result<NodeSet> {
    const PIECE: usize = 1 << 16;
    let nodes = source.nodes();
    let mut targets = NodeSet::empty(nodes)?;
    let mut end = nodes;
    while end > 0 {
        let (first, lists) = source.before(end)?;
        for piece in lists.targets.chunks(PIECE) {
            for id in piece {
                let id = Index::position(*id);
                if id >= nodes {
                    return Err(lists_changed());
                }
                targets.insert(id);
            }
            monitor.breathe(piece.len() as u64)?;
        }
        end = first;
    }
    Ok(targets.complement())
}
