//! What counting a graph gives: the count of every node.

use std::sync::Arc;

use num_bigint::BigUint;

use crate::error::{Error, Result};
use crate::graph::exact::bands::Bands;
use crate::graph::exact::digits::{DIGIT_BITS, integer, trimmed};
use crate::graph::exact::parameter_rows::ParameterRows;
use crate::graph::exact::sweep::ExactSweep;
use crate::graph::frame::Frame;
use crate::graph::lists::node_set::NodeSet;
use crate::graph::log::scaled_counts::{RADIX, ScaledCounts};
use crate::graph::options::Towards;
use crate::machine::monitor::Monitor;
use crate::machine::team::{Team, parts};
use crate::number::{Value, split_exponent};

/// Nodes converted between two looks at the monitor.
const PIECE: usize = 1 << 14;

/// Counts of nodes in the numbering of a sweep.
#[derive(Debug)]
pub(crate) struct SideCounts {
    numbers: Representation,
    peak: u64,
}

#[derive(Debug)]
enum Representation {
    Scaled(ScaledCounts),
    Bands(Bands),
    Parameters(ParameterRows),
}

impl SideCounts {
    /// `before` are bytes that there were at once on the way.
    pub(crate) fn scaled(scaled: ScaledCounts, before: u64) -> Self {
        Self { peak: before.max(scaled.bytes()), numbers: Representation::Scaled(scaled) }
    }

    /// Takes what a sweep has counted; `before` are bytes that there were at once before it.
    pub(crate) fn exact(sweep: ExactSweep<'_>, before: u64) -> Self {
        let peak = before.max(sweep.peak);
        match sweep.kept {
            None => Self { numbers: Representation::Bands(sweep.bands), peak },
            Some(mut kept) => {
                kept.finish();
                Self { peak: peak + kept.bytes(), numbers: Representation::Parameters(kept) }
            }
        }
    }

    /// The digits of a count, if it was counted into digits and is there.
    pub(crate) fn row(&self, place: usize) -> Option<&[u64]> {
        match &self.numbers {
            Representation::Scaled(_) => None,
            Representation::Bands(bands) => bands.row(place),
            Representation::Parameters(kept) => kept.row(place),
        }
    }

    /// The count as `mantissa * 2^exponent` with the mantissa in [1, 2), or zeros.
    fn near(&self, place: usize) -> (f64, i64) {
        match &self.numbers {
            Representation::Scaled(scaled) => {
                let (mantissa, exponent) = scaled.get(place).unwrap_or((0.0, 0));
                let (mantissa, shift) = split_exponent(mantissa);
                let scale = if mantissa == 0.0 { 0 } else { exponent };
                (mantissa, shift + i64::from(scale) * i64::from(RADIX))
            }
            _ => nearest(self.row(place).unwrap_or_default()),
        }
    }

    fn integer(&self, place: usize) -> BigUint {
        match &self.numbers {
            // Below 2^53, or else the count is not exact.
            Representation::Scaled(scaled) => {
                BigUint::from(scaled.get(place).map_or(0.0, |(count, _)| count) as u64)
            }
            _ => integer(self.row(place).unwrap_or_default()),
        }
    }
}

/// The nearest scaled number of an integer.
fn nearest(row: &[u64]) -> (f64, i64) {
    let row = trimmed(row);
    let Some((&top, lower)) = row.split_last() else { return (0.0, 0) };
    let (second, rest) = lower.split_last().map_or((0, lower), |(&second, rest)| (second, rest));
    // Of what is below, it only matters whether there is something.
    let sticky = u128::from(rest.iter().any(|&digit| digit != 0));
    let head = u128::from(top) << DIGIT_BITS << 1 | u128::from(second) << 1 | sticky;
    let (mantissa, shift) = split_exponent(head as f64);
    (mantissa, shift - 1 + (row.len() as i64 - 2) * i64::from(DIGIT_BITS))
}

/// Counts of one direction.
#[derive(Debug)]
pub(crate) struct Side {
    pub(crate) store: SideCounts,
    /// Whether nodes are numbered from the other end.
    pub(crate) flipped: bool,
}

