//! Context counts of deep-learning models, exactly and in log space, without unrolling them.
//!
//! A *context* of a parameter is a directed path from it to an output of the model's computational
//! graph at the level of single scalars (A. G. Polat, F. Alpaslan, *The reusability prior*, Mach.
//! Learn.: Sci. Technol. 2023, doi 10.1088/2632-2153/acc713). A [`Network`] lists tensors and the
//! links between them; [`count()`] gives the counts of its parameters. A [`Graph`] has a node for
//! every scalar; [`Graph::count`] gives the counts of all of them.

mod arena;
mod axis_map;
mod bound;
mod engine;
mod ensemble;
mod error;
mod graph;
mod lanes;
mod layout;
mod lengths;
mod mixer;
mod monitor;
mod network;
mod number;
mod operation;
mod pass;
mod progression;
mod relation;
mod rows;
mod runs;
mod sliding;
mod spectrum;
mod sweep;
mod tensor;
mod transport;
mod vector;

pub use ensemble::{BoltzmannSums, boltzmann_sums};
pub use error::{Error, Result};
pub use graph::{
    Csr, FileLists, FilePlace, Frame, Graph, GraphCountOptions, GraphCounts, GraphSpectrum,
    Indices, Kinds, Lists, MOST_NODES, ParameterNodes, Roles, Towards, Unrolled, from_edges,
    unroll,
};
pub use lengths::{extreme_lengths, length_sums};
pub use monitor::{Hook, Monitor};
pub use network::{Edge, Link, Network, Role, Tensor, TensorId};
pub use number::Value;
pub use operation::{LinkRole, Operation, OperationKind};
pub use relation::{AxisRelation, Relation, SparseRows, Window};
pub use spectrum::{Counts, Level, ParameterCounts, SpectrumLevel};
pub use sweep::{CountOptions, count};
