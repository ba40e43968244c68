//! Functions that are not piecewise linear, by quadrature: GELU, SiLU, tanh and the like.
//!
//! Moments of one value are integrals over panels that resolve both the normal density and the
//! function. For the product of two, the function is expanded in Hermite polynomials: with `a_n`
//! the coefficients, `E f(x) f(x')` is the sum of `a_n^2 c^n` over `n` where `c` is the correlation
//! (Mehler's formula). Where the series converges too slowly, it is a double integral: the outer
//! one is over what both arguments have in common.

use std::f64::consts::{FRAC_1_SQRT_2, PI};
use std::sync::OnceLock;

use super::moments::{Law, Moments};
use super::normal::{below, density as standard_density, means, nodes, panels};
use super::piecewise::PiecewiseLinear;
use super::sampled::Sampled;

/// How many terms of the expansion are tried before it is given up.
const TERMS: [usize; 2] = [64, 256];

/// The largest remainder of a series, in proportion to its sum.
const TOLERANCE: f64 = 1e-14;

/// The largest part of a mean product that is left out where arguments are large, and the variance
/// that one of them must have left, in units of what is not near a line, if the other is known.
const FAR_TOLERANCE: f64 = 1e-13;
const FAR_WIDTHS: f64 = 1e5;

/// Nodes at which polynomials are evaluated at once.
const LANES: usize = 8;

/// `sqrt(2 / pi)`.
const TANH_GELU: f64 = 0.797_884_560_802_865_4;
const SELU: (f64, f64) = (1.050_700_987_355_480_5, 1.673_263_242_354_377_2);

/// A function of single elements.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Smooth {
    /// `x` times the probability of a value below `x`.
    Gelu,
    /// The approximation of GELU by a hyperbolic tangent.
    GeluTanh,
    /// `x sigmoid(b x)`.
    Silu(f64),
    Sigmoid,
    Tanh,
    /// `ln(1 + exp(b x)) / b`.
    Softplus(f64),
    /// `x tanh(softplus(x))`.
    Mish,
    Exp,
    /// `erf(b x)`.
    Erf(f64),
    /// `x`, or `a (exp(x / b) - 1)` below zero, times `scale`.
    Elu {
        scale: f64,
        alpha: f64,
        width: f64,
    },
    /// `x clip(x + 3, 0, 6) / 6`.
    HardSwish,
    /// `x / (1 + |x|)`.
    Softsign,
    /// `-softplus(-x)`.
    LogSigmoid,
    Square,
    Sin,
    Cos,
    Atan,
    /// Known by its values.
    Sampled(Sampled),
}

impl Smooth {
    pub(super) const fn selu() -> Self {
        Self::Elu { scale: SELU.0, alpha: SELU.1, width: 1.0 }
    }

    /// Value and slope at `x`.
    fn at(&self, x: f64) -> (f64, f64) {
        match self {
            Self::Gelu => {
                let below = 0.5 * libm::erfc(-x * FRAC_1_SQRT_2);
                (x * below, below + x * standard_density(x))
            }
            Self::GeluTanh => {
                let inner = TANH_GELU * (x + 0.044_715 * x * x * x);
                let (t, slope) = (inner.tanh(), TANH_GELU * (1.0 + 3.0 * 0.044_715 * x * x));
                let bump = if t.abs() < 1.0 { 0.5 * x * (1.0 - t * t) * slope } else { 0.0 };
                (0.5 * x * (1.0 + t), 0.5 * (1.0 + t) + bump)
            }
            Self::Silu(b) => {
                let s = sigmoid(b * x);
                (x * s, s + b * x * s * sigmoid(-b * x))
            }
            Self::Sigmoid => {
                let s = sigmoid(x);
                (s, s * sigmoid(-x))
            }
            Self::Tanh => {
                let t = x.tanh();
                (t, 4.0 * sigmoid(2.0 * x) * sigmoid(-2.0 * x))
            }
            Self::Softplus(b) => (softplus(b * x) / b, sigmoid(b * x)),
            Self::Mish => {
                let t = softplus(x).tanh();
                (x * t, t + x * (1.0 - t * t) * sigmoid(x))
            }
            Self::Exp => (x.exp(), x.exp()),
            Self::Erf(b) => (libm::erf(b * x), 2.0 * b / PI.sqrt() * (-b * b * x * x).exp()),
            Self::Elu { scale, alpha, width } => {
                if x > 0.0 {
                    (scale * x, *scale)
                } else {
                    let slope = scale * alpha / width * (x / width).exp();
                    (scale * alpha * (x / width).exp_m1(), slope)
                }
            }
            Self::HardSwish => {
                let slope = if (-3.0..3.0).contains(&x) {
                    (2.0 * x + 3.0) / 6.0
                } else if x < 0.0 {
                    0.0
                } else {
                    1.0
                };
                (x * (x + 3.0).clamp(0.0, 6.0) / 6.0, slope)
            }
            Self::Softsign => {
                let size = 1.0 + x.abs();
                (x / size, 1.0 / (size * size))
            }
            Self::LogSigmoid => (-softplus(-x), sigmoid(-x)),
            Self::Square => (x * x, 2.0 * x),
            Self::Sin => (x.sin(), x.cos()),
            Self::Cos => (x.cos(), -x.sin()),
            Self::Atan => (x.atan(), 1.0 / (1.0 + x * x)),
            Self::Sampled(sampled) => sampled.at(x),
        }
    }

