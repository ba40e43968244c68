//! Counts in log space: one floating-point number for every node, and a scale that many nodes
//! share.
//!
//! Nodes are counted from the last to the first. Neighbouring nodes with the same scale are an
//! *epoch*. A count that does not fit the scale of its epoch is a *straggler*, and stands in a
//! table with a scale of its own. This module holds numbers; it does not know how they are summed.

use std::ops::Range;

use crate::error::Result;
use crate::graph::purposes::LOG_SPACE;
use crate::machine::memory::grow;
use crate::number::{Log, Number, split_exponent};

/// The scale with a given exponent is `2^(RADIX * exponent)`.
pub(crate) const RADIX: i32 = 512;
/// A number at least as large as this calls for the next scale.
pub(crate) const LARGE: f64 = power(RADIX);
/// A number smaller than this becomes a straggler: it would lose precision when it is scaled down.
pub(crate) const SMALL: f64 = power(-400);

/// Whole numbers below this are exact.
const ROUNDED: f64 = power(53);

/// A number at least as large as this does not fit into a scale, not even until the next one
/// begins.
pub(crate) const MOST: f64 = power(RADIX + 256);

/// `2^exponent`, which must be a normal number.
const fn power(exponent: i32) -> f64 {
    f64::from_bits(((exponent + 1023) as u64) << 52)
}

/// The nodes before `end` share the scale of this epoch, as far down as the end of the next epoch.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Epoch {
    pub(crate) end: usize,
    pub(crate) exponent: i32,
}

impl Epoch {
    /// A single path in the scale of the epoch; 0 where that is too small to matter.
    #[inline(always)]
    pub(crate) fn one(self) -> f64 {
        if self.exponent == 0 { 1.0 } else { 0.0 }
    }
}

/// Stragglers in a list after which the scale is theirs.
const PATIENCE: u32 = 64;

/// A count as it is written.
pub(crate) enum Count {
    /// A number in the scale of the epoch.
    Fits(f64),
    /// A straggler.
    Apart { mantissa: f64, exponent: i32 },
}

/// A count that does not fit into the scale of its epoch.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Straggler {
    pub(crate) node: u32,
    pub(crate) exponent: i32,
    pub(crate) mantissa: f64,
}

/// The counts of all nodes. The count of node `v` is `values[v]` times the scale of its epoch. For
/// a straggler, `values[v]` is not a number, and its bits hold the place in the table. Epochs are
/// in the order in which they are counted, from the last nodes to the first.
#[derive(Debug)]
pub(crate) struct ScaledCounts {
    pub(crate) values: Vec<f64>,
    pub(crate) epochs: Vec<Epoch>,
    pub(crate) stragglers: Vec<Straggler>,
    /// The latest straggler that [`ScaledCounts::put`] wrote, and how many it wrote in a row.
    latest: usize,
    streak: u32,
}

impl Drop for ScaledCounts {
    fn drop(&mut self) {
        Log::reserve().put(vec![std::mem::take(&mut self.values)]);
    }
}

/// The bits of a value that mark a straggler.
const MARK: u64 = 0x7ff8 << 48;
/// The bits that hold the place of a straggler in the table.
const PLACE: u64 = (1 << 48) - 1;

impl ScaledCounts {
    /// Room for the counts of so many nodes.
    pub(crate) fn new(nodes: usize) -> Self {
        let epochs = vec![Epoch { end: nodes, exponent: 0 }];
        // The buffer holds arbitrary numbers, but each is written before it is read.
        let (values, stragglers) = (Log::reserve().take(nodes), Vec::new());
        Self { values, epochs, stragglers, latest: usize::MAX, streak: 0 }
    }

    /// The counts as words of 32 bits, in the first half of the memory of the numbers. They must be
    /// [widened](Self::widen) before anything else is done with the counts.
    pub(crate) fn words(&mut self) -> &mut [u32] {
        let nodes = self.values.len();
        &mut bytemuck::cast_slice_mut(&mut self.values)[..nodes]
    }

