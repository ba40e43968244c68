//! Sums of lanes, [`VECTOR`] at a time: rows are filled up to that, so nothing is left over but
//! single lanes.

use crate::number::Number;
use crate::tensor::VECTOR;

/// `out = from`.
#[inline(always)]
pub(crate) fn copy<L: Copy>(from: &[L], out: &mut [L]) {
    let ((from, left), (out, over)) = (from.as_chunks::<VECTOR>(), out.as_chunks_mut::<VECTOR>());
    for (out, from) in out.iter_mut().zip(from) {
        *out = *from;
    }
    for (out, &from) in over.iter_mut().zip(left) {
        *out = from;
    }
}

/// `sum += a`.
#[inline(always)]
pub(crate) fn add_to<N: Number>(a: &[N::Lane], sum: &mut [N::Lane]) {
    let ((a, last), (sum, over)) = (a.as_chunks::<VECTOR>(), sum.as_chunks_mut::<VECTOR>());
    for (sum, a) in sum.iter_mut().zip(a) {
        for (sum, &a) in sum.iter_mut().zip(a) {
            *sum = N::add(*sum, a);
        }
    }
    for (sum, &a) in over.iter_mut().zip(last) {
        *sum = N::add(*sum, a);
    }
}

/// `sum = a + b`.
#[inline(always)]
pub(crate) fn add_two<N: Number>(a: &[N::Lane], b: &[N::Lane], sum: &mut [N::Lane]) {
    let ((a, a_last), (b, b_last)) = (a.as_chunks::<VECTOR>(), b.as_chunks::<VECTOR>());
    let (sum, over) = sum.as_chunks_mut::<VECTOR>();
    for ((sum, a), b) in sum.iter_mut().zip(a).zip(b) {
        for ((sum, &a), &b) in sum.iter_mut().zip(a).zip(b) {
            *sum = N::add(a, b);
        }
    }
    for ((sum, &a), &b) in over.iter_mut().zip(a_last).zip(b_last) {
        *sum = N::add(a, b);
    }
}

/// `sum = a + b + c`.
#[inline(always)]
pub(crate) fn add_three<N: Number>(a: &[N::Lane], b: &[N::Lane], c: &[N::Lane], sum: &mut [N::Lane]) {
    let ((a, a_last), (b, b_last)) = (a.as_chunks::<VECTOR>(), b.as_chunks::<VECTOR>());
    let ((c, c_last), (sum, over)) = (c.as_chunks::<VECTOR>(), sum.as_chunks_mut::<VECTOR>());
    for (((sum, a), b), c) in sum.iter_mut().zip(a).zip(b).zip(c) {
        for (((sum, &a), &b), &c) in sum.iter_mut().zip(a).zip(b).zip(c) {
            *sum = N::add(N::add(a, b), c);
        }
    }
    for (((sum, &a), &b), &c) in over.iter_mut().zip(a_last).zip(b_last).zip(c_last) {
        *sum = N::add(N::add(a, b), c);
    }
}

/// The sum of some lanes.
#[inline(always)]
pub(crate) fn total<N: Number>(lanes: &[N::Lane]) -> N::Lane {
    let (chunks, rest) = lanes.as_chunks::<VECTOR>();
    let rest = rest.iter().fold(N::Lane::default(), |sum, &lane| N::add(sum, lane));
    if chunks.is_empty() {
        return rest;
    }
    let mut strands = [N::Lane::default(); VECTOR];
    for chunk in chunks {
        for (strand, &lane) in strands.iter_mut().zip(chunk) {
            *strand = N::add(*strand, lane);
        }
    }
    strands.into_iter().fold(rest, |sum, strand| N::add(sum, strand))
}

/// [`Number::settle`], vector by vector.
#[inline(always)]
pub(crate) fn settle<N: Number, const ADD: bool, const SCALED: bool>(
    out: &mut [N::Lane],
    mixed: &[N::Lane],
    scale: u64,
    carry: &mut [N::Lane],
) {
    let ((out, over), (mixed, last)) = (out.as_chunks_mut::<VECTOR>(), mixed.as_chunks::<VECTOR>());
    let (carry, carry_over) = carry.as_chunks_mut::<VECTOR>();
    for ((out, mixed), carry) in out.iter_mut().zip(mixed).zip(carry) {
        for ((out, &mixed), carry) in out.iter_mut().zip(mixed).zip(carry) {
            (*out, *carry) = N::settle::<ADD, SCALED>(*out, mixed, scale, *carry);
        }
    }
    for ((out, &mixed), carry) in over.iter_mut().zip(last).zip(carry_over) {
        (*out, *carry) = N::settle::<ADD, SCALED>(*out, mixed, scale, *carry);
    }
}
