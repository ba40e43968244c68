//! Context counts of deep-learning models, exactly and in log space, without unrolling them.
//!
//! A *context* of a parameter is a directed path from it to an output of the model's computational
//! graph at the level of single scalars (A. G. Polat, F. Alpaslan, *The reusability prior*, Mach.
//! Learn.: Sci. Technol. 2023, doi 10.1088/2632-2153/acc713).
//!
//! - A [`Network`] lists tensors and the links between them; [`count()`] gives the counts of its
//!   parameters, and [`length_sums`] and [`extreme_lengths`] what is known of their lengths.
//! - A [`Graph`] has a node for every scalar; [`Graph::count`] gives the counts of all nodes.
//!   [`unroll`] makes a graph of a small network.
//! - [`propagation`] follows signals and derivatives through a network at initialisation, and
//!   [`scores`] ranks architectures without data and without weights. [`variants`] counts and scores
//!   many architectures that are variants of one network.
//! - [`Quantities`] are those of the distinct counts, such as their entropy; [`boltzmann_sums`] gives
//!   their thermodynamics.
//!
//! Counts are integers of unlimited size or floating-point numbers in log space ([`Value`]). Every
//! long call takes a [`Monitor`], which reports progress and can stop the call.
//!
//! The crate does not know what a layer is, nor any framework: models are described in the Python
//! package `unrolled`, of which this is the core.

mod boltzmann;
mod error;
mod graph;
mod machine;
mod network;
mod number;
pub mod propagation;
mod quantities;
pub mod scores;
mod unroll;
pub mod variants;

pub use boltzmann::{BoltzmannSums, boltzmann_sums};
pub use error::{Error, Result};
pub use graph::{
    Csr, FileLists, FilePlace, Frame, Graph, GraphCountOptions, GraphCounts, GraphSpectrum,
    Indices, Kinds, Lists, MOST_NODES, NodeOrder, ParameterNodes, Roles, Towards, from_edges,
};
pub use machine::{Hook, Monitor};
pub use network::{
    AxisRelation, CountOptions, Counts, Declaration, Edge, Level, Link, LinkRole, Network,
    Operation, OperationKind, ParameterCounts, Relation, Role, SparseRows, SpectrumLevel, Tensor,
    TensorId, Weight, Window, count, extreme_lengths, length_sums, path_moments,
};
pub use number::Value;
pub use quantities::{Quantities, ScaledLevel, probabilities, surprisals};
pub use unroll::{Unrolled, unroll};

/// The examples of the README, as tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
