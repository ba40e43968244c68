//! How wide rows of exact counts have to be.

use std::ops::Range;

use crate::error::Result;
use crate::graph::exact::bands::CHUNK;
use crate::graph::exact::digits::{DIGIT_BITS, digits};
use crate::graph::log::scaled_counts::ScaledCounts;
use crate::graph::survey::blocks::Survey;
use crate::machine::monitor::Monitor;

/// Bits that widths found on the way may be too large by, on average; beyond that a sweep in log
/// space before is worth its time.
const LOOSE: u64 = DIGIT_BITS as u64 / 2;
/// The part of the nodes that a chunk may reach beyond, on average: rows of other widths, and there
/// are more of them if they are found on the way, take longer to read.
const NEAR: usize = 8;

/// Bits that a count may lack of a digit more, where the rows behind have it: rows of the same width
/// are read faster.
const SLACK: u64 = DIGIT_BITS as u64 / 2;

/// Digits of the rows of every chunk of nodes.
pub(crate) enum Widths<'s> {
    /// Known before anything is counted.
    Known(Vec<usize>),
    /// Bounded by what was counted behind: see [`Survey::growth`].
    Found { survey: &'s Survey, largest: Largest },
}

impl<'s> Widths<'s> {
    /// Widths found on the way, if they are tight enough for graphs without multiplicities.
    pub(crate) fn found(survey: &'s Survey) -> Option<Self> {
        let growth: u64 = survey.growth.iter().map(|&bits| u64::from(bits)).sum();
        let chunks = survey.growth.len();
        let near = survey.mean_reach() <= chunks * CHUNK / NEAR;
        (near && growth <= LOOSE * chunks as u64)
            .then(|| Self::Found { survey, largest: Largest::default() })
    }

    /// The widths that counts in log space allow.
    ///
    /// # Errors
    /// [`crate::Error::Interrupted`].
    pub(crate) fn of_scaled(
        scaled: &ScaledCounts,
        nodes: usize,
        monitor: &Monitor<'_>,
    ) -> Result<Self> {
        let mut widths = vec![1; nodes.div_ceil(CHUNK)];
        let mut behind = 1;
        for (chunk, width) in widths.iter_mut().enumerate().rev() {
            let range = chunk * CHUNK..nodes.min((chunk + 1) * CHUNK);
            behind = steady(scaled.most_bits(range), behind);
            *width = behind;
            monitor.breathe(CHUNK as u64)?;
        }
        Ok(Self::Known(widths))
    }

    /// The width of a chunk, given that all it reads outside is counted, and the width of the rows
    /// behind it.
    fn of(&self, chunk: usize, behind: usize) -> usize {
        match self {
            Self::Known(widths) => widths.get(chunk).copied().unwrap_or(1),
            Self::Found { survey, largest } => {
                let at = |bounds: &[u32]| bounds.get(chunk).copied().unwrap_or(0);
                let read = largest.before(at(&survey.reach) as usize / CHUNK);
                steady(u64::from(read.max(1)) + u64::from(at(&survey.growth)), behind)
            }
        }
    }

    /// The chunks at the end of `chunks` that have the same width, and that width: the last one, and
    /// those before it from `apart` on, whose widths depend on none of these. The rows behind have the
    /// width `behind`.
    pub(crate) fn last(
        &self,
        chunks: Range<usize>,
        apart: usize,
        behind: usize,
    ) -> (Range<usize>, usize) {
        let last = chunks.end.saturating_sub(1);
        let digits = self.of(last, behind);
        let from = if self.are_known() { chunks.start } else { apart.max(chunks.start) };
        let mut first = last;
        while first > from && self.of(first - 1, digits) == digits {
            first -= 1;
        }
        (first..chunks.end, digits)
    }

