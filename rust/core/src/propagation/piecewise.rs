//! Piecewise linear functions of normal variables: ReLU and its relatives, in closed form.

use smallvec::SmallVec;

use super::moments::{Law, Moments};
use super::normal::{above, below, density, integral};

/// A continuous function that is linear between kinks.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct PiecewiseLinear {
    /// Slope and value at 0 of the line on the left of all kinks.
    slope: f64,
    offset: f64,
    /// Where the slope changes, ascending, and by how much.
    kinks: SmallVec<[(f64, f64); 2]>,
}

impl PiecewiseLinear {
    /// `slope * x + offset` on the left; at each kink the slope changes by its second number.
    pub(super) fn new(slope: f64, offset: f64, kinks: &[(f64, f64)]) -> Self {
        Self { slope, offset, kinks: kinks.iter().copied().collect() }
    }

    /// A line through the origin on either side.
    pub(super) fn rays(left: f64, right: f64) -> Self {
        Self::new(left, 0.0, &[(0.0, right - left)])
    }

    /// Whether `f(a x) = a f(x)` for every positive `a`.
    pub(super) fn is_homogeneous(&self) -> bool {
        self.offset == 0.0 && self.kinks.iter().all(|&(place, _)| place == 0.0)
    }

    /// Whether it never falls.
    pub(super) fn is_monotone(&self) -> bool {
        let slopes = self.kinks.iter().scan(self.slope, |slope, &(_, change)| {
            *slope += change;
            Some(*slope)
        });
        self.slope >= 0.0 && slopes.into_iter().all(|slope| slope >= 0.0)
    }

    /// Whether there is no kink, and a slope that is not zero.
    pub(super) fn is_straight(&self) -> bool {
        self.slope != 0.0 && self.kinks.iter().all(|&(_, change)| change == 0.0)
    }

    /// Slopes on the far left and the far right.
    pub(super) fn far_slopes(&self) -> (f64, f64) {
        (self.slope, self.slope + self.kinks.iter().map(|kink| kink.1).sum::<f64>())
    }

    /// The value at `x`.
    pub(super) fn value(&self, x: f64) -> f64 {
        let bends = self.kinks.iter().map(|&(place, change)| change * (x - place).max(0.0));
        self.slope * x + self.offset + bends.sum::<f64>()
    }

    /// Moments of the values.
    pub(super) fn moments(&self, law: &Law) -> Moments {
        let deviation = law.variance.sqrt();
        if deviation == 0.0 {
            return self.constant(law.mean);
        }
        if let ([(0.0, change)], true, true) =
            (&self.kinks[..], law.mean == 0.0, self.offset == 0.0)
        {
            return self.centred(*change, law);
        }
        let single = self.single(law.mean, deviation);
        let mut found = Moments {
            mean: single.mean,
            square: single.square,
            slope_square: single.slope_square,
            ..Moments::default()
        };
        let pairs = |correlation: f64| self.pair(correlation, &single, law.mean, deviation);
        for (pair, correlation) in found.pairs.iter_mut().zip(law.correlations) {
            *pair = pairs(correlation).0;
        }
        found.slope_pair = pairs(law.correlations[Law::POSITIONS]).1;
        found
    }

    /// Moments of an argument that never varies; at a kink, the mean over both sides of it.
    fn constant(&self, x: f64) -> Moments {
        let (mut left, mut right) = (self.slope, self.slope);
        for &(place, change) in &self.kinks {
            left += if place < x { change } else { 0.0 };
            right += if place <= x { change } else { 0.0 };
        }
        let slope_square = 0.5 * (left * left + right * right);
        Moments { slope_square, slope_pair: slope_square, ..Moments::constant(self.value(x)) }
    }