    /// Turns the words of `nodes` into floating-point numbers; those of the nodes behind must have
    /// been turned already.
    pub(crate) fn widen(&mut self, nodes: Range<usize>) {
        // From the last node to the first, each word is read before a number overwrites it.
        for node in nodes.rev() {
            self.values[node] = self.words()[node].into();
        }
    }

    /// The count of `node`: a number and the exponent of its scale.
    pub(crate) fn get(&self, node: usize) -> Option<(f64, i32)> {
        self.view(0).get(node)
    }

    /// The counts of the nodes from `base` on, to be read.
    #[inline(always)]
    pub(crate) fn view(&self, base: usize) -> ScaledView<'_> {
        ScaledView {
            values: self.values.get(base..).unwrap_or_default(),
            base,
            epochs: &self.epochs,
            stragglers: &self.stragglers,
        }
    }

    /// The epoch that is being counted.
    #[inline(always)]
    pub(crate) fn epoch(&self) -> Epoch {
        self.epochs.last().copied().unwrap_or(Epoch { end: 0, exponent: 0 })
    }

    /// Begins a new epoch, to which the nodes before `end` belong.
    pub(crate) fn start_epoch(&mut self, end: usize, exponent: i32) {
        self.epochs.push(Epoch { end, exponent });
    }

    /// Writes the count of a node, and begins a new epoch before the node if one is due.
    ///
    /// # Errors
    /// [`crate::Error::GraphMemory`].
    pub(crate) fn put(&mut self, node: usize, count: Count) -> Result<()> {
        match count {
            Count::Fits(value) => {
                self.values[node] = value;
                if value >= LARGE {
                    self.start_epoch(node, self.epoch().exponent + 1);
                }
            }
            Count::Apart { mantissa, exponent } => {
                self.add_straggler(Straggler { node: node as u32, exponent, mantissa })?;
                self.streak = if self.latest == node + 1 { self.streak + 1 } else { 1 };
                self.latest = node;
                if self.streak >= PATIENCE {
                    self.streak = 0;
                    self.start_epoch(node, exponent);
                }
            }
        }
        Ok(())
    }

    /// Puts a straggler into the table.
    ///
    /// # Errors
    /// [`crate::Error::GraphMemory`].
    pub(crate) fn add_straggler(&mut self, straggler: Straggler) -> Result<()> {
        grow(LOG_SPACE, &mut self.stragglers, 1)?;
        self.values[straggler.node as usize] =
            f64::from_bits(MARK | (self.stragglers.len() as u64 & PLACE));
        self.stragglers.push(straggler);
        Ok(())
    }

    /// The number of bits of a count, or one more.
    pub(crate) fn bits(&self, node: usize) -> u64 {
        self.get(node).map_or(0, |(mantissa, exponent)| bits(mantissa, exponent))
    }

    /// The largest of [`ScaledCounts::bits`] over some nodes.
    pub(crate) fn most_bits(&self, nodes: Range<usize>) -> u64 {
        if let Some((values, epoch)) = self.in_one_epoch(nodes.clone()) {
            let (_, most) = pulp::Arch::new().dispatch(|| extremes(values, 0.0));
            return bits(most, epoch.exponent);
        }
        nodes.map(|node| self.bits(node)).max().unwrap_or(0)
    }

    /// The least of [`ScaledCounts::bits`] over those of some nodes whose counts may be rounded.
    pub(crate) fn least_bits(&self, nodes: Range<usize>) -> Option<u64> {
        if let Some((values, epoch)) = self.in_one_epoch(nodes.clone()) {
            let from = if epoch.exponent == 0 { ROUNDED } else { SMALL };
            let (least, most) = pulp::Arch::new().dispatch(|| extremes(values, from));
            return (most >= from).then(|| bits(least, epoch.exponent));
        }
        let rounded = nodes.filter(|&node| !self.is_below_rounding(node));
        rounded.map(|node| self.bits(node)).min()
    }

    /// The numbers of some nodes and their epoch, if all have the same epoch and none is a
    /// straggler.
    fn in_one_epoch(&self, nodes: Range<usize>) -> Option<(&[f64], Epoch)> {
        let epoch = self.epochs.iter().rfind(|epoch| epoch.end >= nodes.end)?;
        let in_one = !self.epochs.iter().any(|epoch| nodes.contains(&epoch.end));
        let values = self.values.get(nodes).filter(|_| in_one)?;
        let (_, most) = pulp::Arch::new().dispatch(|| extremes(values, 0.0));
        (!most.is_nan()).then_some((values, *epoch))
    }

    /// Whether a count is below 2^53, so that it is exact.
    #[inline(always)]
    pub(crate) fn is_below_rounding(&self, node: usize) -> bool {
        // A number of another scale is either 0 or far above 2^53.
        self.get(node)
            .is_some_and(|(value, exponent)| value == 0.0 || (exponent == 0 && value < ROUNDED))
    }

    /// Whether all counts are below 2^53, so that they are exact.
    pub(crate) fn is_exact(&self) -> bool {
        self.epochs.len() == 1 && self.values.iter().all(|&value| value < ROUNDED)
    }

    /// The bytes of the counts of so many nodes, without stragglers.
    pub(crate) fn bytes_of(nodes: usize) -> u64 {
        (size_of::<f64>() * nodes) as u64
    }

    /// The bytes of these counts, with stragglers.
    pub(crate) fn bytes(&self) -> u64 {
        let stragglers = (self.stragglers.len() * size_of::<Straggler>()) as u64;
        Self::bytes_of(self.values.len()) + stragglers
    }
}

