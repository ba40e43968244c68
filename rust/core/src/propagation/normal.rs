//! The normal distribution, and quadrature under it.

use std::f64::consts::{FRAC_1_SQRT_2, PI};
use std::sync::OnceLock;

/// `sqrt(2 / pi)`, half of which is the density of the normal distribution at its mean.
const FRAC_SQRT_2_SQRT_PI: f64 = 0.797_884_560_802_865_4;

/// Number of quadrature nodes in each panel.
pub(super) const NODES: usize = 24;

/// Beyond so many standard deviations the normal density is below a unit in the last place.
pub(super) const REACH: f64 = 12.0;

/// The density at `z`.
pub(super) fn density(z: f64) -> f64 {
    0.5 * FRAC_SQRT_2_SQRT_PI * (-0.5 * z * z).exp()
}

/// The probability of a value below `z`.
pub(super) fn below(z: f64) -> f64 {
    0.5 * libm::erfc(-z * FRAC_1_SQRT_2)
}

/// The probability of a value above `z`.
pub(super) fn above(z: f64) -> f64 {
    0.5 * libm::erfc(z * FRAC_1_SQRT_2)
}

/// Gauss-Legendre nodes and weights of the interval from -1 to 1.
pub(super) fn legendre() -> &'static [(f64, f64); NODES] {
    static RULE: OnceLock<[(f64, f64); NODES]> = OnceLock::new();
    RULE.get_or_init(|| {
        let n = NODES as f64;
        std::array::from_fn(|i| {
            // Newton's method from Tricomi's estimate of the root converges at once.
            let mut x = ((i as f64 + 0.75) / (n + 0.5) * PI).cos();
            let mut slope = 1.0;
            for _ in 0..8 {
                let (mut p, mut before) = (x, 1.0);
                for k in 2..=NODES {
                    let k = k as f64;
                    (p, before) = (((2.0 * k - 1.0) * x * p - (k - 1.0) * before) / k, p);
                }
                slope = n * (x * p - before) / (x * x - 1.0);
                x -= p / slope;
            }
            (x, 2.0 / ((1.0 - x * x) * slope * slope))
        })
    })
}

/// The integral of a smooth function.
pub(super) fn integral(from: f64, to: f64, mut f: impl FnMut(f64) -> f64) -> f64 {
    let (middle, half) = (0.5 * (from + to), 0.5 * (to - from));
    legendre().iter().map(|&(x, weight)| weight * f(middle + half * x)).sum::<f64>() * half
}

/// Nodes and weights for the mean of a function of a normal variable, which is smooth between the
/// given points. They must ascend.
pub(super) fn nodes(points: &[f64]) -> impl Iterator<Item = (f64, f64)> {
    points.windows(2).flat_map(|ends| {
        let (middle, half) = (0.5 * (ends[0] + ends[1]), 0.5 * (ends[1] - ends[0]));
        legendre().iter().map(move |&(x, weight)| {
            let z = middle + half * x;
            (z, weight * half * density(z))
        })
    })
}

/// The means of several functions of a normal variable at once.
pub(super) fn means<const N: usize>(
    points: &[f64],
    mut f: impl FnMut(f64) -> [f64; N],
) -> [f64; N] {
    let mut sums = [0.0; N];
    for (z, weight) in nodes(points) {
        for (sum, value) in sums.iter_mut().zip(f(z)) {
            *sum += weight * value;
        }
    }
    sums
}

/// Ends of panels that resolve the normal density, and, closer and closer, features of width
/// `width` at each of `places`.
pub(super) fn panels(places: &[f64], width: f64) -> Vec<f64> {
    let mut points: Vec<f64> = (-6..=6).map(|i| f64::from(i) * REACH / 6.0).collect();
    for &place in places {
        let mut distance = 1.0;
        points.push(place);
        while distance > 0.5 * width {
            points.extend([place - distance, place + distance]);
            distance *= 0.5;
        }
    }
    points.retain(|point| point.abs() <= REACH);
    points.sort_unstable_by(f64::total_cmp);
    points.dedup_by(|a, b| (*a - *b).abs() < 1e-13);
    points
}

/// Mean and mean square of the largest of `n` independent standard normal variables.
pub(crate) fn largest(n: f64) -> (f64, f64) {
    if n <= 1.0 {
        return (0.0, 1.0);
    }
    // The largest lies around sqrt(2 ln n), within a width that shrinks as slowly.
    let points = panels(&[0.0, (2.0 * n.ln()).sqrt()], 0.5);
    let [mean, square] = means(&points, |z| {
        let weight = n * (((n - 1.0) * below(z).ln()).exp());
        [weight * z, weight * z * z]
    });
    (mean, square)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rule_integrates_polynomials_of_twice_its_order() {
        let exact = |k: i32| if k % 2 == 0 { 2.0 / f64::from(k + 1) } else { 0.0 };
        for k in 0..2 * NODES as i32 {
            assert!((integral(-1.0, 1.0, |x| x.powi(k)) - exact(k)).abs() < 1e-14, "{k}");
        }
    }

    #[test]
    fn panels_give_the_moments_of_the_normal_distribution() {
        for places in [vec![], vec![0.3], vec![-2.0, 5.5]] {
            let [one, square, fourth] =
                means(&panels(&places, 1e-3), |z| [1.0, z * z, z * z * z * z]);
            assert!((one - 1.0).abs() < 1e-14 && (square - 1.0).abs() < 1e-14);
            assert!((fourth - 3.0).abs() < 1e-13);
        }
    }

    #[test]
    fn largest_of_two_and_three_has_its_closed_form() {
        let (mean, square) = largest(2.0);
        assert!((mean - 1.0 / PI.sqrt()).abs() < 1e-14 && (square - 1.0).abs() < 1e-14);
        let (mean, square) = largest(3.0);
        assert!((mean - 1.5 / PI.sqrt()).abs() < 1e-14);
        assert!((square - (1.0 + 3f64.sqrt() / (2.0 * PI))).abs() < 1e-14);
        assert_eq!(largest(1.0), (0.0, 1.0));
    }
}
