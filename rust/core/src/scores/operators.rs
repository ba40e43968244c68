//! How links change a signal on its way forwards, and derivatives on their way back.

use crate::propagation::{excess, times_power_of_four};

/// The moments of a tensor's elements: how they vary, and how they covary at two positions.
///
/// Variances are in units of `4^exponent`, the mean in units of `2^exponent`.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Signal {
    pub(super) variance: f64,
    /// Covariance between two positions of one channel.
    pub(super) covariance: f64,
    pub(super) mean: f64,
    /// The variance that the next kernel preserves: that of the argument, if the tensor is the
    /// value of a function.
    pub(super) kept: f64,
    pub(super) exponent: i64,
}

/// The moments of derivatives of the outputs by a tensor's elements: mean square, and covariance
/// between two positions of one channel, both in units of `4^exponent`.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Gradient {
    pub(super) square: f64,
    pub(super) covariance: f64,
    pub(super) exponent: i64,
}

impl Signal {
    /// Independent standard normal elements.
    pub(super) const STANDARD: Self =
        Self { variance: 1.0, covariance: 0.0, mean: 0.0, kept: 1.0, exponent: 0 };

    /// Correlation between two positions; zero where nothing varies.
    pub(super) fn correlation(&self) -> f64 {
        if self.variance > 0.0 { (self.covariance / self.variance).clamp(0.0, 1.0) } else { 0.0 }
    }

    /// Adds an independent signal, multiplied by a weight.
    pub(super) fn add(&mut self, other: &Self, weight: f64) {
        // By far the most common: roots of powers of four are worth saving.
        if self.exponent == other.exponent {
            self.variance += other.variance * weight;
            self.covariance += other.covariance * weight;
            self.kept += other.kept * weight;
            self.mean += weight * other.mean;
            self.settle();
            return;
        }
        // A signal of nothing has no unit.
        let exponent = match (self.is_zero(), other.is_zero()) {
            (_, true) => self.exponent,
            (true, false) => other.exponent,
            (false, false) => self.exponent.max(other.exponent),
        };
        let factor = |of: i64| times_power_of_four(1.0, of.saturating_sub(exponent).min(0));
        let (own, theirs) = (factor(self.exponent), factor(other.exponent));
        let (a, b) = (own, weight * theirs);
        self.variance = self.variance * a + other.variance * b;
        self.covariance = self.covariance * a + other.covariance * b;
        self.kept = self.kept * a + other.kept * b;
        self.mean = self.mean * own.sqrt() + weight * other.mean * theirs.sqrt();
        self.exponent = exponent;
        self.settle();
    }

    fn is_zero(&self) -> bool {
        self.variance == 0.0 && self.mean == 0.0
    }

    /// Moves powers of four into the exponent if the numbers have become too large or too small.
    pub(super) fn settle(&mut self) {
        let shift = excess(self.variance);
        if shift != 0 {
            let factor = times_power_of_four(1.0, -shift);
            self.variance *= factor;
            self.covariance *= factor;
            self.kept *= factor;
            self.mean *= factor.sqrt();
            self.exponent = self.exponent.saturating_add(shift);
        }
    }

    /// The same in plain numbers, kept within the range of a double.
    pub(super) fn plain(&self) -> Self {
        let factor = times_power_of_four(1.0, self.exponent.clamp(-400, 400));
        Self {
            variance: self.variance * factor,
            covariance: self.covariance * factor,
            mean: self.mean * factor.sqrt(),
            kept: self.kept * factor,
            exponent: 0,
        }
    }
}

impl Gradient {
    /// The derivative of an output by itself.
    pub(super) const OUTPUT: Self = Self { square: 1.0, covariance: 0.0, exponent: 0 };

    /// Adds the derivatives that arrive over another link.
    #[inline]
    pub(super) fn add(&mut self, other: &Self) {
        if other.square == 0.0 {
            return;
        }
        let exponent =
            if self.square == 0.0 { other.exponent } else { self.exponent.max(other.exponent) };
        let (a, b) = if self.exponent == other.exponent {
            (1.0, 1.0)
        } else {
            let factor = |of: i64| times_power_of_four(1.0, of.saturating_sub(exponent).min(0));
            (factor(self.exponent), factor(other.exponent))
        };
        self.square = self.square * a + other.square * b;
        self.covariance = self.covariance * a + other.covariance * b;
        self.exponent = exponent;
        let shift = excess(self.square);
        if shift != 0 {
            let factor = times_power_of_four(1.0, -shift);
            self.square *= factor;
            self.covariance *= factor;
            self.exponent = self.exponent.saturating_add(shift);
        }
    }

    pub(super) fn times(&self, square: f64, covariance: f64) -> Self {
        Self {
            square: self.square * square,
            covariance: self.covariance * covariance,
            exponent: self.exponent,
        }
    }
}

