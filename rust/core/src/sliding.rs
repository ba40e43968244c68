//! Sliding sums of rows without subtraction.
//!
//! A window that slides over rows is summed as a queue of two stacks: suffix sums of the rows it
//! entered with, and one running sum of the rows that came since. Every row is added three times
//! whatever the size of the window, and nothing is ever subtracted, which floating point could not
//! afford.

use crate::axis_map::Rows;

/// Windows over the rows `first, first + step, ...`.
pub(crate) struct Class {
    pub(crate) first: usize,
    pub(crate) step: usize,
    pub(crate) windows: Vec<Window>,
}

/// Result `to` sums the rows number `low..high` of a class.
#[derive(Clone, Copy)]
pub(crate) struct Window {
    pub(crate) to: usize,
    pub(crate) low: usize,
    pub(crate) high: usize,
}

/// The classes of a map whose windows are wide enough to be worth sliding; in each class both ends
/// of the windows rise, empty windows aside.
pub(crate) fn classes(rows: &Rows, from: usize, to: usize) -> Option<Vec<Class>> {
    match rows {
        Rows::Band(phases) if phases.iter().any(|phase| phase.count > 4) => {
            let mut found = Vec::new();
            for (f, phase) in phases.iter().enumerate() {
                let step = phase.step as usize;
                let residues = step.min(from).max(1);
                let start = found.len();
                found.extend((0..residues).map(|first| Class { first, step, windows: Vec::new() }));
                for (m, j) in (f..to).step_by(phases.len()).enumerate() {
                    let (first, count) = phase.clip(m as u64, from as u64);
                    let (first, count) = (first as usize, count as usize);
                    let low = first / step;
                    let class = if count == 0 { 0 } else { first % step };
                    found[start + class].windows.push(Window { to: j, low, high: low + count });
                }
            }
            Some(found)
        }
        Rows::Ranges { low, high } if work(low, high) > 4 * (from + to) => {
            let window =
                |j: usize| Window { to: j, low: low[j] as usize, high: high[j] as usize };
            let mut windows: Vec<Window> = (0..to).map(window).collect();
            if low.first() > low.last() || high.first() > high.last() {
                windows.reverse();
            }
            Some(vec![Class { first: 0, step: 1, windows }])
        }
        _ => None,
    }
}

/// The sum of the middle rows of a tensor, which several of its reductions share: the total and
/// the sums under the taps of a window differ in a few rows at the ends.
pub(crate) struct Middle<L> {
    /// The contents it was taken from, and which rows.
    pub(crate) version: u64,
    pub(crate) first: usize,
    pub(crate) last: usize,
    pub(crate) sum: Vec<L>,
}

impl<L> Middle<L> {
    pub(crate) fn new() -> Self {
        Self { version: 0, first: 0, last: 0, sum: Vec::new() }
    }

    /// The rows to add up once for the ranges of `rows`, if that pays: those that all ranges have
    /// in common, or those known already if they differ little.
    pub(crate) fn rows(&self, rows: &Rows, from: usize, version: u64) -> Option<(usize, usize)> {
        let Rows::Ranges { low, high } = rows else { return None };
        let first = low.iter().max().map_or(0, |&l| l as usize);
        let last = high.iter().min().map_or(0, |&h| h as usize);
        if last < first + 8 || low.len() * (from + first - last) > 2 * from {
            return None;
        }
        let known = self.version == version && self.first >= first && self.last <= last;
        if known && (self.first - first) + (last - self.last) <= 4 {
            return Some((self.first, self.last));
        }
        // A total leaves out the ends, so that the window of the layer before can use it.
        Some(if (first, last) == (0, from) { (1, from - 1) } else { (first, last) })
    }
}

/// How many rows all ranges add up, one by one.
fn work(low: &[u32], high: &[u32]) -> usize {
    low.iter().zip(high).map(|(l, h)| (h - l) as usize).sum()
}

/// The two stacks.
pub(crate) struct Queue<L> {
    suffixes: Vec<L>,
    recent: Vec<L>,
    sum: Vec<L>,
    /// The suffix sums reach from row `bottom` to row `pivot`, the running sum on to `reached`.
    bottom: usize,
    pivot: usize,
    reached: usize,
}

impl<L: Copy + Default> Queue<L> {
    pub(crate) fn new() -> Self {
        Self {
            suffixes: Vec::new(),
            recent: Vec::new(),
            sum: Vec::new(),
            bottom: 0,
            pivot: 0,
            reached: 0,
        }
    }

    /// Starts over.
    pub(crate) fn reset(&mut self) {
        self.pivot = 0;
    }

    /// The sum of the rows `window.low..window.high`, each of `width` lanes. Windows come in order
    /// and are not empty.
    #[inline(always)]
    pub(crate) fn sum<'r>(
        &mut self,
        window: Window,
        width: usize,
        row: impl Fn(usize) -> &'r [L],
        add: impl Fn(L, L) -> L,
    ) -> &[L]
    where
        L: 'r,
    {
        let Window { low, high, .. } = window;
        if low >= self.pivot {
            (self.bottom, self.pivot, self.reached) = (low, high, high);
            self.suffixes.resize((high - low) * width, L::default());
            self.recent.clear();
            for x in (low..high).rev() {
                let (here, above) = self.suffixes[(x - low) * width..].split_at_mut(width);
                here.copy_from_slice(row(x));
                if x + 1 < high {
                    for (to, &from) in here.iter_mut().zip(&*above) {
                        *to = add(*to, from);
                    }
                }
            }
            return &self.suffixes[..width];
        }
        for x in self.reached..high {
            if self.recent.is_empty() {
                self.recent.extend_from_slice(row(x));
            } else {
                for (to, &from) in self.recent.iter_mut().zip(row(x)) {
                    *to = add(*to, from);
                }
            }
        }
        self.reached = self.reached.max(high);
        let suffix = &self.suffixes[(low - self.bottom) * width..][..width];
        if self.recent.is_empty() {
            return suffix;
        }
        self.sum.clear();
        self.sum.extend(suffix.iter().zip(&self.recent).map(|(&a, &b)| add(a, b)));
        &self.sum
    }
}
