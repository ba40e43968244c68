//! Counting in log space with twice the digits.
//!
//! In doubles, a count loses at most a few units in its last place with every step of a path. Counts
//! that grow with the depth of a graph grow faster than that; but where a graph is deep and its
//! counts grow slowly beyond 2^53, they can stand still. That is found out afterwards, and the graph
//! is counted once more, each number with a correction.

use std::ops::Range;

use crate::error::Result;
use crate::graph::csr::Index;
use crate::graph::drive::Sweep;
use crate::graph::log_sweep::{Count, placed};
use crate::graph::marks::Marks;
use crate::graph::run::LONG;
use crate::graph::scaled::{LARGE, Scaled, Straggler, scaled_down};
use crate::graph::source::{Rows, changed};
use crate::graph::survey::{CHUNK_BITS, Survey};
use crate::graph::team::Team;
use crate::monitor::Monitor;

/// Relative error of a logarithm that is put up with.
const TOLERANCE: f64 = 1e-13;
/// Bits from which on doubles are rounded.
const ROUNDED: f64 = 53.0;

/// Whether rounding may have moved some logarithm too far.
pub(crate) fn is_doubtful(scaled: &Scaled, survey: &Survey) -> bool {
    // A sum of many terms is rounded with each, but halfway through it is half as large.
    let terms = survey.edges as f64 / scaled.values.len().max(1) as f64 + 1.0;
    let roundings = if terms < LONG as f64 { terms / 2.0 + 1.0 } else { terms / 8.0 + 4.0 };
    let step = roundings * f64::EPSILON / 2.0 / std::f64::consts::LN_2;
    let enough = |depth: u64, bits: f64| depth as f64 * step <= TOLERANCE * bits;
    if enough(survey.depth, ROUNDED) {
        return false;
    }
    let depths = survey.depths.iter().enumerate();
    depths.filter(|(_, depth)| !enough(u64::from(**depth), ROUNDED)).any(|(chunk, &depth)| {
        let first = chunk << CHUNK_BITS;
        let nodes = first..(first + (1 << CHUNK_BITS)).min(scaled.values.len());
        nodes
            .map(|node| scaled.bits(node) as f64)
            .any(|bits| bits > ROUNDED && !enough(u64::from(depth), bits - 1.0))
    })
}

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

    /// Counts one node; the exponent of the next epoch, if one must begin.
    fn count<I: Index>(&mut self, rows: &Rows<'_, I>, node: usize) -> Option<Option<i32>> {
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
            self.scaled.values[node] = 0.0;
            return Some(None);
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
        let epoch = self.scaled.epoch();
        Some(match placed(sum.high, top, epoch) {
            Count::Fits(value) => {
                self.scaled.values[node] = value;
                (value >= LARGE).then_some(epoch.exponent + 1)
            }
            Count::Apart { mantissa, exponent } => {
                self.scaled.set_apart(Straggler { node: node as u32, exponent, mantissa });
                None
            }
        })
    }
}

impl<I: Index> Sweep<I> for CarefulSweep<'_> {
    fn narrow(&mut self, rows: &Rows<'_, I>, range: Range<usize>, _: &Monitor<'_>) -> Result<()> {
        for node in range.rev() {
            if let Some(exponent) = self.count(rows, node).ok_or_else(changed)? {
                self.scaled.start_epoch(node, exponent);
            }
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
