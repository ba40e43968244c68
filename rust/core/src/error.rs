//! The error type of the crate.

use thiserror::Error;

/// What can go wrong while a network is described or counted.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Error {
    /// A tensor was declared with a name that is taken already.
    #[error("tensor '{name}' is declared twice; give every tensor a name of its own")]
    DuplicateTensor {
        /// The name.
        name: String,
    },
    /// An identifier belongs to no tensor of the network.
    #[error("no tensor has the identifier {id}; this network has {tensors} tensors")]
    UnknownTensor {
        /// The identifier.
        id: usize,
        /// How many tensors there are.
        tensors: usize,
    },
    /// A tensor has an axis of length zero.
    #[error("tensor '{name}' of shape {shape:?}: {reason}")]
    InvalidShape {
        /// The tensor.
        name: String,
        /// Its shape.
        shape: Vec<u64>,
        /// What is wrong with it.
        reason: String,
    },
    /// A number of elements is beyond what 64 bits can hold.
    #[error("{what} overflows 64 bits; use smaller sizes")]
    SizeOverflow {
        /// What was being sized.
        what: String,
    },
    /// The relations of a link do not fit the two shapes.
    #[error("link from '{from}' {from_shape:?} to '{to}' {to_shape:?}: {reason}")]
    InvalidLink {
        /// The earlier tensor.
        from: String,
        /// Its shape.
        from_shape: Vec<u64>,
        /// The later tensor.
        to: String,
        /// Its shape.
        to_shape: Vec<u64>,
        /// What does not fit.
        reason: String,
    },
    /// An operation that the tensor cannot have.
    #[error("the operation of tensor '{name}': {reason}")]
    InvalidOperation {
        /// The tensor.
        name: String,
        /// What does not fit.
        reason: String,
    },
    /// Tensors with too many different elements.
    #[error(
        "too many elements of the tensors differ from each other to be followed one by one; \
         propagate with exact=None or exact=False"
    )]
    MapTooLarge,
    /// Tensors whose operations are not known, with the reasons.
    #[error(
        "{} unknown operation{}: {}; say how with Network.tensor(..., operation=), or give \
         functions={{name: callable}}",
        tensors.len(),
        if tensors.len() == 1 { "" } else { "s" },
        tensors.iter().map(|(name, reason)| format!("'{name}' ({reason})")).collect::<Vec<_>>().join(", ")
    )]
    UnknownOperation {
        /// The tensors and why each is not known.
        tensors: Vec<(String, String)>,
    },
    /// Settings that do not fit a program, or numbers that cannot be.
    #[error("{reason}")]
    InvalidSetting {
        /// What came, and what was expected.
        reason: String,
    },
    /// A signal or a gradient that leaves what a formula can follow.
    #[error("the {what} of tensor {tensor} leaves the range that it can be followed in")]
    OutOfDomain {
        /// The tensor.
        tensor: usize,
        /// `signal` or `gradient`.
        what: &'static str,
        /// Whether it is too large, not too small.
        is_large: bool,
    },
    /// A function of positive numbers that vary little, of numbers that do not.
    #[error(
        "{what} can be followed where numbers are positive, and their deviation is at most a third \
         of their mean where they divide, as means over many units are; {found}"
    )]
    NotSteady {
        /// The tensor that is computed.
        tensor: usize,
        /// The function.
        what: &'static str,
        /// What the numbers are.
        found: String,
    },
    /// The links form a cycle.
    #[error("the network has a cycle: {}; a computational graph must be acyclic", path.join(" -> "))]
    Cycle {
        /// The tensors along the cycle, first one repeated at the end.
        path: Vec<String>,
    },
    /// There is nothing to count.
    #[error("{reason}")]
    NothingToCount {
        /// What is missing, and what to do.
        reason: String,
    },
    /// An output is computed from nothing.
    #[error(
        "output '{name}' is disconnected: no link leads to it; link it to the tensors it is computed from"
    )]
    DisconnectedOutput {
        /// The output tensor.
        name: String,
    },
    /// The count would need more memory than allowed.
    #[error(
        "counting needs {} {}, at tensor '{tensor}', but {} is {}; {}, {}or use smaller inputs",
        if *.complete { "about" } else { "more than" },
        bytes(*.needed),
        if *.is_free { "the memory that is free" } else { "memory_limit" },
        bytes(*.limit),
        if *.is_free { "free some" } else { "raise memory_limit" },
        if *.exact { "count in log space " } else { "" }
    )]
    MemoryLimit {
        /// The bytes that were needed at the peak, or when the count was given up.
        needed: u64,
        /// Whether `needed` is the peak of the whole count.
        complete: bool,
        /// The bytes that were allowed, or that there were.
        limit: u64,
        /// Whether `limit` is what the machine has left, and not what the caller allowed.
        is_free: bool,
        /// The tensor being counted at the peak.
        tensor: String,
        /// Whether the count was exact.
        exact: bool,
    },
    /// Arrays do not describe a graph.
    #[error("{reason}")]
    InvalidGraph {
        /// What came, and what was expected.
        reason: String,
    },
    /// The edges of a graph form a cycle.
    #[error("the graph has a cycle: {}; counting paths needs an acyclic graph", shortened(nodes))]
    GraphCycle {
        /// The nodes along the cycle, the first repeated at the end.
        nodes: Vec<usize>,
    },
    /// A graph, or counts in it, would need more memory than allowed.
    #[error(
        "{what} needs about {}, but {} {}; {}{advice}",
        bytes(*.needed),
        if *.is_free { "the memory that is free is" } else { "the memory limit is" },
        bytes(*.limit),
        if *.is_free { "free some, or " } else { "raise memory_limit, or " }
    )]
    GraphMemory {
        /// What was about to be done.
        what: String,
        /// The bytes that were needed.
        needed: u64,
        /// The bytes that were allowed, or that there were.
        limit: u64,
        /// Whether `limit` is what the machine has left, and not what the caller allowed.
        is_free: bool,
        /// What would need less memory.
        advice: String,
    },
    /// A file cannot be read, or is not as it was written.
    #[error("{path}: {reason}")]
    GraphFile {
        /// The file.
        path: String,
        /// What is wrong.
        reason: String,
    },
    /// The caller asked to stop.
    #[error("counting was interrupted")]
    Interrupted,
    /// An invariant is broken: this is a bug in the crate, and never a property of the input.
    #[error("internal error: {0}; please report it")]
    Internal(String),
}

/// The result type of the crate.
pub type Result<T> = std::result::Result<T, Error>;

/// The nodes of a cycle, without the middle of a long one.
fn shortened(nodes: &[usize]) -> String {
    const SHOWN: usize = 10;
    let text =
        |nodes: &[usize]| nodes.iter().map(ToString::to_string).collect::<Vec<_>>().join(" -> ");
    if nodes.len() <= 2 * SHOWN {
        return text(nodes);
    }
    let left_out = nodes.len() - 2 * SHOWN;
    let (head, tail) = (&nodes[..SHOWN], &nodes[nodes.len() - SHOWN..]);
    format!("{} -> ({left_out} more) -> {}", text(head), text(tail))
}

/// A number of bytes for people, rounded up in the last place that is shown.
fn bytes(count: u64) -> String {
    let units = ["kB", "MB", "GB", "TB", "PB", "EB"];
    let mut value = count as f64;
    let mut name = "bytes";
    for unit in units {
        if value < 1000.0 {
            break;
        }
        value /= 1000.0;
        name = unit;
    }
    if name == "bytes" {
        format!("{count} bytes")
    } else {
        format!("{:.1} {name}", (value * 10.0).ceil() / 10.0)
    }
}
