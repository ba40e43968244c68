//! The result of counting a graph: the count of every node, as an integer or in log space.

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
use crate::graph::purposes::{LISTING, LOGARITHMS};
use crate::machine::memory::{available_memory, check_free, reserved, zeroed};
use crate::machine::monitor::Monitor;
use crate::machine::team::{Team, parts};
use crate::number::{Value, split_exponent};

/// So many nodes are converted between two looks at the monitor.
const PIECE: usize = 1 << 14;

/// The counts of one direction, by the places of nodes in the sweep.
#[derive(Debug)]
pub(crate) struct SideCounts {
    numbers: Representation,
    peak: u64,
}

/// How counts are stored.
#[derive(Debug)]
enum Representation {
    /// In log space; exact if all are below 2^53.
    Scaled(ScaledCounts),
    /// As rows of digits of all nodes.
    Bands(Bands),
    /// As rows of digits of some nodes.
    Parameters(ParameterRows),
}

impl SideCounts {
    /// Counts in log space; `before` are the bytes that there were at once on the way to them.
    pub(crate) fn scaled(scaled: ScaledCounts, before: u64) -> Self {
        Self { peak: before.max(scaled.bytes()), numbers: Representation::Scaled(scaled) }
    }

    /// What a sweep has counted exactly; `before` are the bytes that there were at once before it.
    ///
    /// # Errors
    /// [`Error::GraphMemory`].
    pub(crate) fn exact(sweep: ExactSweep<'_>, before: u64) -> Result<Self> {
        let peak = before.max(sweep.peak);
        Ok(match sweep.parameter_rows {
            None => Self { numbers: Representation::Bands(sweep.bands), peak },
            Some(mut kept) => {
                kept.finish()?;
                Self { peak: peak + kept.bytes(), numbers: Representation::Parameters(kept) }
            }
        })
    }

    /// The digits of a count, if counts are stored as digits and this one is there.
    pub(crate) fn row(&self, place: usize) -> Option<&[u64]> {
        match &self.numbers {
            Representation::Scaled(_) => None,
            Representation::Bands(bands) => bands.row(place),
            Representation::Parameters(kept) => kept.row(place),
        }
    }

    /// The nearest `mantissa * 2^exponent` to a count, with the mantissa in [1, 2); zeros for no
    /// path.
    fn nearest(&self, place: usize) -> (f64, i64) {
        match &self.numbers {
            Representation::Scaled(scaled) => {
                let (mantissa, exponent) = scaled.get(place).unwrap_or((0.0, 0));
                let (mantissa, shift) = split_exponent(mantissa);
                let scale = if mantissa == 0.0 { 0 } else { exponent };
                (mantissa, shift + i64::from(scale) * i64::from(RADIX))
            }
            _ => nearest_to_row(self.row(place).unwrap_or_default()),
        }
    }

    /// A count as an integer.
    fn integer(&self, place: usize) -> BigUint {
        match &self.numbers {
            // An exact count in log space is below 2^53.
            Representation::Scaled(scaled) => {
                BigUint::from(scaled.get(place).map_or(0.0, |(count, _)| count) as u64)
            }
            _ => integer(self.row(place).unwrap_or_default()),
        }
    }
}

/// The nearest scaled number to the integer of a row.
fn nearest_to_row(row: &[u64]) -> (f64, i64) {
    let row = trimmed(row);
    let Some((&top, lower)) = row.split_last() else { return (0.0, 0) };
    let (second, rest) = lower.split_last().map_or((0, lower), |(&second, rest)| (second, rest));
    // Of the digits below, it only matters whether one of them is not 0.
    let sticky = u128::from(rest.iter().any(|&digit| digit != 0));
    let head = u128::from(top) << DIGIT_BITS << 1 | u128::from(second) << 1 | sticky;
    let (mantissa, shift) = split_exponent(head as f64);
    (mantissa, shift - 1 + (row.len() as i64 - 2) * i64::from(DIGIT_BITS))
}

/// The counts of one direction, and how their nodes are numbered.
#[derive(Debug)]
pub(crate) struct Side {
    pub(crate) counts: SideCounts,
    /// Whether the sweep numbered nodes from the other end.
    pub(crate) flipped: bool,
}

/// The counts of all nodes of a graph, from [`Graph::count`](crate::Graph::count).
///
/// Where paths were counted through every node, the count of a node is the product of two: of the
/// paths that lead to it, and of those that lead on.
#[derive(Debug)]
pub struct GraphCounts {
    pub(crate) frame: Arc<Frame>,
    /// One direction, or two, whose counts are multiplied.
    sides: Vec<Side>,
    towards: Towards,
    exact: bool,
    /// The nodes whose counts were kept; `None` for all.
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

    /// Whether counts are integers without rounding.
    #[must_use]
    pub fn is_exact(&self) -> bool {
        self.exact
    }

