//! Arguments that must be whole numbers, and errors that say so.

use std::collections::TryReserveError;

use numpy::PyReadonlyArray1;
use pyo3::exceptions::PyMemoryError;
use pyo3::prelude::*;

use crate::error::InvalidNetworkError;

/// A whole number, at least 0.
#[derive(Clone, Copy)]
pub(crate) struct Natural(pub(crate) u64);

/// A whole number of either sign.
#[derive(Clone, Copy)]
pub(crate) struct Whole(pub(crate) i64);

/// Whole numbers: an array, or anything that yields integers.
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
        value.extract().map(Self).map_err(|_| refused(value, "a whole number from 0 to 2**64 - 1"))
    }
}

impl<'a, 'py> FromPyObject<'a, 'py> for Whole {
    type Error = PyErr;

    fn extract(value: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        value.extract().map(Self).map_err(|_| refused(value, "a whole number of at most 63 bits"))
    }
}

impl<'a, 'py> FromPyObject<'a, 'py> for Wholes {
    type Error = PyErr;

    fn extract(value: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        if let Ok(array) = value.extract::<PyReadonlyArray1<'_, i64>>() {
            return Ok(Self(listed(array.as_array().iter().copied())?));
        }
        value
            .extract()
            .map(Self)
            .map_err(|_| refused(value, "a one-dimensional sequence of integers"))
    }
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

/// The error for an argument that is not what was expected.
fn refused(value: Borrowed<'_, '_, PyAny>, expected: &str) -> PyErr {
    let shown = value.repr().map_or_else(|_| "an object".into(), |text| text.to_string());
    let shown = if shown.len() > 60 { value.get_type().to_string() } else { shown };
    InvalidNetworkError::new_err(format!("a relation needs {expected}, got {shown}"))
}