    /// Where it is not smooth.
    fn kinks(&self) -> &[f64] {
        match self {
            Self::HardSwish => &[-3.0, 3.0],
            Self::Sampled(sampled) => sampled.kinks(),
            _ => &[0.0],
        }
    }

    /// See [`Function::rises`](super::functions::Function::rises).
    pub(super) fn rises(&self) -> bool {
        match self {
            Self::Gelu
            | Self::GeluTanh
            | Self::Mish
            | Self::HardSwish
            | Self::Sigmoid
            | Self::Tanh
            | Self::Softplus(_)
            | Self::Exp
            | Self::Erf(_)
            | Self::Softsign
            | Self::LogSigmoid
            | Self::Atan => true,
            Self::Elu { scale, alpha, width } => *scale >= 0.0 && alpha / width >= 0.0,
            Self::Silu(b) => *b > 0.0,
            Self::Sampled(sampled) => sampled.is_monotone(),
            _ => false,
        }
    }

    /// Slopes just below and above zero, and the value there.
    pub(super) fn tangents(&self) -> (f64, f64, f64) {
        let (value, _) = self.at(0.0);
        (self.at(-f64::MIN_POSITIVE).1, self.at(f64::MIN_POSITIVE).1, value)
    }

    /// Slopes on the far left and on the far right, if the function is not bounded and approaches
    /// lines through the origin in proportion to them.
    pub(super) fn far_slopes(&self) -> Option<(f64, f64)> {
        match self {
            Self::Gelu | Self::GeluTanh | Self::Mish | Self::HardSwish => Some((0.0, 1.0)),
            Self::Silu(b) if *b == 0.0 => Some((0.5, 0.5)),
            Self::Silu(b) => Some(if *b > 0.0 { (0.0, 1.0) } else { (1.0, 0.0) }),
            Self::Softplus(b) => Some(if *b > 0.0 { (0.0, 1.0) } else { (1.0, 0.0) }),
            Self::LogSigmoid => Some((1.0, 0.0)),
            Self::Elu { scale, .. } => Some((0.0, *scale)),
            _ => None,
        }
    }

    /// Bounds on how far the function is from the lines of [`Self::far_slopes`]: far away, and as
    /// the integral of what is left near zero.
    fn beside_lines(&self) -> Option<(f64, f64)> {
        match self {
            Self::Gelu | Self::GeluTanh | Self::Mish | Self::HardSwish | Self::LogSigmoid => {
                Some((0.0, 2.0))
            }
            Self::Silu(b) | Self::Softplus(b) if *b != 0.0 => Some((0.0, 2.0 / (b * b))),
            Self::Elu { scale, alpha, width } => {
                let level = (scale * alpha).abs();
                Some((level, level * width))
            }
            _ => None,
        }
    }

    /// Whether moments need no quadrature for arguments of this mean.
    fn has_closed_form(&self, mean: f64) -> bool {
        matches!(self, Self::Gelu) && mean == 0.0
    }

