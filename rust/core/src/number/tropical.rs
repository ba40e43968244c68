//! Lengths of paths in place of their numbers: the tropical semirings.
//!
//! The sum of two elements is the greater length (max-plus) or the smaller one (min-plus), and the
//! product of an element and a link is one more. How many paths there are does not matter.

use crate::machine::reserve::Reserve;
use crate::number::exact::Exact;
use crate::number::positional::Number;
use crate::number::semiring::Semiring;
use crate::number::value::Value;

/// Where shortest lengths begin: length 0 is this number, and greater lengths count down from it.
const START: u64 = 1 << 52;

/// Greatest lengths if `LONGEST`, else least lengths. A lane is 0 where there is no path. Otherwise
/// it rises with the length if `LONGEST`, and falls with it if not, so that a sum is the larger of
/// two lanes in both cases.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tropical<const LONGEST: bool>;

impl<const LONGEST: bool> Semiring for Tropical<LONGEST> {
    type Lane = u64;

    const ZERO: u64 = 0;
    const ONE: u64 = if LONGEST { 1 } else { START };

    #[inline(always)]
    fn add(a: u64, b: u64) -> u64 {
        a.max(b)
    }

    #[inline(always)]
    fn weigh(a: u64, weight: u64) -> u64 {
        if weight == 0 { 0 } else { a }
    }

    const LINKS_HAVE_LENGTH: bool = true;

    // Beyond the lanes of a row a buffer may hold anything, so that the arithmetic must not panic.
    fn through_link(lane: u64) -> u64 {
        match lane {
            0 => 0,
            _ if LONGEST => lane.wrapping_add(1),
            _ => lane.wrapping_sub(1),
        }
    }
}

impl<const LONGEST: bool> Number for Tropical<LONGEST> {
    type Wide = u64;

    const EXACT: bool = false;
    // So large a radix means that there is never more than one plane, whatever is added up.
    const RADIX_BITS: u64 = 1 << 32;
    const HEADROOM: u64 = u64::MAX;
    const MAX_SCALE: u64 = u64::MAX;

    fn reserve() -> &'static Reserve<u64> {
        Exact::reserve()
    }

    #[inline(always)]
    fn settle<const ADD: bool, const SCALED: bool>(
        held: u64,
        mixed: u64,
        scale: u64,
        carry: u64,
    ) -> (u64, u64) {
        let mixed = if SCALED { Self::weigh(mixed, scale) } else { mixed };
        (mixed.max(carry).max(if ADD { held } else { 0 }), 0)
    }

    fn widen(sum: u64, lane: u64, weight: u64) -> u64 {
        sum.max(Self::weigh(lane, weight))
    }

    fn narrow(sum: u64) -> (u64, u64) {
        (sum, 0)
    }

    #[inline(always)]
    fn bits(lane: u64) -> u64 {
        u64::from(lane != 0)
    }

    fn swallows(_lane: u64) -> bool {
        false
    }

    /// The length plus one, or 0 where there is no path.
    fn value(lanes: impl DoubleEndedIterator<Item = u64>, _low: usize, factors: &[u64]) -> Value {
        let lane = factors.iter().fold(lanes.fold(0, u64::max), |lane, &f| Self::weigh(lane, f));
        let beyond = if LONGEST || lane == 0 { lane } else { START + 1 - lane };
        Value::scaled(beyond as f64, 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn length<const LONGEST: bool>(steps: usize, others: &[usize]) -> f64 {
        let walk = |steps| {
            (0..steps)
                .fold(Tropical::<LONGEST>::ONE, |lane, _| Tropical::<LONGEST>::through_link(lane))
        };
        let sum = others.iter().fold(walk(steps), |sum, &n| Tropical::<LONGEST>::add(sum, walk(n)));
        let value = Tropical::<LONGEST>::value([sum].into_iter(), 0, &[3]);
        value.mantissa * 2f64.powi(value.exponent as i32) - 1.0
    }

    #[test]
    fn the_longest_and_the_shortest_remain() {
        assert_eq!((length::<true>(3, &[0, 7, 5]), length::<false>(3, &[8, 2, 5])), (7.0, 2.0));
        assert_eq!(length::<false>(0, &[1]), 0.0);
        assert!(Tropical::<false>::value([0].into_iter(), 0, &[]).is_zero());
        assert!(Tropical::<true>::value([5].into_iter(), 0, &[2, 0]).is_zero());
    }
}
