//! `Relation`: an axis relation together with the axes it relates.

use numpy::{PyArray1, PyReadonlyArray1};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use unrolled_core::{AxisRelation, Relation as CoreRelation, SparseRows, Window};

use crate::error::InvalidNetworkError;

/// One factor of a link: which indices of target axes read which indices of source axes.
#[pyclass(frozen, eq, hash, module = "unrolled", name = "Relation")]
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct Relation(pub(crate) AxisRelation);

#[pymethods]
impl Relation {
    #[staticmethod]
    fn same(source: usize, target: usize) -> Self {
        Self(AxisRelation::new(CoreRelation::Same, source, target))
    }

    #[staticmethod]
    fn sum(target: usize) -> Self {
        Self(AxisRelation::sum(target))
    }

    #[staticmethod]
    fn each(source: usize) -> Self {
        Self(AxisRelation::each(source))
    }

    #[staticmethod]
    fn all(source: usize, target: usize) -> Self {
        Self(AxisRelation::new(CoreRelation::All, source, target))
    }

    #[staticmethod]
    #[pyo3(signature = (source, target, *, size, stride=1, dilation=1, padding=0))]
    fn window(
        source: usize,
        target: usize,
        size: u64,
        stride: u64,
        dilation: u64,
        padding: i64,
    ) -> Self {
        let window = Window { size, stride, dilation, padding };
        Self(AxisRelation::new(CoreRelation::Window(window), source, target))
    }

    #[staticmethod]
    #[pyo3(signature = (source, target, *, size, stride=1, dilation=1, padding=0))]
    fn transposed_window(
        source: usize,
        target: usize,
        size: u64,
        stride: u64,
        dilation: u64,
        padding: i64,
    ) -> Self {
        let window = Window { size, stride, dilation, padding };
        Self(AxisRelation::new(CoreRelation::TransposedWindow(window), source, target))
    }

    #[staticmethod]
    #[pyo3(signature = (source, target, *, extent, size, stride=1, dilation=1, padding=0))]
    fn taps(
        source: usize,
        target: usize,
        extent: u64,
        size: u64,
        stride: u64,
        dilation: u64,
        padding: i64,
    ) -> Self {
        let window = Window { size, stride, dilation, padding };
        Self(AxisRelation::new(CoreRelation::Taps { window, extent }, source, target))
    }

    #[staticmethod]
    #[pyo3(signature = (source, target, *, extent, size, stride=1, dilation=1, padding=0))]
    fn transposed_taps(
        source: usize,
        target: usize,
        extent: u64,
        size: u64,
        stride: u64,
        dilation: u64,
        padding: i64,
    ) -> Self {
        let window = Window { size, stride, dilation, padding };
        Self(AxisRelation::new(CoreRelation::TransposedTaps { window, extent }, source, target))
    }

    #[staticmethod]
    #[pyo3(signature = (source, target, *, groups))]
    fn blocks(source: usize, target: usize, groups: u64) -> Self {
        Self(AxisRelation::new(CoreRelation::Blocks { groups }, source, target))
    }

    #[staticmethod]
    #[pyo3(signature = (source, target, *, start=0, step=1))]
    fn slice(source: usize, target: usize, start: u64, step: i64) -> Self {
        Self(AxisRelation::new(CoreRelation::Slice { start, step }, source, target))
    }

    #[staticmethod]
    fn select(source: usize, target: usize, indices: PyReadonlyArray1<'_, i64>) -> Self {
        let indices = indices.as_array().iter().map(|&i| u64::try_from(i).ok()).collect();
        Self(AxisRelation::new(CoreRelation::Select { indices }, source, target))
    }

    #[staticmethod]
    #[pyo3(signature = (source, target, offsets, indices, multiplicities=None))]
    fn sparse(
        source: usize,
        target: usize,
        offsets: PyReadonlyArray1<'_, i64>,
        indices: PyReadonlyArray1<'_, i64>,
        multiplicities: Option<PyReadonlyArray1<'_, i64>>,
    ) -> PyResult<Self> {
        let indices = naturals("indices", &indices)?;
        let multiplicities = match multiplicities {
            Some(given) => naturals("multiplicities", &given)?,
            None => vec![1; indices.len()],
        };
        let rows = SparseRows { offsets: naturals("offsets", &offsets)?, indices, multiplicities };
        Ok(Self(AxisRelation::new(CoreRelation::Sparse(rows), source, target)))
    }

    #[staticmethod]
    fn reshape(source_axes: Vec<usize>, target_axes: Vec<usize>) -> Self {
        Self(AxisRelation::reshape(source_axes, target_axes))
    }

    #[getter]
    fn kind(&self) -> &'static str {
        self.0.relation.name()
    }

    #[getter]
    fn source_axes(&self) -> Vec<usize> {
        self.0.source_axes.clone()
    }

    #[getter]
    fn target_axes(&self) -> Vec<usize> {
        self.0.target_axes.clone()
    }

    #[getter]
    fn arguments<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let arguments = PyDict::new(py);
        let windowed = |window: &Window| -> PyResult<()> {
            arguments.set_item("size", window.size)?;
            arguments.set_item("stride", window.stride)?;
            arguments.set_item("dilation", window.dilation)?;
            arguments.set_item("padding", window.padding)
        };
        match &self.0.relation {
            CoreRelation::Window(window) | CoreRelation::TransposedWindow(window) => windowed(window)?,
            CoreRelation::Taps { window, extent } | CoreRelation::TransposedTaps { window, extent } => {
                windowed(window)?;
                arguments.set_item("extent", extent)?;
            }
            CoreRelation::Blocks { groups } => arguments.set_item("groups", groups)?,
            CoreRelation::Slice { start, step } => {
                arguments.set_item("start", start)?;
                arguments.set_item("step", step)?;
            }
            CoreRelation::Select { indices } => {
                let signed = indices.iter().map(|i| i.map_or(-1, |i| i as i64));
                arguments.set_item("indices", PyArray1::from_iter(py, signed))?;
            }
            CoreRelation::Sparse(rows) => {
                for (name, values) in [
                    ("offsets", &rows.offsets),
                    ("indices", &rows.indices),
                    ("multiplicities", &rows.multiplicities),
                ] {
                    arguments.set_item(name, PyArray1::from_iter(py, values.iter().map(|&v| v as i64)))?;
                }
            }
            _ => {}
        }
        Ok(arguments)
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let axes = format!("{:?}, {:?}", self.0.source_axes, self.0.target_axes);
        Ok(format!("Relation.{}({axes}, {})", self.kind(), self.arguments(py)?.repr()?))
    }
}

fn naturals(name: &str, values: &PyReadonlyArray1<'_, i64>) -> PyResult<Vec<u64>> {
    let checked: Result<Vec<u64>, _> = values.as_array().iter().map(|&v| u64::try_from(v)).collect();
    checked.map_err(|_| InvalidNetworkError::new_err(format!("'sparse' {name} must not be negative")))
}