    /// Moments of a function with one kink at zero, where the argument has mean zero.
    fn centred(&self, change: f64, law: &Law) -> Moments {
        let (left, right) = (self.slope, self.slope + change);
        let variance = law.variance;
        let mean = change * variance.sqrt() * density(0.0);
        let mean_slope = 0.5 * (left + right);
        let pair = |c: f64| {
            let angle = c.clamp(-1.0, 1.0).asin();
            let bent = (c * angle + (1.0 - c * c).max(0.0).sqrt() - 1.0)
                * std::f64::consts::FRAC_1_PI
                * 0.5;
            mean * mean + variance * (c * mean_slope * mean_slope + change * change * bent)
        };
        let square = 0.5 * (left * left + right * right);
        let [between, positions, both] = law.correlations;
        let first = pair(between);
        let second = if positions == between { first } else { pair(positions) };
        let third = if both == between { first } else { pair(both) };
        let angle = positions.clamp(-1.0, 1.0).asin() * std::f64::consts::FRAC_1_PI * 0.5;
        Moments {
            mean,
            square: square * variance,
            pairs: [first, second, third],
            slope_square: square,
            slope_pair: mean_slope * mean_slope + change * change * angle,
        }
    }

    /// Moments of one value, from the normal distribution cut at the kinks.
    fn single(&self, mean: f64, deviation: f64) -> Single {
        let mut found = Single::default();
        let (mut slope, mut offset) = (self.slope, self.offset);
        let mut from = f64::NEG_INFINITY;
        for index in 0..=self.kinks.len() {
            let kink = self.kinks.get(index);
            let to = kink.map_or(f64::INFINITY, |&(place, _)| (place - mean) / deviation);
            // On this piece the value is `constant + linear * z`.
            let (constant, linear) = (slope * mean + offset, slope * deviation);
            let weight = if from > 0.0 { above(from) - above(to) } else { below(to) - below(from) };
            let edge = |z: f64| if z.is_finite() { density(z) } else { 0.0 };
            let first = edge(from) - edge(to);
            let ends = |z: f64| if z.is_finite() { z * density(z) } else { 0.0 };
            let second = weight + ends(from) - ends(to);
            found.mean += constant * weight + linear * first;
            found.square += constant * constant * weight
                + 2.0 * constant * linear * first
                + linear * linear * second;
            found.slope += slope * weight;
            found.slope_square += slope * slope * weight;
            if let Some(&(place, change)) = kink {
                slope += change;
                offset -= change * place;
                from = to;
            }
        }
        found
    }

    /// Mean products of two values and of two slopes. By Price's theorem the former has the latter
    /// as its derivative with respect to the covariance, and the latter the density of both
    /// arguments at kinks, which is integrated over the angle whose sine is the correlation.
    fn pair(&self, correlation: f64, single: &Single, mean: f64, deviation: f64) -> (f64, f64) {
        if correlation >= 1.0 {
            return (single.square, single.slope_square);
        }
        let angle = correlation.clamp(-1.0, 1.0).asin();
        let (mut bend, mut step) = (0.0, 0.0);
        for (i, &(one, change)) in self.kinks.iter().enumerate() {
            for (j, &(other, also)) in self.kinks.iter().enumerate().skip(i) {
                let (a, b) = ((one - mean) / deviation, (other - mean) / deviation);
                let twice = if i == j { 1.0 } else { 2.0 };
                let weight = twice * change * also / (2.0 * std::f64::consts::PI);
                let density = |theta: f64| {
                    let sine = theta.sin();
                    if i == j {
                        (-a * a / (1.0 + sine)).exp()
                    } else {
                        let cosine = theta.cos();
                        let form = (a - b) * (a - b) + 2.0 * a * b * (1.0 - sine);
                        (-0.5 * form / (cosine * cosine)).exp()
                    }
                };
                step += weight * integral(0.0, angle, density);
                bend += weight
                    * integral(0.0, angle, |theta| (correlation - theta.sin()) * density(theta));
            }
        }
        let slopes = single.slope * single.slope;
        let variance = deviation * deviation;
        (single.mean * single.mean + variance * (correlation * slopes + bend), slopes + step)
    }
}

/// Moments of one value.
#[derive(Default)]
struct Single {
    mean: f64,
    square: f64,
    slope: f64,
    slope_square: f64,
}
