//! The quantities of a spectrum of counts: total, surprisal, entropy, expected spread.
//!
//! A level is a count `mantissa * 2^exponent`, and how many parameters have it (its degeneracy).
//! Exponents are kept apart from mantissas, sums are compensated, and no formula subtracts large
//! numbers from each other, so that results agree with arithmetic of 200 digits to about 1e-15.
//!
//! Source of all formulas: A. G. Polat, F. Alpaslan, *The reusability prior*, Mach. Learn.: Sci.
//! Technol. 2023, doi 10.1088/2632-2153/acc713.

use std::f64::consts::LN_2;

use crate::error::{Error, Result};
use crate::number::{CompensatedSum, split_exponent};

/// Below this power of two, a count adds nothing to the total.
const LOWEST: i64 = -2000;

/// A level of a spectrum: the mantissa of its count in [1, 2), the exponent, the degeneracy.
pub type ScaledLevel = (f64, i64, u64);

/// The quantities of a spectrum, in bits.
///
/// ```
/// use unrolled_core::Quantities;
/// // Eight parameters of one context each.
/// let found = Quantities::of([(1.0, 0, 8)].into_iter())?;
/// assert_eq!((found.log2_total, found.entropy, found.total_surprisal), (3.0, 3.0, 24.0));
/// # Ok::<(), unrolled_core::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Quantities {
    /// How many parameters there are, `N_G`.
    pub parameters: u128,
    /// The logarithm of the total number of contexts `Z`.
    pub log2_total: f64,
    /// The sum of all surprisals, `S_G = -sum of log2 p`.
    pub total_surprisal: f64,
    /// The expected surprisal, `H = -sum of p log2 p`.
    pub entropy: f64,
    /// The expected logarithm of a count, `E[log2 C] = sum of p log2 C`.
    pub expected_spread: f64,
}

impl Quantities {
    /// The quantities of a spectrum.
    ///
    /// # Errors
    /// [`Error::NothingToCount`] if it has no level.
    pub fn of(levels: impl Iterator<Item = ScaledLevel> + Clone) -> Result<Self> {
        let total = Total::of(levels.clone())?;
        let mut parameters = 0;
        let (mut surprisal, mut expected) = (CompensatedSum::default(), CompensatedSum::default());
        let mut spread = CompensatedSum::default();
        for (at, level) in levels.enumerate() {
            let (weight, bits) = (total.weight(level), total.surprisal(at, level));
            let (mantissa, exponent, degeneracy) = level;
            parameters += u128::from(degeneracy);
            surprisal.add(degeneracy as f64 * bits);
            expected.add(weight * bits);
            spread.add(weight * (mantissa.log2() + exponent as f64));
        }
        Ok(Self {
            parameters,
            log2_total: total.exponent as f64 + total.log2_mantissa,
            total_surprisal: surprisal.value(),
            entropy: expected.value() / total.sum,
            expected_spread: spread.value() / total.sum,
        })
    }
}

/// The surprisal `-log2 p` of one parameter of each level, in bits.
///
/// # Errors
/// [`Error::NothingToCount`] if there is no level.
pub fn surprisals<'l>(
    levels: impl ExactSizeIterator<Item = ScaledLevel> + Clone + 'l,
) -> Result<impl ExactSizeIterator<Item = f64> + 'l> {
    let total = Total::of(levels.clone())?;
    Ok(levels.enumerate().map(move |(at, level)| total.surprisal(at, level)))
}

/// The relative frequency `p = C / Z` of one parameter of each level; 0 where that is too small.
///
/// # Errors
/// [`Error::NothingToCount`] if there is no level.
pub fn probabilities<'l>(
    levels: impl ExactSizeIterator<Item = ScaledLevel> + Clone + 'l,
) -> Result<impl ExactSizeIterator<Item = f64> + 'l> {
    let total = Total::of(levels.clone())?;
    Ok(levels.map(move |(mantissa, exponent, _)| total.scaled(mantissa, exponent) / total.sum))
}

/// The sum of the contexts of all levels: what probabilities are relative to.
struct Total {
    /// The largest exponent of a count.
    base: i64,
    /// The total, times `2^-base`.
    sum: f64,
    /// The exponent of the total, and the logarithm of its mantissa.
    exponent: i64,
    log2_mantissa: f64,
    /// The level of a parameter that has nearly all contexts, and the surprisal of that parameter.
    certain: Option<(usize, f64)>,
}