    /// Digits that the rows of `nodes` have in all, which begin a chunk and end one, or are the last
    /// ones; if they are not known, as if they had the width `digits`.
    pub(crate) fn lanes(&self, nodes: Range<usize>, digits: usize) -> usize {
        let Self::Known(widths) = self else { return nodes.len().saturating_mul(digits) };
        let chunks = nodes.start / CHUNK..nodes.end.div_ceil(CHUNK);
        let widths = widths.get(chunks.clone()).unwrap_or_default();
        let missing = chunks.end * CHUNK - nodes.end;
        widths.iter().sum::<usize>() * CHUNK - missing * widths.last().unwrap_or(&0)
    }

    /// Whether there is no need to tell what was counted.
    pub(crate) fn are_known(&self) -> bool {
        matches!(self, Self::Known(_))
    }

    /// The rows of some nodes were counted.
    pub(crate) fn counted(&mut self, nodes: Range<usize>, rows: &[u64], digits: usize) {
        if let Self::Found { largest, .. } = self {
            let mut end = nodes.end;
            while end > nodes.start {
                let first = ((end - 1) / CHUNK * CHUNK).max(nodes.start);
                let place = |node: usize| (node - nodes.start) * digits;
                let rows = rows.get(place(first)..place(end)).unwrap_or_default();
                largest.add(first / CHUNK, pulp::Arch::new().dispatch(|| bits(rows, digits)));
                end = first;
            }
        }
    }
}

/// How many digits hold this many bits, or as many as the rows behind if it is almost that.
fn steady(bits: u64, behind: usize) -> usize {
    let (few, more) = (digits(bits), digits(bits + SLACK));
    if more == behind { more } else { few }
}

/// The most bits that a row has.
#[inline(always)]
fn bits(rows: &[u64], digits: usize) -> u32 {
    for place in (0..digits).rev() {
        // The highest bit that any has is that of the largest.
        let all = rows.iter().skip(place).step_by(digits).fold(0, |all, digit| all | digit);
        if all > 0 {
            return place as u32 * DIGIT_BITS + (u64::BITS - all.leading_zeros());
        }
    }
    0
}

/// Bits of the largest counts of chunks, those of larger number first, as far as no chunk of a
/// smaller number has as many.
#[derive(Default)]
pub(crate) struct Largest(Vec<(usize, u32)>);

impl Largest {
    /// Some counts of a chunk have so many bits, and no chunk of smaller number was added before.
    fn add(&mut self, chunk: usize, bits: u32) {
        if self.0.last().is_some_and(|&(last, most)| last == chunk && most >= bits) {
            return;
        }
        while self.0.last().is_some_and(|&(last, most)| last == chunk || most <= bits) {
            self.0.pop();
        }
        self.0.push((chunk, bits));
    }

    /// The most that a chunk has up to this one.
    fn before(&self, chunk: usize) -> u32 {
        let beyond = self.0.partition_point(|&(other, _)| other > chunk);
        self.0.get(beyond).map_or(0, |&(_, bits)| bits)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_largest_up_to_a_chunk(
            bits in prop::collection::vec(prop::collection::vec(0u32..20, 1..3), 1..40),
        ) {
            let mut largest = Largest::default();
            for (chunk, parts) in bits.iter().enumerate().rev() {
                parts.iter().for_each(|&bits| largest.add(chunk, bits));
                for last in chunk..bits.len() + 2 {
                    let wanted = bits[chunk..bits.len().min(last + 1)].iter().flatten().max();
                    prop_assert_eq!(largest.before(last), *wanted.unwrap());
                }
            }
        }

        #[test]
        fn bits_of_the_largest_row(
            digits in 1usize..6,
            rows in prop::collection::vec(prop_oneof![Just(0u64), 0u64..1 << DIGIT_BITS], 0..60),
        ) {
            let rows = &rows[..rows.len() / digits * digits];
            let integers = rows.chunks(digits).map(crate::graph::exact::digits::integer);
            let wanted = integers.map(|integer| integer.bits()).max().unwrap_or(0);
            prop_assert_eq!(u64::from(bits(rows, digits)), wanted);
        }
    }
}
