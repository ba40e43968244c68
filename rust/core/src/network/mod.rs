//! Networks: tensors, the links between them, and the counts of their parameters.

pub(crate) mod bound;
pub(crate) mod count_tensor;
pub(crate) mod counts;
pub(crate) mod engine;
pub(crate) mod kernels;
pub(crate) mod lengths;
pub(crate) mod lift;
pub(crate) mod maps;
pub(crate) mod operation;
pub(crate) mod plan;
pub(crate) mod relation;
pub(crate) mod sweep;
pub(crate) mod tensors;

pub use counts::{Counts, Level, ParameterCounts, SpectrumLevel};
pub use lengths::{extreme_lengths, length_sums};
pub use operation::{LinkRole, Operation, OperationKind};
pub use plan::CountOptions;
pub use relation::{AxisRelation, Relation, SparseRows, Window};
pub use sweep::count;
pub use tensors::{Edge, Link, Network, Role, Tensor, TensorId};
