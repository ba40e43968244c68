//! Explicit graphs: a node for every scalar, successor lists, and a count for every node.
//!
//! A [`frame`] is a graph that was checked. [`lists`] holds successor lists and reads them from
//! files, [`building`] makes them from edges, [`mod@survey`] finds out what is worth knowing before
//! anything is counted. [`counting`] decides how a graph is counted, by a [`mod@sweep`] from its
//! last node to its first, in [`log`] space or [`exact`]ly; [`counts`] and their [`spectrum`] are
//! the result. Networks of tensors, which are counted without being unrolled, are in `network/`.

pub(crate) mod building;
pub(crate) mod counting;
pub(crate) mod counts;
pub(crate) mod exact;
pub(crate) mod frame;
pub(crate) mod lists;
pub(crate) mod log;
pub(crate) mod options;
pub(crate) mod purposes;
pub(crate) mod roles;
pub(crate) mod spectrum;
pub(crate) mod survey;
pub(crate) mod sweep;

pub use building::from_edges;
pub use counts::GraphCounts;
pub use frame::{Frame, Graph};
pub use lists::{Csr, FileLists, FilePlace, Indices, Lists, MOST_NODES};
pub use options::{GraphCountOptions, Kinds, Towards};
pub use roles::{ParameterNodes, Roles};
pub use spectrum::GraphSpectrum;
pub use survey::NodeOrder;
