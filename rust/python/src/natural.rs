//! Arguments that must be whole numbers, and errors that say so.

use std::collections::TryReserveError;

use numpy::{Element, PyArray1, PyReadonlyArray1};
use pyo3::exceptions::PyMemoryError;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::error::InvalidNetworkError;

/// A whole number, at least 0.
#[derive(Clone, Copy)]
pub(crate) struct Natural(pub(crate) u64);

/// A whole number of either sign.
#[derive(Clone, Copy)]
pub(crate) struct Whole(pub(crate) i64);

/// Whole numbers: an array, or a sequence of integers.
pub(crate) struct Wholes(pub(crate) Vec<i64>);

impl Natural {
    /// The number as an index.
    pub(crate) fn index(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

impl<'a, 'py> FromPyObject<'a, 'py> for Natural {
    type Error = PyErr;

    fn extract(value: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        natural(value).map(Self).ok_or_else(|| refused(value, "a whole number from 0 to 2**64 - 1"))
    }
}

impl<'a, 'py> FromPyObject<'a, 'py> for Whole {
    type Error = PyErr;

    fn extract(value: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        let whole = value.extract().ok().filter(|_| !is_boolean(value));
        whole.map(Self).ok_or_else(|| refused(value, "a whole number of at most 63 bits"))
    }
}

impl<'a, 'py> FromPyObject<'a, 'py> for Wholes {
    type Error = PyErr;

    fn extract(value: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        if let Ok(array) = value.extract::<PyReadonlyArray1<'_, i64>>() {
            return Ok(Self(listed(array.as_array().iter().copied())?));
        }
        let not_integers = || refused(value, "a one-dimensional sequence of integers");
        Ok(Self(items(value, |item| item.extract().ok())?.ok_or_else(not_integers)?))
    }
}

/// A whole number from 0 to 2^64 - 1, and nothing else.
pub(crate) fn natural(value: Borrowed<'_, '_, PyAny>) -> Option<u64> {
    value.extract().ok().filter(|_| !is_boolean(value))
}

/// A number, and nothing else.
pub(crate) fn number(value: Borrowed<'_, '_, PyAny>) -> Option<f64> {
    value.extract().ok().filter(|_| !is_boolean(value))
}

/// The items of a sequence, if all of them are numbers of the kind that `extract` takes.
pub(crate) fn items<T>(
    value: Borrowed<'_, '_, PyAny>,
    extract: impl Fn(Borrowed<'_, '_, PyAny>) -> Option<T>,
) -> PyResult<Option<Vec<T>>> {
    // What has no order is no sequence, nor is a mapping, whose items would be its keys.
    if !value.hasattr("__getitem__")? || value.is_instance_of::<PyDict>() {
        return Ok(None);
    }
    let Ok(given) = value.try_iter() else { return Ok(None) };
    let mut list = Vec::new();
    for item in given {
        let item = item?;
        let item = item.as_borrowed();
        let Some(number) = extract(item).filter(|_| !is_boolean(item)) else { return Ok(None) };
        list.try_reserve(1).map_err(no_memory)?;
        list.push(number);
    }
    Ok(Some(list))
}

/// Whether a value is true or false, of Python or of NumPy, which would pass for 1 or 0.
fn is_boolean(value: Borrowed<'_, '_, PyAny>) -> bool {
    value.extract::<bool>().is_ok()
}

/// The items of an iterator in a list, if there is memory for it.
pub(crate) fn listed<T>(items: impl ExactSizeIterator<Item = T>) -> PyResult<Vec<T>> {
    let mut list = Vec::new();
    list.try_reserve_exact(items.len()).map_err(no_memory)?;
    list.extend(items);
    Ok(list)
}

/// Python's error for memory that cannot be had.
#[expect(clippy::needless_pass_by_value, reason = "it is given to map_err")]
pub(crate) fn no_memory(error: TryReserveError) -> PyErr {
    PyMemoryError::new_err(error.to_string())
}

/// A whole number, which hardly ever has more than 64 bits; for those that do there is a slower way.
pub(crate) fn whole(py: Python<'_>, number: u128) -> PyResult<Bound<'_, PyAny>> {
    Ok(match u64::try_from(number) {
        Ok(number) => number.into_pyobject(py)?.into_any(),
        Err(_) => number.into_pyobject(py)?.into_any(),
    })
}

/// An array of the items of an iterator, if there is memory for it.
pub(crate) fn array<'py, T: Element>(
    py: Python<'py>,
    items: impl ExactSizeIterator<Item = T>,
) -> PyResult<Bound<'py, PyArray1<T>>> {
    Ok(PyArray1::from_vec(py, listed(items)?))
}

/// A value in messages: its text, or its type if the text is long.
pub(crate) fn shown(value: Borrowed<'_, '_, PyAny>) -> String {
    let text = value.repr().map_or_else(|_| "an object".into(), |text| text.to_string());
    if text.len() > 60 { value.get_type().to_string() } else { text }
}

/// The error for an argument of a relation that is not what was expected.
fn refused(value: Borrowed<'_, '_, PyAny>, expected: &str) -> PyErr {
    InvalidNetworkError::new_err(format!("a relation needs {expected}, got {}", shown(value)))
}
