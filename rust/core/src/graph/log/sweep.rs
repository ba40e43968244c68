//! Counting in log space.
//!
//! A node's count is the plain sum of its successors' numbers as long as all of them have the scale
//! of the epoch that is being counted, which is almost always so. Only lists that reach beyond it,
//! or to a straggler, are added up with the scales looked up.

use std::cell::Cell;
use std::ops::Range;

use crate::error::Result;
use crate::graph::lists::csr::Index;
use crate::graph::lists::node_set::Marks;
use crate::graph::lists::source::{Rows, changed};
use crate::graph::log::list_sums::{Place, Together, run, strands};
use crate::graph::log::mixed_sums::Across;
use crate::graph::log::running_sums;
use crate::graph::log::scaled_counts::{
    Count, Epoch, LARGE, Latest, MOST, Numbers, SMALL, Scaled, Straggler, View, placed, scaled_down,
};
use crate::graph::survey::stretches::{LANES, Stretch, edges_read};
use crate::graph::sweep::Sweep;
use crate::machine::monitor::Monitor;
use crate::machine::team::Team;

/// Words made numbers between two looks at the monitor.
const WIDENED: usize = 1 << 20;

/// See the module.
pub(crate) struct LogSweep<'a> {
    scaled: Scaled,
    outputs: &'a Marks,
    stretches: &'a [Stretch],
    /// Whether all counts so far are words.
    words: bool,
}

impl<'a> LogSweep<'a> {
    /// Counts are `words` as long as they fit.
    pub(crate) fn new(
        nodes: usize,
        outputs: &'a Marks,
        stretches: &'a [Stretch],
        words: bool,
    ) -> Self {
        Self { scaled: Scaled::new(nodes), outputs, stretches, words }
    }

    /// The counts of all nodes.
    ///
    /// # Errors
    /// [`crate::Error::Interrupted`].
    pub(crate) fn finish(mut self, monitor: &Monitor<'_>) -> Result<Scaled> {
        if self.words {
            self.widen(0, monitor)?;
        }
        Ok(self.scaled)
    }

    /// Makes numbers of the words of the nodes from `first` on.
    fn widen(&mut self, first: usize, monitor: &Monitor<'_>) -> Result<()> {
        self.words = false;
        let mut end = self.scaled.values.len();
        while end > first {
            let start = first.max(end.saturating_sub(WIDENED));
            self.scaled.widen(start..end);
            monitor.breathe((end - start) as u64)?;
            end = start;
        }
        Ok(())
    }

    /// Counts words as long as they fit; returns the end of the nodes that are left.
    fn in_words<I: Index>(
        &mut self,
        rows: &Rows<'_, I>,
        range: Range<usize>,
        monitor: &Monitor<'_>,
    ) -> Result<usize> {
        if !self.words {
            return Ok(range.end);
        }
        let left = running_sums::run(rows, range.clone(), self.scaled.words(), self.outputs);
        if left > range.start {
            self.widen(left, monitor)?;
        }
        Ok(left)
    }
}

impl<I: Index> Sweep<I> for LogSweep<'_> {
    fn narrow(
        &mut self,
        rows: &Rows<'_, I>,
        range: Range<usize>,
        monitor: &Monitor<'_>,
    ) -> Result<()> {
        let mut end = self.in_words(rows, range.clone(), monitor)?;
        while end > range.start {
            // As long as one epoch lasts.
            let epoch = self.scaled.epoch();
            let latest = Latest::new(&self.scaled.epochs);
            let one = epoch.one();
            let mut across = Across::new();
            let epochs = self.scaled.epochs.len();
            while end > range.start && self.scaled.epochs.len() == epochs {
                if rows.multiplicity.is_none() {
                    let place = Together::new(&mut self.scaled.values, epoch.end);
                    end = run(rows, range.start..end, place, self.outputs, self.stretches, one);
                    if end == range.start {
                        break;
                    }
                }
                end -= 1;
                let output = self.outputs.has(end);
                let numbers = latest.numbers(&self.scaled.values, 0);
                let sum = across.sum(numbers, rows, end).ok_or_else(changed)?;
                let sum = sum + if output { one } else { 0.0 };
                let count = if fits(sum, output) {
                    Count::Fits(sum)
                } else {
                    mixed(self.scaled.view(0), epoch, rows, end, output).ok_or_else(changed)?
                };
                self.scaled.put(end, count);
            }
        }
        Ok(())
    }

    fn wide(
        &mut self,
        rows: &Rows<'_, I>,
        range: Range<usize>,
        team: &Team,
        monitor: &Monitor<'_>,
    ) -> Result<()> {
        let range = range.start..self.in_words(rows, range, monitor)?;
        if range.is_empty() {
            return Ok(());
        }
        let epoch = self.scaled.epoch();
        let pieces = team.pieces(|| edges_read(self.stretches, rows, range.clone()));
        let ranges = rows.parts(range.clone(), pieces);
        let mut found: Vec<Found> = ranges.iter().map(|_| Found::default()).collect();
        let (open, done) = self.scaled.values.split_at_mut(range.end);
        let view = View::new(done, range.end, &self.scaled.epochs, &self.scaled.stragglers);
        let mut rest = &mut open[range.start..];
        let mut tasks = Vec::with_capacity(ranges.len());
        for (range, found) in ranges.iter().zip(&mut found) {
            let (values, later) = rest.split_at_mut(range.len());
            rest = later;
            tasks.push(Wide {
                view,
                epoch,
                rows,
                range: range.clone(),
                values,
                found,
                outputs: self.outputs,
                stretches: self.stretches,
            });
        }
        let cost = |task: &Wide<'_, '_, I>| rows.edges(task.range.start, task.range.end) as u64;
        team.each(tasks.into_iter(), monitor, cost, Wide::count)?;
        self.settle(range, epoch, found);
        Ok(())
    }
}

