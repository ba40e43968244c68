//! Numbers written in planes of digits.
//!
//! A count is the sum over planes `q` of `lane[q] * 2^(RADIX_BITS * q)`. Exact counts are integers
//! below 2^48 in 64-bit lanes; counts in log space are floating-point numbers of radix 2^512, of
//! which only one or two planes are ever occupied; lengths have a single plane. All share every
//! kernel: sums are taken lane by lane, plane by plane, and carries are settled once a pass.

use crate::machine::reserve::Reserve;
use crate::number::semiring::Semiring;
use crate::number::value::Value;

/// A semiring whose elements are written in planes of digits.
pub(crate) trait Number: Semiring {
    /// A sum of many weighted lanes, too large for a lane.
    type Wide: Copy + Default;

    /// The buffers that are kept from one count for the next.
    fn reserve() -> &'static Reserve<Self::Lane>;

    /// Whether counts are integers without rounding.
    const EXACT: bool;
    /// Bits of one plane.
    const RADIX_BITS: u64;
    /// The largest total weight of lanes that may be added up before their carries are settled.
    const HEADROOM: u64;
    /// The largest scale that [`Number::settle`] takes.
    const MAX_SCALE: u64;

    /// `mixed * scale + carry`, plus `held` if `ADD`, as a digit and what it carries to the next
    /// plane. Without `SCALED`, the scale must be 1.
    fn settle<const ADD: bool, const SCALED: bool>(
        held: Self::Lane,
        mixed: Self::Lane,
        scale: u64,
        carry: Self::Lane,
    ) -> (Self::Lane, Self::Lane);

    /// `sum + lane * weight`.
    fn widen(sum: Self::Wide, lane: Self::Lane, weight: u64) -> Self::Wide;
    /// The digit of a wide sum, and what it carries to the next plane.
    fn narrow(sum: Self::Wide) -> (Self::Lane, Self::Wide);

    /// The number of bits of a digit; 0 for zero.
    fn bits(lane: Self::Lane) -> u64;

    /// Whether the planes below a digit are lost in its rounding.
    fn swallows(lane: Self::Lane) -> bool;

    /// The number with the digits `lanes`, the first of which is in plane `low`, times all
    /// `factors`.
    fn value(
        lanes: impl DoubleEndedIterator<Item = Self::Lane>,
        low: usize,
        factors: &[u64],
    ) -> Value;
}