    /// Moments of the values; `kept` is the expansion used last, and is replaced if it does not
    /// fit.
    pub(super) fn moments(&self, law: &Law, kept: &mut Option<Expansion>) -> Moments {
        let deviation = law.variance.sqrt();
        if deviation == 0.0 {
            let (value, slope) = self.at(law.mean);
            let slope = slope * slope;
            return Moments { slope_square: slope, slope_pair: slope, ..Moments::constant(value) };
        }
        if self.has_closed_form(law.mean) {
            return gelu(law);
        }
        let expansion = match kept {
            Some(known) if (known.mean, known.variance) == (law.mean, law.variance) => known,
            _ => kept.insert(Expansion::new(self, law.mean, law.variance)),
        };
        let mut found = Moments {
            mean: expansion.values[0],
            square: expansion.square,
            slope_square: expansion.slope_square,
            ..Moments::default()
        };
        for (index, &correlation) in law.correlations.iter().enumerate() {
            let before = law.correlations[..index].iter().position(|&one| one == correlation);
            found.pairs[index] = match before {
                Some(same) => found.pairs[same],
                None => expansion.pair(self, correlation),
            };
        }
        found.slope_pair = expansion.slope_pair(self, law.correlations[Law::POSITIONS]);
        found
    }
}

/// Moments of GELU, `x` times the distribution function `P(x)` at `x`, for arguments of mean zero.
///
/// With `p` the density, integration by parts of normal variables of variance `q` and covariance
/// `k` turns `E x P(x) y P(y)` and `E f'(x) f'(y)` into `E P(x) P(y)`, which is the probability of a
/// quadrant, and `E p(x) p(y)`. See R. Tsuchida, T. Pearce et al., *Avoiding kernel fixed points*,
/// 2021.
fn gelu(law: &Law) -> Moments {
    let q = law.variance;
    let pair = |correlation: f64| {
        let k = q * correlation;
        let wide = 1.0 + q;
        // (1 + q)^2 - k^2, without cancellation where q is large and k near to it.
        let determinant = (1.0 + (q - k)) * (1.0 + (q + k));
        let densities = 1.0 / (2.0 * PI * determinant.sqrt());
        let quadrant = 0.25 + (k / wide).asin() / (2.0 * PI);
        // E x p(x) P(y) and E y p(x) P(y).
        let (near, far) = (k * densities / wide, densities * (q + (q - k) * (q + k)) / wide);
        let value = q * far + k * (quadrant + near);
        (value, quadrant + 2.0 * near + k * densities / determinant)
    };
    let (square, slope_square) = pair(1.0);
    Moments {
        mean: q / (2.0 * PI * (1.0 + q)).sqrt(),
        square,
        pairs: law.correlations.map(|correlation| pair(correlation).0),
        slope_square,
        slope_pair: pair(law.correlations[Law::POSITIONS]).1,
    }
}

/// A function of one normal variable, and its coefficients in normalised Hermite polynomials.
#[derive(Debug, Clone)]
pub(crate) struct Expansion {
    mean: f64,
    variance: f64,
    values: Vec<f64>,
    square: f64,
    slope_mean: f64,
    slope_square: f64,
    /// By how much the sums of squared coefficients fall short of the mean squares of value and
    /// slope.
    missing: (f64, f64),
}

impl Expansion {
    fn new(function: &Smooth, mean: f64, variance: f64) -> Self {
        let deviation = variance.sqrt();
        let places: Vec<f64> =
            function.kinks().iter().map(|kink| (kink - mean) / deviation).collect();
        let points = panels(&places, 1.0 / deviation);
        let [value, square, slope_mean, slope_square] = means(&points, |z| {
            let (value, slope) = function.at(mean + deviation * z);
            [value, value * value, slope, slope * slope]
        });
        let missing = (square - value * value, slope_square - slope_mean * slope_mean);
        let values = vec![value, deviation * slope_mean];
        Self { mean, variance, values, square, slope_mean, slope_square, missing }
    }

    /// Computes as many coefficients as are needed at this correlation, or as are tried.
    fn extend(&mut self, function: &Smooth, correlation: f64) {
        for terms in TERMS {
            if self.is_complete(correlation) {
                break;
            }
            if self.values.len() < terms {
                self.compute(function, terms);
            }
        }
    }

