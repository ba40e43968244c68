//! `Operation`: how a tensor is computed from those that are linked to it.

use std::hash::{DefaultHasher, Hash, Hasher};

use pyo3::prelude::*;
use pyo3::types::PyTuple;
use unrolled_core::{LinkRole, Operation as CoreOperation, OperationKind};

use crate::error::InvalidArgumentError;

/// How a tensor is computed from those that are linked to it.
#[pyclass(frozen, eq, module = "unrolled", name = "Operation")]
#[derive(Clone, PartialEq)]
pub(crate) struct Operation(pub(crate) CoreOperation);

#[pymethods]
impl Operation {
    #[new]
    #[pyo3(signature = (kind, function=None, *, axes=vec![], divisor=None, groups=1, epsilon=0.0))]
    fn new(
        kind: &str,
        function: Option<String>,
        axes: Vec<usize>,
        divisor: Option<f64>,
        groups: u64,
        epsilon: f64,
    ) -> PyResult<Self> {
        let kind = OperationKind::from_name(kind).ok_or_else(|| {
            let known: Vec<_> = OperationKind::ALL.iter().map(|kind| kind.name()).collect();
            InvalidArgumentError::new_err(format!(
                "the kind of an operation must be one of {}; got '{kind}'",
                known.join(", ")
            ))
        })?;
        Ok(Self(CoreOperation { kind, function, axes, divisor, groups, epsilon }))
    }

    #[getter]
    fn kind(&self) -> &'static str {
        self.0.kind.name()
    }

    #[getter]
    fn function(&self) -> Option<&str> {
        self.0.function.as_deref()
    }

    #[getter]
    fn axes<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        PyTuple::new(py, &self.0.axes)
    }

    #[getter]
    fn divisor(&self) -> Option<f64> {
        self.0.divisor
    }

    #[getter]
    fn groups(&self) -> u64 {
        self.0.groups
    }

    #[getter]
    fn epsilon(&self) -> f64 {
        self.0.epsilon
    }

    fn __hash__(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        let CoreOperation { kind, function, axes, divisor, groups, epsilon } = &self.0;
        (kind, function, axes, divisor.map(f64::to_bits), groups, epsilon.to_bits())
            .hash(&mut hasher);
        hasher.finish()
    }

    fn __getnewargs_ex__<'py>(
        &self,
        py: Python<'py>,
    ) -> PyResult<(Bound<'py, PyTuple>, Bound<'py, pyo3::types::PyDict>)> {
        let named = pyo3::types::PyDict::new(py);
        named.set_item("axes", self.0.axes.clone())?;
        named.set_item("divisor", self.0.divisor)?;
        named.set_item("groups", self.0.groups)?;
        named.set_item("epsilon", self.0.epsilon)?;
        let positional = (self.kind(), self.function()).into_pyobject(py)?;
        Ok((positional, named))
    }

    fn __repr__(&self) -> String {
        let CoreOperation { function, axes, divisor, groups, epsilon, .. } = &self.0;
        let mut text = format!("Operation('{}'", self.kind());
        if let Some(function) = function {
            text += &format!(", '{function}'");
        }
        if let [axis] = axes[..] {
            text += &format!(", axes=({axis},)");
        } else if !axes.is_empty() {
            let listed: Vec<_> = axes.iter().map(ToString::to_string).collect();
            text += &format!(", axes=({})", listed.join(", "));
        }
        if let Some(divisor) = divisor {
            text += &format!(", divisor={divisor:?}");
        }
        if *groups != 1 {
            text += &format!(", groups={groups}");
        }
        if *epsilon != 0.0 {
            text += &format!(", epsilon={epsilon:?}");
        }
        text + ")"
    }
}

/// The role of this name.
pub(crate) fn role_of(name: &str) -> PyResult<LinkRole> {
    LinkRole::from_name(name).ok_or_else(|| {
        let known: Vec<_> = LinkRole::ALL.iter().map(|role| role.name()).collect();
        InvalidArgumentError::new_err(format!(
            "the role of a link must be one of {}; got '{name}'",
            known.join(", ")
        ))
    })
}
