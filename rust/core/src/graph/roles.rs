//! What the nodes of a graph are: outputs, inputs, parameters.

use crate::error::{Error, Result};
use crate::graph::lists::node_set::NodeSet;

/// Which nodes of a graph are outputs, inputs and parameters.
#[derive(Debug, Clone, Default)]
pub struct Roles {
    /// The outputs; `None` for the nodes without a successor.
    pub outputs: Option<Vec<u32>>,
    /// The inputs; `None` for the nodes without a predecessor that are no parameters.
    pub inputs: Option<Vec<u32>>,
    /// The parameters.
    pub parameters: ParameterNodes,
}

/// Which nodes are parameters.
#[derive(Debug, Clone, Default)]
pub enum ParameterNodes {
    /// Every node without a predecessor, each a parameter of its own.
    #[default]
    Sources,
    /// These nodes, each a parameter of its own.
    Nodes(Vec<u32>),
    /// One label a node: negative for no parameter; nodes with one label are one tied parameter,
    /// whose counts add up.
    Labels(Vec<i64>),
}

/// Nodes and the parameters that they are.
#[derive(Debug, Clone)]
pub(crate) struct Parameters {
    /// Rising.
    pub(crate) nodes: Vec<u32>,
    /// For each of `nodes` the place of its label in `labels`; `None` if every node is a parameter
    /// of its own, whose label is its number.
    pub(crate) groups: Option<Vec<u32>>,
    /// Distinct labels, rising.
    pub(crate) labels: Vec<i64>,
}

impl Parameters {
    /// How many parameters there are.
    pub(crate) fn len(&self) -> usize {
        if self.groups.is_some() { self.labels.len() } else { self.nodes.len() }
    }

    /// Every marked node a parameter of its own.
    pub(crate) fn untied(marks: &NodeSet) -> Self {
        let nodes = marks.iter().map(|node| node as u32).collect();
        Self { nodes, groups: None, labels: Vec::new() }
    }

    /// Nodes of one label tied.
    pub(crate) fn labelled(labels: &[i64]) -> Self {
        let nodes: Vec<u32> =
            (0..labels.len() as u32).filter(|&node| labels[node as usize] >= 0).collect();
        let mut distinct: Vec<i64> = nodes.iter().map(|&node| labels[node as usize]).collect();
        distinct.sort_unstable();
        distinct.dedup();
        let place =
            |&node: &u32| distinct.binary_search(&labels[node as usize]).unwrap_or_default() as u32;
        Self { groups: Some(nodes.iter().map(place).collect()), nodes, labels: distinct }
    }

    /// The place of a label among the parameters.
    pub(crate) fn place(&self, label: i64) -> Option<usize> {
        match self.groups {
            Some(_) => self.labels.binary_search(&label).ok(),
            None => self.nodes.binary_search(&u32::try_from(label).ok()?).ok(),
        }
    }
}

/// NodeSet `ids`, all of which must be nodes.
pub(crate) fn node_set(ids: &[u32], nodes: usize, what: &str) -> Result<NodeSet> {
    let mut marks = NodeSet::empty(nodes);
    for &id in ids {
        if id as usize >= nodes {
            let reason = format!("{what} {id} is no node; there are {nodes} nodes, from 0");
            return Err(Error::InvalidGraph { reason });
        }
        marks.insert(id as usize);
    }
    Ok(marks)
}