    /// Computes coefficients until there are `terms` of them.
    fn compute(&mut self, function: &Smooth, terms: usize) {
        let deviation = self.variance.sqrt();
        let places: Vec<f64> =
            function.kinks().iter().map(|kink| (kink - self.mean) / deviation).collect();
        let points = panels(&places, 1.0 / deviation);
        self.values = vec![0.0; terms];
        let mut nodes = nodes(&points);
        loop {
            // Each polynomial follows from the two before it. All are carried times the value, at
            // several nodes at once.
            let (mut z, mut term, mut before) = ([0.0; LANES], [0.0; LANES], [0.0; LANES]);
            let mut count = 0;
            for (lane, (node, weight)) in nodes.by_ref().take(LANES).enumerate() {
                z[lane] = node;
                term[lane] = weight * function.at(self.mean + deviation * node).0;
                count += 1;
            }
            if count == 0 {
                break;
            }
            for (sum, &(grown, kept)) in self.values.iter_mut().zip(recurrence()) {
                *sum += term.iter().sum::<f64>();
                for lane in 0..LANES {
                    let next = grown * z[lane] * term[lane] - kept * before[lane];
                    before[lane] = term[lane];
                    term[lane] = next;
                }
            }
        }
        self.measure();
    }

    /// Computes by how much both series fall short.
    fn measure(&mut self) {
        let squares = self.values.iter().map(|a| a * a);
        let slopes = self.values.iter().enumerate().map(|(n, a)| n as f64 * a * a);
        self.missing = (
            (self.square - squares.sum::<f64>()).abs(),
            (self.slope_square - slopes.sum::<f64>() / self.variance).abs(),
        );
    }

    /// Whether both series converge at this correlation.
    fn is_complete(&self, correlation: f64) -> bool {
        let last = correlation.abs().powi(self.values.len() as i32 - 1);
        self.missing.0 * last <= TOLERANCE * self.square
            && self.missing.1 * last <= TOLERANCE * self.slope_square
    }

    /// Mean product of the values at two arguments of this correlation.
    fn pair(&mut self, function: &Smooth, correlation: f64) -> f64 {
        if correlation == 0.0 {
            return self.values[0] * self.values[0];
        }
        if correlation >= 1.0 {
            return self.square;
        }
        if let Some((values, _)) = self.far_pair(function, correlation) {
            return values;
        }
        self.extend(function, correlation);
        if self.is_complete(correlation) {
            self.values.iter().rev().fold(0.0, |sum, a| sum * correlation + a * a)
        } else {
            self.double_integrals(function, correlation).0
        }
    }

    /// Mean product of the slopes at two arguments of this correlation.
    fn slope_pair(&mut self, function: &Smooth, correlation: f64) -> f64 {
        if correlation == 0.0 {
            return self.slope_mean * self.slope_mean;
        }
        if correlation >= 1.0 {
            return self.slope_square;
        }
        if let Some((_, slopes)) = self.far_pair(function, correlation) {
            return slopes;
        }
        self.extend(function, correlation);
        if self.is_complete(correlation) {
            let terms = self.values.iter().enumerate().skip(1).rev();
            terms.fold(0.0, |sum, (n, a)| sum * correlation + n as f64 * a * a) / self.variance
        } else {
            self.double_integrals(function, correlation).1
        }
    }

    /// Mean products of values and slopes for arguments that are nearly always so large that the
    /// function is one of two lines; `None` if they are not.
    ///
    /// With the lines `l` and the rest `h = f - l`, `E f(x) f(x')` is the sum of `E l(x) l(x')`,
    /// which has a closed form, of `2 E l(x) h(x')`, a single integral, and of `E h(x) h(x')`, which
    /// takes both arguments to be near zero at once. That is left out where it is below the
    /// tolerance. In units of the deviation both densities are at most those of two arguments at
    /// zero, and the slope of `h` adds up to no more than its level, so that its mean product is
    /// that of `h` itself divided by the square of the distance over which the density varies.
    fn far_pair(&self, function: &Smooth, correlation: f64) -> Option<(f64, f64)> {
        let ((left, right), (level, area)) = (function.far_slopes()?, function.beside_lines()?);
        let q = self.variance;
        // The variance that one argument has left if the other is known.
        let own = q * (1.0 - correlation) * (1.0 + correlation);
        let density = 1.0 / (2.0 * PI * (q * own).sqrt());
        let values = level * level + area * area * density;
        let slopes = (level * level + area * area / own) * density;
        let is_small = values <= FAR_TOLERANCE * self.square
            && slopes <= FAR_TOLERANCE * self.slope_square
            && own >= FAR_WIDTHS * (area + 1.0);
        if !is_small {
            return None;
        }
        let law = Law { mean: self.mean, variance: q, correlations: [correlation; 3] };
        let lines = PiecewiseLinear::rays(left, right).moments(&law);
        let (deviation, apart) = (q.sqrt(), own.sqrt());
        let bends = function.kinks().iter().chain(&[0.0]);
        let places: Vec<f64> = bends.map(|bend| (bend - self.mean) / deviation).collect();
        let points = panels(&places, 1.0 / deviation);
        let [values, slopes] = means(&points, |z| {
            let x = self.mean + deviation * z;
            let (value, slope) = function.at(x);
            let line = if x > 0.0 { right } else { left };
            // The other argument, given this one.
            let other = self.mean + correlation * deviation * z;
            let share = below(other / apart);
            let mean_slope = left + (right - left) * share;
            let mean =
                mean_slope * other + (right - left) * apart * standard_density(other / apart);
            [(value - line * x) * mean, (slope - line) * mean_slope]
        });
        Some((lines.pairs[0] + 2.0 * values, lines.slope_pair + 2.0 * slopes))
    }

