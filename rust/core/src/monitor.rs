//! Progress and cancellation as a kernel sees them.

use std::cell::Cell;
use std::ops::ControlFlow;

use crate::error::{Error, Result};

/// Lanes worked on between two calls of the hook: a few milliseconds.
const PATIENCE: u64 = 1 << 22;

/// Called now and then with the steps done and the steps in all; breaks to stop the count.
pub type Hook<'a> = dyn Fn(u64, u64) -> ControlFlow<()> + 'a;

/// Carries a [`Hook`] through a count.
pub struct Monitor<'a> {
    hook: Option<&'a Hook<'a>>,
    steps: Cell<u64>,
    total: Cell<u64>,
    work: Cell<u64>,
}

impl<'a> Monitor<'a> {
    /// Calls `hook` every few steps, within long ones, and after the last.
    #[must_use]
    pub fn new(hook: &'a Hook<'a>) -> Self {
        Self { hook: Some(hook), ..Self::silent() }
    }

    /// Neither reports nor stops.
    #[must_use]
    pub fn silent() -> Self {
        Self { hook: None, steps: Cell::new(0), total: Cell::new(0), work: Cell::new(0) }
    }

    /// Sets out on `total` steps.
    pub(crate) fn start(&self, total: u64) {
        self.steps.set(0);
        self.total.set(total);
    }

    /// One step is done.
    pub(crate) fn step(&self) -> Result<()> {
        self.steps.set(self.steps.get() + 1);
        if self.steps == self.total { self.call() } else { self.breathe(PATIENCE / 16) }
    }

    /// Many short steps are done at once.
    pub(crate) fn advance(&self, steps: u64) -> Result<()> {
        self.steps.set(self.total.get().min(self.steps.get().saturating_add(steps)));
        self.breathe(steps)
    }

    /// The last step is done, and maybe some before it were found to be unnecessary.
    pub(crate) fn finish(&self) -> Result<()> {
        self.steps.set(self.total.get());
        self.call()
    }

    /// `lanes` more have been worked on within a step.
    pub(crate) fn breathe(&self, lanes: u64) -> Result<()> {
        let work = self.work.get().saturating_add(lanes);
        if work < PATIENCE {
            self.work.set(work);
            return Ok(());
        }
        self.work.set(0);
        self.call()
    }

    fn call(&self) -> Result<()> {
        match self.hook.map(|hook| hook(self.steps.get(), self.total.get())) {
            Some(ControlFlow::Break(())) => Err(Error::Interrupted),
            _ => Ok(()),
        }
    }
}
