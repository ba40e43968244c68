//! `Scorer`: a network compiled for scoring, with gates that open and close links.

use std::collections::HashMap;

use numpy::ndarray::Array2;
use numpy::{IntoPyArray, PyArray1, PyArray2, PyReadonlyArray2};
use pyo3::prelude::*;
use unrolled_core::scores::{FEATURE_NAMES, Features, Plan, SCORE_NAMES, Scores, Workspace};

use crate::enter::enter;
use crate::network::Network;
use crate::propagation::{Pieces, own_functions};

/// How many numbers a row of features has.
const FEATURES: usize = FEATURE_NAMES.len() + 1 + SCORE_NAMES.len();

/// A network, compiled for scoring.
#[pyclass(frozen, module = "unrolled._core", name = "Scorer")]
pub(crate) struct Scorer(Plan);

#[pymethods]
impl Scorer {
    #[new]
    #[pyo3(signature = (network, functions=HashMap::new(), gates=Vec::new()))]
    fn new(
        py: Python<'_>,
        network: &Network,
        functions: HashMap<String, Pieces<'_>>,
        gates: Vec<Option<usize>>,
    ) -> PyResult<Self> {
        let own = own_functions(functions)?;
        enter(py, None, |_| Plan::compile(&network.0, &own, &gates)).map(Self)
    }

    /// Names of the columns that `score` gives.
    #[classattr]
    fn columns() -> Vec<&'static str> {
        SCORE_NAMES.to_vec()
    }

    /// Names of the columns that `features` gives.
    #[classattr]
    fn feature_columns() -> Vec<&'static str> {
        FEATURE_NAMES.iter().chain(&["log_effective_size"]).chain(&SCORE_NAMES).copied().collect()
    }

    /// Features and scores of a network without gates.
    fn features(&self, py: Python<'_>) -> PyResult<Py<PyArray1<f64>>> {
        let found = enter(py, None, |_| self.0.features(&mut Workspace::new(&self.0)))?;
        Ok(feature_row(&found).to_vec().into_pyarray(py).unbind())
    }

    /// A row of scores for each row of open gates.
    #[pyo3(signature = (open, progress=None))]
    fn score(
        &self,
        py: Python<'_>,
        open: PyReadonlyArray2<'_, bool>,
        progress: Option<Py<PyAny>>,
    ) -> PyResult<Py<PyArray2<f64>>> {
        let architectures = open.as_array().nrows();
        let open: Vec<bool> = open.as_array().iter().copied().collect();
        let scores =
            enter(py, progress, |monitor| self.0.score_all(architectures, &open, monitor))?;
        let mut found = Array2::zeros((architectures, SCORE_NAMES.len()));
        for (mut row, scores) in found.rows_mut().into_iter().zip(scores) {
            row.iter_mut().zip(scores.to_array()).for_each(|(cell, score)| *cell = score);
        }
        Ok(found.into_pyarray(py).unbind())
    }
}

/// The columns of `Scorer.feature_columns`.
pub(crate) fn feature_row(found: &(Scores, Features)) -> [f64; FEATURES] {
    let mut row = [0.0; FEATURES];
    row[..=FEATURE_NAMES.len()].copy_from_slice(&found.1.to_array());
    row[FEATURE_NAMES.len() + 1..].copy_from_slice(&found.0.to_array());
    row
}
