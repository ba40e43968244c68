//! `Quantities`: what follows from a spectrum of counts.

use numpy::{PyArray1, PyReadonlyArray1};
use pyo3::prelude::*;
use unrolled_core::{Quantities as CoreQuantities, ScaledLevel};

use crate::error::CoreError;
use crate::natural::{array, whole};

/// The quantities of a spectrum, in bits.
#[pyclass(frozen, module = "unrolled._core", name = "Quantities")]
pub(crate) struct Quantities(pub(crate) CoreQuantities);

impl Quantities {
    /// The quantities of a spectrum that the core knows.
    pub(crate) fn of(
        py: Python<'_>,
        levels: impl Iterator<Item = ScaledLevel> + Clone + Send,
    ) -> Result<Self, CoreError> {
        Ok(Self(py.detach(|| CoreQuantities::of(levels))?))
    }
}

#[pymethods]
impl Quantities {
    #[new]
    fn new(
        py: Python<'_>,
        mantissas: PyReadonlyArray1<'_, f64>,
        exponents: PyReadonlyArray1<'_, i64>,
        degeneracies: PyReadonlyArray1<'_, u64>,
    ) -> PyResult<Self> {
        let (mantissas, exponents) = (mantissas.as_slice()?, exponents.as_slice()?);
        Ok(Self::of(py, levels(mantissas, exponents, degeneracies.as_slice()?))?)
    }

    #[getter]
    fn num_parameters<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        whole(py, self.0.parameters)
    }

    #[getter]
    fn log2_total(&self) -> f64 {
        self.0.log2_total
    }

    #[getter]
    fn total_surprisal(&self) -> f64 {
        self.0.total_surprisal
    }

    #[getter]
    fn entropy(&self) -> f64 {
        self.0.entropy
    }

    #[getter]
    fn expected_spread(&self) -> f64 {
        self.0.expected_spread
    }
}

/// The surprisal of one parameter of each level, in bits.
#[pyfunction]
pub(crate) fn surprisals<'py>(
    py: Python<'py>,
    mantissas: PyReadonlyArray1<'py, f64>,
    exponents: PyReadonlyArray1<'py, i64>,
    degeneracies: PyReadonlyArray1<'py, u64>,
) -> PyResult<Bound<'py, PyArray1<f64>>> {
    let (mantissas, exponents) = (mantissas.as_slice()?, exponents.as_slice()?);
    let levels = levels(mantissas, exponents, degeneracies.as_slice()?);
    array(py, unrolled_core::surprisals(levels).map_err(CoreError::from)?)
}

/// The relative frequency of one parameter of each level.
#[pyfunction]
pub(crate) fn probabilities<'py>(
    py: Python<'py>,
    mantissas: PyReadonlyArray1<'py, f64>,
    exponents: PyReadonlyArray1<'py, i64>,
    degeneracies: PyReadonlyArray1<'py, u64>,
) -> PyResult<Bound<'py, PyArray1<f64>>> {
    let (mantissas, exponents) = (mantissas.as_slice()?, exponents.as_slice()?);
    let levels = levels(mantissas, exponents, degeneracies.as_slice()?);
    array(py, unrolled_core::probabilities(levels).map_err(CoreError::from)?)
}

/// Levels whose parts stand in arrays.
pub(crate) fn levels<'l>(
    mantissas: &'l [f64],
    exponents: &'l [i64],
    degeneracies: &'l [u64],
) -> impl ExactSizeIterator<Item = ScaledLevel> + Clone + Send + 'l {
    let counts = mantissas.iter().zip(exponents).zip(degeneracies);
    counts.map(|((&mantissa, &exponent), &degeneracy)| (mantissa, exponent, degeneracy))
}