/// The least of those `values` that are at least `from`, and the greatest of all. No value may be
/// negative; a straggler is greater than every number.
#[inline(always)]
fn extremes(values: &[f64], from: f64) -> (f64, f64) {
    // The bits of non-negative numbers, read as integers, have the same order and compare faster.
    let from = from.to_bits();
    let (mut least, mut most) = (u64::MAX, 0);
    for value in values {
        let value = value.to_bits();
        least = least.min(value.wrapping_sub(from));
        most = most.max(value);
    }
    (f64::from_bits(least.wrapping_add(from)), f64::from_bits(most))
}

/// The number of bits of a scaled number, or one more. The relative error of the number is far
/// below the margin.
fn bits(mantissa: f64, exponent: i32) -> u64 {
    const MARGIN: f64 = 1.0 + 1e-6;
    if mantissa > 0.0 {
        let (_, shift) = split_exponent(mantissa * MARGIN);
        (i64::from(exponent) * i64::from(RADIX) + shift + 1).max(1) as u64
    } else {
        0
    }
}

/// The counts of the nodes from `base` on, all of which are counted.
#[derive(Clone, Copy)]
pub(crate) struct ScaledView<'v> {
    values: &'v [f64],
    base: usize,
    epochs: &'v [Epoch],
    stragglers: &'v [Straggler],
}

impl<'v> ScaledView<'v> {
    /// A view of `values`, which are those of the nodes from `base` on.
    pub(crate) fn new(
        values: &'v [f64],
        base: usize,
        epochs: &'v [Epoch],
        stragglers: &'v [Straggler],
    ) -> Self {
        Self { values, base, epochs, stragglers }
    }

    /// The same counts, in the scale of the latest epoch.
    pub(crate) fn numbers(&self) -> EpochNumbers<'v> {
        LatestEpochs::new(self.epochs).numbers(self.values, self.base)
    }

    /// The count of `node`: a number and the exponent of its scale; `None` if there is no such
    /// node.
    pub(crate) fn get(&self, node: usize) -> Option<(f64, i32)> {
        let value = *self.values.get(node.wrapping_sub(self.base))?;
        if value.is_nan() {
            let place = (value.to_bits() & PLACE) as usize;
            return self.stragglers.get(place).map(|apart| (apart.mantissa, apart.exponent));
        }
        let after = self.epochs.partition_point(|epoch| epoch.end > node);
        Some((value, self.epochs.get(after.wrapping_sub(1))?.exponent))
    }
}