impl Total {
    fn of(levels: impl Iterator<Item = ScaledLevel> + Clone) -> Result<Self> {
        let Some(base) = levels.clone().map(|(_, exponent, _)| exponent).max() else {
            let reason = "an empty spectrum has no quantities: no parameter has a context";
            return Err(Error::NothingToCount { reason: reason.into() });
        };
        let mut total = Self { base, sum: 0.0, exponent: 0, log2_mantissa: 0.0, certain: None };
        let (mut sum, mut others) = (CompensatedSum::default(), CompensatedSum::default());
        // The heaviest level so far, and the sum of all others.
        let (mut at, mut heaviest, mut degeneracy) = (0, 0.0, 0);
        for (place, level) in levels.enumerate() {
            let weight = total.weight(level);
            sum.add(weight);
            if weight > heaviest {
                others.add(heaviest);
                (at, heaviest, degeneracy) = (place, weight, level.2);
            } else {
                others.add(weight);
            }
        }
        total.sum = sum.value();
        let (mantissa, shift) = split_exponent(total.sum);
        (total.exponent, total.log2_mantissa) = (base.saturating_add(shift), mantissa.log2());
        // The surprisal of a parameter that has nearly all contexts is near zero, where the
        // difference of two logarithms has no correct digits left.
        let others = others.value();
        if degeneracy == 1 && others < heaviest {
            total.certain = Some((at, (others / heaviest).ln_1p() / LN_2));
        }
        Ok(total)
    }

    /// A count, times `2^-base`; 0 if it is too small to be added to the total.
    fn scaled(&self, mantissa: f64, exponent: i64) -> f64 {
        libm::ldexp(mantissa, exponent.saturating_sub(self.base).max(LOWEST) as i32)
    }

    /// The contexts of all parameters of a level, times `2^-base`.
    fn weight(&self, (mantissa, exponent, degeneracy): ScaledLevel) -> f64 {
        degeneracy as f64 * self.scaled(mantissa, exponent)
    }

    /// The surprisal of one parameter of the level at a place.
    fn surprisal(&self, at: usize, (mantissa, exponent, _): ScaledLevel) -> f64 {
        match self.certain {
            Some((place, bits)) if place == at => bits,
            _ => {
                let steps = self.exponent.saturating_sub(exponent) as f64;
                steps + (self.log2_mantissa - mantissa.log2())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn equal_counts_have_the_largest_entropy() {
        let found = Quantities::of([(1.5, 5000, 1 << 40)].into_iter()).unwrap();
        assert_eq!((found.entropy, found.parameters), (40.0, 1 << 40));
        assert_eq!(found.total_surprisal, 40.0 * (1u64 << 40) as f64);
        assert_eq!(found.expected_spread, 5000.0 + 1.5f64.log2());
    }

    #[test]
    fn a_parameter_with_nearly_all_contexts_keeps_its_digits() {
        let levels = [(1.0, 0, 1), (1.0, 60, 1)];
        let found: Vec<f64> = surprisals(levels.into_iter()).unwrap().collect();
        assert_eq!(found, [60.0, 2f64.powi(-60) / LN_2]);
        let found: Vec<f64> = probabilities(levels.into_iter()).unwrap().collect();
        assert_eq!(found, [2f64.powi(-60), 1.0]);
    }

    #[test]
    fn nothing_has_no_quantities() {
        assert!(Quantities::of(std::iter::empty()).is_err());
        assert!(surprisals([].into_iter()).is_err());
        assert!(probabilities([].into_iter()).is_err());
    }

    #[test]
    fn exponents_may_be_far_apart() {
        let levels = [(1.0, -(1 << 62), 3), (1.0, 1 << 62, 2)];
        let found = Quantities::of(levels.into_iter()).unwrap();
        assert_eq!(found.entropy, 1.0);
    }

    proptest! {
        #[test]
        fn entropy_and_spread_add_up_to_the_logarithm_of_the_total(
            levels in prop::collection::vec((1.0f64..2.0, 0i64..3000, 1u64..1 << 40), 1..20)
        ) {
            let found = Quantities::of(levels.into_iter()).unwrap();
            let sum = found.entropy + found.expected_spread;
            prop_assert!((sum - found.log2_total).abs() <= 1e-13 * found.log2_total);
        }
    }
}
