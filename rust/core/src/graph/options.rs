//! How a graph is counted: the options of [`crate::Graph::count`].

/// How a graph is counted.
#[derive(Debug, Clone)]
pub struct GraphCountOptions {
    /// Whether counts are integers of unlimited size; otherwise they are in log space.
    pub exact: bool,
    /// Where the paths lead that are counted.
    pub towards: Towards,
    /// The nodes whose counts are kept.
    pub kinds: Kinds,
    /// How many threads count; 0 for one a core. The counts do not depend on it.
    pub threads: usize,
    /// The most bytes that counts may take; by default most of what is free.
    pub memory_limit: Option<u64>,
}

impl Default for GraphCountOptions {
    fn default() -> Self {
        Self {
            exact: true,
            towards: Towards::Outputs,
            kinds: Kinds::All,
            threads: 0,
            memory_limit: None,
        }
    }
}

/// Where the paths lead that are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Towards {
    /// Paths from every node to the outputs.
    Outputs,
    /// Paths from the inputs to every node.
    Inputs,
    /// Paths from the inputs to the outputs that lead through the node.
    Both,
}

/// The kinds of nodes whose counts are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kinds {
    /// All nodes.
    All,
    /// Parameters only. Then the memory of exact counts follows the width of the graph and not its
    /// length.
    Parameters,
}
