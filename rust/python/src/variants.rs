//! `Variants`: many architectures that are variants of one network.

use std::collections::HashMap;

use numpy::ndarray::Array2;
use numpy::{IntoPyArray, PyArray1, PyArray2, PyReadonlyArray2};
use pyo3::prelude::*;
use unrolled_core::CountOptions;
use unrolled_core::scores::SCORE_NAMES;
use unrolled_core::variants::{
    SIZE_NAMES, UNUSED, VariantScorer as CoreScorer, Variants as CoreVariants,
};

use crate::enter::enter;
use crate::error::CoreError;
use crate::network::Network;
use crate::propagation::{Pieces, own_functions};
use crate::scores::feature_row;

const COUNT_NAMES: [&str; 8] = [
    "num_counted_parameters",
    "num_weight_nodes",
    "log2_total_contexts",
    "entropy",
    "expected_spread",
    "total_surprisal",
    "surprisal_estimate",
    "spread_estimate",
];

/// Tensors, links and outputs, by number.
type Part = (Vec<usize>, Vec<usize>, Vec<usize>);

/// Numbers of contexts as bytes, the lowest first, all of one length.
type Totals = Option<Py<PyArray2<u8>>>;

/// A network, and which option of which place opens each of its links.
#[pyclass(frozen, module = "unrolled._core", name = "Variants")]
pub(crate) struct Variants(CoreVariants);

/// Variants, compiled for scoring.
#[pyclass(frozen, module = "unrolled._core", name = "VariantScorer")]
pub(crate) struct VariantScorer(CoreScorer);

#[pymethods]
impl Variants {
    #[new]
    fn new(
        network: &Network,
        options: Vec<usize>,
        choices: Vec<Option<(usize, usize)>>,
    ) -> Result<Self, CoreError> {
        Ok(Self(CoreVariants::new(network.0.clone(), &options, &choices)?))
    }

    /// Names of the columns that `count` gives.
    #[classattr]
    fn columns() -> Vec<&'static str> {
        COUNT_NAMES.to_vec()
    }

    /// Tensors, links and outputs that take part in an architecture.
    fn part(&self, row: Vec<u32>) -> Result<Part, CoreError> {
        let part = self.0.part(&row)?;
        let numbers = |ids: &[unrolled_core::TensorId]| ids.iter().map(|id| id.0).collect();
        Ok((numbers(&part.tensors), part.links, numbers(&part.outputs)))
    }

    /// Whether a path leads from an input to an output, for each row of options.
    fn have_paths(
        &self,
        py: Python<'_>,
        rows: PyReadonlyArray2<'_, u32>,
    ) -> PyResult<Py<PyArray1<bool>>> {
        let (rows, many) = flat(&rows);
        let found = enter(py, None, |monitor| self.0.have_paths(&rows, many, monitor))?;
        Ok(found.into_pyarray(py).unbind())
    }

    /// Rows of options in which those that take no part are -1.
    fn canonical(
        &self,
        py: Python<'_>,
        rows: PyReadonlyArray2<'_, u32>,
    ) -> PyResult<Py<PyArray2<i64>>> {
        let (rows, many) = flat(&rows);
        let found = enter(py, None, |monitor| self.0.canonical(&rows, many, monitor))?;
        let mut table = Array2::zeros((many, self.0.places()));
        for (cell, option) in table.iter_mut().zip(found) {
            *cell = if option == UNUSED { -1 } else { i64::from(option) };
        }
        Ok(table.into_pyarray(py).unbind())
    }

    /// A row of quantities for each row of options, and the total numbers of contexts.
    #[pyo3(signature = (
        rows, exact=false, *, memory_limit=None, trainable_only=false, threads=0, progress=None
    ))]
    #[allow(clippy::too_many_arguments)]
    fn count(
        &self,
        py: Python<'_>,
        rows: PyReadonlyArray2<'_, u32>,
        exact: bool,
        memory_limit: Option<u64>,
        trainable_only: bool,
        threads: usize,
        progress: Option<Py<PyAny>>,
    ) -> PyResult<(Py<PyArray2<f64>>, Totals)> {
        let options = CountOptions { exact, trainable_only, memory_limit };
        let (rows, many) = flat(&rows);
        let counts =
            enter(py, progress, |monitor| self.0.count(&rows, many, &options, threads, monitor))?;
        let mut found = Array2::zeros((many, COUNT_NAMES.len()));
        for (mut row, one) in found.rows_mut().into_iter().zip(&counts.totals) {
            let values = [
                one.parameters as f64,
                one.weight_nodes as f64,
                one.log2_total,
                one.entropy,
                one.expected_spread,
                one.total_surprisal,
                one.surprisal_estimate,
                one.spread_estimate,
            ];
            row.iter_mut().zip(values).for_each(|(cell, value)| *cell = value);
        }
        let totals = exact.then(|| {
            let widest = counts.exact.iter().map(|total| total.bits()).max().unwrap_or(0);
            let mut bytes = Array2::zeros((many, widest.div_ceil(8) as usize));
            for (mut row, total) in bytes.rows_mut().into_iter().zip(&counts.exact) {
                let digits = total.to_bytes_le();
                row.iter_mut().zip(digits).for_each(|(cell, digit)| *cell = digit);
            }
            bytes.into_pyarray(py).unbind()
        });
        Ok((found.into_pyarray(py).unbind(), totals))
    }
}

