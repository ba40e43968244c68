//! Unsigned integers of unlimited size, in planes of 48 bits.

use num_bigint::BigUint;

use crate::machine::reserve::Reserve;
use crate::number::positional::Number;
use crate::number::semiring::Semiring;
use crate::number::value::Value;

const RADIX: u32 = 48;
const DIGIT: u64 = (1 << RADIX) - 1;

/// The semiring of natural numbers, exactly.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Exact;

impl Semiring for Exact {
    type Lane = u64;

    const ZERO: u64 = 0;
    const ONE: u64 = 1;

    #[inline(always)]
    fn add(a: u64, b: u64) -> u64 {
        a.wrapping_add(b)
    }

    #[inline(always)]
    fn weigh(a: u64, weight: u64) -> u64 {
        a.wrapping_mul(weight)
    }
}

impl Number for Exact {
    type Wide = u128;

    const EXACT: bool = true;
    const RADIX_BITS: u64 = RADIX as u64;
    // A sum of digits of this total weight stays below 2^64 - 2^48.
    const HEADROOM: u64 = (1 << (64 - RADIX)) - 1;
    // Both halves of a product, a digit and a carry then fit into 64 bits together.
    const MAX_SCALE: u64 = 1 << 30;

    fn reserve() -> &'static Reserve<u64> {
        static RESERVE: Reserve<u64> = Reserve::new();
        &RESERVE
    }

    #[inline(always)]
    fn settle<const ADD: bool, const SCALED: bool>(
        held: u64,
        mixed: u64,
        scale: u64,
        carry: u64,
    ) -> (u64, u64) {
        let held = if ADD { held } else { 0 };
        if SCALED {
            let scale = scale & 0xffff_ffff;
            let low = (mixed & 0xffff_ffff).wrapping_mul(scale);
            let high = (mixed >> 32).wrapping_mul(scale);
            let sum =
                low.wrapping_add((high & 0xffff) << 32).wrapping_add(carry).wrapping_add(held);
            (sum & DIGIT, (sum >> RADIX).wrapping_add(high >> 16))
        } else {
            // The carry of an unscaled sum is small, so only `held` can still overflow a lane.
            let sum = mixed.wrapping_add(carry);
            let digit = (sum & DIGIT).wrapping_add(held);
            (digit & DIGIT, (sum >> RADIX).wrapping_add(digit >> RADIX))
        }
    }

    fn widen(sum: u128, lane: u64, weight: u64) -> u128 {
        sum + u128::from(lane) * u128::from(weight)
    }

    fn narrow(sum: u128) -> (u64, u128) {
        (sum as u64 & DIGIT, sum >> RADIX)
    }

    #[inline(always)]
    fn bits(lane: u64) -> u64 {
        u64::from(64 - lane.leading_zeros())
    }

    fn swallows(_lane: u64) -> bool {
        false
    }

    fn value(lanes: impl DoubleEndedIterator<Item = u64>, low: usize, factors: &[u64]) -> Value {
        let digits = low + lanes.size_hint().0;
        let mut words: Vec<u32> = Vec::with_capacity(digits * RADIX as usize / 32 + 1);
        let (mut pending, mut filled) = (0u128, 0);
        for lane in std::iter::repeat_n(0, low).chain(lanes) {
            pending |= u128::from(lane) << filled;
            filled += RADIX;
            while filled >= 32 {
                words.push(pending as u32);
                pending >>= 32;
                filled -= 32;
            }
        }
        words.push(pending as u32);
        let digits = BigUint::new(words);
        Value::integer(factors.iter().fold(digits, |product, &factor| product * factor))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn settling_keeps_the_value(
            mixed in any::<u64>(), carry in 0u64..1 << 46, kept in 0..=DIGIT, scale in 1u64..=1 << 30,
        ) {
            let expected = u128::from(mixed) * u128::from(scale) + u128::from(carry) + u128::from(kept);
            let (out, left) = Exact::settle::<true, true>(kept, mixed, scale, carry);
            prop_assert!(out <= DIGIT && left <= 1 << 47);
            prop_assert_eq!((u128::from(left) << RADIX) + u128::from(out), expected);
        }

        #[test]
        fn unscaled_settling_keeps_the_value(
            mixed in 0..=u64::MAX - (1 << 48), carry in 0u64..1 << 47, kept in 0..=DIGIT,
        ) {
            let expected = u128::from(mixed) + u128::from(carry);
            let (out, left) = Exact::settle::<false, false>(kept, mixed, 1, carry);
            prop_assert_eq!((u128::from(left) << RADIX) + u128::from(out), expected);
            let (out, left) = Exact::settle::<true, false>(kept, mixed, 1, carry);
            prop_assert_eq!((u128::from(left) << RADIX) + u128::from(out), expected + u128::from(kept));
        }

        #[test]
        fn values_are_rounded_to_nearest(words in prop::collection::vec(any::<u32>(), 1..8)) {
            let count = BigUint::new(words);
            let value = Value::integer(count.clone());
            let text = count.to_string();
            let nearest: f64 = text.parse().unwrap();
            prop_assert_eq!(value.mantissa * 2f64.powi(value.exponent as i32), nearest);
        }
    }
}
