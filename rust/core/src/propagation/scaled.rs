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

/// Exponents of signals and derivatives may be this large. Sums of a few stay within their type, and
/// a logarithm in double precision keeps digits behind the point.
const MOST_EXPONENT: u64 = 1 << 48;

/// Whether an exponent is one that can be followed.
pub(super) fn is_in_range(exponent: i64) -> bool {
    exponent.unsigned_abs() <= MOST_EXPONENT
}

/// `2^exponent`, zero or infinite out of range.
pub(super) fn power_of_two(exponent: i64) -> f64 {
    match exponent {
        0 => 1.0,
        -1022..=1023 => f64::from_bits(((exponent + 1023) as u64) << 52),
        _ if exponent > 0 => f64::INFINITY,
        _ => 0.0,
    }
}

/// `value * 2^exponent`. Zero stays zero whatever the exponent, and what ends within range is not
/// lost on the way.
pub(super) fn times_power_of_two(value: f64, exponent: i64) -> f64 {
    if value == 0.0 || exponent == 0 {
        return value;
    }
    let (mut product, mut left) = (value, exponent.clamp(-3000, 3000));
    while left != 0 {
        let step = left.clamp(-1022, 1023);
        product *= power_of_two(step);
        left -= step;
    }
    product
}

/// `value * 4^exponent`, in the same way.
pub(crate) fn times_power_of_four(value: f64, exponent: i64) -> f64 {
    times_power_of_two(value, exponent.clamp(-1500, 1500) * 2)
}

/// By which power of four `value` should be divided so that it is neither large nor small.
pub(crate) fn excess(value: f64) -> i64 {
    let exponent = if value.is_subnormal() {
        exponent_of(value * power_of_two(100)) - 100
    } else {
        exponent_of(value)
    };
    if value == 0.0 || exponent.abs() <= 2 * ROOM { 0 } else { exponent.div_euclid(2) }
}

/// The power of two that a number is written with.
fn exponent_of(value: f64) -> i64 {
    ((value.to_bits() >> 52) & 0x7ff) as i64 - 1023
}

impl Scaled {
    /// A number of moderate size.
    #[must_use]
    pub fn new(value: f64, exponent: i64) -> Self {
        let shift = excess(value);
        match shift {
            _ if value == 0.0 => Self::default(),
            0 => Self { value, exponent },
            _ => Self {
                value: times_power_of_four(value, -shift),
                exponent: exponent.saturating_add(shift),
            },
        }
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
        let value = times_power_of_four(self.value, self.exponent.saturating_sub(exponent))
            + times_power_of_four(other.value, other.exponent.saturating_sub(exponent));
        *self = Self::new(value, exponent);
    }

    /// The number, if it is neither too large nor too small for its type.
    #[must_use]
    pub fn to_f64(self) -> f64 {
        times_power_of_four(self.value, self.exponent)
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
    fn zero_stays_zero_and_what_ends_within_range_is_not_lost() {
        assert_eq!(times_power_of_four(0.0, 5000), 0.0);
        assert_eq!(Scaled { value: 0.0, exponent: i64::MAX }.to_f64(), 0.0);
        assert_eq!(
            times_power_of_two(f64::MAX, -2000),
            f64::MAX / 2f64.powi(1000) / 2f64.powi(1000)
        );
        assert_eq!(times_power_of_two(5e-324, 1074), 1.0);
        for value in [5e-324, 1e-310, f64::MIN_POSITIVE, 1e300, f64::MAX] {
            let scaled = Scaled::new(value, 7);
            assert!((0.5..=2.0).contains(&scaled.value.sqrt()), "{value:e} became {scaled:?}");
            assert_eq!(times_power_of_four(scaled.value, scaled.exponent - 7), value);
        }
    }

    #[test]
    fn exponents_that_leave_their_type_stay_at_its_end() {
        let mut sum = Scaled::new(1e300, i64::MAX);
        assert_eq!(sum.exponent, i64::MAX);
        sum.add(Scaled::new(1e-300, i64::MIN));
        assert_eq!(sum.exponent, i64::MAX);
        assert!(!is_in_range(i64::MIN) && !is_in_range(i64::MAX) && is_in_range(-(1 << 48)));
    }

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
