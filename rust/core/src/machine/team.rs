//! Threads that share out work.

use std::cell::{Cell, OnceCell};
use std::ops::{ControlFlow, Range};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

use rayon::ThreadPool;

use crate::error::{Error, Result};
use crate::machine::monitor::Monitor;

/// A piece of work that is shared out has at least about so many edges.
const PIECE: usize = 1 << 13;
/// The most pieces in the share of a thread. Other threads take what a slow thread leaves of its
/// share.
const SHARE: usize = 4;
/// How often this thread looks whether its helpers are done, before it sleeps until they are.
/// Between the layers of a graph, falling asleep and waking up would take longer than the helpers
/// do.
const PATIENCE: usize = 1000;

/// This thread and its helpers. Helpers are started when they are first needed, and end with the
/// team. So none outlives a call of the crate, and a process may fork between calls.
pub(crate) struct Team {
    threads: usize,
    pool: OnceCell<Option<ThreadPool>>,
}

impl Team {
    /// A team of so many threads, at most one for every core; 0 means one for every core.
    pub(crate) fn new(threads: usize) -> Self {
        // Asking the system takes longer than counting a small graph, so that it is done once.
        static CORES: OnceLock<usize> = OnceLock::new();
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        // More threads than cores only wait for one another.
        let cores = *CORES.get_or_init(cores);
        let threads = if threads == 0 { cores } else { threads.min(cores) };
        Self { threads, pool: OnceCell::new() }
    }

    /// Into how many pieces a block is cut of which so many edges are read; a single piece is for
    /// this thread alone.
    pub(crate) fn pieces(&self, edges: impl Fn() -> usize) -> usize {
        if self.threads == 1 {
            return 1;
        }
        let pieces = edges() / PIECE;
        match pieces / self.threads {
            0 => pieces.max(1),
            each => each.min(SHARE) * self.threads,
        }
    }

    /// Does `work` on all `items`, in no particular order. Every thread begins with its own share
    /// of them, since what it wrote there the last time may still be in its cache. Between its own
    /// items, this thread reports `cost(item)` of work to the monitor. The first error ends the
    /// work of all.
    pub(crate) fn each<T: Send>(
        &self,
        items: impl ExactSizeIterator<Item = T>,
        monitor: &Monitor<'_>,
        cost: impl Fn(&T) -> u64 + Sync,
        work: impl Fn(T) -> Result<()> + Sync,
    ) -> Result<()> {
        let count = items.len();
        let queue = Mutex::new(Queue::new(items, self.threads.min(count)));
        let queue = || queue.lock().unwrap_or_else(PoisonError::into_inner);
        let helping = AtomicUsize::new(self.threads.min(count).saturating_sub(1));
        let help = || {
            let thread = rayon::current_thread_index().map_or(0, |helper| helper + 1);
            while let Some(item) = { queue().next(thread) } {
                if let Err(error) = work(item) {
                    queue().stop(error);
                }
            }
            helping.fetch_sub(1, Ordering::Release);
        };
        let lead = || {
            while let Some(item) = { queue().next(0) } {
                let steps = cost(&item);
                if let Err(error) = work(item).and_then(|()| monitor.breathe(steps)) {
                    queue().stop(error);
                }
            }
        };
        match self.pool(count) {
            Some(pool) => pool.in_place_scope(|scope| {
                for _ in 1..self.threads.min(count) {
                    scope.spawn(|_| help());
                }
                lead();
                for _ in 0..PATIENCE {
                    if helping.load(Ordering::Acquire) == 0 {
                        break;
                    }
                    std::thread::yield_now();
                }
            }),
            None => lead(),
        }
        queue().result.clone()
    }

    /// Does `work` on all `items`, each of which may take long. Unlike with [`Team::each`], work is
    /// given a monitor, through which it is stopped on every thread, and `weight(item)` tells how
    /// many of the `total` steps are done with it.
    pub(crate) fn share<T: Send>(
        &self,
        items: impl ExactSizeIterator<Item = T>,
        total: u64,
        monitor: &Monitor<'_>,
        weight: impl Fn(&T) -> u64 + Sync,
        work: impl Fn(T, &Monitor<'_>) -> Result<()> + Sync,
    ) -> Result<()> {
        let count = items.len();
        let queue = Mutex::new(Queue::new(items, self.threads.min(count)));
        let queue = || queue.lock().unwrap_or_else(PoisonError::into_inner);
        let done = AtomicU64::new(0);
        let reported = Cell::new(0);
        monitor.start(total);
        // Steps that helpers have done are reported by this thread, which alone may call the hook.
        let attend = |work: u64| {
            let now = done.load(Ordering::Relaxed);
            monitor.advance(now - reported.replace(now)).and_then(|()| monitor.breathe(work))
        };
        let run = |thread: usize, monitor: &Monitor<'_>, attend: &dyn Fn() -> Result<()>| {
            while let Some(item) = { queue().next(thread) } {
                let steps = weight(&item);
                let result = work(item, monitor);
                done.fetch_add(steps, Ordering::Relaxed);
                if let Err(error) = result.and_then(|()| attend()) {
                    queue().stop(error);
                }
            }
        };
        let help = || {
            let thread = rayon::current_thread_index().map_or(0, |helper| helper + 1);
            let hook = |_: u64, _: u64| match queue().result {
                Ok(()) => ControlFlow::Continue(()),
                Err(_) => ControlFlow::Break(()),
            };
            run(thread, &Monitor::new(&hook), &|| Ok(()));
        };
        let hook = |_: u64, _: u64| match attend(u64::MAX) {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        };
        let lead = || run(0, &Monitor::new(&hook), &|| attend(0));
        match self.pool(count) {
            Some(pool) => pool.in_place_scope(|scope| {
                for _ in 1..self.threads.min(count) {
                    scope.spawn(|_| help());
                }
                lead();
            }),
            None => lead(),
        }
        queue().result.clone().and_then(|()| monitor.finish())
    }

