//! `boltzmann_sums`: the thermodynamics of many levels at many temperatures.

use numpy::{PyArray1, PyReadonlyArray1};
use pyo3::prelude::*;

use crate::enter::enter;

/// A NumPy array with a number for every temperature.
type Column<'py> = Bound<'py, PyArray1<f64>>;

/// For every inverse temperature the logarithm of the sum of all weights, and the mean and the
/// variance of the energy.
#[pyfunction]
pub(crate) fn boltzmann_sums<'py>(
    py: Python<'py>,
    energies: PyReadonlyArray1<'py, f64>,
    log_weights: PyReadonlyArray1<'py, f64>,
    log_states: f64,
    betas: Vec<f64>,
) -> PyResult<(Column<'py>, Column<'py>, Column<'py>)> {
    let (energies, log_weights) = (energies.as_slice()?, log_weights.as_slice()?);
    let sums = enter(py, None, |monitor| {
        unrolled_core::boltzmann_sums(energies, log_weights, log_states, &betas, monitor)
    })?;
    let column =
        |of: fn(&unrolled_core::BoltzmannSums) -> f64| PyArray1::from_iter(py, sums.iter().map(of));
    Ok((column(|sum| sum.log_total), column(|sum| sum.mean), column(|sum| sum.variance)))
}
