//! The roles of the nodes of a graph: outputs, inputs and parameters.

use crate::error::{Error, Result};
use crate::graph::lists::node_set::NodeSet;
use crate::graph::purposes::MARKING;
use crate::machine::memory::listed;

/// Which nodes of a graph are outputs, inputs and parameters.
///
/// ```
/// use unrolled_core::{ParameterNodes, Roles};
/// // Nodes 0 and 1 are one tied parameter; outputs and inputs are found by the edges.
/// let parameters = ParameterNodes::Labels(vec![7, 7, -1]);
/// let roles = Roles { parameters, ..Roles::default() };
/// assert!(roles.outputs.is_none());
/// ```
#[derive(Debug, Clone, Default)]
pub struct Roles {
    /// The outputs; by default the nodes without a successor.
    pub outputs: Option<Vec<u32>>,
    /// The inputs; by default the nodes without a predecessor that are no parameters.
    pub inputs: Option<Vec<u32>>,
    /// The parameters.
    pub parameters: ParameterNodes,
}

/// Which nodes are parameters.
#[derive(Debug, Clone, Default)]
pub enum ParameterNodes {
    /// Every node without a predecessor is a parameter of its own.
    #[default]
    Sources,
    /// Each of these nodes is a parameter of its own.
    Nodes(Vec<u32>),
    /// Every node has a label. A negative label means no parameter; nodes with the same label are
    /// one tied parameter, whose counts add up.
    Labels(Vec<i64>),
}

/// The parameters node by node.
#[derive(Debug, Clone)]
pub(crate) struct Parameters {
    /// The nodes that are parameters, rising.
    pub(crate) nodes: Vec<u32>,
    /// For each of `nodes` the place of its label in `labels`; `None` if every node is a parameter
    /// of its own, with its number as label.
    pub(crate) groups: Option<Vec<u32>>,
    /// The distinct labels, rising.
    pub(crate) labels: Vec<i64>,
}

impl Parameters {
    /// How many parameters there are.
    pub(crate) fn len(&self) -> usize {
        if self.groups.is_some() { self.labels.len() } else { self.nodes.len() }
    }

    /// Makes every node of a set a parameter of its own.
    ///
    /// # Errors
    /// [`Error::GraphMemory`].
    pub(crate) fn untied(set: &NodeSet) -> Result<Self> {
        Ok(Self { nodes: set.ids()?, groups: None, labels: Vec::new() })
    }

    /// Ties nodes with the same label; negative labels mean no parameter.
    ///
    /// # Errors
    /// [`Error::GraphMemory`].
    pub(crate) fn labelled(labels: &[i64]) -> Result<Self> {
        let count = labels.iter().filter(|&&label| label >= 0).count();
        let labelled = (0..).zip(labels).filter(|&(_, &label)| label >= 0);
        let nodes: Vec<u32> = listed(MARKING, count, labelled.map(|(node, _)| node))?;
        let mut distinct: Vec<i64> =
            listed(MARKING, count, nodes.iter().map(|&node| labels[node as usize]))?;
        distinct.sort_unstable();
        distinct.dedup();
        let place =
            |&node: &u32| distinct.binary_search(&labels[node as usize]).unwrap_or_default() as u32;
        let groups = listed(MARKING, count, nodes.iter().map(place))?;
        Ok(Self { groups: Some(groups), nodes, labels: distinct })
    }

    /// The place of a label among the parameters.
    pub(crate) fn place(&self, label: i64) -> Option<usize> {
        match self.groups {
            Some(_) => self.labels.binary_search(&label).ok(),
            None => self.nodes.binary_search(&u32::try_from(label).ok()?).ok(),
        }
    }
}

/// The set of `ids`, all of which must be nodes; `what` they are is said in messages.
///
/// # Errors
/// [`Error::InvalidGraph`] for an identifier that is no node; [`Error::GraphMemory`].
pub(crate) fn node_set(ids: &[u32], nodes: usize, what: &str) -> Result<NodeSet> {
    let mut set = NodeSet::empty(nodes)?;
    for &id in ids {
        if id as usize >= nodes {
            let reason = format!("{what} {id} is no node; there are {nodes} nodes, from 0");
            return Err(Error::InvalidGraph { reason });
        }
        set.insert(id as usize);
    }
    Ok(set)
}
