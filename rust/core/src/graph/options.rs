//! How a graph is counted: the options of [`crate::Graph::count`].

/// How a graph is counted.
#[derive(Debug, Clone)]
pub struct GraphCountOptions {
    /// Integers of unlimited size; otherwise log space.
    pub exact: bool,
    /// Where paths lead.
    pub towards: Towards,
    /// Which counts are kept.
    pub kinds: Kinds,
    /// Threads that count; 0 for one a core. The counts do not depend on it.
    pub threads: usize,
    /// Bytes that counts may take; most of what is free by default.
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
    /// From every node to the outputs.
    Outputs,
    /// From the inputs to every node.
    Inputs,
    /// From the inputs to the outputs, through every node.
    Both,
}

/// Nodes whose counts are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kinds {
    /// All.
    All,
    /// Parameters only: memory of exact counts follows the width of the graph, not its length.
    Parameters,
}