#[pymethods]
impl VariantScorer {
    #[new]
    #[pyo3(signature = (variants, functions=HashMap::new()))]
    fn new(
        py: Python<'_>,
        variants: &Variants,
        functions: HashMap<String, Pieces<'_>>,
    ) -> PyResult<Self> {
        let own = own_functions(functions)?;
        enter(py, None, |_| CoreScorer::new(variants.0.clone(), &own)).map(Self)
    }

    /// Names of the columns that `sizes` gives.
    #[classattr]
    fn size_columns() -> Vec<&'static str> {
        SIZE_NAMES.to_vec()
    }

    /// Names of the columns that `scores` gives.
    #[classattr]
    fn score_columns() -> Vec<&'static str> {
        ["parameters"].into_iter().chain(SCORE_NAMES).collect()
    }

    /// A row of sizes for each row of options.
    #[pyo3(signature = (rows, *, threads=0, progress=None))]
    fn sizes(
        &self,
        py: Python<'_>,
        rows: PyReadonlyArray2<'_, u32>,
        threads: usize,
        progress: Option<Py<PyAny>>,
    ) -> PyResult<Py<PyArray2<f64>>> {
        let (rows, many) = flat(&rows);
        let sizes = enter(py, progress, |monitor| self.0.sizes(&rows, many, threads, monitor))?;
        Ok(table(py, sizes.iter().map(|one| one.to_array())))
    }

    /// A row of scores and sizes for each row of options.
    #[pyo3(signature = (rows, *, threads=0, progress=None))]
    fn scores(
        &self,
        py: Python<'_>,
        rows: PyReadonlyArray2<'_, u32>,
        threads: usize,
        progress: Option<Py<PyAny>>,
    ) -> PyResult<Py<PyArray2<f64>>> {
        let (rows, many) = flat(&rows);
        let scores = enter(py, progress, |monitor| self.0.scores(&rows, many, threads, monitor))?;
        let row = |&(scores, parameters): &(unrolled_core::scores::Scores, f64)| {
            let mut row = [parameters; SCORE_NAMES.len() + 1];
            row[1..].copy_from_slice(&scores.to_array());
            row
        };
        Ok(table(py, scores.iter().map(row)))
    }

    /// A row of features and scores for each row of options, as `Scorer.feature_columns` has them.
    #[pyo3(signature = (rows, *, threads=0, progress=None))]
    fn features(
        &self,
        py: Python<'_>,
        rows: PyReadonlyArray2<'_, u32>,
        threads: usize,
        progress: Option<Py<PyAny>>,
    ) -> PyResult<Py<PyArray2<f64>>> {
        let (rows, many) = flat(&rows);
        let found = enter(py, progress, |monitor| self.0.features(&rows, many, threads, monitor))?;
        Ok(table(py, found.iter().map(feature_row)))
    }
}

/// All rows one after the other, and how many there are.
fn flat(rows: &PyReadonlyArray2<'_, u32>) -> (Vec<u32>, usize) {
    let rows = rows.as_array();
    (rows.iter().copied().collect(), rows.nrows())
}

fn table<const N: usize>(
    py: Python<'_>,
    rows: impl ExactSizeIterator<Item = [f64; N]>,
) -> Py<PyArray2<f64>> {
    let mut found = Array2::zeros((rows.len(), N));
    for (mut row, values) in found.rows_mut().into_iter().zip(rows) {
        row.iter_mut().zip(values).for_each(|(cell, value)| *cell = value);
    }
    found.into_pyarray(py).unbind()
}
