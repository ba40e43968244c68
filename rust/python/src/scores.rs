//! `Scorer`: a network compiled for scoring.

use std::collections::HashMap;

use pyo3::prelude::*;
use unrolled_core::scores::{FEATURE_NAMES, Features, Plan, SCORE_NAMES, Scores, Workspace};

use crate::enter::enter;
use crate::network::Network;
use crate::propagation::{Pieces, own_functions};

/// How many numbers a row of features has.
const FEATURES: usize = FEATURE_NAMES.len() + SCORE_NAMES.len();

/// A network, compiled for scoring.
#[pyclass(frozen, module = "unrolled._core", name = "Scorer")]
pub(crate) struct Scorer(Plan);

#[pymethods]
impl Scorer {
    #[new]
    #[pyo3(signature = (network, functions=HashMap::new()))]
    fn new(
        py: Python<'_>,
        network: &Network,
        functions: HashMap<String, Pieces<'_>>,
    ) -> PyResult<Self> {
        let own = own_functions(functions)?;
        enter(py, None, |_| Plan::compile(&network.0, &own)).map(Self)
    }

    /// Names of the columns that `score` gives.
    #[classattr]
    fn columns() -> Vec<&'static str> {
        SCORE_NAMES.to_vec()
    }

    /// Names of the columns that `features` gives.
    #[classattr]
    fn feature_columns() -> Vec<&'static str> {
        FEATURE_NAMES.iter().chain(&SCORE_NAMES).copied().collect()
    }

    /// Features and scores, in the order of `feature_columns`.
    fn features(&self, py: Python<'_>) -> PyResult<Vec<f64>> {
        let found = enter(py, None, |_| Ok(self.0.features(&mut Workspace::new(&self.0))))?;
        Ok(feature_row(&found).to_vec())
    }

    /// Scores, in the order of `columns`.
    fn scores(&self, py: Python<'_>) -> PyResult<Vec<f64>> {
        let found = enter(py, None, |_| Ok(self.0.score(&mut Workspace::new(&self.0))))?;
        Ok(found.to_array().to_vec())
    }
}

/// The columns of `Scorer.feature_columns`.
pub(crate) fn feature_row(found: &(Scores, Features)) -> [f64; FEATURES] {
    let mut row = [0.0; FEATURES];
    row[..FEATURE_NAMES.len()].copy_from_slice(&found.1);
    row[FEATURE_NAMES.len()..].copy_from_slice(&found.0.to_array());
    row
}
