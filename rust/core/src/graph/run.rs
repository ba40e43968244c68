//! The innermost loop of counting in log space: list after list, as long as nothing out of the
//! ordinary comes.

use std::cell::Cell;
use std::ops::Range;

use crate::graph::csr::{Index, with_indices};
use crate::graph::marks::Marks;
use crate::graph::scaled::{LARGE, SMALL};
use crate::graph::source::Rows;

/// Lists at least this long are compared with the list before.
pub(crate) const WORTH_COMPARING: usize = 16;
/// Lists at least this long are summed in four strands, shorter ones in sequence.
pub(crate) const LONG: usize = 32;

/// Where numbers are read from and sums written to.
pub(crate) trait Place {
    /// The number of a node in the scale of the latest epoch; `None` if it has another.
    fn read(&self, node: usize) -> Option<f64>;
    fn write(&mut self, node: usize, sum: f64);
}

/// Numbers and sums in one array.
pub(crate) struct Together<'v> {
    /// Those of the latest epoch.
    current: &'v [Cell<f64>],
}

impl<'v> Together<'v> {
    /// Numbers of nodes before `end` have the scale of the latest epoch.
    pub(crate) fn new(values: &'v mut [f64], end: usize) -> Self {
        let end = end.min(values.len());
        Self { current: Cell::from_mut(&mut values[..end]).as_slice_of_cells() }
    }
}

impl Place for Together<'_> {
    #[inline(always)]
    fn read(&self, node: usize) -> Option<f64> {
        self.current.get(node).map(Cell::get)
    }

    #[inline(always)]
    fn write(&mut self, node: usize, sum: f64) {
        if let Some(value) = self.current.get(node) {
            value.set(sum);
        }
    }
}

/// Counts nodes from the last of `range` on, and returns the end of those that are left. It stops at
/// a sum that is out of the ordinary, for which numbers of other scales may be needed.
pub(crate) fn run<I: Index>(
    rows: &Rows<'_, I>,
    range: Range<usize>,
    place: &mut impl Place,
    outputs: &Marks,
    one: f64,
) -> usize {
    with_indices!(rows.offsets, offsets => tight(offsets, rows, range, place, outputs, one))
}

#[inline(never)]
fn tight<O: Index, I: Index>(
    offsets: &[O],
    rows: &Rows<'_, I>,
    range: Range<usize>,
    place: &mut impl Place,
    outputs: &Marks,
    one: f64,
) -> usize {
    let Rows { first_edge, targets, .. } = *rows;
    let (Some(nodes), Some(stop)) = (offsets.get(range.clone()), offsets.get(range.end)) else {
        return range.end;
    };
    let mut stop = stop.position().wrapping_sub(first_edge);
    let mut latest: &[I] = &[];
    let mut latest_sum = 0.0;
    for (node, start) in range.clone().zip(nodes).rev() {
        let start = start.position().wrapping_sub(first_edge);
        let Some(row) = targets.get(start..stop) else { return node + 1 };
        let sum = if row.len() < WORTH_COMPARING {
            let Some(sum) = strands(row, |_, id| place.read(id)) else { return node + 1 };
            sum
        } else {
            if !same(row, latest) {
                let Some(sum) = strands(row, |_, id| place.read(id)) else { return node + 1 };
                (latest, latest_sum) = (row, sum);
            }
            latest_sum
        };
        let output = outputs.has(node);
        let sum = sum + if output { one } else { 0.0 };
        let ordinary = (SMALL..LARGE).contains(&sum) || (sum == 0.0 && !output);
        if !ordinary {
            return node + 1;
        }
        place.write(node, sum);
        stop = start;
    }
    range.start
}

/// Whether two lists are the same; they mostly differ in their first entry, or not at all.
#[inline(always)]
pub(crate) fn same<I: Index>(row: &[I], other: &[I]) -> bool {
    row.len() == other.len() && row.first() == other.first() && row == other
}

/// The sum of what `read` says of the nodes in `row`, given the place of each in it, too, unless that
/// is nothing for one of them. (Leaving early keeps compilers from making gather instructions of it,
/// which are slow.)
#[inline(always)]
pub(crate) fn strands<I: Index>(
    row: &[I],
    read: impl Fn(usize, usize) -> Option<f64>,
) -> Option<f64> {
    if row.len() < LONG {
        let mut sum = 0.0;
        for (at, id) in row.iter().enumerate() {
            sum += read(at, id.position())?;
        }
        return Some(sum);
    }
    let mut sums = [0.0; 4];
    let (fours, rest) = row.as_chunks::<4>();
    for (four, ids) in fours.iter().enumerate() {
        for strand in 0..4 {
            sums[strand] += read(4 * four + strand, ids[strand].position())?;
        }
    }
    for (strand, id) in rest.iter().enumerate() {
        sums[strand] += read(row.len() - rest.len() + strand, id.position())?;
    }
    Some((sums[0] + sums[1]) + (sums[2] + sums[3]))
}