/// Counts of all nodes of a graph; with two sides, their products.
#[derive(Debug)]
pub struct GraphCounts {
    pub(crate) frame: Arc<Frame>,
    sides: Vec<Side>,
    towards: Towards,
    exact: bool,
    /// The nodes whose counts are to be had; `None` for all.
    kept: Option<NodeSet>,
}

impl GraphCounts {
    pub(crate) fn new(
        frame: Arc<Frame>,
        sides: Vec<Side>,
        towards: Towards,
        exact: bool,
        kept: Option<NodeSet>,
    ) -> Self {
        Self { frame, sides, towards, exact, kept }
    }

    /// Whether counts are integers.
    #[must_use]
    pub fn is_exact(&self) -> bool {
        self.exact
    }

    /// Where the paths lead that were counted.
    #[must_use]
    pub fn towards(&self) -> Towards {
        self.towards
    }

    /// Bytes that counts took at the peak.
    #[must_use]
    pub fn peak_bytes(&self) -> u64 {
        self.sides.iter().map(|side| side.store.peak).sum()
    }

    /// The count of `node`.
    ///
    /// # Errors
    /// [`Error::InvalidGraph`] if there is no such node, or its count was not kept.
    pub fn value(&self, node: usize) -> Result<Value> {
        if node >= self.frame.nodes {
            let nodes = self.frame.nodes;
            let reason = format!("there is no node {node}; there are {nodes} nodes, from 0");
            return Err(Error::InvalidGraph { reason });
        }
        if !self.has(node) {
            let reason = format!(
                "the count of node {node} was not kept, only those of parameters; count all nodes"
            );
            return Err(Error::InvalidGraph { reason });
        }
        if self.exact {
            return Ok(Value::integer(self.integer(node)));
        }
        let (mantissa, exponent) = self.near(node);
        Ok(Value { mantissa, exponent, exact: None })
    }

    /// Base-2 logarithms of the counts of all nodes: minus infinity for no path, not a number for
    /// a count that was not kept. `threads` may be 0 for one a core.
    ///
    /// # Errors
    /// [`Error::Interrupted`].
    pub fn log2(&self, threads: usize, monitor: &Monitor<'_>) -> Result<Vec<f64>> {
        let mut logarithms = vec![0.0; self.frame.nodes];
        let pieces = parts(0..logarithms.len(), logarithms.len().div_ceil(PIECE), PIECE);
        let tasks = pieces.into_iter().zip(logarithms.chunks_mut(PIECE));
        Team::new(threads).each(
            tasks,
            monitor,
            |_| PIECE as u64,
            |(piece, logarithms)| {
                for (node, logarithm) in piece.zip(logarithms) {
                    *logarithm = if self.has(node) {
                        let (mantissa, exponent) = self.near(node);
                        mantissa.log2() + exponent as f64
                    } else {
                        f64::NAN
                    };
                }
                Ok(())
            },
        )?;
        Ok(logarithms)
    }

    /// The place of a node in the numbering of a side.
    #[inline]
    fn place(&self, side: &Side, node: usize) -> usize {
        let place = self.frame.rank(node);
        if side.flipped { self.frame.nodes - 1 - place } else { place }
    }

    fn has(&self, node: usize) -> bool {
        self.kept.as_ref().is_none_or(|kept| kept.contains(node))
    }

    /// The count as `mantissa * 2^exponent` with the mantissa in [1, 2), or zeros.
    pub(crate) fn near(&self, node: usize) -> (f64, i64) {
        let near = |side: &Side| side.store.near(self.place(side, node));
        match &self.sides[..] {
            [side] => near(side),
            sides => {
                let (mantissa, exponent) = sides
                    .iter()
                    .map(near)
                    .fold((1.0, 0), |(m, e), (mantissa, exponent)| (m * mantissa, e + exponent));
                let (mantissa, shift) = split_exponent(mantissa);
                (mantissa, if mantissa == 0.0 { 0 } else { exponent + shift })
            }
        }
    }

    pub(crate) fn integer(&self, node: usize) -> BigUint {
        let integer = |side: &Side| side.store.integer(self.place(side, node));
        self.sides.iter().map(integer).product()
    }

    /// The digits of a count that is no product.
    pub(crate) fn row(&self, node: usize) -> Option<&[u64]> {
        match &self.sides[..] {
            [side] => side.store.row(self.place(side, node)).map(trimmed),
            _ => None,
        }
    }
}
