//! Signals and gradients, and the formulas for one cell that the rules are made of.

use super::cell_map::Linear;
use super::geometry::Sums;
use super::moments::Law;
use super::piecewise::PiecewiseLinear;
use super::program::{Fixed, PoolWindow};
use super::scaled::{Scaled, times_power_of_four, times_power_of_two};
use super::scaling::Scaling;
use super::settings::{Elements, InputLaw};

/// The pairs of elements that mean products are kept of: with another sample, with another
/// position, and with both.
pub(super) const SAMPLES: usize = 0;
pub(super) const POSITIONS: usize = Law::POSITIONS;
pub(super) const BOTH: usize = 2;

/// Moments of elements. With the exponent `e` of their tensor, means are in units of `2^e` and
/// products in units of `4^e`.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Signal {
    pub(super) mean: f64,
    pub(super) square: f64,
    /// Mean products of an element with itself in another sample, at another position, and both.
    pub(super) pairs: [f64; 3],
}

/// Mean square of the derivatives by elements, and their mean product at two positions; in units
/// of `4^e` with an exponent of their tensor.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Gradient {
    pub(super) square: f64,
    pub(super) pair: f64,
}

impl Linear for Signal {
    fn add_times(&mut self, other: &Self, factor: f64) {
        self.mean += factor * other.mean;
        self.square += factor * other.square;
        for (pair, other) in self.pairs.iter_mut().zip(other.pairs) {
            *pair += factor * other;
        }
    }
}

impl Linear for Gradient {
    fn add_times(&mut self, other: &Self, factor: f64) {
        self.square += factor * other.square;
        self.pair += factor * other.pair;
    }
}

impl Signal {
    pub(super) const ONE: Self = Self { mean: 1.0, square: 1.0, pairs: [1.0; 3] };

    pub(super) fn of_input(law: InputLaw) -> Self {
        let InputLaw { mean_square, samples, positions, both, .. } = law;
        let pairs = [samples, positions, both].map(|correlation| correlation * mean_square);
        Self { mean: 0.0, square: mean_square, pairs }
    }

    /// What a straight line makes this signal, which has no mean, of.
    pub(super) fn before(&self, scaling: &Scaling) -> Self {
        let Scaling { slope, offset, .. } = *scaling;
        let mean = -offset / slope;
        let raw = |product: f64| product / (slope * slope) + mean * mean;
        Self { mean, square: raw(self.square), pairs: self.pairs.map(raw) }
    }

    /// Elements of a parameter are the same in all samples, and independent of each other.
    pub(super) fn of_parameter(elements: Elements) -> Self {
        let Elements { mean, mean_square } = elements;
        let apart = mean * mean;
        Self { mean, square: mean_square, pairs: [mean_square, apart, apart] }
    }

    /// Rows of a table that differ between samples and positions.
    pub(super) fn of_table(elements: Elements) -> Self {
        let Elements { mean, mean_square } = elements;
        Self { mean, square: mean_square, pairs: [mean * mean; 3] }
    }

    pub(super) fn is_finite(&self) -> bool {
        let moments = [self.mean, self.square];
        moments.iter().chain(&self.pairs).all(|moment| moment.is_finite())
    }

    /// The same signal where the unit of means is `2^exponent` times as large.
    pub(super) fn in_units_of(self, exponent: i64) -> Self {
        if exponent == 0 {
            return self;
        }
        let back = exponent.saturating_neg();
        Self {
            mean: times_power_of_two(self.mean, back),
            square: times_power_of_four(self.square, back),
            pairs: self.pairs.map(|pair| times_power_of_four(pair, back)),
        }
    }

    /// The signal as weights see it. If they take other axes for positions than the signal does,
    /// its positions are channels to them, which are independent.
    pub(super) fn seen(mut self, sees_positions: bool) -> Self {
        if !sees_positions {
            self.pairs[POSITIONS] = self.mean * self.mean;
            self.pairs[BOTH] = self.mean * self.mean;
        }
        self
    }

