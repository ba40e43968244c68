//! The law of normal variables, and the moments of a function of them.

/// Normal variables of equal mean and variance: an element in one sample at one position, and the
/// same element in another sample or at another position.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Law {
    /// Mean of each.
    pub(crate) mean: f64,
    /// Variance of each.
    pub(crate) variance: f64,
    /// Correlation with the element of another sample, of another position, and of both.
    pub(crate) correlations: [f64; 3],
}

impl Law {
    /// Which correlation is that between positions of one sample.
    pub(crate) const POSITIONS: usize = 1;

    /// What tells it from all other laws.
    pub(crate) fn bits(&self) -> [u64; 5] {
        let [samples, positions, both] = self.correlations;
        [self.mean, self.variance, samples, positions, both].map(f64::to_bits)
    }
}

/// Moments of the values of a function, and of its slope.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Moments {
    /// `E f(x)`.
    pub(crate) mean: f64,
    /// `E f(x)^2`.
    pub(crate) square: f64,
    /// `E f(x) f(x')` for the three correlations.
    pub(crate) pairs: [f64; 3],
    /// `E f'(x)^2`.
    pub(crate) slope_square: f64,
    /// `E f'(x) f'(x')` for another position of one sample.
    pub(crate) slope_pair: f64,
}

impl Moments {
    /// The moments of a function that is constant.
    pub(crate) fn constant(value: f64) -> Self {
        let square = value * value;
        Self { mean: value, square, pairs: [square; 3], ..Self::default() }
    }
}
