//! Numbers with an exponent of their own, for signals that grow or shrink without end.

/// `value * 4^exponent`.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Scaled {
    /// The number but for the exponent.
    pub value: f64,
    /// The power of four.
    pub exponent: i64,
}

/// Powers of four that a value may keep to itself.
const ROOM: i64 = 100;

/// `2^exponent`, zero or infinite out of range.
pub(super) fn power_of_two(exponent: i64) -> f64 {
    match exponent {
        0 => 1.0,
        -1022..=1023 => f64::from_bits(((exponent + 1023) as u64) << 52),
        _ if exponent > 0 => f64::INFINITY,
        _ => 0.0,
    }
}

/// `4^exponent`.
pub(crate) fn power_of_four(exponent: i64) -> f64 {
    power_of_two(exponent.clamp(-1000, 1000) * 2)
}

/// By which power of four `value` should be divided so that it is neither large nor small.
pub(crate) fn excess(value: f64) -> i64 {
    let exponent = ((value.abs().to_bits() >> 52) & 0x7ff) as i64 - 1023;
    if value == 0.0 || exponent.abs() <= 2 * ROOM { 0 } else { exponent.div_euclid(2) }
}

impl Scaled {
    /// A number of moderate size.
    #[must_use]
    pub fn new(value: f64, exponent: i64) -> Self {
        let shift = excess(value);
        if shift == 0 {
            return Self { value, exponent };
        }
        Self { value: value * power_of_four(-shift), exponent: exponent + shift }
    }

    /// Adds another one.
    pub(super) fn add(&mut self, other: Self) {
        if other.value == 0.0 {
            return;
        }
        if self.value == 0.0 {
            *self = other;
            return;
        }
        let exponent = self.exponent.max(other.exponent);
        let value = self.value * power_of_four(self.exponent - exponent)
            + other.value * power_of_four(other.exponent - exponent);
        *self = Self::new(value, exponent);
    }

    /// The number, if it is neither too large nor too small for its type.
    #[must_use]
    pub fn to_f64(self) -> f64 {
        // In two steps, so that what ends within range is not lost on the way.
        let first = self.exponent.clamp(-450, 450);
        self.value * power_of_four(first) * power_of_four(self.exponent - first)
    }

    /// The natural logarithm; minus infinity for zero.
    #[must_use]
    pub fn ln(self) -> f64 {
        self.value.ln() + self.exponent as f64 * 4f64.ln()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_far_apart_add_to_the_larger() {
        let mut sum = Scaled::new(3.0, 5000);
        sum.add(Scaled::new(7.0, -5000));
        assert_eq!(sum, Scaled::new(3.0, 5000));
        let mut sum = Scaled::new(1e200, 0);
        sum.add(Scaled::new(1e200, 0));
        assert!((sum.to_f64() / 2e200 - 1.0).abs() < 1e-15);
        assert!((Scaled::new(1e-300, 0).ln() - 1e-300f64.ln()).abs() < 1e-12);
        assert_eq!(Scaled::new(1.0, 5000).to_f64(), f64::INFINITY);
        assert_eq!(Scaled::default().ln(), f64::NEG_INFINITY);
    }
}
