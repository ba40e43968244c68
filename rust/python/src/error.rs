//! The one place where errors of the core become Python exceptions.

use pyo3::exceptions::PyKeyboardInterrupt;
use pyo3::import_exception;
use pyo3::prelude::*;
use unrolled_core::Error;

import_exception!(unrolled.errors, CycleError);
import_exception!(unrolled.errors, GraphFileError);
import_exception!(unrolled.errors, InvalidGraphError);
import_exception!(unrolled.errors, InvalidArgumentError);
import_exception!(unrolled.errors, InvalidNetworkError);
import_exception!(unrolled.errors, MemoryLimitError);
import_exception!(unrolled.errors, NothingToCountError);
import_exception!(unrolled.errors, SizeOverflowError);
import_exception!(unrolled.errors, TheoryDomainError);
import_exception!(unrolled.errors, UnknownOperationError);
import_exception!(unrolled.errors, UnrolledError);

/// An error of the core on its way to Python. Methods that return it need only `?`.
pub(crate) struct CoreError(Error);

impl From<Error> for CoreError {
    fn from(error: Error) -> Self {
        Self(error)
    }
}

impl From<CoreError> for PyErr {
    fn from(CoreError(error): CoreError) -> Self {
        let message = error.to_string();
        match error {
            Error::DuplicateTensor { .. }
            | Error::UnknownTensor { .. }
            | Error::InvalidShape { .. }
            | Error::InvalidLink { .. }
            | Error::InvalidOperation { .. }
            | Error::DisconnectedOutput { .. } => InvalidNetworkError::new_err(message),
            Error::UnknownOperation { tensors } => {
                UnknownOperationError::new_err((message, tensors))
            }
            Error::InvalidSetting { .. } => InvalidArgumentError::new_err(message),
            Error::OutOfDomain { tensor, .. } | Error::NotSteady { tensor, .. } => {
                TheoryDomainError::new_err((message, tensor))
            }
            Error::SizeOverflow { .. } => SizeOverflowError::new_err(message),
            Error::Cycle { .. } => CycleError::new_err(message),
            Error::GraphCycle { nodes } => CycleError::new_err((message, nodes)),
            Error::InvalidGraph { .. } => InvalidGraphError::new_err(message),
            Error::GraphFile { .. } => GraphFileError::new_err(message),
            Error::NothingToCount { .. } => NothingToCountError::new_err(message),
            Error::MemoryLimit { .. } | Error::GraphMemory { .. } => {
                MemoryLimitError::new_err(message)
            }
            Error::Interrupted => PyKeyboardInterrupt::new_err(message),
            _ => UnrolledError::new_err(message),
        }
    }
}
