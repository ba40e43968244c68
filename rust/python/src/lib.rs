//! The extension module `unrolled._core`: translates between Python and `unrolled-core`.

mod boltzmann;
mod enter;
mod error;
mod graph;
mod natural;
mod network;
mod propagation;
mod quantities;
mod scores;
mod variants;

/// Counting a network makes thousands of small allocations; this allocator halves their cost.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Private extension module; import [`unrolled`](https://pypi.org/project/unrolled) instead.
#[pyo3::pymodule]
mod _core {
    #[pymodule_export]
    use crate::boltzmann::boltzmann_sums;
    #[pymodule_export]
    use crate::graph::Graph;
    #[pymodule_export]
    use crate::graph::counts::{GraphCounts, GraphSpectrum};
    #[pymodule_export]
    use crate::network::Network;
    #[pymodule_export]
    use crate::network::counts::{Counts, ParameterCounts, Spectrum};
    #[pymodule_export]
    use crate::network::declaration::Declaration;
    #[pymodule_export]
    use crate::network::operation::Operation;
    #[pymodule_export]
    use crate::network::relation::Relation;
    #[pymodule_export]
    use crate::propagation::{Program, Sweep, function_moments, function_names};
    #[pymodule_export]
    use crate::quantities::{Quantities, probabilities, surprisals};
    #[pymodule_export]
    use crate::scores::Scorer;
    #[pymodule_export]
    use crate::variants::{VariantScorer, Variants};
    #[pymodule_export]
    const VERSION: &str = env!("CARGO_PKG_VERSION");
}
