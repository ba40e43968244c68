//! `Relation`: an axis relation together with the axes it relates.

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedStr;
use pyo3::types::{PyDict, PyTuple, PyType};
use unrolled_core::{AxisRelation, Relation as CoreRelation, SparseRows, Window};

use crate::error::InvalidNetworkError;
use crate::natural::{Natural, Whole, Wholes, array, listed, no_memory, shown};

/// The constructors of a relation, which are also the kinds there are.
const KINDS: [&str; 13] = [
    "same",
    "sum",
    "each",
    "all",
    "window",
    "transposed_window",
    "taps",
    "transposed_taps",
    "blocks",
    "slice",
    "select",
    "sparse",
    "reshape",
];

/// What `Relation` is called with to make an equal one.
type Description<'py> = (&'static str, Vec<usize>, Vec<usize>, Bound<'py, PyDict>);

/// One factor of a link: which indices of target axes read which indices of source axes.
#[pyclass(frozen, eq, hash, module = "unrolled", name = "Relation")]
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct Relation(pub(crate) AxisRelation);

#[pymethods]
impl Relation {
    /// A relation by the properties of another one, which pickles and copies are made of.
    #[new]
    #[pyo3(signature = (kind, source_axes, target_axes, arguments=None))]
    fn new(
        py: Python<'_>,
        kind: &Bound<'_, PyAny>,
        source_axes: Wholes,
        target_axes: Wholes,
        arguments: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Self> {
        let name = kind.extract::<PyBackedStr>().ok();
        let Some(&kind) = KINDS.iter().find(|&&known| name.as_deref() == Some(known)) else {
            let (kind, known) = (shown(kind.as_borrowed()), KINDS.join(", "));
            let message = format!("no relation is called {kind}; there are {known}");
            return Err(InvalidNetworkError::new_err(message));
        };
        let arguments = arguments.map(|given| given.cast::<PyDict>()).transpose();
        let arguments = arguments.map_err(|_| {
            InvalidNetworkError::new_err(
                "the arguments of a relation must be a dict of their names",
            )
        })?;
        let described =
            format!("source axes {:?} and target axes {:?}", source_axes.0, target_axes.0);
        let axes = if kind == "reshape" {
            (source_axes.0, target_axes.0).into_pyobject(py)?
        } else {
            PyTuple::new(py, source_axes.0.into_iter().chain(target_axes.0).collect::<Vec<_>>())?
        };
        let relation = py.get_type::<Self>().call_method(kind, axes, arguments);
        let relation = relation.map_err(|error| {
            if !error.is_instance_of::<PyTypeError>(py) {
                return error;
            }
            let reason = error.value(py);
            let message = format!("'{kind}' is no relation of {described}: {reason}");
            InvalidNetworkError::new_err(message)
        })?;
        relation.cast_into::<Self>()?.get().0.try_clone().map(Self).map_err(no_memory)
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyType>, Description<'py>)> {
        let (source, target) = (self.source_axes(), self.target_axes());
        Ok((py.get_type::<Self>(), (self.kind(), source, target, self.arguments(py)?)))
    }

    /// Index ``i`` of the source axis is read by index ``i`` of the target axis.
    #[staticmethod]
    fn same(source: Natural, target: Natural) -> Self {
        Self(AxisRelation::new(CoreRelation::Same, source.index(), target.index()))
    }

    /// The target axis is not in the source: every index of it reads the same element.
    #[staticmethod]
    fn sum(target: Natural) -> Self {
        Self(AxisRelation::sum(target.index()))
    }

    /// The source axis is not in the target: every index of it is read alike.
    #[staticmethod]
    fn each(source: Natural) -> Self {
        Self(AxisRelation::each(source.index()))
    }

    /// Every index of the target axis reads every index of the source axis.
    #[staticmethod]
    fn all(source: Natural, target: Natural) -> Self {
        Self(AxisRelation::new(CoreRelation::All, source.index(), target.index()))
    }

    /// Target index ``o`` reads ``o * stride - padding + t * dilation`` for ``t < size``, in bounds.
    #[staticmethod]
    #[pyo3(signature = (source, target, *, size, stride=Natural(1), dilation=Natural(1), padding=Whole(0)), text_signature = "(source, target, *, size, stride=1, dilation=1, padding=0)")]
    fn window(
        source: Natural,
        target: Natural,
        size: Natural,
        stride: Natural,
        dilation: Natural,
        padding: Whole,
    ) -> Self {
        let window = window(size, stride, dilation, padding);
        Self(AxisRelation::new(CoreRelation::Window(window), source.index(), target.index()))
    }

    /// Source index ``i`` is read by ``i * stride - padding + t * dilation`` for ``t < size``, in bounds.
    #[staticmethod]
    #[pyo3(signature = (source, target, *, size, stride=Natural(1), dilation=Natural(1), padding=Whole(0)), text_signature = "(source, target, *, size, stride=1, dilation=1, padding=0)")]
    fn transposed_window(
        source: Natural,
        target: Natural,
        size: Natural,
        stride: Natural,
        dilation: Natural,
        padding: Whole,
    ) -> Self {
        let window = window(size, stride, dilation, padding);
        Self(AxisRelation::new(
            CoreRelation::TransposedWindow(window),
            source.index(),
            target.index(),
        ))
    }

    /// The source axis are the taps of a window over ``extent`` positions, each used where in bounds.
    #[staticmethod]
    #[pyo3(signature = (source, target, *, extent, size, stride=Natural(1), dilation=Natural(1), padding=Whole(0)), text_signature = "(source, target, *, extent, size, stride=1, dilation=1, padding=0)")]
    fn taps(
        source: Natural,
        target: Natural,
        extent: Natural,
        size: Natural,
        stride: Natural,
        dilation: Natural,
        padding: Whole,
    ) -> Self {
        let window = window(size, stride, dilation, padding);
        Self(AxisRelation::new(
            CoreRelation::Taps { window, extent: extent.0 },
            source.index(),
            target.index(),
        ))
    }

    /// The source axis are the taps of a transposed window with ``extent`` inputs.
    #[staticmethod]
    #[pyo3(signature = (source, target, *, extent, size, stride=Natural(1), dilation=Natural(1), padding=Whole(0)), text_signature = "(source, target, *, extent, size, stride=1, dilation=1, padding=0)")]
    fn transposed_taps(
        source: Natural,
        target: Natural,
        extent: Natural,
        size: Natural,
        stride: Natural,
        dilation: Natural,
        padding: Whole,
    ) -> Self {
        let window = window(size, stride, dilation, padding);
        Self(AxisRelation::new(
            CoreRelation::TransposedTaps { window, extent: extent.0 },
            source.index(),
            target.index(),
        ))
    }

    /// Both axes fall into ``groups`` equal blocks; a target index reads its own block.
    #[staticmethod]
    #[pyo3(signature = (source, target, *, groups))]
    fn blocks(source: Natural, target: Natural, groups: Natural) -> Self {
        Self(AxisRelation::new(
            CoreRelation::Blocks { groups: groups.0 },
            source.index(),
            target.index(),
        ))
    }

    /// Target index ``o`` reads source index ``start + step * o``.
    #[staticmethod]
    #[pyo3(signature = (source, target, *, start=Natural(0), step=Whole(1)), text_signature = "(source, target, *, start=0, step=1)")]
    fn slice(source: Natural, target: Natural, start: Natural, step: Whole) -> Self {
        Self(AxisRelation::new(
            CoreRelation::Slice { start: start.0, step: step.0 },
            source.index(),
            target.index(),
        ))
    }

    /// Target index ``o`` reads source index ``indices[o]``; -1 reads nothing.
    #[staticmethod]
    fn select(source: Natural, target: Natural, indices: Wholes) -> PyResult<Self> {
        if let Some(index) = indices.0.iter().find(|&&index| index < -1) {
            let message =
                format!("'select' reads index {index}; use -1 for nothing, 0 and up for indices");
            return Err(InvalidNetworkError::new_err(message));
        }
        let indices = listed(indices.0.iter().map(|&index| u64::try_from(index).ok()))?;
        Ok(Self(AxisRelation::new(
            CoreRelation::Select { indices },
            source.index(),
            target.index(),
        )))
    }

    /// Target index ``o`` reads ``indices[offsets[o]:offsets[o + 1]]``, with multiplicities.
    #[staticmethod]
    #[pyo3(signature = (source, target, offsets, indices, multiplicities=None))]
    fn sparse(
        source: Natural,
        target: Natural,
        offsets: Wholes,
        indices: Wholes,
        multiplicities: Option<Wholes>,
    ) -> PyResult<Self> {
        let indices = naturals("indices", &indices)?;
        let multiplicities = match multiplicities {
            Some(given) => naturals("multiplicities", &given)?,
            None => listed(indices.iter().map(|_| 1))?,
        };
        let rows = SparseRows { offsets: naturals("offsets", &offsets)?, indices, multiplicities };
        Ok(Self(AxisRelation::new(CoreRelation::Sparse(rows), source.index(), target.index())))
    }

    /// Several axes on either side, equal element by element in row-major order.
    #[staticmethod]
    fn reshape(source_axes: Wholes, target_axes: Wholes) -> PyResult<Self> {
        let axes = |name: &str, axes: &Wholes| -> PyResult<Vec<usize>> {
            Ok(naturals(name, axes)?.into_iter().map(|axis| Natural(axis).index()).collect())
        };
        let (source, target) =
            (axes("source axes", &source_axes)?, axes("target axes", &target_axes)?);
        Ok(Self(AxisRelation::reshape(source, target)))
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
            CoreRelation::Window(window) | CoreRelation::TransposedWindow(window) => {
                windowed(window)?
            }
            CoreRelation::Taps { window, extent }
            | CoreRelation::TransposedTaps { window, extent } => {
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
                arguments.set_item("indices", array(py, signed)?)?;
            }
            CoreRelation::Sparse(rows) => {
                for (name, values) in [
                    ("offsets", &rows.offsets),
                    ("indices", &rows.indices),
                    ("multiplicities", &rows.multiplicities),
                ] {
                    arguments.set_item(name, array(py, values.iter().map(|&v| v as i64))?)?;
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

/// Relations as the core takes them, if there is memory for copies of their lists.
pub(crate) fn copies_of(relations: &[PyRef<'_, Relation>]) -> PyResult<Vec<AxisRelation>> {
    let copies = relations.iter().map(|relation| relation.0.try_clone());
    copies.collect::<Result<_, _>>().map_err(no_memory)
}

fn window(size: Natural, stride: Natural, dilation: Natural, padding: Whole) -> Window {
    Window { size: size.0, stride: stride.0, dilation: dilation.0, padding: padding.0 }
}

fn naturals(name: &str, values: &Wholes) -> PyResult<Vec<u64>> {
    if values.0.iter().any(|&value| value < 0) {
        let message = format!("the {name} of a relation must not be negative");
        return Err(InvalidNetworkError::new_err(message));
    }
    listed(values.0.iter().map(|&value| value.unsigned_abs()))
}
