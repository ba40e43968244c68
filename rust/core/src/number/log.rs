//! Floating-point numbers that do not overflow: a digit of radix 2^512, whose plane is its
//! exponent.

use crate::machine::reserve::Reserve;
use crate::number::positional::Number;
use crate::number::semiring::Semiring;
use crate::number::value::{Value, split_exponent};

const RADIX: u32 = 512;
/// 2^512, from which on a digit moves up a plane.
const TOP: f64 = f64::from_bits((1023 + RADIX as u64) << 52);
/// 2^-512.
const SHIFT: f64 = f64::from_bits((1023 - RADIX as u64) << 52);

/// The semiring of natural numbers, rounded. Digits are sums of non-negative terms, so that no
/// relative precision is lost. A digit that reaches 2^512 moves up a plane as a whole.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Log;

impl Semiring for Log {
    type Lane = f64;

    const ZERO: f64 = 0.0;
    const ONE: f64 = 1.0;

    #[inline(always)]
    fn add(a: f64, b: f64) -> f64 {
        a + b
    }

    #[inline(always)]
    fn weigh(a: f64, weight: u64) -> f64 {
        a * weight as f64
    }
}

impl Number for Log {
    type Wide = f64;

    const EXACT: bool = false;
    const RADIX_BITS: u64 = RADIX as u64;
    const HEADROOM: u64 = u64::MAX;
    const MAX_SCALE: u64 = u64::MAX;

    fn reserve() -> &'static Reserve<f64> {
        static RESERVE: Reserve<f64> = Reserve::new();
        &RESERVE
    }

    #[inline(always)]
    fn settle<const ADD: bool, const SCALED: bool>(
        held: f64,
        mixed: f64,
        scale: u64,
        carry: f64,
    ) -> (f64, f64) {
        let scaled = if SCALED { mixed * scale as f64 } else { mixed };
        let sum = scaled + carry + if ADD { held } else { 0.0 };
        if sum < TOP { (sum, 0.0) } else { (0.0, sum * SHIFT) }
    }

    fn widen(sum: f64, lane: f64, weight: u64) -> f64 {
        sum + lane * weight as f64
    }

    fn narrow(sum: f64) -> (f64, f64) {
        if sum < TOP { (sum, 0.0) } else { (0.0, sum * SHIFT) }
    }

    fn bits(lane: f64) -> u64 {
        if lane == 0.0 { 0 } else { split_exponent(lane).1.max(0) as u64 + 1 }
    }

    fn swallows(lane: f64) -> bool {
        // The plane below is less than one unit of this one, so that it is lost in the rounding of
        // a digit of more than 53 bits.
        lane >= (1u64 << 60) as f64
    }

    fn value(lanes: impl DoubleEndedIterator<Item = f64>, low: usize, factors: &[u64]) -> Value {
        let (mut digits, mut top) = (0.0, 0);
        for (plane, lane) in (low as i64..).zip(lanes).filter(|&(_, lane)| lane != 0.0) {
            // Nothing is left of a digit two planes further down.
            digits = if plane == top + 1 { lane + digits * SHIFT } else { lane };
            top = plane;
        }
        let start = Value::scaled(digits, top * i64::from(RADIX));
        factors.iter().fold(start, |product, &factor| {
            Value::scaled(product.mantissa * factor as f64, product.exponent)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_move_up_as_a_whole() {
        assert_eq!(Log::settle::<true, true>(3.0, TOP / 2.0, 5, 0.0), (0.0, 2.5));
        let value = Log::value([0.0, 2.5].into_iter(), 1, &[4]);
        assert_eq!((value.mantissa, value.exponent), (1.25, 1024 + 3));
    }

    #[test]
    fn planes_add_up() {
        let value = Log::value([TOP / 2.0, 1.0].into_iter(), 0, &[]);
        assert_eq!((value.mantissa, value.exponent), (1.5, 512));
    }
}
