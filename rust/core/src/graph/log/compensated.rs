//! Counting in log space with compensated sums, which have about twice the digits.
//!
//! With doubles, a count loses at most a few units in its last place with every step of a path.
//! Where counts grow with the depth of a graph, they grow faster than that. But in a deep graph
//! whose counts grow slowly beyond 2^53, they can stand still. This is found out afterwards (see
//! `rounding.rs`), and then the graph is counted once more with a correction for every number.

use std::ops::Range;

use crate::error::Result;
use crate::graph::lists::csr::Index;
use crate::graph::lists::node_set::NodeSet;
use crate::graph::lists::source::{ListSection, lists_changed};
use crate::graph::log::scaled_counts::{Count, ScaledCounts, place_sum, scaled_down};
use crate::graph::sweep::Sweep;
use crate::machine::monitor::Monitor;
use crate::machine::team::Team;

/// Counts the nodes of a graph in log space, with corrections.
pub(crate) struct CompensatedSweep<'a> {
    pub(crate) scaled: ScaledCounts,
    /// What is missing from each number, relative to the number.
    corrections: Vec<f32>,
    outputs: &'a NodeSet,
}

impl<'a> CompensatedSweep<'a> {
    /// A sweep over so many nodes.
    pub(crate) fn new(nodes: usize, outputs: &'a NodeSet) -> Self {
        Self { scaled: ScaledCounts::new(nodes), corrections: vec![0.0; nodes], outputs }
    }

    /// The bytes that the sweep takes, without stragglers.
    pub(crate) fn bytes(nodes: usize) -> u64 {
        ScaledCounts::bytes_of(nodes) + (size_of::<f32>() * nodes) as u64
    }

    /// The count of one node; `None` if its list was changed.
    fn count<I: Index>(&mut self, lists: &ListSection<'_, I>, node: usize) -> Option<Count> {
        let (list, times) = (lists.list(node)?, lists.multiplicities(node));
        let view = self.scaled.view(0);
        let output = self.outputs.contains(node);
        let mut top = if output { Some(0) } else { None };
        for id in list {
            let (value, exponent) = view.get(id.position())?;
            if value > 0.0 {
                top = top.max(Some(exponent));
            }
        }
        let Some(top) = top else {
            return Some(Count::Fits(0.0));
        };
        let mut sum =
            CompensatedSum { high: if output { scaled_down(1.0, -top) } else { 0.0 }, low: 0.0 };
        for (at, id) in list.iter().enumerate() {
            let (value, exponent) = view.get(id.position())?;
            let value = scaled_down(value, exponent - top);
            let correction = value * f64::from(*self.corrections.get(id.position())?);
            sum = match times {
                None => sum.plus(value, correction),
                Some(times) => {
                    let weight = *times.get(at)?;
                    // It takes two doubles to hold a weight of 64 bits.
                    let high = weight as f64;
                    let rest = (i128::from(weight) - high as i128) as f64;
                    let product = value * high;
                    let error = value.mul_add(high, -product);
                    sum.plus(product, error + value * rest + correction * high)
                }
            };
        }
        self.corrections[node] = (sum.low / sum.high) as f32;
        Some(place_sum(sum.high, top, self.scaled.epoch()))
    }
}

impl<I: Index> Sweep<I> for CompensatedSweep<'_> {
    fn narrow(
        &mut self,
        lists: &ListSection<'_, I>,
        range: Range<usize>,
        _: &Monitor<'_>,
    ) -> Result<()> {
        for node in range.rev() {
            let count = self.count(lists, node).ok_or_else(lists_changed)?;
            self.scaled.put(node, count)?;
        }
        Ok(())
    }

    fn wide(
        &mut self,
        lists: &ListSection<'_, I>,
        range: Range<usize>,
        _: &Team,
        monitor: &Monitor<'_>,
    ) -> Result<()> {
        self.narrow(lists, range, monitor)
    }
}

/// A sum and what its rounding took away.
#[derive(Clone, Copy)]
struct CompensatedSum {
    high: f64,
    low: f64,
}

impl CompensatedSum {
    /// Adds a value that lacks `correction` (Knuth's two-sum).
    fn plus(self, value: f64, correction: f64) -> Self {
        let sum = self.high + value;
        let part = sum - self.high;
        let error = (self.high - (sum - part)) + (value - part);
        let low = self.low + (error + correction);
        let high = sum + low;
        Self { high, low: low - (high - sum) }
    }
}