/// The ends of the latest two epochs, and the ratio of their scales.
#[derive(Clone, Copy)]
pub(crate) struct LatestEpochs {
    end: usize,
    previous_end: usize,
    /// What a 1 of the epoch before is worth in the scale of the latest epoch.
    factor: f64,
}

impl LatestEpochs {
    /// The latest two of `epochs`.
    pub(crate) fn new(epochs: &[Epoch]) -> Self {
        let (epoch, before) = match epochs {
            [.., before, epoch] => (*epoch, *before),
            [epoch] => (*epoch, *epoch),
            [] => return Self { end: 0, previous_end: 0, factor: f64::NAN },
        };
        let factor = match before.exponent - epoch.exponent {
            1 => LARGE,
            steps @ -1..=0 => scaled_down(1.0, steps),
            // The scales are too far apart for one factor: a number scaled down to 0 would look as
            // if there were no path.
            _ => f64::NAN,
        };
        Self { end: epoch.end, previous_end: before.end, factor }
    }

    /// The numbers of the latest two epochs among `values`, which are those of the nodes from
    /// `base` on.
    #[inline(always)]
    pub(crate) fn numbers<'v>(&self, values: &'v [f64], base: usize) -> EpochNumbers<'v> {
        let current = values.get(..self.end.wrapping_sub(base)).unwrap_or(values);
        EpochNumbers { current, base, values, latest: *self }
    }
}

/// The numbers of nodes, in the scale of the latest epoch.
#[derive(Clone, Copy)]
pub(crate) struct EpochNumbers<'v> {
    current: &'v [f64],
    base: usize,
    values: &'v [f64],
    latest: LatestEpochs,
}

impl<'v> EpochNumbers<'v> {
    /// The number of a node of the latest epoch; `None` if the node belongs to another epoch.
    #[inline(always)]
    pub(crate) fn get(&self, node: usize) -> Option<f64> {
        self.current.get(node.wrapping_sub(self.base)).copied()
    }

    /// The numbers of `N` neighbouring nodes of the latest epoch, from `node` on.
    #[inline(always)]
    pub(crate) fn stretch<const N: usize>(&self, node: usize) -> Option<[f64; N]> {
        self.current.get(node.wrapping_sub(self.base)..)?.first_chunk::<N>().copied()
    }

    /// The number of a node of either of the latest two epochs; it is not a number for a straggler.
    #[inline(always)]
    pub(crate) fn get_either(&self, node: usize) -> Option<f64> {
        if node < self.latest.end {
            return self.get(node);
        }
        let value = self.values.get(node.wrapping_sub(self.base))?;
        (node < self.latest.previous_end).then_some(value * self.latest.factor)
    }
}

/// `value * 2^(RADIX * steps)` for `steps <= 0`.
pub(crate) fn scaled_down(value: f64, steps: i32) -> f64 {
    match steps {
        0 => value,
        -1 => value * power(-RADIX),
        -2 => value * power(-RADIX) * power(-RADIX),
        _ => 0.0,
    }
}

/// How a sum with the scale of exponent `top` is written in `epoch`.
pub(crate) fn place_sum(sum: f64, top: i32, epoch: Epoch) -> Count {
    let here = match epoch.exponent - top {
        steps @ 0.. => scaled_down(sum, -steps),
        // The scale is one above that of the epoch; a small number fits nevertheless.
        -1 if sum < 1.0 => sum * LARGE,
        _ => f64::NAN,
    };
    if here >= SMALL {
        Count::Fits(here)
    } else if sum >= LARGE {
        Count::Apart { mantissa: scaled_down(sum, -1), exponent: top + 1 }
    } else {
        Count::Apart { mantissa: sum, exponent: top }
    }
}
