//! Boltzmann sums: the partition function of a spectrum, and the mean and the variance of its
//! energy.
//!
//! All temperatures are done in one reading of the levels. What energies and weights mean is up to
//! the caller.

use crate::error::{Error, Result};
use crate::machine::monitor::Monitor;

/// So many levels are worked on together: they and their weights stay in the first cache.
const BLOCK: usize = 1024;
/// A block of zeros.
const ZEROS: [f64; BLOCK] = [0.0; BLOCK];
/// So many sums are kept side by side, so that they vectorise.
const STRANDS: usize = 16;
/// An ensemble is hot if the product of inverse temperature and largest energy is at most this. Its
/// weights are then computed as `1 + x` with a small `x`.
const HOT: f64 = 0.5;

/// Sums over all states at one inverse temperature.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BoltzmannSums {
    /// The natural logarithm of the sum of all weights `g exp(-beta E)`.
    pub log_total: f64,
    /// The mean of the energy.
    pub mean: f64,
    /// The variance of the energy.
    pub variance: f64,
}

/// The sums over levels with energies `energies` and weights `exp(log_weights)`, at every inverse
/// temperature of `betas`.
///
/// Energies had better be differences from the lowest (the highest for negative `betas`): then
/// neither overflow nor loss of digits is possible, and the mean of a nearly frozen ensemble is
/// precise relative to its distance from that level. `log_states` is the logarithm of the sum of
/// all weights. Terms below `exp(-708)` times the largest are taken as 0.
///
/// # Errors
/// [`Error::Internal`] if there is no level or the lists have different lengths, and
/// [`Error::Interrupted`] by the monitor's hook.
///
/// ```
/// use unrolled_core::{Monitor, boltzmann_sums};
/// let sums = boltzmann_sums(&[0.0, 1.0], &[0.0, 0.0], 2f64.ln(), &[0.0], &Monitor::silent())?;
/// assert_eq!((sums[0].mean, sums[0].variance), (0.5, 0.25));
/// # Ok::<(), unrolled_core::Error>(())
/// ```
pub fn boltzmann_sums(
    energies: &[f64],
    log_weights: &[f64],
    log_states: f64,
    betas: &[f64],
    monitor: &Monitor<'_>,
) -> Result<Vec<BoltzmannSums>> {
    if energies.is_empty() || energies.len() != log_weights.len() {
        let (energies, weights) = (energies.len(), log_weights.len());
        return Err(Error::Internal(format!("{energies} energies and {weights} weights")));
    }
    pulp::Arch::new().dispatch(TemperatureSweep {
        energies,
        log_weights,
        log_states,
        betas,
        monitor,
    })
}

/// A sweep over temperatures, compiled for every instruction set.
struct TemperatureSweep<'a> {
    energies: &'a [f64],
    log_weights: &'a [f64],
    log_states: f64,
    betas: &'a [f64],
    monitor: &'a Monitor<'a>,
}

/// The sums over some levels. Their total weight is `exp(top) * (1 + rest)`: the largest term and
/// all others.
#[derive(Clone, Copy)]
struct Partial {
    top: f64,
    rest: f64,
    mean: f64,
    /// Weighted squares of the distances from the mean, in units of `exp(top)`.
    squares: f64,
    /// By how much the total exceeds the sum of all weights at infinite temperature, in units of
    /// `exp(top)`. For hot ensembles only, all of whose blocks have the same `top`.
    excess: f64,
}

/// A block of levels, filled up with levels without weight.
struct Block {
    energies: [f64; BLOCK],
    log_weights: [f64; BLOCK],
    /// The weights, relative to the heaviest of all blocks.
    weights: [f64; BLOCK],
    /// Scratch space.
    terms: [f64; BLOCK],
    powers: [f64; BLOCK],
}

