//! The sweep that counts in log space.
//!
//! As long as all successors of a node have the scale of the epoch that is being counted, the
//! node's count is the plain sum of their numbers; this is almost always so. Only for a list that
//! reaches beyond the epoch, or to a straggler, the scale of every number is looked up.

use std::cell::Cell;
use std::ops::Range;

use crate::error::Result;
use crate::graph::lists::csr::Index;
use crate::graph::lists::node_set::NodeSet;
use crate::graph::lists::source::{ListSection, lists_changed};
use crate::graph::log::list_sums::{NumberStore, OneArray, count_ordinary_lists, sum_list};
use crate::graph::log::mixed_sums::MixedSums;
use crate::graph::log::running_sums;
use crate::graph::log::scaled_counts::{
    Count, Epoch, EpochNumbers, LARGE, LatestEpochs, MOST, SMALL, ScaledCounts, ScaledView,
    Straggler, place_sum, scaled_down,
};
use crate::graph::purposes::LOG_SPACE;
use crate::graph::survey::stretches::{SIDE_BY_SIDE, Stretch, edges_read};
use crate::graph::sweep::Sweep;
use crate::machine::memory::grow;
use crate::machine::monitor::Monitor;
use crate::machine::team::Team;

/// How many words are widened between two looks at the monitor.
const WIDENED: usize = 1 << 20;

/// Counts the nodes of a graph in log space.
pub(crate) struct LogSweep<'a> {
    scaled: ScaledCounts,
    outputs: &'a NodeSet,
    stretches: &'a [Stretch],
    /// Whether all counts so far are words of 32 bits.
    words: bool,
}

impl<'a> LogSweep<'a> {
    /// A sweep over so many nodes. If `words` is set, counts are words of 32 bits as long as they
    /// fit.
    pub(crate) fn new(
        nodes: usize,
        outputs: &'a NodeSet,
        stretches: &'a [Stretch],
        words: bool,
    ) -> Self {
        Self { scaled: ScaledCounts::new(nodes), outputs, stretches, words }
    }

    /// The counts of all nodes.
    ///
    /// # Errors
    /// [`crate::Error::Interrupted`].
    pub(crate) fn finish(mut self, monitor: &Monitor<'_>) -> Result<ScaledCounts> {
        if self.words {
            self.widen(0, monitor)?;
        }
        Ok(self.scaled)
    }

    /// Turns the words of the nodes from `first` on into floating-point numbers.
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

    /// Counts in words of 32 bits as long as counts fit; returns the end of the nodes that are
    /// left.
    fn count_in_words<I: Index>(
        &mut self,
        lists: &ListSection<'_, I>,
        range: Range<usize>,
        monitor: &Monitor<'_>,
    ) -> Result<usize> {
        if !self.words {
            return Ok(range.end);
        }
        let left =
            running_sums::count_in_words(lists, range.clone(), self.scaled.words(), self.outputs);
        if left > range.start {
            self.widen(left, monitor)?;
        }
        Ok(left)
    }
}

impl<I: Index> Sweep<I> for LogSweep<'_> {
    fn narrow(
        &mut self,
        lists: &ListSection<'_, I>,
        range: Range<usize>,
        monitor: &Monitor<'_>,
    ) -> Result<()> {
        let mut end = self.count_in_words(lists, range.clone(), monitor)?;
        while end > range.start {
            // One turn of this loop lasts as long as the epoch.
            let epoch = self.scaled.epoch();
            let latest = LatestEpochs::new(&self.scaled.epochs);
            let one = epoch.one();
            let mut mixed_sums = MixedSums::new();
            let epochs = self.scaled.epochs.len();
            while end > range.start && self.scaled.epochs.len() == epochs {
                if lists.multiplicity.is_none() {
                    let store = OneArray::new(&mut self.scaled.values, epoch.end);
                    end = count_ordinary_lists(
                        lists,
                        range.start..end,
                        store,
                        self.outputs,
                        self.stretches,
                        one,
                    );
                    if end == range.start {
                        break;
                    }
                }
                end -= 1;
                let output = self.outputs.contains(end);
                let numbers = latest.numbers(&self.scaled.values, 0);
                let sum = mixed_sums.sum(numbers, lists, end).ok_or_else(lists_changed)?;
                let sum = sum + if output { one } else { 0.0 };
                let count = if fits(sum, output) {
                    Count::Fits(sum)
                } else {
                    count_across_scales(self.scaled.view(0), epoch, lists, end, output)
                        .ok_or_else(lists_changed)?
                };
                self.scaled.put(end, count)?;
            }
        }
        Ok(())
    }

    fn wide(
        &mut self,
        lists: &ListSection<'_, I>,
        range: Range<usize>,
        team: &Team,
        monitor: &Monitor<'_>,
    ) -> Result<()> {
        let range = range.start..self.count_in_words(lists, range, monitor)?;
        if range.is_empty() {
            return Ok(());
        }
        let epoch = self.scaled.epoch();
        let pieces = team.pieces(|| edges_read(self.stretches, lists, range.clone()));
        let ranges = lists.parts(range.clone(), pieces);
        let mut results: Vec<PartResult> = ranges.iter().map(|_| PartResult::default()).collect();
        let (open, counted) = self.scaled.values.split_at_mut(range.end);
        let view =
            ScaledView::new(counted, range.end, &self.scaled.epochs, &self.scaled.stragglers);
        let mut rest = &mut open[range.start..];
        let mut tasks = Vec::with_capacity(ranges.len());
        for (range, result) in ranges.iter().zip(&mut results) {
            let (values, later) = rest.split_at_mut(range.len());
            rest = later;
            tasks.push(WidePart {
                view,
                epoch,
                lists,
                range: range.clone(),
                values,
                result,
                outputs: self.outputs,
                stretches: self.stretches,
            });
        }
        let cost =
            |task: &WidePart<'_, '_, I>| lists.edges(task.range.start, task.range.end) as u64;
        team.each(tasks.into_iter(), monitor, cost, WidePart::count)?;
        self.settle(range, epoch, results)
    }
}

