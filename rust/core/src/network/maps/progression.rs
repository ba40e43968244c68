//! The arithmetic of windows: the target indices that read a given source index are arithmetic
//! progressions.

use crate::network::maps::matrix::Phase;
use crate::network::relation::Window;

/// The target indices of a convolution that read source index `i`: one [`Phase`] for every residue
/// of `i` modulo the stride, as far as `source` indices have them.
pub(crate) fn window_phases(window: &Window, source: u64) -> Vec<Phase> {
    let Window { size, stride, dilation, padding } = *window;
    // Taps that are congruent modulo `period` meet the same residue of `i + padding`.
    let divisor = greatest_common_divisor(stride, dilation);
    let period = stride / divisor;
    let needed = stride.min(source);
    let mut phases = vec![Phase { offset: 0, step: dilation / divisor, count: 0 }; needed as usize];
    for tap in 0..size.min(period) {
        let shift = tap as i64 * dilation as i64 - padding;
        let residue = shift.rem_euclid(stride as i64) as u64;
        if residue < needed {
            let count = (size - tap).div_ceil(period);
            let step = dilation / divisor;
            let latest = (residue as i64 - shift) / stride as i64;
            phases[residue as usize] =
                Phase { offset: latest - (count as i64 - 1) * step as i64, step, count };
        }
    }
    phases
}

/// The target indices `low..high` at which tap `t` of a window over `extent` positions is in
/// bounds.
pub(crate) fn tap_range(window: &Window, t: u64, extent: u64, targets: u64) -> (u64, u64) {
    let shift = t as i64 * window.dilation as i64 - window.padding;
    let low = ceil_div(-shift, window.stride).max(0);
    let high = ceil_div(extent as i64 - shift, window.stride).clamp(low, (targets as i64).max(low));
    (low as u64, high as u64)
}

/// The target indices that tap `t` of a transposed convolution of `extent` inputs reaches: the
/// first, how many there are, and their step.
pub(crate) fn transposed_tap_range(
    window: &Window,
    t: u64,
    extent: u64,
    targets: u64,
) -> (u64, u64, u64) {
    let shift = t as i64 * window.dilation as i64 - window.padding;
    let low = ceil_div(-shift, window.stride).max(0);
    let high = ceil_div(targets as i64 - shift, window.stride).min(extent as i64).max(low);
    ((low * window.stride as i64 + shift).max(0) as u64, (high - low) as u64, window.stride)
}

/// Appends the runs that meet the progression `first`, `first + step`, and so on of `count`
/// indices, each with how many of these it contains. Runs are given by their `ends`.
pub(crate) fn overlap(ends: &[u64], first: u64, count: u64, step: u64, row: &mut Vec<(u32, u64)>) {
    let mut met = 0;
    let mut run = ends.partition_point(|&end| end <= first);
    while met < count && run < ends.len() {
        let below = ends[run].saturating_sub(first).div_ceil(step).min(count);
        if below > met {
            row.push((run as u32, below - met));
            met = below;
        }
        run += 1;
    }
}

fn ceil_div(numerator: i64, denominator: u64) -> i64 {
    let denominator = denominator as i64;
    numerator.div_euclid(denominator) + i64::from(numerator.rem_euclid(denominator) != 0)
}

fn greatest_common_divisor(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}
