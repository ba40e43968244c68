//! Progress and cancellation as a kernel sees them.

use std::cell::Cell;
use std::ops::ControlFlow;

use crate::error::{Error, Result};

/// Lanes worked on between two calls of the hook: a few milliseconds.
const PATIENCE: u64 = 1 << 22;

/// Steps that a stage is reported in.
const STEPS: u64 = 1 << 16;

/// Called now and then with the steps done and the steps in all; breaks to stop the count.
pub type Hook<'a> = dyn Fn(u64, u64) -> ControlFlow<()> + 'a;

/// Carries a [`Hook`] through a count.
pub struct Monitor<'a> {
    hook: Option<&'a Hook<'a>>,
    steps: Cell<u64>,
    total: Cell<u64>,
    work: Cell<u64>,
    /// Stages of equal weight, and how many of them were begun; one stage unless said otherwise.
    stages: Cell<u64>,
    begun: Cell<u64>,
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
        Self {
            hook: None,
            steps: Cell::new(0),
            total: Cell::new(0),
            work: Cell::new(0),
            stages: Cell::new(1),
            begun: Cell::new(0),
        }
    }

    /// Sets out on so many stages, each of which has steps of its own.
    pub(crate) fn plan(&self, stages: u64) {
        self.stages.set(stages.max(1));
        self.begun.set(0);
    }

    /// All stages are done, and maybe some of them were found to be unnecessary.
    pub(crate) fn complete(&self) -> Result<()> {
        self.begun.set(self.stages.get());
        self.finish()
    }

    /// Sets out on `total` steps, which are the next stage.
    pub(crate) fn start(&self, total: u64) {
        self.begun.set(self.stages.get().min(self.begun.get() + 1));
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
        let (mut done, mut total) = (self.steps.get(), self.total.get());
        if self.stages.get() > 1 {
            // Steps of different stages have nothing in common but the part that is done.
            let part = done as f64 / total.max(1) as f64;
            done = (STEPS as f64 * (self.begun.get().max(1) as f64 - 1.0 + part.min(1.0))) as u64;
            total = STEPS * self.stages.get();
        }
        match self.hook.map(|hook| hook(done, total)) {
            Some(ControlFlow::Break(())) => Err(Error::Interrupted),
            _ => Ok(()),
        }
    }
}