    /// Where there is one position only, every pair of positions is one element.
    pub(super) fn at_one_position(mut self) -> Self {
        self.pairs[POSITIONS] = self.square;
        self.pairs[BOTH] = self.pairs[SAMPLES];
        self
    }

    /// The signal with `mean` subtracted from its mean, and `products` from the mean square and the
    /// three mean products.
    pub(super) fn less(&self, mean: f64, products: [f64; 4]) -> Self {
        let [square, samples, positions, both] = products;
        let pairs = self.pairs;
        Self {
            mean,
            square: self.square - square,
            pairs: [pairs[0] - samples, pairs[1] - positions, pairs[2] - both],
        }
    }

    /// The signal with its mean and its products multiplied by a factor each.
    pub(super) fn scaled(&self, mean: f64, products: f64) -> Self {
        Self {
            mean: mean * self.mean,
            square: products * self.square,
            pairs: self.pairs.map(|pair| products * pair),
        }
    }

    pub(super) fn times(&self, other: &Self) -> Self {
        Self {
            mean: self.mean * other.mean,
            square: self.square * other.square,
            pairs: std::array::from_fn(|index| self.pairs[index] * other.pairs[index]),
        }
    }

    pub(super) fn law(&self) -> Law {
        let square_of_mean = self.mean * self.mean;
        let variance = self.square - square_of_mean;
        // Rounding must not give a constant a variance.
        let varies = variance > 1e-14 * self.square;
        let correlation = |pair: f64| {
            if varies { ((pair - square_of_mean) / variance).clamp(-1.0, 1.0) } else { 1.0 }
        };
        Law {
            mean: self.mean,
            variance: if varies { variance } else { 0.0 },
            correlations: self.pairs.map(correlation),
        }
    }

    /// The larger of two independent variables, which is half their sum plus half the modulus of
    /// their difference. Beside it stand, for each of them, the probability that it is the larger,
    /// and the probability that it is so at two positions.
    pub(super) fn or(&self, other: &Self) -> (Self, (f64, f64), (f64, f64)) {
        let (a, b) = (self.law(), other.law());
        let covariance = |law: &Law, index: usize| law.variance * law.correlations[index];
        let variance = a.variance + b.variance;
        let difference = Law {
            mean: a.mean - b.mean,
            variance,
            correlations: std::array::from_fn(|index| {
                let sum = covariance(&a, index) + covariance(&b, index);
                if variance > 0.0 { sum / variance } else { 1.0 }
            }),
        };
        let modulus = PiecewiseLinear::rays(-1.0, 1.0).moments(&difference);
        let step = PiecewiseLinear::rays(0.0, 1.0).moments(&difference);
        let sum = a.mean + b.mean;
        let often = step.slope_square;
        let product = |first: f64, second: f64, moduli: f64| {
            let sums = sum * sum + first + second;
            let mixed = sum * modulus.mean + (first - second) * (2.0 * often - 1.0);
            0.25 * (sums + moduli + 2.0 * mixed)
        };
        let larger = Self {
            mean: 0.5 * (sum + modulus.mean),
            square: product(a.variance, b.variance, modulus.square),
            pairs: std::array::from_fn(|index| {
                product(covariance(&a, index), covariance(&b, index), modulus.pairs[index])
            }),
        };
        let both = 1.0 - 2.0 * often + step.slope_pair;
        (larger, (often, step.slope_pair), (1.0 - often, both))
    }

    /// The largest element of a window. `largest` has mean and mean square of the largest of as
    /// many standard normal variables. The part that elements have in common shifts the largest,
    /// and the part that each has for itself spreads it.
    pub(super) fn largest(self, window: &PoolWindow, largest: (f64, f64)) -> Self {
        let signal = self.seen(window.sees_positions);
        let [samples, positions, both] = signal.pairs;
        let own = (signal.square - positions).max(0.0);
        let (first, second) = largest;
        let mean = signal.mean + own.sqrt() * first;
        let spread = second - first * first;
        let moved = mean * mean - signal.mean * signal.mean;
        let alike = if own > 0.0 { ((samples - both) / own).clamp(0.0, 1.0) } else { 0.0 };
        // The covariance of two maxima is interpolated between its slope where elements are
        // independent and its value where they are equal.
        let bend = window.inverse * alike + (spread - window.inverse) * alike * alike;
        Self {
            mean,
            square: positions + moved + own * spread,
            pairs: [both + moved + own * bend, positions + moved, both + moved],
        }
    }

