//! Powers of positive numbers that vary little, such as the root of a sum of squares, or one over a
//! mean of many elements.
//!
//! Such a number is not normal, but near to a gamma variable of its mean and variance: a sum of
//! squares of independent normal variables is one. So the moments of powers are those of a gamma
//! variable, and the products at two positions or in two samples lie between the square of the mean
//! and the mean square, by the correlation of the numbers. Derivatives of roots are those at a
//! number that is met in proportion to its size, as the terms of a sum of squares are: so the root of
//! a sum of squares passes on exactly what it receives.

use super::moments::{Law, Moments};

/// One over a number is followed where the number's variance is at most this part of its squared
/// mean.
pub(super) const MOST_VARIATION: f64 = 1.0 / 9.0;

/// `scale * (x + shift) ^ exponent` for positive `x + shift`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Power {
    pub(crate) exponent: f64,
    pub(crate) shift: f64,
    pub(crate) scale: f64,
}

impl Power {
    pub(super) const RECIPROCAL: Self = Self { exponent: -1.0, shift: 0.0, scale: 1.0 };

    /// Whether numbers of this law have powers that can be followed: they must be positive, and if
    /// they divide, vary little.
    pub(super) fn holds(&self, law: &Law) -> bool {
        let mean = law.mean + self.shift;
        let is_steady = self.exponent >= 0.0 || law.variance <= MOST_VARIATION * mean * mean;
        mean > 0.0 && is_steady
    }

    /// The moments of the power. They mean nothing where the power does not hold.
    pub(super) fn moments(&self, law: &Law) -> Moments {
        let p = self.exponent;
        let mean = law.mean + self.shift;
        let shape = if law.variance > 0.0 { mean * mean / law.variance } else { f64::INFINITY };
        let first = self.scale * mean.powf(p) * moment(shape, p);
        let square = self.scale * self.scale * mean.powf(2.0 * p) * moment(shape, 2.0 * p);
        let variance = (square - first * first).max(0.0);
        let slope = self.scale * p * mean.powf(p - 1.0);
        let slope = slope * slope;
        let spread = moment(shape, 2.0 * p - if p > 0.0 { 1.0 } else { 2.0 });
        Moments {
            mean: first,
            square,
            pairs: law.correlations.map(|correlation| first * first + correlation * variance),
            slope_square: slope * spread,
            slope_pair: slope * (1.0 + law.correlations[Law::POSITIONS] * (spread - 1.0)),
        }
    }

    /// The power of numbers in units of `2^exponent`: the power and the exponent of its own unit.
    pub(super) fn in_units_of(&self, exponent: i64) -> (Self, i64) {
        if exponent == 0 {
            return (*self, 0);
        }
        let whole = (self.exponent * exponent as f64).floor();
        let rest = self.exponent * exponent as f64 - whole;
        let shift = self.shift * (-(exponent as f64)).exp2();
        (Self { shift, scale: self.scale * rest.exp2(), ..*self }, whole as i64)
    }
}

/// The mean of the power `t` of a gamma variable of mean 1: `G(a + t) / (G(a) a^t)`, where `a`, the
/// shape, is one over the variance. One where that is not finite.
fn moment(shape: f64, t: f64) -> f64 {
    /// Stirling's series has 15 digits beyond this.
    const LARGE: f64 = 24.0;
    if t == 0.0 || t == 1.0 || !shape.is_finite() || shape + t <= 0.0 {
        return 1.0;
    }
    let (mut a, mut factor) = (shape, 1.0);
    while a < LARGE {
        factor *= a / (a + t);
        a += 1.0;
    }
    let series = |x: f64| (1.0 / 12.0 - (1.0 / 360.0 - 1.0 / (1260.0 * x * x)) / (x * x)) / x;
    let log = (a + t - 0.5) * (t / a).ln_1p() - t + series(a + t) - series(a);
    factor * log.exp() * (a / shape).powf(t)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_those_of_gamma_variables() {
        // The mean of the modulus of a normal variable, and of one over an exponential's root.
        let close = |found: f64, expected: f64| (found / expected - 1.0).abs() < 1e-13;
        let pi = std::f64::consts::PI;
        assert!(close(moment(0.5, 0.5), (2.0 / pi).sqrt()));
        assert!(close(moment(1.0, -0.5), pi.sqrt()));
        assert!(close(moment(9.0, -1.0), 9.0 / 8.0));
        assert!(close(moment(50.0, -2.0), 2500.0 / (49.0 * 48.0)));
        assert!(close(moment(7.0, 2.0), 8.0 / 7.0));
        // To first order in 1 / shape it is 1 + t (t - 1) / (2 shape).
        assert!(close(moment(1e12, 0.5), 1.0 - 0.125e-12));
        assert_eq!(moment(f64::INFINITY, -1.0), 1.0);
    }

    #[test]
    fn units_change_nothing() {
        let root = Power { exponent: 0.5, shift: 0.0, scale: 3.0 };
        let (other, unit) = root.in_units_of(5);
        let law = Law { mean: 32.0, variance: 64.0, correlations: [0.5; 3] };
        let small = Law { mean: 1.0, variance: 0.0625, correlations: [0.5; 3] };
        let (one, two) = (root.moments(&law), other.moments(&small));
        assert!((one.mean - two.mean * (unit as f64).exp2()).abs() < 1e-12);
    }
}
