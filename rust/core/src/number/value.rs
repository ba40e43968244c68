//! Counts as they are given out: a scaled floating-point number, and the integer if it is known.

use num_bigint::BigUint;

/// A count: a scaled floating-point number, and the integer if it was counted exactly.
///
/// ```
/// use unrolled_core::Value;
/// let value = Value::integer(12u32.into());
/// assert_eq!((value.mantissa, value.exponent), (1.5, 3));
/// assert_eq!(value.log2(), 12f64.log2());
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Value {
    /// The count is `mantissa * 2^exponent` with the mantissa in `[1, 2)`, or 0 for no context.
    /// Exact counts are rounded to nearest.
    pub mantissa: f64,
    /// The exponent, to base 2.
    pub exponent: i64,
    /// The count itself, if it was counted exactly.
    pub exact: Option<BigUint>,
}

impl Value {
    /// The base-2 logarithm; minus infinity for zero.
    #[must_use]
    pub fn log2(&self) -> f64 {
        self.mantissa.log2() + self.exponent as f64
    }

    /// Whether there is no context at all.
    #[must_use]
    pub fn is_zero(&self) -> bool {
        self.mantissa == 0.0
    }

    /// The count `mantissa * 2^exponent`, normalised.
    #[must_use]
    pub fn scaled(mantissa: f64, exponent: i64) -> Self {
        let (mantissa, shift) = split_exponent(mantissa);
        Self { mantissa, exponent: if mantissa == 0.0 { 0 } else { exponent + shift }, exact: None }
    }

    /// An exact count, and the nearest scaled number to it.
    #[must_use]
    pub fn integer(count: BigUint) -> Self {
        let bits = count.bits();
        let shift = bits.saturating_sub(64);
        // The 64 highest bits stand in the two highest words.
        let mut words = count.iter_u64_digits().rev();
        let (first, second) = (words.next().unwrap_or(0), words.next().unwrap_or(0));
        let idle = first.leading_zeros();
        let head = if shift == 0 || idle == 0 {
            first
        } else {
            first << idle | second >> (u64::BITS - idle)
        };
        // Of the bits that are shifted out it only matters whether one is set: that decides between
        // two neighbours where the rest is a half.
        let sticky = shift > 0 && count.trailing_zeros().is_some_and(|zeros| zeros < shift);
        let scaled = Self::scaled((head | u64::from(sticky)) as f64, shift as i64);
        Self { exact: Some(count), ..scaled }
    }

    /// Compares two counts by size.
    #[must_use]
    pub fn compare(&self, other: &Self) -> std::cmp::Ordering {
        // Rounding keeps the order: only where it made two counts equal must their integers tell.
        let key = |value: &Self| (!value.is_zero(), value.exponent, value.mantissa.to_bits());
        key(self).cmp(&key(other)).then_with(|| match (&self.exact, &other.exact) {
            (Some(a), Some(b)) => a.cmp(b),
            _ => std::cmp::Ordering::Equal,
        })
    }
}

/// The mantissa in `[1, 2)` and the exponent of a normal number; zeros for zero.
pub(crate) fn split_exponent(value: f64) -> (f64, i64) {
    if value == 0.0 {
        return (0.0, 0);
    }
    let bits = value.to_bits();
    let exponent = ((bits >> 52) & 0x7ff) as i64 - 1023;
    (f64::from_bits((bits & !(0x7ff << 52)) | (1023 << 52)), exponent)
}
