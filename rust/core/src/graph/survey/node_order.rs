//! What is known of the order of a graph's nodes before the graph is made.

use crate::error::{Error, Result};
use crate::graph::lists::node_set::NodeSet;
use crate::graph::survey::blocks::Numbering;

/// What is known of the order of the nodes of some successor lists, so that
/// [`Graph::new`](crate::Graph::new) need not find it out; by default nothing.
///
/// [`from_edges`](crate::from_edges) gives the order of the nodes of its lists. For lists that were
/// sorted elsewhere there is [`NodeOrder::ranked`]:
///
/// ```
/// use unrolled_core::{Csr, Graph, GraphCountOptions, Lists, Monitor, NodeOrder, Roles};
///
/// // The edge 1 -> 0, in lists in which node 1 comes first.
/// let lists = Csr::new(vec![0u32, 1, 1].into(), vec![1u32].into(), None)?;
/// let order = NodeOrder::ranked(vec![1, 0]);
/// let monitor = Monitor::silent();
/// let graph = Graph::new(Lists::Memory(lists), Roles::default(), order, 1, &monitor)?;
/// assert_eq!(graph.outputs()?, [0]);
/// # Ok::<(), unrolled_core::Error>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct NodeOrder(Known);

#[derive(Debug, Clone, Default)]
enum Known {
    #[default]
    Nothing,
    /// The lists are in topological order, and these are the numbers of the nodes in them.
    Ranks(Vec<u32>),
    /// The lists of so many nodes have been surveyed.
    Survey(usize, Numbering),
}

impl NodeOrder {
    /// The order of lists that are sorted topologically already, where `ranks` has the number in
    /// the lists of every node.
    #[must_use]
    pub fn ranked(ranks: Vec<u32>) -> Self {
        Self(Known::Ranks(ranks))
    }

    /// The order that was found in the lists of so many nodes.
    pub(crate) fn surveyed(nodes: usize, numbering: Numbering) -> Self {
        Self(Known::Survey(nodes, numbering))
    }

    /// The ranks and the survey, as far as they are known, of lists with so many nodes and edges.
    ///
    /// # Errors
    /// [`Error::InvalidGraph`] if the ranks are no permutation of the nodes, or the order is that
    /// of other lists.
    pub(crate) fn parts(
        self,
        nodes: usize,
        edges: usize,
    ) -> Result<(Option<Vec<u32>>, Option<Numbering>)> {
        match self.0 {
            Known::Nothing => Ok((None, None)),
            Known::Ranks(ranks) if is_permutation(&ranks, nodes)? => Ok((Some(ranks), None)),
            Known::Ranks(_) => Err(rank_error("a rank that is no permutation of the nodes")),
            Known::Survey(surveyed, numbering) => {
                let agrees = match &numbering {
                    Numbering::Topological(survey) => survey.edges == edges,
                    Numbering::Other => true,
                };
                if surveyed != nodes || !agrees {
                    let reason = "the order of the nodes is that of other lists; give the one that came with the lists";
                    return Err(Error::InvalidGraph { reason: reason.into() });
                }
                Ok((None, Some(numbering)))
            }
        }
    }
}

/// The error for ranks that do not fit the lists they came with.
pub(crate) fn rank_error(what: &str) -> Error {
    Error::InvalidGraph { reason: format!("a topological order came with {what}") }
}

fn is_permutation(ranks: &[u32], nodes: usize) -> Result<bool> {
    let mut seen = NodeSet::empty(nodes)?;
    let mut repeats = |&rank: &u32| rank as usize >= nodes || !seen.insert(rank as usize);
    Ok(ranks.len() == nodes && !ranks.iter().any(&mut repeats))
}
