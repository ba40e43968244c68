//! The innermost loops, over lanes.
//!
//! All slices are cut to one length first. In this form the compiler turns loops into vector
//! instructions, and there are no leftovers, since rows are filled up to whole vectors.

use crate::network::count_tensor::VECTOR;
use crate::number::{Number, Semiring};

/// `out = from`.
#[inline(always)]
pub(crate) fn copy<L: Copy>(from: &[L], out: &mut [L]) {
    for (out, &lane) in out.iter_mut().zip(from) {
        *out = lane;
    }
}

/// `sum += a`.
#[inline(always)]
pub(crate) fn add_to<S: Semiring>(a: &[S::Lane], sum: &mut [S::Lane]) {
    let n = sum.len();
    let a = &a[..n];
    for i in 0..n {
        sum[i] = S::add(sum[i], a[i]);
    }
}

/// `sum += a * weight`.
#[inline(always)]
pub(crate) fn add_weighted<S: Semiring>(a: &[S::Lane], weight: u64, sum: &mut [S::Lane]) {
    if weight == 1 {
        return add_to::<S>(a, sum);
    }
    let n = sum.len();
    let a = &a[..n];
    for i in 0..n {
        sum[i] = S::add(sum[i], S::weigh(a[i], weight));
    }
}

/// `sum *= weight`.
#[inline(always)]
pub(crate) fn weigh<S: Semiring>(weight: u64, sum: &mut [S::Lane]) {
    for lane in sum {
        *lane = S::weigh(*lane, weight);
    }
}

/// `sum = a + b`.
#[inline(always)]
pub(crate) fn add_two<S: Semiring>(a: &[S::Lane], b: &[S::Lane], sum: &mut [S::Lane]) {
    let n = sum.len();
    let (a, b) = (&a[..n], &b[..n]);
    for i in 0..n {
        sum[i] = S::add(a[i], b[i]);
    }
}

/// `sum = a + b + c`.
#[inline(always)]
pub(crate) fn add_three<S: Semiring>(
    a: &[S::Lane],
    b: &[S::Lane],
    c: &[S::Lane],
    sum: &mut [S::Lane],
) {
    let n = sum.len();
    let (a, b, c) = (&a[..n], &b[..n], &c[..n]);
    for i in 0..n {
        sum[i] = S::add(S::add(a[i], b[i]), c[i]);
    }
}

/// The sum of all lanes.
#[inline(always)]
pub(crate) fn total<S: Semiring>(lanes: &[S::Lane]) -> S::Lane {
    let (chunks, rest) = lanes.as_chunks::<VECTOR>();
    let mut sum = S::ZERO;
    for &lane in rest {
        sum = S::add(sum, lane);
    }
    if chunks.is_empty() {
        return sum;
    }
    let mut strands = [S::ZERO; VECTOR];
    for chunk in chunks {
        for lane in 0..VECTOR {
            strands[lane] = S::add(strands[lane], chunk[lane]);
        }
    }
    strands.into_iter().fold(sum, |sum, strand| S::add(sum, strand))
}

/// Applies [`Number::settle`] lane by lane; digits go to `out`, what they carry to `carry`.
#[inline(always)]
pub(crate) fn settle<N: Number, const ADD: bool, const SCALED: bool>(
    out: &mut [N::Lane],
    mixed: &[N::Lane],
    scale: u64,
    carry: &mut [N::Lane],
) {
    let n = out.len();
    let (mixed, carry) = (&mixed[..n], &mut carry[..n]);
    for i in 0..n {
        (out[i], carry[i]) = N::settle::<ADD, SCALED>(out[i], mixed[i], scale, carry[i]);
    }
}
