//! `GraphCounts` and `GraphSpectrum`: the counts of the nodes of a graph, and the distinct ones.

use std::sync::{Arc, OnceLock};

use num_bigint::BigUint;
use numpy::{PyArray1, PyReadonlyArray1};
use pyo3::exceptions::PyIndexError;
use pyo3::prelude::*;
use unrolled_core::{GraphCounts as CoreCounts, GraphSpectrum as CoreSpectrum, Value};

use crate::enter::enter;
use crate::error::CoreError;
use crate::graph::arrays::GraphArrays;
use crate::natural::{array, listed};
use crate::quantities::{Quantities, levels};

/// The counts of all nodes of a graph.
#[pyclass(frozen, module = "unrolled._core", name = "GraphCounts")]
pub(crate) struct GraphCounts {
    graph: Arc<GraphArrays>,
    counts: Arc<CoreCounts>,
    spectrum: OnceLock<Arc<CoreSpectrum>>,
}

/// Distinct counts of parameters, rising.
#[pyclass(frozen, module = "unrolled._core", name = "GraphSpectrum")]
pub(crate) struct GraphSpectrum {
    counts: Arc<CoreCounts>,
    spectrum: Arc<CoreSpectrum>,
}

/// Mantissa, exponent, and the integer if it is known.
type Triple = (f64, i64, Option<BigUint>);

fn triple(value: Value) -> Triple {
    (value.mantissa, value.exponent, value.exact)
}

impl GraphCounts {
    pub(crate) fn new(graph: Arc<GraphArrays>, counts: CoreCounts) -> Self {
        Self { graph, counts: Arc::new(counts), spectrum: OnceLock::new() }
    }
}

#[pymethods]
impl GraphCounts {
    #[getter]
    fn exact(&self) -> bool {
        self.counts.is_exact()
    }

    #[getter]
    fn peak_bytes(&self) -> u64 {
        self.counts.peak_bytes()
    }

    /// Whether the count of a node was kept.
    fn has(&self, node: usize) -> bool {
        self.counts.has(node)
    }

    fn value(&self, node: usize) -> Result<Triple, CoreError> {
        Ok(triple(self.counts.value(node)?))
    }

    /// The exact counts of nodes; of all, if none are given.
    #[pyo3(signature = (nodes=None))]
    fn integers(
        &self,
        py: Python<'_>,
        nodes: Option<PyReadonlyArray1<'_, u64>>,
    ) -> PyResult<Vec<BigUint>> {
        match nodes {
            None => {
                enter(py, None, |monitor| self.counts.integers(0..self.counts.nodes(), monitor))
            }
            Some(nodes) => {
                let nodes = listed(nodes.as_array().iter().map(|&node| node as usize))?;
                enter(py, None, |monitor| self.counts.integers(nodes.into_iter(), monitor))
            }
        }
    }

    fn group(&self, py: Python<'_>, label: i64) -> PyResult<Triple> {
        self.graph.with(py, |graph| {
            let value = enter(py, None, |monitor| self.counts.group(&graph, label, monitor))?;
            Ok(triple(value))
        })
    }

    fn log2<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyArray1<f64>>> {
        let logarithms = enter(py, None, |monitor| self.counts.log2(0, monitor))?;
        Ok(PyArray1::from_vec(py, logarithms))
    }

    fn spectrum(&self, py: Python<'_>) -> PyResult<GraphSpectrum> {
        let spectrum = match self.spectrum.get() {
            Some(spectrum) => Arc::clone(spectrum),
            None => {
                let found = self.graph.with(py, |graph| {
                    enter(py, None, |monitor| self.counts.spectrum(&graph, monitor))
                })?;
                Arc::clone(self.spectrum.get_or_init(|| Arc::new(found)))
            }
        };
        Ok(GraphSpectrum { counts: Arc::clone(&self.counts), spectrum })
    }
}

#[pymethods]
impl GraphSpectrum {
    #[getter]
    fn mantissas<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyArray1<f64>>> {
        array(py, self.spectrum.mantissas.iter().copied())
    }

    #[getter]
    fn exponents<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyArray1<i64>>> {
        array(py, self.spectrum.exponents.iter().copied())
    }

    #[getter]
    fn degeneracies<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyArray1<u64>>> {
        array(py, self.spectrum.degeneracies.iter().copied())
    }

    fn quantities(&self, py: Python<'_>) -> Result<Quantities, CoreError> {
        let CoreSpectrum { mantissas, exponents, degeneracies, .. } = &*self.spectrum;
        Quantities::of(py, levels(mantissas, exponents, degeneracies))
    }

    /// How many parameters have a path.
    #[getter]
    fn num_reached(&self) -> u64 {
        self.spectrum.degeneracies.iter().sum()
    }

    #[getter]
    fn num_parameters(&self) -> u64 {
        self.spectrum.parameters
    }

    #[getter]
    fn num_weight_nodes(&self) -> u64 {
        self.spectrum.weight_nodes
    }

    #[getter]
    fn total(&self) -> Triple {
        triple(self.spectrum.total.clone())
    }

    fn exact(&self, py: Python<'_>, level: usize) -> PyResult<BigUint> {
        py.detach(|| self.counts.level(&self.spectrum, level))
            .ok_or_else(|| PyIndexError::new_err("no such level"))
    }

    fn __len__(&self) -> usize {
        self.spectrum.degeneracies.len()
    }
}