    /// The number of nodes of the graph.
    #[must_use]
    pub fn nodes(&self) -> usize {
        self.frame.nodes
    }

    /// The direction of the paths that were counted.
    #[must_use]
    pub fn towards(&self) -> Towards {
        self.towards
    }

    /// The most bytes that counts took at once.
    #[must_use]
    pub fn peak_bytes(&self) -> u64 {
        self.sides.iter().map(|side| side.counts.peak).sum()
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
            let others = if self.towards == Towards::Inputs { "outputs" } else { "parameters" };
            let reason = format!(
                "the count of node {node} was not kept, only those of {others}; count all nodes"
            );
            return Err(Error::InvalidGraph { reason });
        }
        if self.exact {
            return Ok(Value::integer(self.integer(node)));
        }
        let (mantissa, exponent) = self.nearest(node);
        Ok(Value { mantissa, exponent, exact: None })
    }

    /// The base-2 logarithms of the counts of all nodes: minus infinity for a node without a path,
    /// not a number for a count that was not kept. `threads` may be 0 for one a core.
    ///
    /// # Errors
    /// [`Error::GraphMemory`], [`Error::Interrupted`].
    pub fn log2(&self, threads: usize, monitor: &Monitor<'_>) -> Result<Vec<f64>> {
        let mut logarithms = zeroed::<f64>(LOGARITHMS, self.frame.nodes)?;
        let pieces = parts(0..logarithms.len(), logarithms.len().div_ceil(PIECE), PIECE);
        let tasks = pieces.into_iter().zip(logarithms.chunks_mut(PIECE));
        Team::new(threads).each(
            tasks,
            monitor,
            |_| PIECE as u64,
            |(piece, logarithms)| {
                for (node, logarithm) in piece.zip(logarithms) {
                    *logarithm = if self.has(node) {
                        let (mantissa, exponent) = self.nearest(node);
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

    /// The counts of nodes, in their order, as integers.
    ///
    /// # Errors
    /// [`Error::InvalidGraph`] as for [`GraphCounts::value`], and for counts in log space;
    /// [`Error::GraphMemory`], [`Error::Interrupted`].
    pub fn integers(
        &self,
        nodes: impl ExactSizeIterator<Item = usize>,
        monitor: &Monitor<'_>,
    ) -> Result<Vec<BigUint>> {
        if !self.exact {
            let reason = "counts are known in log space only".into();
            return Err(Error::InvalidGraph { reason });
        }
        let mut needed = (size_of::<BigUint>() as u64).saturating_mul(nodes.len() as u64);
        let limit = available_memory();
        check_free(LISTING, needed)?;
        let mut integers = reserved(LISTING, nodes.len())?;
        for node in nodes {
            let integer = match self.value(node)?.exact {
                Some(integer) => integer,
                None => self.integer(node),
            };
            let words = integer.bits() / 64 + 1;
            needed = needed.saturating_add(2 * 8 * words); // Python's integer is a copy.
            if needed > limit {
                return Err(LISTING.not_free(needed));
            }
            integers.push(integer);
            monitor.breathe(words + 16)?;
        }
        Ok(integers)
    }

    /// The place of a node in the numbering of a side.
    #[inline]
    fn place(&self, side: &Side, node: usize) -> usize {
        let place = self.frame.rank(node);
        if side.flipped { self.frame.nodes - 1 - place } else { place }
    }

    /// Whether the count of a node was kept.
    #[must_use]
    pub fn has(&self, node: usize) -> bool {
        self.kept.as_ref().is_none_or(|kept| kept.contains(node))
    }

    /// The nearest `mantissa * 2^exponent` to a count, with the mantissa in [1, 2); zeros for no
    /// path.
    pub(crate) fn nearest(&self, node: usize) -> (f64, i64) {
        let nearest = |side: &Side| side.counts.nearest(self.place(side, node));
        match &self.sides[..] {
            [side] => nearest(side),
            sides => {
                let (mantissa, exponent) = sides
                    .iter()
                    .map(nearest)
                    .fold((1.0, 0), |(m, e), (mantissa, exponent)| (m * mantissa, e + exponent));
                let (mantissa, shift) = split_exponent(mantissa);
                (mantissa, if mantissa == 0.0 { 0 } else { exponent + shift })
            }
        }
    }

    /// A count as an integer.
    pub(crate) fn integer(&self, node: usize) -> BigUint {
        let integer = |side: &Side| side.counts.integer(self.place(side, node));
        self.sides.iter().map(integer).product()
    }

    /// The digits of a count, if counts are stored as digits and are no products.
    pub(crate) fn row(&self, node: usize) -> Option<&[u64]> {
        match &self.sides[..] {
            [side] => side.counts.row(self.place(side, node)).map(trimmed),
            _ => None,
        }
    }
}
