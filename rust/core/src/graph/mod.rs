//! Explicit graphs: one node for every scalar, successor lists, and counts for every node.

pub(crate) mod building;
pub(crate) mod counting;
pub(crate) mod counts;
pub(crate) mod exact;
pub(crate) mod frame;
pub(crate) mod lists;
pub(crate) mod log;
pub(crate) mod options;
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
