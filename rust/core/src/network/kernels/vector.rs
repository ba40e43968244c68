//! Loops over lanes. All slices are cut to one length first: that is the form in which the compiler
//! turns them into vector instructions without leftovers, rows being filled up to whole vectors.

use crate::network::count_tensor::VECTOR;
use crate::number::Number;

/// `out = from`.
#[inline(always)]
pub(crate) fn copy<L: Copy>(from: &[L], out: &mut [L]) {
    for (out, &lane) in out.iter_mut().zip(from) {
        *out = lane;
    }
}

/// `sum += a`.
#[inline(always)]
pub(crate) fn add_to<N: Number>(a: &[N::Lane], sum: &mut [N::Lane]) {
    let n = sum.len();
    let a = &a[..n];
    for i in 0..n {
        sum[i] = N::add(sum[i], a[i]);
    }
}

/// `sum += a * weight`.
#[inline(always)]
pub(crate) fn add_weighted<N: Number>(a: &[N::Lane], weight: u64, sum: &mut [N::Lane]) {
    if weight == 1 {
        return add_to::<N>(a, sum);
    }
    let n = sum.len();
    let a = &a[..n];
    for i in 0..n {
        sum[i] = N::add(sum[i], N::weigh(a[i], weight));
    }
}

/// `sum *= weight`.
#[inline(always)]
pub(crate) fn weigh<N: Number>(weight: u64, sum: &mut [N::Lane]) {
    for lane in sum {
        *lane = N::weigh(*lane, weight);
    }
}

/// `sum = a + b`.
#[inline(always)]
pub(crate) fn add_two<N: Number>(a: &[N::Lane], b: &[N::Lane], sum: &mut [N::Lane]) {
    let n = sum.len();
    let (a, b) = (&a[..n], &b[..n]);
    for i in 0..n {
        sum[i] = N::add(a[i], b[i]);
    }
}

/// `sum = a + b + c`.
#[inline(always)]
pub(crate) fn add_three<N: Number>(
    a: &[N::Lane],
    b: &[N::Lane],
    c: &[N::Lane],
    sum: &mut [N::Lane],
) {
    let n = sum.len();
    let (a, b, c) = (&a[..n], &b[..n], &c[..n]);
    for i in 0..n {
        sum[i] = N::add(N::add(a[i], b[i]), c[i]);
    }
}

/// The sum of some lanes.
#[inline(always)]
pub(crate) fn total<N: Number>(lanes: &[N::Lane]) -> N::Lane {
    let (chunks, rest) = lanes.as_chunks::<VECTOR>();
    let mut sum = N::Lane::default();
    for &lane in rest {
        sum = N::add(sum, lane);
    }
    if chunks.is_empty() {
        return sum;
    }
    let mut strands = [N::Lane::default(); VECTOR];
    for chunk in chunks {
        for lane in 0..VECTOR {
            strands[lane] = N::add(strands[lane], chunk[lane]);
        }
    }
    strands.into_iter().fold(sum, |sum, strand| N::add(sum, strand))
}

/// [`Number::settle`], lane by lane: digits to `out`, the rest to `carry`.
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
