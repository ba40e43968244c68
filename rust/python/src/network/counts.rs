//! `Counts`, `ParameterCounts` and `Spectrum`: the counts of a network, as arrays.

use std::sync::Arc;

use num_bigint::BigUint;
use numpy::PyArray1;
use pyo3::exceptions::{PyIndexError, PyKeyError};
use pyo3::prelude::*;
use unrolled_core::{Counts as CoreCounts, Level, SpectrumLevel, Value};

use crate::error::CoreError;
use crate::natural::{array, listed};
use crate::quantities::Quantities;

/// The counts of a whole network.
#[pyclass(frozen, module = "unrolled._core", name = "Counts")]
pub(crate) struct Counts {
    pub(crate) counts: Arc<CoreCounts>,
    pub(crate) exact: bool,
}

/// The counts of one parameter tensor.
#[pyclass(frozen, module = "unrolled._core", name = "ParameterCounts")]
pub(crate) struct ParameterCounts {
    counts: Arc<CoreCounts>,
    at: usize,
}

/// Distinct counts, rising.
#[pyclass(frozen, module = "unrolled._core", name = "Spectrum")]
pub(crate) struct Spectrum(Vec<SpectrumLevel>);

#[pymethods]
impl Counts {
    #[getter]
    fn exact(&self) -> bool {
        self.exact
    }

    #[getter]
    fn total(&self) -> Option<BigUint> {
        self.counts.total.exact.clone()
    }

    #[getter]
    fn log2_total(&self) -> f64 {
        self.counts.total.log2()
    }

    #[getter]
    fn parameters(&self) -> Vec<usize> {
        self.counts.parameters.iter().map(|parameter| parameter.tensor.0).collect()
    }

    #[getter]
    fn peak_bytes(&self) -> u64 {
        self.counts.peak_bytes
    }

    /// How many scalar parameters were counted, with a context or without one.
    #[getter]
    fn num_elements(&self) -> u64 {
        let levels = self.counts.parameters.iter().flat_map(|parameter| &parameter.levels);
        levels.map(|level| level.degeneracy).sum()
    }

    #[getter]
    fn num_weight_nodes(&self) -> u64 {
        self.counts.parameters.iter().map(|parameter| parameter.weight_nodes).sum()
    }

    fn parameter(&self, id: usize) -> PyResult<ParameterCounts> {
        let found =
            self.counts.parameters.binary_search_by_key(&id, |parameter| parameter.tensor.0);
        let at = found.map_err(|_| PyKeyError::new_err(id))?;
        Ok(ParameterCounts { counts: Arc::clone(&self.counts), at })
    }

    fn spectrum(&self, py: Python<'_>) -> Result<Spectrum, CoreError> {
        Ok(Spectrum(py.detach(|| self.counts.spectrum())?))
    }
}

impl ParameterCounts {
    fn counted(&self) -> &unrolled_core::ParameterCounts {
        &self.counts.parameters[self.at]
    }
}

#[pymethods]
impl ParameterCounts {
    #[getter]
    fn runs<'py>(&self, py: Python<'py>) -> PyResult<Vec<Bound<'py, PyArray1<u64>>>> {
        self.counted().runs().map(|runs| array(py, runs.iter().copied())).collect()
    }

    #[getter]
    fn level_index<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyArray1<u32>>> {
        array(py, self.counted().level_index.iter().copied())
    }

    #[getter]
    fn mantissas<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyArray1<f64>>> {
        column(py, &self.counted().levels, |level| level.value.mantissa)
    }

    #[getter]
    fn exponents<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyArray1<i64>>> {
        column(py, &self.counted().levels, |level| level.value.exponent)
    }

    #[getter]
    fn degeneracies<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyArray1<u64>>> {
        column(py, &self.counted().levels, |level| level.degeneracy)
    }

    #[getter]
    fn weight_nodes(&self) -> u64 {
        self.counted().weight_nodes
    }

    fn exact(&self, level: usize) -> PyResult<Option<BigUint>> {
        exact(self.counted().levels.get(level).map(|level: &Level| &level.value))
    }
}

#[pymethods]
impl Spectrum {
    #[getter]
    fn mantissas<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyArray1<f64>>> {
        column(py, &self.0, |row| row.level.value.mantissa)
    }

    #[getter]
    fn exponents<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyArray1<i64>>> {
        column(py, &self.0, |row| row.level.value.exponent)
    }

    #[getter]
    fn degeneracies<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyArray1<u64>>> {
        column(py, &self.0, |row| row.level.degeneracy)
    }

    fn quantities(&self, py: Python<'_>) -> Result<Quantities, CoreError> {
        let level = |row: &SpectrumLevel| {
            let Level { value, degeneracy } = &row.level;
            (value.mantissa, value.exponent, *degeneracy)
        };
        Quantities::of(py, self.0.iter().map(level))
    }

    /// How many parameters have a context.
    #[getter]
    fn num_reached(&self) -> u64 {
        self.0.iter().map(|row| row.level.degeneracy).sum()
    }

    fn exact(&self, level: usize) -> PyResult<Option<BigUint>> {
        exact(self.0.get(level).map(|row| &row.level.value))
    }

    fn owners(&self, level: usize) -> PyResult<Vec<(usize, u64)>> {
        let row = self.0.get(level).ok_or_else(|| PyIndexError::new_err("no such level"))?;
        listed(row.owners.iter().map(|&(id, degeneracy)| (id.0, degeneracy)))
    }

    fn __len__(&self) -> usize {
        self.0.len()
    }
}

fn exact(value: Option<&Value>) -> PyResult<Option<BigUint>> {
    let value = value.ok_or_else(|| PyIndexError::new_err("no such level"))?;
    Ok(value.exact.clone())
}

fn column<'py, R, T: numpy::Element>(
    py: Python<'py>,
    rows: &[R],
    of: impl Fn(&R) -> T,
) -> PyResult<Bound<'py, PyArray1<T>>> {
    array(py, rows.iter().map(of))
}