/// A part of [`Sweep::wide`].
struct Wide<'w, 'r, I> {
    view: View<'w>,
    epoch: Epoch,
    rows: &'w Rows<'r, I>,
    range: Range<usize>,
    values: &'w mut [f64],
    found: &'w mut Found,
    outputs: &'w Marks,
    stretches: &'w [Stretch],
}

impl<I: Index> Wide<'_, '_, I> {
    fn count(self) -> Result<()> {
        let Self { view, epoch, rows, range, values, found, outputs, stretches } = self;
        let (numbers, one) = (view.numbers(), epoch.one());
        let mut across = Across::new();
        let mut end = range.end;
        while end > range.start {
            if rows.multiplicity.is_none() {
                let values = Cell::from_mut(&mut *values).as_slice_of_cells();
                let place = Aside { numbers, values, first: range.start };
                end = run(rows, range.start..end, place, outputs, stretches, one);
                if end == range.start {
                    break;
                }
            }
            end -= 1;
            let output = outputs.has(end);
            let sum = across.sum(numbers, rows, end).ok_or_else(changed)?;
            let sum = sum + if output { one } else { 0.0 };
            let count = if fits(sum, output) {
                Count::Fits(sum)
            } else {
                mixed(view, epoch, rows, end, output).ok_or_else(changed)?
            };
            match count {
                Count::Fits(value) => {
                    values[end - range.start] = value;
                    found.largest = found.largest.max(value);
                }
                Count::Apart { mantissa, exponent } => {
                    found.apart.push(Straggler { node: end as u32, exponent, mantissa });
                }
            }
        }
        // Found from the last to the first, settled in the order of the parts.
        found.apart.reverse();
        Ok(())
    }
}

/// What the parts of a wide piece leave to be settled.
#[derive(Default)]
struct Found {
    largest: f64,
    apart: Vec<Straggler>,
}

/// Numbers of nodes behind a wide piece, and sums in it.
#[derive(Clone, Copy)]
struct Aside<'p, 'v> {
    numbers: Numbers<'v>,
    values: &'p [Cell<f64>],
    /// The node of the first of `values`.
    first: usize,
}

impl Place for Aside<'_, '_> {
    #[inline(always)]
    fn read(self, node: usize) -> Option<f64> {
        self.numbers.get(node)
    }

    #[inline(always)]
    fn stretch(self, node: usize) -> Option<[f64; LANES]> {
        self.numbers.stretch(node)
    }

    #[inline(always)]
    fn write(self, node: usize, sum: f64) {
        if let Some(value) = self.values.get(node.wrapping_sub(self.first)) {
            value.set(sum);
        }
    }
}

impl LogSweep<'_> {
    fn settle(&mut self, range: Range<usize>, epoch: Epoch, found: Vec<Found>) {
        let largest = found.iter().map(|part| part.largest).fold(0.0, f64::max);
        let apart: Vec<Straggler> = found.into_iter().flat_map(|part| part.apart).collect();
        for &straggler in &apart {
            self.scaled.set_apart(straggler);
        }
        if largest >= LARGE {
            self.scaled.start_epoch(range.start, epoch.exponent + 1);
        } else if let Some(last) = apart.last().filter(|_| 2 * apart.len() > range.len()) {
            self.scaled.start_epoch(range.start, last.exponent);
        }
    }
}

/// Whether a sum can be put down in the scale of the epoch. Numbers that are missing make it not a
/// number; and what is lost of an output's own context must not be all there is.
#[inline(always)]
fn fits(sum: f64, output: bool) -> bool {
    (SMALL..MOST).contains(&sum) || (sum == 0.0 && !output)
}

/// The count of a node whose successors have several scales.
#[cold]
fn mixed<I: Index>(
    view: View<'_>,
    epoch: Epoch,
    rows: &Rows<'_, I>,
    node: usize,
    output: bool,
) -> Option<Count> {
    let row = rows.row(node)?;
    let times = rows.times(node);
    let mut top = if output { Some(0) } else { None };
    for id in row {
        let (value, exponent) = view.get(id.position())?;
        if value > 0.0 {
            top = top.max(Some(exponent));
        }
    }
    let Some(top) = top else { return Some(Count::Fits(0.0)) };
    let sum = strands(row, |at, node| {
        let (value, exponent) = view.get(node)?;
        let weight = times.map_or(Some(1.0), |times| times.get(at).map(|&times| times as f64))?;
        Some(scaled_down(value * weight, exponent - top))
    })?;
    Some(placed(sum + if output { scaled_down(1.0, -top) } else { 0.0 }, top, epoch))
}