/// The part of [`Sweep::wide`] that one thread does.
struct WidePart<'w, 'r, I> {
    view: ScaledView<'w>,
    epoch: Epoch,
    lists: &'w ListSection<'r, I>,
    range: Range<usize>,
    values: &'w mut [f64],
    result: &'w mut PartResult,
    outputs: &'w NodeSet,
    stretches: &'w [Stretch],
}

impl<I: Index> WidePart<'_, '_, I> {
    fn count(self) -> Result<()> {
        let Self { view, epoch, lists, range, values, result, outputs, stretches } = self;
        let (numbers, one) = (view.numbers(), epoch.one());
        let mut mixed_sums = MixedSums::new();
        let mut end = range.end;
        while end > range.start {
            if lists.multiplicity.is_none() {
                let values = Cell::from_mut(&mut *values).as_slice_of_cells();
                let store = ApartArrays { numbers, values, first: range.start };
                end = count_ordinary_lists(lists, range.start..end, store, outputs, stretches, one);
                if end == range.start {
                    break;
                }
            }
            end -= 1;
            let output = outputs.contains(end);
            let sum = mixed_sums.sum(numbers, lists, end).ok_or_else(lists_changed)?;
            let sum = sum + if output { one } else { 0.0 };
            let count = if fits(sum, output) {
                Count::Fits(sum)
            } else {
                count_across_scales(view, epoch, lists, end, output).ok_or_else(lists_changed)?
            };
            match count {
                Count::Fits(value) => {
                    values[end - range.start] = value;
                    result.largest = result.largest.max(value);
                }
                Count::Apart { mantissa, exponent } => {
                    grow(LOG_SPACE, &mut result.stragglers, 1)?;
                    result.stragglers.push(Straggler { node: end as u32, exponent, mantissa });
                }
            }
        }
        // They were found from the last node to the first, but parts are joined in rising order.
        result.stragglers.reverse();
        Ok(())
    }
}

/// What a part of a wide piece leaves to be settled when all parts are counted.
#[derive(Default)]
struct PartResult {
    largest: f64,
    stragglers: Vec<Straggler>,
}

/// Two arrays: the numbers of the nodes behind a wide piece, which are read, and the sums of the
/// nodes in it, which are written.
#[derive(Clone, Copy)]
struct ApartArrays<'p, 'v> {
    numbers: EpochNumbers<'v>,
    values: &'p [Cell<f64>],
    /// The node of the first of `values`.
    first: usize,
}

impl NumberStore for ApartArrays<'_, '_> {
    #[inline(always)]
    fn read(self, node: usize) -> Option<f64> {
        self.numbers.get(node)
    }

    #[inline(always)]
    fn stretch(self, node: usize) -> Option<[f64; SIDE_BY_SIDE]> {
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
    /// Adds the stragglers of all parts, and begins a new epoch if one is due.
    ///
    /// # Errors
    /// [`crate::Error::GraphMemory`].
    fn settle(
        &mut self,
        range: Range<usize>,
        epoch: Epoch,
        results: Vec<PartResult>,
    ) -> Result<()> {
        let largest = results.iter().map(|part| part.largest).fold(0.0, f64::max);
        let (mut last, mut number) = (None, 0);
        for straggler in results.into_iter().flat_map(|part| part.stragglers) {
            self.scaled.add_straggler(straggler)?;
            (last, number) = (Some(straggler), number + 1);
        }
        if largest >= LARGE {
            self.scaled.start_epoch(range.start, epoch.exponent + 1);
        } else if let Some(last) = last.filter(|_| 2 * number > range.len()) {
            self.scaled.start_epoch(range.start, last.exponent);
        }
        Ok(())
    }
}

/// Whether a sum can be written in the scale of the epoch. If a number was missing, the sum is not
/// a number and does not fit. An output has a path of its own, so that a sum of 0 means that this
/// path was lost in the scale.
#[inline(always)]
fn fits(sum: f64, output: bool) -> bool {
    (SMALL..MOST).contains(&sum) || (sum == 0.0 && !output)
}

/// The count of a node whose successors have several scales.
#[cold]
fn count_across_scales<I: Index>(
    view: ScaledView<'_>,
    epoch: Epoch,
    lists: &ListSection<'_, I>,
    node: usize,
    output: bool,
) -> Option<Count> {
    let list = lists.list(node)?;
    let times = lists.multiplicities(node);
    let mut top = if output { Some(0) } else { None };
    for id in list {
        let (value, exponent) = view.get(id.position())?;
        if value > 0.0 {
            top = top.max(Some(exponent));
        }
    }
    let Some(top) = top else { return Some(Count::Fits(0.0)) };
    let sum = sum_list(list, |at, node| {
        let (value, exponent) = view.get(node)?;
        let weight = times.map_or(Some(1.0), |times| times.get(at).map(|&times| times as f64))?;
        Some(scaled_down(value * weight, exponent - top))
    })?;
    Some(place_sum(sum + if output { scaled_down(1.0, -top) } else { 0.0 }, top, epoch))
}