impl pulp::NullaryFnOnce for TemperatureSweep<'_> {
    type Output = Result<Vec<BoltzmannSums>>;

    #[inline(always)]
    fn call(self) -> Self::Output {
        let (low, high) = ends(self.energies);
        let largest = high.max(-low);
        let heaviest = ends(self.log_weights).1;
        let mut partials: Vec<Option<Partial>> = vec![None; self.betas.len()];
        let mut block = Block {
            energies: ZEROS,
            log_weights: ZEROS,
            weights: ZEROS,
            terms: ZEROS,
            powers: ZEROS,
        };
        for (energies, log_weights) in
            self.energies.chunks(BLOCK).zip(self.log_weights.chunks(BLOCK))
        {
            block.fill(energies, log_weights, heaviest);
            for (partial, &beta) in partials.iter_mut().zip(self.betas) {
                self.monitor.breathe(BLOCK as u64)?;
                let is_hot = beta.abs() * largest <= HOT;
                let sum = if is_hot { block.sum_hot(beta, heaviest) } else { block.sum(beta) };
                *partial = Some(partial.map_or(sum, |before| before.join(sum)));
            }
        }
        let finish = |(partial, &beta): (Option<Partial>, &f64)| {
            let partial = partial.ok_or_else(|| Error::Internal("no level".into()))?;
            let is_hot = beta.abs() * largest <= HOT;
            Ok(partial.finish(is_hot.then_some(self.log_states)))
        };
        partials.into_iter().zip(self.betas).map(finish).collect()
    }
}

impl Partial {
    /// The sums over the levels of both.
    #[inline(always)]
    fn join(self, other: Self) -> Self {
        let (a, b) = if self.top >= other.top { (self, other) } else { (other, self) };
        let scale = (b.top - a.top).exp();
        let (weight_a, weight_b) = (1.0 + a.rest, scale * (1.0 + b.rest));
        let weight = weight_a + weight_b;
        let gap = b.mean - a.mean;
        Self {
            top: a.top,
            rest: a.rest + weight_b,
            // Both terms have one sign, so that a mean close to zero keeps its digits.
            mean: (weight_a * a.mean + weight_b * b.mean) / weight,
            squares: a.squares + scale * b.squares + gap * gap * (weight_a / weight) * weight_b,
            excess: a.excess + scale * b.excess,
        }
    }

    /// The results. For a hot ensemble, the logarithm of the sum of all weights must be given.
    fn finish(self, log_states: Option<f64>) -> BoltzmannSums {
        let weight = 1.0 + self.rest;
        let log_total = match log_states {
            Some(log_states) => log_states + (self.excess / (weight - self.excess)).ln_1p(),
            None => self.top + self.rest.ln_1p(),
        };
        BoltzmannSums { log_total, mean: self.mean, variance: self.squares / weight }
    }
}

impl Block {
    /// Takes the next levels.
    #[inline(always)]
    fn fill(&mut self, energies: &[f64], log_weights: &[f64], heaviest: f64) {
        let n = energies.len();
        self.energies[..n].copy_from_slice(energies);
        self.log_weights[..n].copy_from_slice(log_weights);
        // The block is filled up with an energy that occurs, so that ranges of energies stay as
        // they are.
        self.energies[n..].fill(energies[0]);
        self.log_weights[n..].fill(f64::NEG_INFINITY);
        self.weights = self.log_weights;
        exponentials(&mut self.weights, heaviest, &mut self.powers);
    }

    /// The sums of the block, with the largest term apart from all others.
    #[inline(always)]
    fn sum(&mut self, beta: f64) -> Partial {
        let Self { energies, log_weights, terms, powers, .. } = self;
        for i in 0..BLOCK {
            terms[i] = log_weights[i] - beta * energies[i];
        }
        let top = ends(terms).1;
        let at = terms.iter().position(|&term| term == top).unwrap_or(0);
        exponentials(terms, top, powers);
        terms[at] = 0.0;
        let (rest, sum) = moments(terms, energies);
        let mean = (sum + energies[at]) / (1.0 + rest);
        let gap = energies[at] - mean;
        let squares = squares(terms, energies, mean) + gap * gap;
        Partial { top, rest, mean, squares, excess: 0.0 }
    }

