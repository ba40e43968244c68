//! What memory is needed for in graphs, and what would need less: the words of
//! [`Error::GraphMemory`](crate::Error::GraphMemory).

use crate::machine::memory::Purpose;

/// Successor lists are made of edges.
pub(crate) const BUILDING: Purpose = Purpose {
    what: "building the graph",
    advice: "number its nodes without gaps and merge parallel edges into multiplicities",
};

/// Nodes are put in topological order.
pub(crate) const NUMBERING: Purpose = Purpose {
    what: "numbering the nodes in topological order",
    advice: "number them so that every edge leads to a larger number",
};

/// A set of nodes is marked, or what nodes are is listed.
pub(crate) const MARKING: Purpose = Purpose {
    what: "telling outputs, inputs and parameters apart",
    advice: "use a graph with fewer nodes",
};

/// Edges that stay in a file are read.
pub(crate) const READING: Purpose =
    Purpose { what: "reading the edges of the file", advice: "use a graph with shorter lists" };

/// Edges that stay in a file are read against their order.
pub(crate) const READING_BACKWARDS: Purpose = Purpose {
    what: "reading the edges of the file from their targets",
    advice: "count the paths to the outputs, for which edges are read as they are",
};

/// Counts are floating-point numbers.
pub(crate) const LOG_SPACE: Purpose =
    Purpose { what: "counting in log space", advice: "use a graph with fewer nodes" };

/// The counts of all nodes are integers.
pub(crate) const COUNTING: Purpose = Purpose {
    what: "counting exactly",
    advice: "count in log space or keep the counts of parameters only",
};

/// The counts of some nodes are kept as integers.
pub(crate) const COUNTING_PARAMETERS: Purpose =
    Purpose { what: "counting exactly", advice: "count in log space" };

/// Counts are handed out as integers.
pub(crate) const LISTING: Purpose = Purpose {
    what: "listing exact counts",
    advice: "ask for the counts of fewer nodes or for their logarithms",
};

/// Counts are handed out as logarithms.
pub(crate) const LOGARITHMS: Purpose = Purpose {
    what: "listing the logarithms of all counts",
    advice: "ask for the counts of single nodes",
};

/// The counts of parameters are sorted.
pub(crate) const SORTING: Purpose = Purpose {
    what: "sorting the counts of the parameters",
    advice: "ask for the counts of single nodes",
};
