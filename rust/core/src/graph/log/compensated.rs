//! Counting in log space with twice the digits.
//!
//! In doubles, a count loses at most a few units in its last place with every step of a path. Counts
//! that grow with the depth of a graph grow faster than that; but where a graph is deep and its
//! counts grow slowly beyond 2^53, they can stand still. That is found out afterwards (see
//! `roundings.rs`), and the graph is counted once more, each number with a correction.

use std::ops::Range;

use crate::error::Result;
use crate::graph::lists::csr::Index;
use crate::graph::lists::node_set::Marks;
use crate::graph::lists::source::{Rows, changed};
use crate::graph::log::scaled_counts::{Count, Scaled, placed, scaled_down};
use crate::graph::sweep::Sweep;
use crate::machine::monitor::Monitor;
use crate::machine::team::Team;

/// See the module.
pub(crate) struct CarefulSweep<'a> {
    pub(crate) scaled: Scaled,
    /// What is missing from each number, as a part of it.
    corrections: Vec<f32>,
    outputs: &'a Marks,
}

impl<'a> CarefulSweep<'a> {
    pub(crate) fn new(nodes: usize, outputs: &'a Marks) -> Self {
        Self { scaled: Scaled::new(nodes), corrections: vec![0.0; nodes], outputs }
    }

    /// Bytes it takes, without stragglers.
    pub(crate) fn bytes(nodes: usize) -> u64 {
        Scaled::bytes_of(nodes) + (size_of::<f32>() * nodes) as u64
    }

    /// Counts one node.
    fn count<I: Index>(&mut self, rows: &Rows<'_, I>, node: usize) -> Option<()> {
        let (row, times) = (rows.row(node)?, rows.times(node));
        let view = self.scaled.view(0);
        let output = self.outputs.has(node);
        let mut top = if output { Some(0) } else { None };
        for id in row {
            let (value, exponent) = view.get(id.position())?;
            if value > 0.0 {
                top = top.max(Some(exponent));
            }
        }
        let Some(top) = top else {
            self.scaled.put(node, Count::Fits(0.0));
            return Some(());
        };
        let mut sum = Pair { high: if output { scaled_down(1.0, -top) } else { 0.0 }, low: 0.0 };
        for (at, id) in row.iter().enumerate() {
            let (value, exponent) = view.get(id.position())?;
            let value = scaled_down(value, exponent - top);
            let correction = value * f64::from(*self.corrections.get(id.position())?);
            sum = match times {
                None => sum.plus(value, correction),
                Some(times) => {
                    let weight = *times.get(at)?;
                    // A weight of 64 bits is two doubles.
                    let high = weight as f64;
                    let rest = (i128::from(weight) - high as i128) as f64;
                    let product = value * high;
                    let error = value.mul_add(high, -product);
                    sum.plus(product, error + value * rest + correction * high)
                }
            };
        }
        self.corrections[node] = (sum.low / sum.high) as f32;
        self.scaled.put(node, placed(sum.high, top, self.scaled.epoch()));
        Some(())
    }
}

impl<I: Index> Sweep<I> for CarefulSweep<'_> {
    fn narrow(&mut self, rows: &Rows<'_, I>, range: Range<usize>, _: &Monitor<'_>) -> Result<()> {
        for node in range.rev() {
            self.count(rows, node).ok_or_else(changed)?;
        }
        Ok(())
    }

    fn wide(
        &mut self,
        rows: &Rows<'_, I>,
        range: Range<usize>,
        _: &Team,
        monitor: &Monitor<'_>,
    ) -> Result<()> {
        self.narrow(rows, range, monitor)
    }
}

/// A sum and what its rounding took away.
#[derive(Clone, Copy)]
struct Pair {
    high: f64,
    low: f64,
}

impl Pair {
    fn plus(self, value: f64, correction: f64) -> Self {
        let sum = self.high + value;
        let part = sum - self.high;
        let error = (self.high - (sum - part)) + (value - part);
        let low = self.low + (error + correction);
        let high = sum + low;
        Self { high, low: low - (high - sum) }
    }
}