    /// The sums of the block in a hot ensemble, in which exponentials differ little from 1.
    #[inline(always)]
    fn sum_hot(&mut self, beta: f64, heaviest: f64) -> Partial {
        let Self { energies, weights, terms, .. } = self;
        for i in 0..BLOCK {
            terms[i] = weights[i] * exp_minus_one(-beta * energies[i]);
        }
        let excess = moments(terms, energies).0;
        for i in 0..BLOCK {
            terms[i] += weights[i];
        }
        let (weight, sum) = moments(terms, energies);
        // All weights of a block may be negligible beside the heaviest.
        let mean = if weight > 0.0 { sum / weight } else { 0.0 };
        let squares = squares(terms, energies, mean);
        Partial { top: heaviest, rest: weight - 1.0, mean, squares, excess }
    }
}

/// The smallest and the largest number.
#[inline(always)]
fn ends(numbers: &[f64]) -> (f64, f64) {
    let (mut low, mut high) = ([f64::INFINITY; STRANDS], [f64::NEG_INFINITY; STRANDS]);
    let (chunks, rest) = numbers.as_chunks::<STRANDS>();
    for chunk in chunks {
        for i in 0..STRANDS {
            low[i] = if chunk[i] < low[i] { chunk[i] } else { low[i] };
            high[i] = if chunk[i] > high[i] { chunk[i] } else { high[i] };
        }
    }
    (
        low.iter().chain(rest).copied().fold(f64::INFINITY, f64::min),
        high.iter().chain(rest).copied().fold(f64::NEG_INFINITY, f64::max),
    )
}

/// The sum of the terms, and that of each times its energy.
#[inline(always)]
fn moments(terms: &[f64; BLOCK], energies: &[f64; BLOCK]) -> (f64, f64) {
    let (mut total, mut first) = ([0.0; STRANDS], [0.0; STRANDS]);
    let (terms, energies) = (terms.as_chunks::<STRANDS>().0, energies.as_chunks::<STRANDS>().0);
    for (terms, energies) in terms.iter().zip(energies) {
        for i in 0..STRANDS {
            total[i] += terms[i];
            first[i] += terms[i] * energies[i];
        }
    }
    (total.iter().sum(), first.iter().sum())
}

/// The sum of each term times the square of its distance from `mean`.
#[inline(always)]
fn squares(terms: &[f64; BLOCK], energies: &[f64; BLOCK], mean: f64) -> f64 {
    let mut sums = [0.0; STRANDS];
    let (terms, energies) = (terms.as_chunks::<STRANDS>().0, energies.as_chunks::<STRANDS>().0);
    for (terms, energies) in terms.iter().zip(energies) {
        for i in 0..STRANDS {
            let gap = energies[i] - mean;
            sums[i] += terms[i] * (gap * gap);
        }
    }
    sums.iter().sum()
}

/// `sum of coefficients[k] * x^k`, four terms at a time: a chain of single terms would wait for
/// each of its products.
#[inline(always)]
fn polynomial<const N: usize>(x: f64, coefficients: [f64; N]) -> f64 {
    let (square, mut sum) = (x * x, 0.0);
    for quad in coefficients.as_chunks::<4>().0.iter().rev() {
        let terms = (quad[0] + quad[1] * x) + (quad[2] + quad[3] * x) * square;
        sum = sum * (square * square) + terms;
    }
    sum
}

/// `1 / (k + 2)!` for `k` below `N`: the exponential series from its second power on.
const fn series<const N: usize>() -> [f64; N] {
    let mut coefficients = [0.0; N];
    let (mut k, mut factorial) = (0, 1.0);
    while k < N {
        factorial *= (k + 2) as f64;
        coefficients[k] = 1.0 / factorial;
        k += 1;
    }
    coefficients
}

