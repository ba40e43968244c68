//! Large integers as rows of digits of radix 2^56, the least digit first.
//!
//! Digits stand in words of 64 bits, so that a batch of rows can be added without carries. This
//! module adds digits and settles carries; where rows are stored is up to others.

use num_bigint::BigUint;

use crate::error::{Error, Result};

/// Bits of a digit: up to 255 of them can be added up in 64 bits before carries are settled.
pub(crate) const DIGIT_BITS: u32 = 56;
/// Rows added up before carries are settled, with a few more.
pub(crate) const BATCH: usize = 128;
/// The digit of a sum.
pub(crate) const DIGIT: u64 = (1 << DIGIT_BITS) - 1;

/// How many digits hold so many bits; more than 16 are rounded up to a multiple of 4.
pub(crate) fn digits(bits: u64) -> usize {
    let digits = bits.div_ceil(u64::from(DIGIT_BITS)).max(1) as usize;
    if digits <= 16 { digits } else { digits.next_multiple_of(4) }
}

/// A row without the zeros at its upper end.
pub(crate) fn trimmed(row: &[u64]) -> &[u64] {
    let length = row.iter().rposition(|&digit| digit != 0).map_or(0, |last| last + 1);
    &row[..length]
}

/// The integer of a row.
pub(crate) fn integer(row: &[u64]) -> BigUint {
    let mut words: Vec<u32> = Vec::with_capacity(2 * row.len());
    let (mut held, mut bits) = (0u128, 0);
    for &digit in trimmed(row) {
        held |= u128::from(digit) << bits;
        bits += DIGIT_BITS;
        while bits >= 32 {
            words.push(held as u32);
            held >>= 32;
            bits -= 32;
        }
    }
    words.push(held as u32);
    BigUint::new(words)
}

/// Adds four rows digit by digit, without carries; to what is in `sums` if `MORE`, else in its
/// place.
#[inline(always)]
pub(crate) fn add_four<const MORE: bool>(sums: &mut [u64], [a, b, c, d]: [&[u64]; 4]) {
    for ((((sum, a), b), c), d) in sums.iter_mut().zip(a).zip(b).zip(c).zip(d) {
        let four = a.wrapping_add(*b).wrapping_add(c.wrapping_add(*d));
        *sum = if MORE { sum.wrapping_add(four) } else { four };
    }
}

/// Adds a row digit by digit, without carries.
#[inline(always)]
pub(crate) fn add_row(sums: &mut [u64], row: &[u64]) {
    for (sum, &digit) in sums.iter_mut().zip(row) {
        *sum = sum.wrapping_add(digit);
    }
}

/// Tries to settle all carries in one step, and writes the rows of some nodes to `own`. This fails,
/// and returns `false`, if a carry sets off a second one or leaves a row, which hardly ever
/// happens.
#[inline(always)]
pub(crate) fn settle_at_once(sums: &[u64], digits: usize, own: &mut [u64]) -> bool {
    let carries = sums.iter().map(|sum| sum >> DIGIT_BITS);
    let mut over = 0;
    if let ([first, own @ ..], [lowest, sums @ ..]) = (own, sums) {
        *first = lowest & DIGIT;
        for ((own, sum), carry) in own.iter_mut().zip(sums).zip(carries) {
            *own = (sum & DIGIT) + carry;
            over |= *own;
        }
    }
    let out = sums.chunks_exact(digits).filter_map(<[u64]>::last).fold(0, |all, top| all | top);
    (over | out) >> DIGIT_BITS == 0
}

/// Adds `carry` to the lowest digit, settles all carries, and returns what the last digit carries
/// out.
#[inline(always)]
pub(crate) fn settle(sums: &mut [u64], mut carry: u64) -> u64 {
    for sum in sums {
        let with_carry = sum.wrapping_add(carry);
        *sum = with_carry & DIGIT;
        carry = with_carry >> DIGIT_BITS;
    }
    carry
}

/// Adds sums of digits to wide ones.
#[inline(always)]
pub(crate) fn add_to(wide: &mut [u128], sums: &[u64]) {
    for (wide, &sum) in wide.iter_mut().zip(sums) {
        *wide += u128::from(sum);
    }
}

/// Settles the carries of `wide` in place; the last digit keeps what it would carry out.
#[inline(always)]
pub(crate) fn carry_over(wide: &mut [u128]) {
    let mut carry = 0;
    if let Some((top, lower)) = wide.split_last_mut() {
        for wide in lower {
            let sum = wide.wrapping_add(carry);
            *wide = sum & u128::from(DIGIT);
            carry = sum >> DIGIT_BITS;
        }
        *top = top.wrapping_add(carry);
    }
}

/// Writes `wide + carry` as digits.
///
/// # Errors
/// [`Error::Internal`] if the last digit carries something out.
#[inline(always)]
pub(crate) fn settle_wide(wide: &[u128], digits: &mut [u64], mut carry: u128) -> Result<()> {
    for (digit, wide) in digits.iter_mut().zip(wide) {
        let sum = wide.wrapping_add(carry);
        *digit = sum as u64 & DIGIT;
        carry = sum >> DIGIT_BITS;
    }
    no_carry(u64::from(carry != 0))
}

/// Refuses a carry out of the last digit, which would mean that the bound on the width was wrong.
///
/// # Errors
/// [`Error::Internal`] if there is a carry.
#[inline(always)]
pub(crate) fn no_carry(carry: u64) -> Result<()> {
    if carry == 0 {
        return Ok(());
    }
    Err(Error::Internal("a count is larger than its bound".into()))
}