/// How a link changes what passes through it.
#[derive(Debug, Clone)]
pub(crate) enum Operator {
    /// Elements are read as they are, perhaps repeatedly.
    Move(Move),
    /// The mean of a window.
    Average(Average),
    /// The largest element of a window.
    Largest(Largest),
    /// The mean or the largest element over all positions.
    Global { positions: f64, is_average: bool },
    /// Independent weights that are shared between positions.
    Weighted(Weighted),
    /// A factor of a product of matrices: the products that each of its elements is in.
    Contracted { products: f64 },
    /// The same where the other factor is computed from parameters alone, and has this signal.
    ByLearnt { products: f64, factor: Signal },
    /// No signal passes, because the source is an index.
    Blocked,
}

/// How often elements are read.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Move {
    /// Mean number of target positions that read a source position.
    pub(super) positions: f64,
    /// Mean number of target channels that read a source channel.
    pub(super) channels: f64,
    /// The share of the target's elements that read the source.
    pub(super) share: f64,
    /// Whether one position is repeated at many, which makes them equal.
    pub(super) is_repeated: bool,
}

impl Move {
    /// Both ends have the same elements.
    pub(super) const SAME: Self =
        Self { positions: 1.0, channels: 1.0, share: 1.0, is_repeated: false };
}

/// A mean over a window.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Average {
    /// The square of the sum of the weights of a window, and the sum of their squares: one, and one
    /// over the number of elements, where all of them weigh the same.
    pub(super) common: f64,
    pub(super) own: f64,
    /// Source positions for each target position.
    pub(super) stride: f64,
    /// The correlation between windows of their means of white noise, and the same at stride 1.
    pub(super) overlap: f64,
    pub(super) dense_overlap: f64,
    /// How many channels are averaged as well; channels are independent.
    pub(super) channels: f64,
}

/// The largest element of a window.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Largest {
    /// Source positions for each target position.
    pub(super) stride: f64,
    /// Variance of the largest of as many independent standard normal numbers as a window has.
    pub(super) variance: f64,
    /// Correlation that the mean of white noise has between windows. That of the largest is near it.
    pub(super) overlap: f64,
}

/// A kernel and the size of what it joins.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Weighted {
    /// The number of the parameter that the kernel is, so that tied kernels are recognised.
    pub(crate) kernel: usize,
    /// Channels of the source, divided by the number of groups.
    pub(crate) fan: f64,
    pub(crate) source_channels: f64,
    pub(crate) target_channels: f64,
    pub(crate) target_positions: f64,
    /// Source positions that one target position reads.
    pub(crate) taps: f64,
    /// Source positions for each target position along all axes.
    pub(crate) stride: f64,
    /// Positions read: all of the source where windows overlap, else one for each window.
    pub(crate) positions_read: f64,
    /// Of how many kernels alike each place uses one: experts for every slot.
    pub(crate) copies: f64,
    /// Whether the kernel is a table whose rows are read at indices.
    pub(crate) is_table: bool,
}

impl Weighted {
    /// Effective taps of a patch whose positions have correlation `x`: its participation ratio.
    pub(super) fn effective_taps(&self, x: f64) -> f64 {
        let square = self.taps * self.taps;
        square / (self.taps + (square - self.taps) * x * x)
    }
}

/// The correlation of averaged white noise between windows of `sizes` that move by `strides`, and
/// whose taps have weights if they are not all alike.
pub(super) fn overlap<'a>(windows: impl Iterator<Item = (u64, f64, Option<&'a [f64]>)>) -> f64 {
    let (mut sum, mut taps) = (1.0, 1.0);
    for (size, stride, weights) in windows {
        let length = size as f64;
        let mut along = length;
        for shift in 1..size {
            let distance = shift as f64 * stride;
            let common = match weights {
                Some(weights) => correlation_at(weights, distance as usize),
                None => 1.0 - distance / length,
            };
            if distance >= length {
                break;
            }
            along += 2.0 * (length - shift as f64) * common * common;
        }
        sum *= along;
        taps *= length;
    }
    if taps > 1.0 { ((sum - taps).max(0.0) / (taps * taps - taps)).sqrt() } else { 0.0 }
}

/// The correlation of two sums of white noise with these weights, one moved by a distance.
fn correlation_at(weights: &[f64], distance: usize) -> f64 {
    let squares: f64 = weights.iter().map(|weight| weight * weight).sum();
    let moved = weights.iter().skip(distance);
    let products: f64 = weights.iter().zip(moved).map(|(one, other)| one * other).sum();
    if squares > 0.0 { products / squares } else { 0.0 }
}

