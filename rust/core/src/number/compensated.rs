//! Sums of floating-point numbers that keep what rounding takes away.

/// A compensated sum (Neumaier).
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct CompensatedSum {
    high: f64,
    /// What rounding took away.
    low: f64,
}

impl CompensatedSum {
    /// Adds a term.
    pub(crate) fn add(&mut self, term: f64) {
        let sum = self.high + term;
        self.low += if self.high.abs() >= term.abs() {
            (self.high - sum) + term
        } else {
            (term - sum) + self.high
        };
        self.high = sum;
    }

    /// The sum of all terms.
    pub(crate) fn value(self) -> f64 {
        self.high + self.low
    }
}
