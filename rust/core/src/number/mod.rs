//! What a count is carried in: planes of lanes, behind one small trait.
//!
//! A count is the sum over planes `q` of `lane[q] * 2^(RADIX_BITS * q)`. Exact counts are integers
//! below 2^48 in 64-bit lanes; log-space counts are floating-point numbers of radix 2^512, of which
//! only one or two planes are ever occupied. Both share every kernel: sums are taken lane by lane,
//! plane by plane, and carries are settled once a pass.

mod exact;
mod log;
mod tropical;

use num_bigint::BigUint;

use crate::network::engine::arena::Reserve;

pub(crate) use exact::Exact;
pub(crate) use log::Log;
pub(crate) use tropical::Steps;

/// A count taken out of its planes.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Value {
    /// The count is `mantissa * 2^exponent` with the mantissa in `[1, 2)`, or 0 for no context.
    /// Exact counts are rounded to nearest.
    pub mantissa: f64,
    /// See `mantissa`.
    pub exponent: i64,
    /// The count itself, if it was counted exactly.
    pub exact: Option<BigUint>,
}

impl Value {
    /// Base-2 logarithm; minus infinity for zero.
    #[must_use]
    pub fn log2(&self) -> f64 {
        self.mantissa.log2() + self.exponent as f64
    }

    /// Whether there is no context at all.
    #[must_use]
    pub fn is_zero(&self) -> bool {
        self.mantissa == 0.0
    }

    /// Normalises `mantissa * 2^exponent`.
    #[must_use]
    pub fn scaled(mantissa: f64, exponent: i64) -> Self {
        let (mantissa, shift) = split_exponent(mantissa);
        Self { mantissa, exponent: if mantissa == 0.0 { 0 } else { exponent + shift }, exact: None }
    }

    /// The nearest scaled number of an integer, which is kept.
    #[must_use]
    pub fn integer(count: BigUint) -> Self {
        let bits = count.bits();
        let shift = bits.saturating_sub(64);
        let head = (&count >> shift).iter_u64_digits().next().unwrap_or(0);
        // Bits shifted out only matter as "more than half": keep them as one sticky bit.
        let sticky = shift > 0 && count.trailing_zeros().is_some_and(|zeros| zeros < shift);
        let scaled = Self::scaled((head | u64::from(sticky)) as f64, shift as i64);
        Self { exact: Some(count), ..scaled }
    }

    /// Orders by size.
    #[must_use]
    pub fn compare(&self, other: &Self) -> std::cmp::Ordering {
        match (&self.exact, &other.exact) {
            (Some(a), Some(b)) => a.cmp(b),
            _ => {
                let key = |value: &Self| (!value.is_zero(), value.exponent);
                key(self).cmp(&key(other)).then(self.mantissa.total_cmp(&other.mantissa))
            }
        }
    }
}

/// `value = mantissa * 2^exponent` with the mantissa in `[1, 2)`; zero stays zero. Normal numbers
/// only.
pub(crate) fn split_exponent(value: f64) -> (f64, i64) {
    if value == 0.0 {
        return (0.0, 0);
    }
    let bits = value.to_bits();
    let exponent = ((bits >> 52) & 0x7ff) as i64 - 1023;
    (f64::from_bits((bits & !(0x7ff << 52)) | (1023 << 52)), exponent)
}

/// A way to carry counts in planes.
pub(crate) trait Number: Copy + 'static {
    /// One digit of a count.
    type Lane: Copy + Default + PartialEq + PartialOrd + Send + Sync + 'static;
    /// A sum of many weighted lanes.
    type Wide: Copy + Default;

    /// Buffers kept from one count for the next.
    fn reserve() -> &'static Reserve<Self::Lane>;

    /// Whether counts are integers without rounding.
    const EXACT: bool;
    /// Bits of one plane.
    const RADIX_BITS: u64;
    /// Largest total weight of lanes added up before their carries are settled.
    const HEADROOM: u64;
    /// Largest scale of [`Number::settle`].
    const MAX_SCALE: u64;
    /// The digit one.
    const ONE: Self::Lane;

    fn add(a: Self::Lane, b: Self::Lane) -> Self::Lane;
    fn weigh(a: Self::Lane, weight: u64) -> Self::Lane;

    /// `mixed * scale + carry`, plus `held` if `ADD`, as a digit and what is carried to the next
    /// plane. Without `SCALED`, the scale is 1.
    fn settle<const ADD: bool, const SCALED: bool>(
        held: Self::Lane,
        mixed: Self::Lane,
        scale: u64,
        carry: Self::Lane,
    ) -> (Self::Lane, Self::Lane);

    /// `sum + lane * weight`.
    fn widen(sum: Self::Wide, lane: Self::Lane, weight: u64) -> Self::Wide;
    /// The digit of a wide sum, and what is carried to the next plane.
    fn narrow(sum: Self::Wide) -> (Self::Lane, Self::Wide);

    /// Number of bits of a digit; 0 for zero.
    fn bits(lane: Self::Lane) -> u64;

    /// Whether a lane changes from the target of a link to its source.
    const TAKES_STEPS: bool = false;
    /// How it does.
    fn step(lane: Self::Lane) -> Self::Lane {
        lane
    }

    /// Whether planes below `lane`, the digit of the highest plane, are lost in its rounding.
    fn swallows(lane: Self::Lane) -> bool;

    /// The count of the digits `lanes`, the first of which is in plane `low`, times `factors`.
    fn value(
        lanes: impl DoubleEndedIterator<Item = Self::Lane>,
        low: usize,
        factors: &[u64],
    ) -> Value;
}
