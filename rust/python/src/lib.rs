//! The extension module `unrolled._core`: translates between Python and `unrolled-core`.

mod counts;
mod ensemble;
mod enter;
mod error;
mod graph;
mod graph_counts;
mod natural;
mod network;
mod operation;
mod relation;

/// Counting a network makes thousands of small allocations; this allocator halves their cost.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Private extension module; import [`unrolled`](https://pypi.org/project/unrolled) instead.
#[pyo3::pymodule]
mod _core {
    #[pymodule_export]
    use crate::counts::{Counts, ParameterCounts, Spectrum};
    #[pymodule_export]
    use crate::ensemble::boltzmann_sums;
    #[pymodule_export]
    use crate::graph::Graph;
    #[pymodule_export]
    use crate::graph_counts::{GraphCounts, GraphSpectrum};
    #[pymodule_export]
    use crate::network::Network;
    #[pymodule_export]
    use crate::operation::Operation;
    #[pymodule_export]
    use crate::relation::Relation;
    #[pymodule_export]
    const VERSION: &str = env!("CARGO_PKG_VERSION");
}
