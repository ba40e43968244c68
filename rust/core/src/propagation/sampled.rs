//! Functions known by their values at nodes: those that a caller wrote.

use crate::error::{Error, Result};

/// Chebyshev coefficients of each piece.
pub(super) const COEFFICIENTS: usize = 16;

/// A function given piece by piece, and continued by straight lines beyond the first and the last.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Sampled {
    breaks: Vec<f64>,
    pieces: Vec<[f64; COEFFICIENTS]>,
    /// Where pieces meet that do not continue each other.
    kinks: Vec<f64>,
    is_monotone: bool,
}

impl Sampled {
    /// Pieces between breaks, each with the coefficients of its Chebyshev polynomials.
    ///
    /// # Errors
    /// Breaks that do not ascend, numbers that are not finite, or other than one piece between any
    /// two breaks.
    pub(crate) fn new(
        breaks: Vec<f64>,
        coefficients: &[f64],
        kinks: Vec<f64>,
        is_monotone: bool,
    ) -> Result<Self> {
        let (pieces, rest) = coefficients.as_chunks::<COEFFICIENTS>();
        let ascends = breaks.windows(2).all(|ends| ends[0] < ends[1]);
        let finite = breaks.iter().chain(coefficients).chain(&kinks).all(|x| x.is_finite());
        if breaks.len() < 2 || pieces.len() + 1 != breaks.len() || !rest.is_empty() {
            return Err(Error::InvalidSetting {
                reason: format!(
                    "a function of {} breaks needs {COEFFICIENTS} coefficients for each of the \
                     pieces between them, got {}",
                    breaks.len(),
                    coefficients.len()
                ),
            });
        }
        if !ascends || !finite {
            return Err(Error::InvalidSetting {
                reason: "the breaks of a function must ascend, and all its numbers be finite"
                    .into(),
            });
        }
        Ok(Self { breaks, pieces: pieces.to_vec(), kinks, is_monotone })
    }

    /// Where pieces meet that do not continue each other.
    pub(super) fn kinks(&self) -> &[f64] {
        &self.kinks
    }

    /// Whether it never falls.
    pub(super) fn is_monotone(&self) -> bool {
        self.is_monotone
    }

    /// Value and slope at `x`.
    pub(super) fn at(&self, x: f64) -> (f64, f64) {
        let (first, last) = (self.breaks[0], self.breaks[self.pieces.len()]);
        let inside = x.clamp(first, last);
        let after = self.breaks.partition_point(|&point| point <= inside);
        let piece = after.saturating_sub(1).min(self.pieces.len() - 1);
        let (from, to) = (self.breaks[piece], self.breaks[piece + 1]);
        let half = 0.5 * (to - from);
        let t = (inside - 0.5 * (from + to)) / half;
        // Clenshaw's recurrence, for the sum and for its derivative.
        let (mut b1, mut b2, mut d1, mut d2) = (0.0, 0.0, 0.0, 0.0);
        for &c in self.pieces[piece].iter().skip(1).rev() {
            let d = 2.0 * b1 + 2.0 * t * d1 - d2;
            let b = c + 2.0 * t * b1 - b2;
            (d2, d1) = (d1, d);
            (b2, b1) = (b1, b);
        }
        let value = self.pieces[piece][0] + t * b1 - b2;
        let slope = (b1 + t * d1 - d2) / half;
        (value + slope * (x - inside), slope)
    }
}