impl Operator {
    /// The signal that arrives at the target.
    #[inline]
    pub(super) fn forwards(&self, from: &Signal) -> Signal {
        let mut to = *from;
        match self {
            Self::Move(moved) => {
                if moved.is_repeated {
                    to.covariance = to.variance;
                }
            }
            Self::Contracted { .. } | Self::ByLearnt { .. } => to.kept = to.variance,
            Self::Largest(window) => {
                // What a window has in common moves all its elements, and so the largest, alike.
                let apart = window.variance * (from.variance - from.covariance);
                to.variance = from.covariance + apart;
                to.covariance = from.covariance + window.overlap * apart;
                to.kept = to.variance;
            }
            Self::Average(window) => {
                let apart = from.variance - from.covariance;
                let (common, apart) = (window.common * from.covariance, window.own * apart);
                to.variance = (common + apart) / window.channels;
                to.covariance = (common + window.overlap * apart) / window.channels;
                to.mean *= window.common.sqrt();
                to.kept = to.variance;
            }
            Self::Global { .. } => to = Signal::STANDARD,
            Self::Weighted(weighted) if weighted.is_table => to = Signal::STANDARD,
            Self::Weighted(_) => {
                // The kernel preserves the variance of the function's argument, and with it the
                // scale of all that follows. A norm that follows divides the scale out again.
                to.variance = from.kept;
                to.covariance = from.kept * from.correlation();
                to.mean = 0.0;
            }
            Self::Blocked => to = Signal::default(),
        }
        to
    }

    /// The derivatives that arrive at the source, given the source's signal.
    pub(super) fn backwards(&self, gradient: &Gradient, from: &Signal) -> Gradient {
        match self {
            Self::Move(Move { positions, channels, .. }) => {
                let pairs = positions * positions;
                let coherent = (pairs - positions).max(0.0);
                let mut to = gradient.times(positions * channels, pairs * channels);
                to.square += coherent * channels * gradient.covariance;
                to
            }
            Self::Average(window) => {
                let Average { common, own, stride, dense_overlap, channels, .. } = *window;
                let coherent = common * gradient.covariance / (stride * stride);
                let apart = own * (gradient.square - gradient.covariance) / stride;
                let scale = 1.0 / (channels * channels);
                Gradient {
                    square: (coherent + apart) * scale,
                    covariance: (coherent + dense_overlap * apart) * scale,
                    exponent: gradient.exponent,
                }
            }
            Self::Largest(Largest { stride, .. }) => {
                gradient.times(1.0 / stride, 1.0 / (stride * stride))
            }
            Self::Global { positions, is_average } => {
                let square = 1.0 / (positions * positions);
                let whole = if *is_average { square } else { 1.0 / positions };
                Gradient {
                    square: gradient.square * whole,
                    covariance: gradient.square * square,
                    exponent: gradient.exponent,
                }
            }
            Self::Weighted(weighted) if weighted.is_table => Gradient::default(),
            Self::Weighted(weighted) => {
                if from.variance <= 0.0 {
                    return Gradient::default();
                }
                let factor = weighted.target_channels * from.kept
                    / (weighted.source_channels * weighted.stride * from.variance);
                gradient.times(factor, factor / weighted.stride)
            }
            Self::Contracted { products } | Self::ByLearnt { products, .. } => {
                gradient.times(*products, *products)
            }
            Self::Blocked => Gradient::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overlaps_are_those_of_box_filters() {
        let of = |size: u64, stride: f64| {
            overlap([(size, stride, None), (size, stride, None)].into_iter())
        };
        let equal = overlap([(3, 1.0, Some(&[0.5; 3][..])), (3, 1.0, None)].into_iter());
        assert!((equal - of(3, 1.0)).abs() < 1e-15);
        assert!((of(3, 1.0) - 2f64.sqrt() / 3.0).abs() < 1e-15);
        assert!((of(2, 1.0) - 3f64.sqrt() / 4.0).abs() < 1e-15);
        assert_eq!(of(5, 5.0), 0.0);
        assert_eq!(of(1, 1.0), 0.0);
    }

    #[test]
    fn gradients_far_apart_add_to_the_larger() {
        let mut sum = Gradient { square: 3.0, covariance: 1.0, exponent: -900 };
        sum.add(&Gradient { square: 2.0, covariance: 1.0, exponent: 900 });
        assert_eq!(sum, Gradient { square: 2.0, covariance: 1.0, exponent: 900 });
        sum.add(&Gradient::default());
        assert_eq!(sum.exponent, 900);
        // Nothing has no unit that it could be multiplied by until it is none.
        let tiny = Gradient { square: 2.0, covariance: 1.0, exponent: -900 };
        let mut sum = Gradient { square: 0.0, covariance: 0.0, exponent: 0 };
        sum.add(&tiny);
        assert_eq!(sum, tiny);
        let faint = Signal { exponent: -900, ..Signal::STANDARD };
        let mut sum = Signal { variance: 0.0, kept: 0.0, ..Signal::STANDARD };
        sum.add(&faint, 1.0);
        assert_eq!(sum, faint);
    }
}
