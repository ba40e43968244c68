//! Threads that share out a piece of work.

use std::cell::OnceCell;
use std::ops::Range;
use std::sync::{Mutex, OnceLock, PoisonError};

use rayon::ThreadPool;

use crate::error::{Error, Result};
use crate::monitor::Monitor;

/// This thread and its helpers, which are started when first needed and gone with the team: none
/// outlive a call, so a process may fork between calls.
pub(crate) struct Team {
    threads: usize,
    pool: OnceCell<Option<ThreadPool>>,
}

impl Team {
    /// A team of `threads`; 0 means one for every core.
    pub(crate) fn new(threads: usize) -> Self {
        // Asking the system takes longer than counting a small graph.
        static CORES: OnceLock<usize> = OnceLock::new();
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        let threads = if threads == 0 { *CORES.get_or_init(cores) } else { threads };
        Self { threads, pool: OnceCell::new() }
    }

    pub(crate) fn threads(&self) -> usize {
        self.threads
    }

    /// Does `work` on all `items`, in no particular order. Between its own items this thread
    /// reports `cost(item)` steps to the monitor; the first error ends it all.
    pub(crate) fn each<T: Send>(
        &self,
        items: impl ExactSizeIterator<Item = T> + Send,
        monitor: &Monitor<'_>,
        cost: impl Fn(&T) -> u64 + Sync,
        work: impl Fn(T) -> Result<()> + Sync,
    ) -> Result<()> {
        let count = items.len();
        let queue = Mutex::new((items, Ok(())));
        let next = || {
            let (items, result) = &mut *queue.lock().unwrap_or_else(PoisonError::into_inner);
            if result.is_ok() { items.next() } else { None }
        };
        let stop = |error: Error| {
            let (_, result) = &mut *queue.lock().unwrap_or_else(PoisonError::into_inner);
            // One error is as good as another, but an interruption is what was asked for.
            if result.is_ok() || error == Error::Interrupted {
                *result = Err(error);
            }
        };
        let help = || {
            while let Some(item) = next() {
                if let Err(error) = work(item) {
                    stop(error);
                }
            }
        };
        let lead = || {
            while let Some(item) = next() {
                let steps = cost(&item);
                if let Err(error) = work(item).and_then(|()| monitor.breathe(steps)) {
                    stop(error);
                }
            }
        };
        match self.pool(count) {
            Some(pool) => pool.in_place_scope(|scope| {
                for _ in 1..self.threads.min(count) {
                    scope.spawn(|_| help());
                }
                lead();
            }),
            None => lead(),
        }
        queue.into_inner().unwrap_or_else(PoisonError::into_inner).1
    }

    /// The helpers, if there is something for them to do and the system grants them.
    fn pool(&self, items: usize) -> Option<&ThreadPool> {
        if self.threads == 1 || items < 2 {
            return None;
        }
        let start = || rayon::ThreadPoolBuilder::new().num_threads(self.threads - 1).build().ok();
        self.pool.get_or_init(start).as_ref()
    }
}

/// Cuts `range` into about `pieces` parts of equal length, each beginning at a multiple of `grain`.
pub(crate) fn parts(range: Range<usize>, pieces: usize, grain: usize) -> Vec<Range<usize>> {
    let length = range.len().div_ceil(pieces.max(1)).next_multiple_of(grain.max(1)).max(1);
    let starts = range.clone().step_by(length);
    starts.map(|start| start..range.end.min(start + length)).collect()
}
