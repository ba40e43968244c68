//! How wide the rows of exact counts have to be.
//!
//! A width must not be too small, and need not be exact. It comes from the survey, if that bounds
//! counts well enough, from the counts that were made on the way so far, or from a sweep in log
//! space before.

use std::ops::Range;

use crate::error::Result;
use crate::graph::exact::bands::CHUNK;
use crate::graph::exact::digits::{DIGIT_BITS, digits};
use crate::graph::log::scaled_counts::ScaledCounts;
use crate::graph::survey::blocks::Survey;
use crate::machine::monitor::Monitor;

/// Widths that are found on the way may be too large by so many bits on average. If they are
/// larger, a sweep in log space before is worth its time.
const LOOSE: u64 = DIGIT_BITS as u64 / 2;
/// For widths to be found on the way, a chunk may read nodes as far away as one in so many nodes of
/// the graph, on average: rows of another width take longer to read, and there are more of these.
const NEAR: usize = 8;

/// A row gets one digit more than it needs if it is within so many bits of it and the rows behind
/// have that width: rows of the same width are read faster.
const SLACK: u64 = DIGIT_BITS as u64 / 2;

/// The widths, in digits, of the rows of every chunk of nodes.
pub(crate) enum Widths<'s> {
    /// Widths that are known before anything is counted.
    Known(Vec<usize>),
    /// Widths that follow from the counts behind, by [`Survey::growth`].
    Bounded { survey: &'s Survey, largest: Largest },
}

impl<'s> Widths<'s> {
    /// Widths that are found on the way, if these are tight enough. The graph must have no
    /// multiplicities.
    pub(crate) fn from_growth(survey: &'s Survey) -> Option<Self> {
        let growth: u64 = survey.growth.iter().map(|&bits| u64::from(bits)).sum();
        let chunks = survey.growth.len();
        let near = survey.mean_reach() <= chunks * CHUNK / NEAR;
        (near && growth <= LOOSE * chunks as u64)
            .then(|| Self::Bounded { survey, largest: Largest::default() })
    }

    /// The widths that follow from counts in log space.
    ///
    /// # Errors
    /// [`crate::Error::Interrupted`].
    pub(crate) fn from_log_space(
        scaled: &ScaledCounts,
        nodes: usize,
        monitor: &Monitor<'_>,
    ) -> Result<Self> {
        let mut widths = vec![1; nodes.div_ceil(CHUNK)];
        let mut behind = 1;
        for (chunk, width) in widths.iter_mut().enumerate().rev() {
            let range = chunk * CHUNK..nodes.min((chunk + 1) * CHUNK);
            behind = steady_width(scaled.most_bits(range), behind);
            *width = behind;
            monitor.breathe(CHUNK as u64)?;
        }
        Ok(Self::Known(widths))
    }

    /// The width of a chunk, all of whose successors in other chunks must be counted; `behind` is
    /// the width of the rows behind it.
    fn of_chunk(&self, chunk: usize, behind: usize) -> usize {
        match self {
            Self::Known(widths) => widths.get(chunk).copied().unwrap_or(1),
            Self::Bounded { survey, largest } => {
                let at = |bounds: &[u32]| bounds.get(chunk).copied().unwrap_or(0);
                let read = largest.before(at(&survey.reach) as usize / CHUNK);
                steady_width(u64::from(read.max(1)) + u64::from(at(&survey.growth)), behind)
            }
        }
    }

    /// The longest range of chunks at the end of `chunks` that have one width, and that width. If
    /// widths are found on the way, the range has no chunk before `apart` but the last one, since
    /// the width of such a chunk depends on counts that are still to be made. `behind` is the width
    /// of the rows behind.
    pub(crate) fn last_chunks(
        &self,
        chunks: Range<usize>,
        apart: usize,
        behind: usize,
    ) -> (Range<usize>, usize) {
        let last = chunks.end.saturating_sub(1);
        let digits = self.of_chunk(last, behind);
        let from = if self.are_known() { chunks.start } else { apart.max(chunks.start) };
        let mut first = last;
        while first > from && self.of_chunk(first - 1, digits) == digits {
            first -= 1;
        }
        (first..chunks.end, digits)
    }

    /// The digits of all rows of `nodes`, which must begin a chunk, and end one or end the graph.
    /// If widths are not known, every row counts as `digits` wide.
    pub(crate) fn digits_of(&self, nodes: Range<usize>, digits: usize) -> usize {
        let Self::Known(widths) = self else { return nodes.len().saturating_mul(digits) };
        let chunks = nodes.start / CHUNK..nodes.end.div_ceil(CHUNK);
        let widths = widths.get(chunks.clone()).unwrap_or_default();
        let missing = chunks.end * CHUNK - nodes.end;
        widths.iter().sum::<usize>() * CHUNK - missing * widths.last().unwrap_or(&0)
    }

    /// Whether widths are known before anything is counted, so that nothing need be noted.
    pub(crate) fn are_known(&self) -> bool {
        matches!(self, Self::Known(_))
    }

    /// Notes the rows of nodes that were counted just now.
    pub(crate) fn note_counted(&mut self, nodes: Range<usize>, rows: &[u64], digits: usize) {
        if let Self::Bounded { largest, .. } = self {
            let mut end = nodes.end;
            while end > nodes.start {
                let first = ((end - 1) / CHUNK * CHUNK).max(nodes.start);
                let place = |node: usize| (node - nodes.start) * digits;
                let rows = rows.get(place(first)..place(end)).unwrap_or_default();
                largest.add(first / CHUNK, pulp::Arch::new().dispatch(|| most_bits(rows, digits)));
                end = first;
            }
        }
    }
}

/// How many digits hold so many bits; as many as the rows behind have, if that is one more at most.
fn steady_width(bits: u64, behind: usize) -> usize {
    let (few, more) = (digits(bits), digits(bits + SLACK));
    if more == behind { more } else { few }
}

/// The number of bits of the largest row.
#[inline(always)]
fn most_bits(rows: &[u64], digits: usize) -> u32 {
    for place in (0..digits).rev() {
        // The highest bit of all rows taken together is the highest bit of the largest row.
        let all = rows.iter().skip(place).step_by(digits).fold(0, |all, digit| all | digit);
        if all > 0 {
            return place as u32 * DIGIT_BITS + (u64::BITS - all.leading_zeros());
        }
    }
    0
}

/// The bits of the largest count of every chunk, the last chunks first. Chunks are left out behind
/// which an earlier chunk has a count at least as large.
#[derive(Default)]
pub(crate) struct Largest(Vec<(usize, u32)>);

impl Largest {
    /// Notes that a chunk has counts of so many bits; chunks come from the last to the first.
    fn add(&mut self, chunk: usize, bits: u32) {
        if self.0.last().is_some_and(|&(last, most)| last == chunk && most >= bits) {
            return;
        }
        while self.0.last().is_some_and(|&(last, most)| last == chunk || most <= bits) {
            self.0.pop();
        }
        self.0.push((chunk, bits));
    }

    /// The most bits of the chunks that were added, up to `chunk`.
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
            prop_assert_eq!(u64::from(most_bits(rows, digits)), wanted);
        }
    }
}