    /// The helpers, if there is something for them to do and the system lets them start.
    fn pool(&self, items: usize) -> Option<&ThreadPool> {
        if self.threads == 1 || items < 2 {
            return None;
        }
        let start = || rayon::ThreadPoolBuilder::new().num_threads(self.threads - 1).build().ok();
        self.pool.get_or_init(start).as_ref()
    }
}

/// The items that are still to be worked on, in as many shares as there are threads.
struct Queue<T> {
    items: Vec<Option<T>>,
    /// What is left of the share of every thread.
    shares: Vec<Range<usize>>,
    result: Result<()>,
}

impl<T> Queue<T> {
    /// Shares out the items.
    fn new(items: impl Iterator<Item = T>, threads: usize) -> Self {
        let items: Vec<_> = items.map(Some).collect();
        let share = |thread: usize| thread * items.len() / threads.max(1);
        let shares = (0..threads.max(1)).map(|thread| share(thread)..share(thread + 1)).collect();
        Self { items, shares, result: Ok(()) }
    }

    /// The next item in the share of a thread, or else the last item of the largest share.
    fn next(&mut self, thread: usize) -> Option<T> {
        if self.result.is_err() {
            return None;
        }
        let own = self.shares.get_mut(thread).and_then(Iterator::next);
        let item = own.or_else(|| {
            let largest = self.shares.iter_mut().max_by_key(|share| share.len())?;
            largest.next_back()
        });
        self.items.get_mut(item?)?.take()
    }

    /// Ends the work of all threads. The first error is kept, unless there is an interruption,
    /// which is what the caller asked for.
    fn stop(&mut self, error: Error) {
        if self.result.is_ok() || error == Error::Interrupted {
            self.result = Err(error);
        }
    }
}

/// Cuts `range` into about `pieces` parts of equal length, each beginning at a multiple of `grain`.
pub(crate) fn parts(range: Range<usize>, pieces: usize, grain: usize) -> Vec<Range<usize>> {
    let length = range.len().div_ceil(pieces.max(1)).next_multiple_of(grain.max(1)).max(1);
    let starts = range.clone().step_by(length);
    starts.map(|start| start..range.end.min(start + length)).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU32;

    use super::*;

    #[test]
    fn every_item_is_done_once() {
        for (threads, items) in [(1, 3), (2, 0), (2, 1), (2, 7), (3, 100), (8, 5)] {
            let done: Vec<AtomicU32> = (0..items).map(|_| AtomicU32::new(0)).collect();
            let work = |item: &AtomicU32| {
                item.fetch_add(1, Ordering::Relaxed);
                Ok(())
            };
            Team::new(threads).each(done.iter(), &Monitor::silent(), |_| 1, work).unwrap();
            assert!(done.iter().all(|times| times.load(Ordering::Relaxed) == 1), "{done:?}");
        }
    }

    #[test]
    fn an_error_ends_it() {
        for threads in [1, 2, 4] {
            let done = AtomicU32::new(0);
            let work = |item: u32| {
                done.fetch_add(1, Ordering::Relaxed);
                if item == 0 { Err(Error::Internal("here".into())) } else { Ok(()) }
            };
            let result = Team::new(threads).each(0..100_000, &Monitor::silent(), |_| 1, work);
            assert_eq!(result, Err(Error::Internal("here".into())));
            assert!(threads > 1 || done.into_inner() == 1);
        }
    }

    #[test]
    fn shared_work_is_watched_and_stopped() {
        for threads in [1, 2, 4] {
            let seen = Cell::new((0, 0));
            let watch = |done, total| {
                seen.set((done, total));
                ControlFlow::Continue(())
            };
            let team = Team::new(threads);
            let work = |_: u32, _: &Monitor<'_>| Ok(());
            team.share(1..5u32, 10, &Monitor::new(&watch), |&weight| weight.into(), work).unwrap();
            assert_eq!(seen.get(), (10, 10));
            let stop = |_, _| ControlFlow::Break(());
            // Each would go on for ever if it were not stopped.
            let endless = |_: u32, monitor: &Monitor<'_>| {
                loop {
                    monitor.breathe(1 << 10)?;
                }
            };
            let result = team.share(0..8u32, 8, &Monitor::new(&stop), |_| 1, endless);
            assert_eq!(result, Err(Error::Interrupted));
        }
    }

    #[test]
    fn pieces_are_as_many_for_every_thread() {
        for (threads, edges, pieces) in
            [(1, 1 << 20, 1), (2, 123_000, 8), (2, 40_000, 4), (16, 40_000, 4), (2, 9_000, 1)]
        {
            assert_eq!(Team::new(threads).pieces(|| edges), pieces);
        }
    }
}