    /// Elements of a parameter that are the same in all samples and at all positions, in units of
    /// the power of four that comes with them.
    pub(super) fn of_bias(elements: Elements) -> (Self, i64) {
        let Elements { mean, mean_square } = elements;
        let Scaled { value, exponent } = Scaled::new(mean_square, 0);
        let mean = times_power_of_two(mean, exponent.saturating_neg());
        (Self { mean, square: value, pairs: [value; 3] }, exponent)
    }
}

impl Gradient {
    pub(super) fn times(self, square: f64, pair: f64) -> Self {
        Self { square: self.square * square, pair: self.pair * pair }
    }
}

impl Fixed {
    /// Whether the elements are the same on both sides.
    pub(super) fn is_identity(&self) -> bool {
        if self.is_weighted {
            return false;
        }
        let same = |sums: Sums, source: f64, target: f64| {
            source == target
                && sums.total == source
                && sums.single == source
                && sums.into == source
                && sums.from == source
        };
        same(self.positions, self.source_positions, self.target_positions)
            && same(self.channels, self.source_channels, self.target_channels)
    }

    /// The signal of a target whose source has the same signal everywhere.
    pub(super) fn forward(&self, signal: &Signal) -> Signal {
        let (a, square) = (self.coefficient, self.coefficient * self.coefficient);
        if self.is_identity() {
            return signal.scaled(a, square);
        }
        let (positions, channels) = (self.positions, self.channels);
        let elements = self.target_positions * self.target_channels;
        let independent = (channels.into - channels.single) * signal.mean * signal.mean;
        let others = positions.into - positions.single;
        let within = |same: f64, apart: f64| {
            let terms = channels.single * (positions.single * same + others * apart);
            square * (terms + independent * positions.into) / elements
        };
        let [samples, apart, both] = signal.pairs;
        let own = within(signal.square, apart);
        let sampled = within(samples, both);
        Signal {
            mean: a * signal.mean * positions.total * channels.total / elements,
            square: own,
            pairs: [
                sampled,
                self.between(signal, signal.square, apart).unwrap_or(own),
                self.between(signal, samples, both).unwrap_or(sampled),
            ],
        }
    }

    /// The mean product at two positions of the target, from those of an element with itself and
    /// with another position; `None` if there is only one position.
    pub(super) fn between(&self, signal: &Signal, same: f64, apart: f64) -> Option<f64> {
        let (positions, channels) = (self.positions, self.channels);
        let pairs = self.target_positions * (self.target_positions - 1.0) * self.target_channels;
        let shared = positions.from - positions.single;
        let all = positions.total * positions.total - positions.into;
        let independent = (channels.into - channels.single) * signal.mean * signal.mean;
        let terms = channels.single * (shared * same + (all - shared) * apart);
        (pairs > 0.0)
            .then(|| self.coefficient * self.coefficient * (terms + independent * all) / pairs)
    }

    /// The derivatives by a source whose target has the same derivatives everywhere.
    pub(super) fn backward(&self, gradient: &Gradient) -> Gradient {
        let square = self.coefficient * self.coefficient;
        if self.is_identity() {
            return gradient.times(square, if self.flattens { 0.0 } else { square });
        }
        let (positions, channels) = (self.positions, self.channels);
        let elements = self.source_positions * self.source_channels;
        let gain = square * channels.single;
        let terms = positions.single * gradient.square
            + (positions.from - positions.single) * gradient.pair;
        let pairs = self.source_positions * (self.source_positions - 1.0) * self.source_channels;
        let shared = positions.into - positions.single;
        let all = positions.total * positions.total - positions.from;
        let pair = if pairs > 0.0 && !self.flattens {
            gain * (shared * gradient.square + (all - shared) * gradient.pair) / pairs
        } else {
            0.0
        };
        Gradient { square: gain * terms / elements, pair }
    }
}
