//! Networks: tensors, the links between them, and the counts of their parameters.
//!
//! [`tensors`] describes a network, [`declaration`] the layers that it is told, [`mod@relation`] what a link relates, [`operation`] what is
//! computed. A [`plan`] says what there is to count, and a [`sweep`] counts it: for every link the
//! [`engine`] applies [`maps`], with the loops in [`kernels`], to a [`count_tensor`]. [`counts`] are
//! the result. [`bound`] tells cheaply that a count will fit into memory. [`lengths`] and grades of paths are
//! counted by the same sweep, their moments in a [`lift`]ed network. Graphs with a node for every
//! scalar are in `graph/`.

pub(crate) mod bound;
pub(crate) mod count_tensor;
pub(crate) mod counts;
pub(crate) mod declaration;
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
pub use declaration::{Declaration, Weight};
pub use lengths::{extreme_lengths, length_sums, path_moments};
pub use operation::{LinkRole, Operation, OperationKind};
pub use plan::CountOptions;
pub use relation::{AxisRelation, Relation, SparseRows, Window};
pub use sweep::count;
pub use tensors::{Edge, Link, Network, Role, Tensor, TensorId};
