//! `Operation`: how a tensor is computed from those that are linked to it.

use std::hash::{DefaultHasher, Hash, Hasher};

use pyo3::prelude::*;
use pyo3::pybacked::PyBackedStr;
use pyo3::types::PyTuple;
use unrolled_core::{LinkRole, Operation as CoreOperation, OperationKind};

use crate::error::InvalidArgumentError;
use crate::natural::{items, natural, number, shown};

/// How a tensor is computed from those that are linked to it.
#[pyclass(frozen, eq, module = "unrolled", name = "Operation")]
#[derive(Clone, PartialEq)]
pub(crate) struct Operation(pub(crate) CoreOperation);

#[pymethods]
impl Operation {
    #[new]
    #[pyo3(
        signature = (
            kind, function=None, *, axes=None, divisor=None, groups=None, epsilon=None, weights=None
        ),
        text_signature = "(kind, function=None, *, axes=(), divisor=None, groups=1, epsilon=0.0, weights=())"
    )]
    fn new(
        kind: &Bound<'_, PyAny>,
        function: Option<&Bound<'_, PyAny>>,
        axes: Option<&Bound<'_, PyAny>>,
        divisor: Option<&Bound<'_, PyAny>>,
        groups: Option<&Bound<'_, PyAny>>,
        epsilon: Option<&Bound<'_, PyAny>>,
        weights: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Self> {
        let name = kind.extract::<PyBackedStr>().ok();
        let kind = name.and_then(|name| OperationKind::from_name(&name)).ok_or_else(|| {
            let known: Vec<_> = OperationKind::ALL.iter().map(|kind| kind.name()).collect();
            refused("kind", &format!("one of {}", known.join(", ")), kind)
        })?;
        let mut operation = CoreOperation::new(kind);
        if let Some(given) = function {
            let name = given.extract().map_err(|_| refused("function", "a name", given))?;
            operation.function = Some(name);
        }
        if let Some(given) = axes {
            let axes = items(given.as_borrowed(), natural)?;
            let axes = axes.ok_or_else(|| refused("axes", "whole numbers from 0", given))?;
            operation.axes =
                axes.into_iter().map(|axis| usize::try_from(axis).unwrap_or(usize::MAX)).collect();
        }
        if let Some(given) = divisor {
            let divisor = number(given.as_borrowed());
            operation.divisor =
                Some(divisor.ok_or_else(|| refused("divisor", "a positive number", given))?);
        }
        if let Some(given) = groups {
            let groups = natural(given.as_borrowed());
            operation.groups =
                groups.ok_or_else(|| refused("groups", "a whole number from 1", given))?;
        }
        if let Some(given) = epsilon {
            let epsilon = number(given.as_borrowed());
            let epsilon = epsilon.ok_or_else(|| refused("epsilon", "a number from 0", given))?;
            // Minus zero is equal to zero, and all that is equal must be hashed and written alike.
            operation.epsilon = epsilon + 0.0;
        }
        if let Some(given) = weights {
            let expected = "a list of numbers for each axis";
            let numbers = |taps: Borrowed<'_, '_, PyAny>| items(taps, number).ok().flatten();
            let taps = items(given.as_borrowed(), numbers)?;
            let taps = taps.ok_or_else(|| refused("weights", expected, given))?;
            // Minus zero is equal to zero.
            let plain = |taps: Vec<f64>| taps.into_iter().map(|weight| weight + 0.0).collect();
            operation.weights = taps.into_iter().map(plain).collect();
        }
        operation.check().map_err(|reason| {
            InvalidArgumentError::new_err(format!("Operation('{}'): {reason}", kind.name()))
        })?;
        Ok(Self(operation))
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

    #[getter]
    fn weights<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        let taps: Vec<Bound<'py, PyTuple>> =
            self.0.weights.iter().map(|taps| PyTuple::new(py, taps)).collect::<PyResult<_>>()?;
        PyTuple::new(py, taps)
    }

    fn __hash__(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        let CoreOperation { kind, function, axes, weights, divisor, groups, epsilon } = &self.0;
        (kind, function, axes, divisor.map(f64::to_bits), groups, epsilon.to_bits())
            .hash(&mut hasher);
        for weight in weights.iter().flatten() {
            weight.to_bits().hash(&mut hasher);
        }
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
        if !self.0.weights.is_empty() {
            named.set_item("weights", self.0.weights.clone())?;
        }
        let positional = (self.kind(), self.function()).into_pyobject(py)?;
        Ok((positional, named))
    }

    fn __repr__(&self) -> String {
        let CoreOperation { function, axes, weights, divisor, groups, epsilon, .. } = &self.0;
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
        if !weights.is_empty() {
            let listed = |taps: &[f64]| {
                let numbers: Vec<_> = taps.iter().map(|weight| format!("{weight:?}")).collect();
                let comma = if taps.len() == 1 { "," } else { "" };
                format!("({}{comma})", numbers.join(", "))
            };
            let axes: Vec<_> = weights.iter().map(|taps| listed(taps)).collect();
            let comma = if axes.len() == 1 { "," } else { "" };
            text += &format!(", weights=({}{comma})", axes.join(", "));
        }
        text + ")"
    }
}

/// The error for an argument that is not what was expected.
fn refused(name: &str, expected: &str, given: &Bound<'_, PyAny>) -> PyErr {
    let given = shown(given.as_borrowed());
    InvalidArgumentError::new_err(format!(
        "the {name} of an operation must be {expected}; got {given}"
    ))
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