/// Replaces the terms, none of which may exceed `top`, by `exp(term - top)`; by 0 where the
/// difference is below -708. There are two loops, each of which needs no more numbers at once than
/// there are registers.
#[inline(always)]
fn exponentials(terms: &mut [f64; BLOCK], top: f64, powers: &mut [f64; BLOCK]) {
    // Adding this number rounds to an integer, which then stands in the low bits.
    const ROUNDER: f64 = 6_755_399_441_055_744.0;
    // ln 2 in two parts; a small multiple of the first part is exact.
    const LN_2_HIGH: f64 = f64::from_bits(0x3FE6_2E42_FEE0_0000);
    const LN_2_LOW: f64 = 1.908_214_929_270_587_7e-10;
    for i in 0..BLOCK {
        let x = terms[i] - top;
        let rounded = x * std::f64::consts::LOG2_E + ROUNDER;
        let halvings = rounded - ROUNDER;
        let power = f64::from_bits(rounded.to_bits().wrapping_add(1023) << 52);
        let is_lost = x < -708.0;
        let rest = (x - halvings * LN_2_HIGH) - halvings * LN_2_LOW;
        terms[i] = if is_lost { 0.0 } else { rest };
        powers[i] = if is_lost { 0.0 } else { power };
    }
    for i in 0..BLOCK {
        let x = terms[i];
        let value = 1.0 + (x + x * x * polynomial(x, const { series::<12>() }));
        terms[i] = value * powers[i];
    }
}

/// `exp(x) - 1` for `x` within [`HOT`] of zero.
#[inline(always)]
fn exp_minus_one(x: f64) -> f64 {
    x + x * x * polynomial(x, const { series::<16>() })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn exponentials_are_precise(x in -707.0f64..0.0, small in -0.5f64..0.5) {
            let mut terms = [x; BLOCK];
            exponentials(&mut terms, 0.0, &mut [0.0; BLOCK]);
            prop_assert!((terms[0] / x.exp() - 1.0).abs() < 1e-15);
            prop_assert!((exp_minus_one(small) - small.exp_m1()).abs() <= 4e-16 * small.abs());
        }

        #[test]
        fn blocks_add_up(
            levels in prop::collection::vec((0.0f64..50.0, 0.0f64..20.0), 1..40),
            copies in 1usize..200,
            beta in -3.0f64..3.0,
        ) {
            let (energies, weights): (Vec<f64>, Vec<f64>) = levels.iter().copied().unzip();
            let states = |n: usize| (n as f64 * weights.iter().map(|w| w.exp()).sum::<f64>()).ln();
            let sums = |energies: &[f64], weights: &[f64], n| {
                boltzmann_sums(energies, weights, states(n), &[beta], &Monitor::silent()).unwrap()[0]
            };
            let once = sums(&energies, &weights, 1);
            let often = sums(&energies.repeat(copies), &weights.repeat(copies), copies);
            prop_assert!((often.log_total - once.log_total - (copies as f64).ln()).abs() < 1e-12);
            prop_assert!((often.mean - once.mean).abs() <= 1e-12 * once.mean.abs());
            prop_assert!((often.variance - once.variance).abs() <= 1e-11 * once.variance + 1e-13);
        }
    }

    #[test]
    fn nothing_is_left_of_what_is_too_small() {
        let mut terms = [f64::NEG_INFINITY; BLOCK];
        terms[..2].copy_from_slice(&[5.0, -704.0]);
        exponentials(&mut terms, 5.0, &mut [0.0; BLOCK]);
        assert_eq!(terms[..3], [1.0, 0.0, 0.0]);
    }

    #[test]
    fn levels_and_weights_must_match() {
        assert!(boltzmann_sums(&[], &[], 0.0, &[1.0], &Monitor::silent()).is_err());
        assert!(boltzmann_sums(&[1.0], &[], 0.0, &[1.0], &Monitor::silent()).is_err());
    }
}
