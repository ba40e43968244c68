//! Sums of rows under a window that slides over them, without subtraction.
//!
//! The window is a queue made of two stacks: suffix sums of the rows that it began with, and one
//! running sum of the rows that came since. Every row is added three times, whatever the size of
//! the window. Nothing is ever subtracted, since floating-point sums would lose their digits.

use crate::network::maps::matrix::RunMatrix;

/// Windows over the rows `first`, `first + step`, and so on.
pub(crate) struct WindowClass {
    pub(crate) first: usize,
    pub(crate) step: usize,
    pub(crate) windows: Vec<RowWindow>,
}

/// A window: row `to` of the result is the sum of the rows `low..high` of its class.
#[derive(Clone, Copy)]
pub(crate) struct RowWindow {
    pub(crate) to: usize,
    pub(crate) low: usize,
    pub(crate) high: usize,
}

/// The classes of windows of a matrix, if its windows are wide enough to be worth sliding. In every
/// class both ends of the windows rise, but for empty windows.
pub(crate) fn classes(matrix: &RunMatrix, from: usize, to: usize) -> Option<Vec<WindowClass>> {
    match matrix {
        RunMatrix::Band(phases) if phases.iter().any(|phase| phase.count > 4) => {
            let mut classes = Vec::new();
            for (f, phase) in phases.iter().enumerate() {
                let step = phase.step as usize;
                let residues = step.min(from).max(1);
                let start = classes.len();
                classes.extend((0..residues).map(|first| WindowClass {
                    first,
                    step,
                    windows: Vec::new(),
                }));
                for (m, j) in (f..to).step_by(phases.len()).enumerate() {
                    let (first, count) = phase.clip(m as u64, from as u64);
                    let (first, count) = (first as usize, count as usize);
                    let low = first / step;
                    let class = if count == 0 { 0 } else { first % step };
                    classes[start + class].windows.push(RowWindow {
                        to: j,
                        low,
                        high: low + count,
                    });
                }
            }
            Some(classes)
        }
        RunMatrix::Ranges { low, high } if rows_added(low, high) > 4 * (from + to) => {
            let window =
                |j: usize| RowWindow { to: j, low: low[j] as usize, high: high[j] as usize };
            let mut windows: Vec<RowWindow> = (0..to).map(window).collect();
            if low.first() > low.last() || high.first() > high.last() {
                windows.reverse();
            }
            Some(vec![WindowClass { first: 0, step: 1, windows }])
        }
        _ => None,
    }
}

/// The sum of the middle rows of a tensor, which several reductions share. The total and the sums
/// under the taps of a window, for example, differ only in a few rows at the ends.
pub(crate) struct MiddleSum<L> {
    /// The version of the contents that were summed; 0 if the sum is not valid.
    pub(crate) version: u64,
    /// The rows that were summed are `first..last`.
    pub(crate) first: usize,
    pub(crate) last: usize,
    pub(crate) sum: Vec<L>,
}

/// A reduction in terms of the sum of the rows `first..last`: for every row of the result the
/// weight of that sum, and the other rows that it adds.
pub(crate) struct NestedPlan {
    pub(crate) first: usize,
    pub(crate) last: usize,
    pub(crate) results: Vec<(u64, Vec<(u32, u64)>)>,
}

impl<L> MiddleSum<L> {
    /// No sum yet.
    pub(crate) fn new() -> Self {
        Self { version: 0, first: 0, last: 0, sum: Vec::new() }
    }

    /// Plans the reduction of `from` rows to `to` by `matrix`, if most of every result is one sum
    /// over middle rows. A sum that is known already is preferred.
    pub(crate) fn plan(
        &self,
        matrix: &RunMatrix,
        from: usize,
        to: usize,
        version: u64,
    ) -> Option<NestedPlan> {
        if 4 * to > from
            || from < 8
            || !matches!(matrix, RunMatrix::Ranges { .. } | RunMatrix::Sparse { .. })
        {
            return None;
        }
        let mut results = Vec::with_capacity(to);
        let (mut first, mut last) = (0, from);
        for j in 0..to {
            let mut row = Vec::new();
            matrix.entries(j, from as u64, &mut row);
            let (weight, start, end) = plateau(&row, from);
            (first, last) = (first.max(start), last.min(end));
            results.push((weight, row));
        }
        let known = self.version == version && self.first >= first && self.last <= last;
        if known && (self.first - first) + (last.saturating_sub(self.last)) <= 4 {
            (first, last) = (self.first, self.last);
        } else if (first, last) == (0, from) {
            // The ends are left out, so that the window of the layer before can use the sum, too.
            (first, last) = (1, from - 1);
        }
        let beyond: usize = results.iter().map(|(_, row)| row.len()).sum();
        if last < first + 4 || beyond.saturating_sub(to * (last - first)) > 2 * from {
            return None;
        }
        for (_, row) in &mut results {
            row.retain(|&(run, _)| !(first..last).contains(&(run as usize)));
        }
        Some(NestedPlan { first, last, results })
    }
}

/// The weight of the central one of `from` rows, and the range around it that has the same weight.
fn plateau(row: &[(u32, u64)], from: usize) -> (u64, usize, usize) {
    let centre = from / 2;
    let at = row.partition_point(|&(run, _)| (run as usize) < centre);
    let Some(&(run, weight)) = row.get(at).filter(|entry| entry.0 as usize == centre) else {
        return (0, centre, centre);
    };
    let same = |offset: usize, &(other, w): &(u32, u64)| {
        w == weight && other.abs_diff(run) as usize == offset
    };
    let below = (1..).zip(row[..at].iter().rev()).take_while(|&(n, entry)| same(n, entry)).count();
    let above = (1..).zip(&row[at + 1..]).take_while(|&(n, entry)| same(n, entry)).count();
    (weight, centre - below, centre + above + 1)
}

/// How many rows are added if every range is summed by itself.
fn rows_added(low: &[u32], high: &[u32]) -> usize {
    low.iter().zip(high).map(|(l, h)| (h - l) as usize).sum()
}

/// The two stacks: see the module.
pub(crate) struct SlidingQueue<L> {
    suffixes: Vec<L>,
    /// The running sum of the rows that came since.
    recent: Vec<L>,
    sum: Vec<L>,
    /// The suffix sums are those of the rows `bottom..pivot`.
    bottom: usize,
    pivot: usize,
    /// The running sum is that of the rows `pivot..reached`.
    reached: usize,
}

impl<L: Copy + Default> SlidingQueue<L> {
    /// An empty queue.
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

    /// Begins with other rows.
    pub(crate) fn reset(&mut self) {
        self.pivot = 0;
    }

    /// The sum of the rows `window.low..window.high`, each of `width` lanes. Windows must come in
    /// order and must not be empty.
    #[inline(always)]
    pub(crate) fn sum<'r>(
        &mut self,
        window: RowWindow,
        width: usize,
        row: impl Fn(usize) -> &'r [L],
        add: impl Fn(L, L) -> L,
    ) -> &[L]
    where
        L: 'r,
    {
        let RowWindow { low, high, .. } = window;
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
