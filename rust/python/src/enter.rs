//! The one door through which every long call leaves the interpreter.

use std::cell::{Cell, RefCell};
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use pyo3::prelude::*;
use unrolled_core::{Error, Monitor, Result};

use crate::error::CoreError;

/// A long call looks for Ctrl-C and reports progress after so much time.
const INTERVAL: Duration = Duration::from_millis(50);

/// Runs `work` without the interpreter lock. Ctrl-C stops it. If there is a function `progress`, it
/// is called with the steps done and the steps in all now and then. An exception that either raises
/// is raised again when the work has stopped.
pub(crate) fn enter<T: Send>(
    py: Python<'_>,
    progress: Option<Py<PyAny>>,
    work: impl FnOnce(&Monitor<'_>) -> Result<T> + Send,
) -> PyResult<T> {
    let (result, raised) = py.detach(move || {
        let raised: RefCell<Option<PyErr>> = RefCell::new(None);
        let last = Cell::new(Instant::now());
        let hook = |done: u64, total: u64| {
            if last.get().elapsed() < INTERVAL && (progress.is_none() || done < total) {
                return ControlFlow::Continue(());
            }
            last.set(Instant::now());
            let attended = Python::attach(|py| {
                py.check_signals()?;
                progress.as_ref().map_or(Ok(()), |call| call.call1(py, (done, total)).map(drop))
            });
            match attended {
                Ok(()) => ControlFlow::Continue(()),
                Err(error) => {
                    *raised.borrow_mut() = Some(error);
                    ControlFlow::Break(())
                }
            }
        };
        let result = work(&Monitor::new(&hook));
        (result, raised.into_inner())
    });
    match (result, raised) {
        (Err(Error::Interrupted), Some(error)) => Err(error),
        (result, _) => result.map_err(|error| CoreError::from(error).into()),
    }
}