    /// Mean products of values and slopes: the outer integral is over what the arguments have in
    /// common, the inner one over what each has for itself.
    fn double_integrals(&self, function: &Smooth, correlation: f64) -> (f64, f64) {
        let deviation = self.variance.sqrt();
        let sign = correlation.signum();
        let common = deviation * correlation.abs().sqrt();
        let own = deviation * (1.0 - correlation.abs()).max(0.0).sqrt();
        let kinks = function.kinks();
        let inner = |centre: f64| {
            let places: Vec<f64> = kinks.iter().map(|kink| (kink - centre) / own).collect();
            means(&panels(&places, 1.0 / own), |z| function.at(centre + own * z).into())
        };
        let places: Vec<f64> = kinks.iter().map(|kink| (kink - self.mean) / common).collect();
        let mirrored = places.iter().map(|place| sign * place);
        let places: Vec<f64> = places.iter().copied().chain(mirrored).collect();
        let width = own.max(1.0f64.min(own.max(1e-3))) / common;
        let [values, slopes] = means(&panels(&places, width), |z| {
            let [value, slope] = inner(self.mean + common * z);
            if sign > 0.0 {
                [value * value, slope * slope]
            } else {
                let [other, opposite] = inner(self.mean - common * z);
                [value * other, slope * opposite]
            }
        });
        (values, slopes)
    }
}

/// Expansions for all variances of a map whose means are zero, interpolated between Chebyshev nodes
/// in the logarithm of the variance.
pub(super) struct Expansions {
    /// Middle and half length of the range of logarithms.
    middle: f64,
    half: f64,
    nodes: Vec<Expansion>,
}

/// How many nodes are tried, in this order.
const NODES: [usize; 3] = [9, 17, 33];

impl Expansions {
    /// `None` if means differ from zero, or so few nodes are not enough.
    pub(super) fn new(function: &Smooth, laws: impl Iterator<Item = Law>) -> Option<Self> {
        let (mut low, mut high) = (f64::INFINITY, 0.0f64);
        for law in laws {
            if law.mean != 0.0 {
                return None;
            }
            if law.variance > 0.0 {
                (low, high) = (low.min(law.variance), high.max(law.variance));
            }
        }
        if low >= high || function.has_closed_form(0.0) {
            return None;
        }
        let (middle, half) = (0.5 * (low * high).ln(), 0.5 * (high / low).ln());
        NODES.into_iter().find_map(|count| {
            let nodes = (0..count).map(|k| {
                let x = (PI * (k as f64 + 0.5) / count as f64).cos();
                let mut expansion = Expansion::new(function, 0.0, (middle + half * x).exp());
                expansion.extend(function, 1.0);
                expansion.values.resize(TERMS[0], 0.0);
                expansion
            });
            let table = Self { middle, half, nodes: nodes.collect() };
            table.is_accurate(function).then_some(table)
        })
    }

    /// Compares the interpolation with the function's own expansion at a few places between nodes.
    fn is_accurate(&self, function: &Smooth) -> bool {
        [-1.0, -0.61, 0.17, 0.83].into_iter().all(|x: f64| {
            let variance = (self.middle + self.half * x).exp();
            let (found, mut right) = (self.at(variance), Expansion::new(function, 0.0, variance));
            right.extend(function, 1.0);
            let near = |a: f64, b: f64, scale: f64| (a - b).abs() <= 1e-12 * scale;
            let values = found.values.iter().zip(&right.values);
            near(found.square, right.square, right.square)
                && near(found.slope_square, right.slope_square, right.slope_square)
                && values.into_iter().all(|(a, b)| near(*a, *b, right.square.sqrt()))
        })
    }

