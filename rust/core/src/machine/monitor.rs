//! Progress and cancellation.
//!
//! A count tells the [`Monitor`] how far it has come, and learns from it whether to stop. How often
//! a caller wants to hear of it, and in what form, is up to the caller's [`Hook`].

use std::cell::Cell;
use std::ops::ControlFlow;

use crate::error::{Error, Result};

/// The work, in lanes, between two calls of the hook: it takes a few milliseconds.
const PATIENCE: u64 = 1 << 22;

/// If there are several stages, each is reported in so many steps.
const STEPS: u64 = 1 << 16;

/// A function that is called now and then with the steps that are done and the steps in all. To
/// stop the count, it breaks.
pub type Hook<'a> = dyn Fn(u64, u64) -> ControlFlow<()> + 'a;

/// Carries a [`Hook`] through a count.
///
/// ```
/// use std::ops::ControlFlow;
/// use unrolled_core::{CountOptions, Error, Monitor, Network, Role, count};
///
/// let mut network = Network::new();
/// let w = network.add("w", &[], Role::Parameter { trainable: true })?;
/// let y = network.add("y", &[], Role::Activation)?;
/// network.link(w, y, vec![])?;
/// network.mark_output(y)?;
/// let stop = |_done, _total| ControlFlow::Break(());
/// let stopped = count(&network, &CountOptions::default(), &Monitor::new(&stop));
/// assert_eq!(stopped.unwrap_err(), Error::Interrupted);
/// # Ok::<(), Error>(())
/// ```
pub struct Monitor<'a> {
    hook: Option<&'a Hook<'a>>,
    /// The steps of the present stage that are done.
    steps: Cell<u64>,
    /// All steps of the present stage.
    total: Cell<u64>,
    /// The work since the hook was called.
    work: Cell<u64>,
    /// How many stages there are, all of equal weight; one unless they are planned.
    stages: Cell<u64>,
    /// How many stages were begun.
    begun: Cell<u64>,
}

impl<'a> Monitor<'a> {
    /// A monitor that calls `hook` every few steps, within long steps, and after the last one.
    #[must_use]
    pub fn new(hook: &'a Hook<'a>) -> Self {
        Self { hook: Some(hook), ..Self::silent() }
    }

    /// A monitor that neither reports nor stops.
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

    /// Plans so many stages, each of which has steps of its own.
    pub(crate) fn plan(&self, stages: u64) {
        self.stages.set(stages.max(1));
        self.begun.set(0);
    }

    /// Notes that all stages are done; some of them may have been found to be unnecessary.
    pub(crate) fn complete(&self) -> Result<()> {
        self.begun.set(self.stages.get());
        self.finish()
    }

    /// Begins the next stage, of so many steps.
    pub(crate) fn start(&self, total: u64) {
        self.begun.set(self.stages.get().min(self.begun.get() + 1));
        self.steps.set(0);
        self.total.set(total);
    }

    /// Notes that one step is done.
    pub(crate) fn step(&self) -> Result<()> {
        self.steps.set(self.steps.get() + 1);
        if self.steps == self.total { self.call() } else { self.breathe(PATIENCE / 16) }
    }

    /// Notes that many short steps are done at once.
    pub(crate) fn advance(&self, steps: u64) -> Result<()> {
        self.steps.set(self.total.get().min(self.steps.get().saturating_add(steps)));
        self.breathe(steps)
    }

    /// Notes that the last step of a stage is done; some before it may have been found to be
    /// unnecessary.
    pub(crate) fn finish(&self) -> Result<()> {
        self.steps.set(self.total.get());
        self.call()
    }

    /// Notes work within a step, on so many lanes.
    pub(crate) fn breathe(&self, lanes: u64) -> Result<()> {
        let work = self.work.get().saturating_add(lanes);
        if work < PATIENCE {
            self.work.set(work);
            return Ok(());
        }
        self.work.set(0);
        self.call()
    }

    /// Calls the hook.
    ///
    /// # Errors
    /// [`Error::Interrupted`] if it breaks.
    fn call(&self) -> Result<()> {
        let (mut done, mut total) = (self.steps.get(), self.total.get());
        if self.stages.get() > 1 {
            // Steps of different stages are of different sizes; only the part that is done can be
            // compared.
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
