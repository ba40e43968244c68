//! Large integers as digits of radix 2^56, the least first: sums of rows of them, and carries.

use num_bigint::BigUint;

use crate::error::{Error, Result};

/// Bits of a digit: up to 255 of them can be added up in 64 bits before carries are settled.
pub(crate) const DIGIT_BITS: u32 = 56;
/// Rows added up before carries are settled, with a few more.
pub(crate) const BATCH: usize = 128;
/// The digit of a sum.
pub(crate) const DIGIT: u64 = (1 << DIGIT_BITS) - 1;

/// How many digits hold this many bits; beyond 16, a multiple of 4.
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

/// Adds digits of four rows one by one, to what there is if `MORE`.
#[inline(always)]
pub(crate) fn add_four<const MORE: bool>(sums: &mut [u64], [a, b, c, d]: [&[u64]; 4]) {
    for ((((sum, a), b), c), d) in sums.iter_mut().zip(a).zip(b).zip(c).zip(d) {
        let four = a.wrapping_add(*b).wrapping_add(c.wrapping_add(*d));
        *sum = if MORE { sum.wrapping_add(four) } else { four };
    }
}

/// Adds digits one by one.
#[inline(always)]
pub(crate) fn add_row(sums: &mut [u64], row: &[u64]) {
    for (sum, &digit) in sums.iter_mut().zip(row) {
        *sum = sum.wrapping_add(digit);
    }
}

/// Writes the sums of some nodes as digits, if no carry moves a second one and none leaves a
/// row, which is hardly ever so.
#[inline(always)]
pub(crate) fn carried_at_once(sums: &[u64], digits: usize, own: &mut [u64]) -> bool {
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

/// Adds `carry`, settles the carries of digits, and returns what is carried out of the last.
#[inline(always)]
pub(crate) fn settle(sums: &mut [u64], mut carry: u64) -> u64 {
    for sum in sums {
        let with_carry = sum.wrapping_add(carry);
        *sum = with_carry & DIGIT;
        carry = with_carry >> DIGIT_BITS;
    }
    carry
}

#[inline(always)]
pub(crate) fn add_to(wide: &mut [u128], sums: &[u64]) {
    for (wide, &sum) in wide.iter_mut().zip(sums) {
        *wide += u128::from(sum);
    }
}

/// Settles the carries of `wide` in place, as far as it reaches.
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
#[inline(always)]
pub(crate) fn settle_wide(wide: &[u128], digits: &mut [u64], mut carry: u128) -> Result<()> {
    for (digit, wide) in digits.iter_mut().zip(wide) {
        let sum = wide.wrapping_add(carry);
        *digit = sum as u64 & DIGIT;
        carry = sum >> DIGIT_BITS;
    }
    no_carry(u64::from(carry != 0))
}

/// A carry out of the last digit means that the bound on the width was wrong.
#[inline(always)]
pub(crate) fn no_carry(carry: u64) -> Result<()> {
    if carry == 0 {
        return Ok(());
    }
    Err(Error::Internal("a count is larger than its bound".into()))
}