    fn at(&self, variance: f64) -> Expansion {
        let x = (variance.ln() - self.middle) / self.half;
        let count = self.nodes.len();
        let mut sum = Expansion {
            mean: 0.0,
            variance,
            values: vec![0.0; self.nodes[0].values.len()],
            square: 0.0,
            slope_mean: 0.0,
            slope_square: 0.0,
            missing: (0.0, 0.0),
        };
        let mut total = 0.0;
        for (k, node) in self.nodes.iter().enumerate() {
            let angle = PI * (k as f64 + 0.5) / count as f64;
            let distance = x - angle.cos();
            if distance.abs() < 1e-14 {
                return Expansion { variance, ..node.clone() };
            }
            let weight = angle.sin() / distance * if k % 2 == 0 { 1.0 } else { -1.0 };
            total += weight;
            for (sum, value) in sum.values.iter_mut().zip(&node.values) {
                *sum += weight * value;
            }
            sum.square += weight * node.square;
            sum.slope_mean += weight * node.slope_mean;
            sum.slope_square += weight * node.slope_square;
        }
        let inverse = 1.0 / total;
        sum.values.iter_mut().for_each(|value| *value *= inverse);
        sum.square *= inverse;
        sum.slope_mean *= inverse;
        sum.slope_square *= inverse;
        sum.measure();
        sum
    }

    /// Moments of the values.
    pub(super) fn moments(&self, function: &Smooth, law: &Law) -> Moments {
        if law.variance > 0.0 {
            function.moments(law, &mut Some(self.at(law.variance)))
        } else {
            function.moments(law, &mut None)
        }
    }
}

/// Factors of the recurrence of normalised Hermite polynomials.
fn recurrence() -> &'static [(f64, f64); TERMS[1]] {
    static FACTORS: OnceLock<[(f64, f64); TERMS[1]]> = OnceLock::new();
    FACTORS.get_or_init(|| {
        std::array::from_fn(|n| {
            let n = n as f64;
            (1.0 / (n + 1.0).sqrt(), (n / (n + 1.0)).sqrt())
        })
    })
}

fn sigmoid(x: f64) -> f64 {
    if x >= 0.0 {
        1.0 / (1.0 + (-x).exp())
    } else {
        let e = x.exp();
        e / (1.0 + e)
    }
}

fn softplus(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_arguments_have_the_products_of_double_integrals() {
        let functions = [
            (Smooth::Silu(1.0), true),
            (Smooth::Silu(1.702), true),
            (Smooth::GeluTanh, true),
            (Smooth::Mish, true),
            (Smooth::HardSwish, true),
            (Smooth::Softplus(1.0), true),
            (Smooth::LogSigmoid, true),
            (Smooth::Elu { scale: 1.0, alpha: 1.0, width: 1.0 }, false),
            (Smooth::Elu { scale: 1.0, alpha: 1e-3, width: 1.0 }, true),
        ];
        for (function, is_far) in functions {
            for (mean, variance) in [(0.0, 1e8), (3e3, 1e8), (-2e4, 1e9), (0.0, 1e13)] {
                let known = Expansion::new(&function, mean, variance);
                for correlation in [-0.7, 0.2, 0.9, 0.99] {
                    let found = known.far_pair(&function, correlation);
                    assert!(found.is_some() || !is_far, "{function:?} {variance} {correlation}");
                    let Some((value, slope)) = found else { continue };
                    let (values, slopes) = known.double_integrals(&function, correlation);
                    assert!((value - values).abs() <= 2e-12 * known.square, "{function:?}");
                    assert!((slope - slopes).abs() <= 2e-12 * known.slope_square, "{function:?}");
                }
            }
            // Nothing of it is taken where arguments are not large, or nearly equal.
            assert_eq!(Expansion::new(&function, 0.0, 1e3).far_pair(&function, 0.5), None);
            let known = Expansion::new(&function, 0.0, 1e8);
            assert_eq!(known.far_pair(&function, 1.0 - 1e-9), None);
        }
    }
}
