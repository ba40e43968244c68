//! `Program`: a network compiled for signal propagation, and the sweeps over it.

use std::collections::HashMap;

use numpy::ndarray::Array2;
use numpy::{IntoPyArray, PyArray1, PyArray2, PyReadonlyArray1, PyReadonlyArray2};
use pyo3::prelude::*;
use unrolled_core::propagation::{
    BatchNormMode, Elements, FUNCTION_NAMES, InputLaw, OwnFunctions, Program as CoreProgram,
    Resolution, Scaled, Settings, Workspace, function_moments as core_moments, own_function,
    propagate as core_propagate,
};
use unrolled_core::{Error, TensorId};

use crate::enter::enter;
use crate::error::CoreError;
use crate::network::Network;

/// Breaks, Chebyshev coefficients of the pieces, kinks, and whether the function never falls.
pub(crate) type Pieces<'py> =
    (PyReadonlyArray1<'py, f64>, PyReadonlyArray1<'py, f64>, PyReadonlyArray1<'py, f64>, bool);

/// Of a parameter: tensor, role, the tensors that it is used for and applied to, fan-in and fan-out,
/// and in how many places it is used.
type ParameterRow =
    (usize, Option<&'static str>, (Option<usize>, Option<usize>), (f64, f64), usize);

/// A network, compiled for signal propagation.
#[pyclass(frozen, module = "unrolled._core", name = "Program")]
pub(crate) struct Program(CoreProgram);

/// What a sweep found, by tensor of the program and by parameter.
#[pyclass(frozen, get_all, module = "unrolled._core", name = "Sweep")]
pub(crate) struct Sweep {
    /// A row a tensor: mean, mean square, and mean products with other samples, other positions,
    /// and both.
    signals: Py<PyArray2<f64>>,
    signal_exponents: Py<PyArray1<i64>>,
    /// A row a tensor: mean square of derivatives, and their correlation between positions.
    gradients: Py<PyArray2<f64>>,
    gradient_exponents: Py<PyArray1<i64>>,
    /// Factors of functions and normalisers; NaN for other tensors.
    slopes: Py<PyArray1<f64>>,
    slope_exponents: Py<PyArray1<i64>>,
    parameter_gradients: Py<PyArray1<f64>>,
    parameter_exponents: Py<PyArray1<i64>>,
    jacobian: (f64, i64),
    /// The tensor beyond which nothing could be followed, what it was, and whether that was too
    /// large; the signals of tensors before it hold all the same.
    lost: Option<(usize, &'static str, bool)>,
}

#[pymethods]
impl Program {
    #[new]
    #[pyo3(signature = (network, functions=HashMap::new(), exact=None))]
    fn new(
        py: Python<'_>,
        network: &Network,
        functions: HashMap<String, Pieces<'_>>,
        exact: Option<bool>,
    ) -> PyResult<Self> {
        let own = own_functions(functions)?;
        let resolution = match exact {
            None => Resolution::Affordable,
            Some(true) => Resolution::Exact,
            Some(false) => Resolution::Mean,
        };
        enter(py, None, |_| CoreProgram::compile(&network.0, &own, resolution)).map(Self)
    }

    #[getter]
    fn tensors(&self) -> Vec<usize> {
        self.0.tensors().map(|tensor| tensor.0).collect()
    }

    #[getter]
    fn parameters(&self) -> Vec<ParameterRow> {
        let rows = self.0.parameters().iter();
        rows.map(|one| {
            let role = one.role.map(|role| role.name());
            let ends = (one.target.map(|tensor| tensor.0), one.source.map(|tensor| tensor.0));
            (one.tensor.0, role, ends, (one.fan_in, one.fan_out), one.uses)
        })
        .collect()
    }

    #[getter]
    fn outputs(&self) -> Vec<usize> {
        self.0.outputs().map(|tensor| tensor.0).collect()
    }

    #[getter]
    fn entries(&self) -> Vec<usize> {
        self.0.entries().map(|tensor| tensor.0).collect()
    }

    #[getter]
    fn cut(&self) -> Vec<usize> {
        self.0.cut().iter().map(|tensor| tensor.0).collect()
    }

    #[getter]
    fn computed_kernels(&self) -> Vec<usize> {
        self.0.computed_kernels().iter().map(|tensor| tensor.0).collect()
    }

    #[getter]
    fn exactness(&self) -> Vec<&'static str> {
        self.0.tensors().filter_map(|tensor| self.0.exactness(tensor)).map(|e| e.name()).collect()
    }

    /// Which elements are told from each other: "mean", "channels" or "exact".
    #[getter]
    fn resolution(&self) -> &'static str {
        match self.0.resolution() {
            Resolution::Exact => "exact",
            Resolution::Channels => "channels",
            _ => "mean",
        }
    }

    #[getter]
    fn positions(&self) -> Vec<f64> {
        self.0.tensors().filter_map(|tensor| self.0.positions(tensor)).collect()
    }

    /// A sweep forwards and one backwards.
    #[pyo3(signature = (parameters, inputs, seeds, stored=false))]
    fn propagate(
        &self,
        py: Python<'_>,
        parameters: PyReadonlyArray2<'_, f64>,
        inputs: PyReadonlyArray2<'_, f64>,
        seeds: Vec<f64>,
        stored: bool,
    ) -> PyResult<Sweep> {
        let elements = parameters.as_array();
        let laws = inputs.as_array();
        let settings = Settings {
            parameters: elements
                .rows()
                .into_iter()
                .map(|row| Elements { mean: row[0], mean_square: row[1] })
                .collect(),
            inputs: laws
                .rows()
                .into_iter()
                .map(|row| InputLaw {
                    mean_square: row[0],
                    samples: row[1],
                    positions: row[2],
                    both: row[3],
                    is_scaled: row[4] != 0.0,
                })
                .collect(),
            batch_norm: if stored { BatchNormMode::Stored } else { BatchNormMode::Batch },
            seeds,
        };
        let mut workspace = Workspace::default();
        let program = &self.0;
        let lost = enter(py, None, |_| match core_propagate(program, &settings, &mut workspace) {
            Ok(()) => Ok(None),
            Err(Error::OutOfDomain { tensor, what, is_large }) => {
                Ok(Some((tensor, what, is_large)))
            }
            Err(error) => Err(error),
        })?;
        Ok(self.read(py, &workspace, lost))
    }
}

impl Program {
    fn read(
        &self,
        py: Python<'_>,
        workspace: &Workspace,
        lost: Option<(usize, &'static str, bool)>,
    ) -> Sweep {
        let tensors: Vec<TensorId> = self.0.tensors().collect();
        let mut signals = Array2::from_elem((tensors.len(), 5), f64::NAN);
        let mut gradients = Array2::from_elem((tensors.len(), 2), f64::NAN);
        let (mut signal_exponents, mut gradient_exponents) =
            (vec![0; tensors.len()], vec![0; tensors.len()]);
        let (mut slopes, mut slope_exponents) =
            (vec![f64::NAN; tensors.len()], vec![0; tensors.len()]);
        for (row, &tensor) in tensors.iter().enumerate() {
            let Some(one) = workspace.tensor(&self.0, tensor) else { continue };
            let values = [one.mean, one.square.value, one.samples, one.positions, one.both];
            for (column, value) in values.into_iter().enumerate() {
                signals[[row, column]] = value;
            }
            gradients[[row, 0]] = one.gradient.value;
            gradients[[row, 1]] = one.coherence;
            signal_exponents[row] = one.square.exponent;
            gradient_exponents[row] = one.gradient.exponent;
            if let Some(slope) = one.slope {
                (slopes[row], slope_exponents[row]) = (slope.value, slope.exponent);
            }
        }
        let parameters: Vec<Scaled> =
            (0..self.0.parameters().len()).map(|number| workspace.parameter(number)).collect();
        let jacobian = workspace.jacobian(&self.0);
        let values: Vec<f64> = parameters.iter().map(|one| one.value).collect();
        let exponents: Vec<i64> = parameters.iter().map(|one| one.exponent).collect();
        Sweep {
            signals: signals.into_pyarray(py).unbind(),
            signal_exponents: signal_exponents.into_pyarray(py).unbind(),
            gradients: gradients.into_pyarray(py).unbind(),
            gradient_exponents: gradient_exponents.into_pyarray(py).unbind(),
            slopes: slopes.into_pyarray(py).unbind(),
            slope_exponents: slope_exponents.into_pyarray(py).unbind(),
            parameter_gradients: values.into_pyarray(py).unbind(),
            parameter_exponents: exponents.into_pyarray(py).unbind(),
            jacobian: (jacobian.value, jacobian.exponent),
            lost,
        }
    }
}

pub(crate) fn own_functions(functions: HashMap<String, Pieces<'_>>) -> PyResult<OwnFunctions> {
    functions
        .into_iter()
        .map(|(name, (breaks, coefficients, kinks, is_monotone))| {
            let coefficients = coefficients.as_array().to_vec();
            let function = own_function(
                breaks.as_array().to_vec(),
                &coefficients,
                kinks.as_array().to_vec(),
                is_monotone,
            );
            Ok((name, function.map_err(CoreError::from)?))
        })
        .collect()
}

/// Moments of a function of two normal variables: of its values, and of its slopes.
#[pyfunction]
#[pyo3(signature = (name, mean, variance, correlation, functions=HashMap::new()))]
pub(crate) fn function_moments(
    name: &str,
    mean: f64,
    variance: f64,
    correlation: f64,
    functions: HashMap<String, Pieces<'_>>,
) -> PyResult<Option<[f64; 5]>> {
    let own = own_functions(functions)?;
    let found = core_moments(name, &own, mean, variance, correlation);
    Ok(found.map(|m| [m.mean, m.square, m.pair, m.slope_square, m.slope_pair]))
}

/// The names of the functions that are known.
#[pyfunction]
pub(crate) fn function_names() -> Vec<&'static str> {
    FUNCTION_NAMES.to_vec()
}
