//! Sums over successor lists, several nodes at a time where their lists are alike.
//!
//! Lists of neighbouring nodes are often the same (dense layers) or the same but shifted by one
//! (convolutions, grids): then numbers are read in sequence, not one by one. A sum is the same, to
//! the last bit, however it is come by.

use crate::graph::csr::Index;
use crate::graph::run::{LONG, WORTH_COMPARING, same, strands};
use crate::graph::scaled::Numbers;
use crate::graph::shifted::{MOST, shifted};
use crate::graph::source::Rows;

/// See the module.
pub(crate) struct Batches<'b, 'r, I> {
    rows: &'b Rows<'r, I>,
    sums: [f64; MOST],
    /// The node whose list is the next to be summed, where it begins and where it ends.
    last: usize,
    start: usize,
    stop: usize,
    /// The latest list that was summed alone, and its sum.
    latest: &'r [I],
    latest_sum: f64,
}

impl<'b, 'r, I: Index> Batches<'b, 'r, I> {
    /// Begins with the last node before `end`, of which there must be one.
    pub(crate) fn new(rows: &'b Rows<'r, I>, end: usize) -> Self {
        let last = end - 1;
        let (start, stop) = (rows.start(last), rows.start(end));
        Self { rows, sums: [0.0; MOST], last, start, stop, latest: &[], latest_sum: 0.0 }
    }

    /// The numbers that were summed have another scale now.
    pub(crate) fn forget(&mut self) {
        self.latest = &[];
    }

    /// Goes on with the last node before `end`, of which there must be one.
    pub(crate) fn move_to(&mut self, end: usize) {
        if end - 1 != self.last {
            self.last = end - 1;
            (self.start, self.stop) = (self.rows.start(end - 1), self.rows.start(end));
        }
    }

    /// The sum of the node `back` places before the last one of the latest batch.
    #[inline(always)]
    pub(crate) fn sum(&self, back: usize) -> f64 {
        self.sums[back % MOST]
    }

    /// Sums up for some of the next nodes, at least one, and says how many; nodes before `first` are
    /// not among them. A sum is not a number if one of its numbers is missing. `None` if a list
    /// leads nowhere.
    #[inline(always)]
    pub(crate) fn sums(&mut self, numbers: Numbers<'_>, first: usize) -> Option<usize> {
        let row = self.rows.targets.get(self.start..self.stop)?;
        let (last, length) = (self.last, row.len());
        let before = if last > first { self.rows.start(last - 1) } else { self.start };
        if let Some(times) = self.rows.multiplicity {
            self.sums[0] = weighted(numbers, row, times.get(self.start..self.stop)?);
        } else if length >= WORTH_COMPARING && same(row, self.latest) {
            self.sums[0] = self.latest_sum;
        } else {
            if self.start.wrapping_sub(before) == length && follows(row, self.rows.targets, before)
            {
                let nodes = self.alike(numbers, first);
                if nodes > 0 {
                    return Some(nodes);
                }
            }
            self.sums[0] = sum(numbers, row);
            if length >= WORTH_COMPARING {
                (self.latest, self.latest_sum) = (row, self.sums[0]);
            }
        }
        (self.last, self.stop, self.start) = (last.wrapping_sub(1), self.start, before);
        Some(1)
    }

    /// Sums up for the next nodes if they have the list of the next one, shifted by one for each;
    /// says how many, which may be none.
    #[inline(never)]
    fn alike(&mut self, numbers: Numbers<'_>, first: usize) -> usize {
        pulp::Arch::new().dispatch(Alike { batches: self, numbers, first })
    }

    /// Sums of the `length` nodes up to `last`, whose lists are shifted; whether all numbers are
    /// there.
    #[inline(always)]
    fn in_sequence(&mut self, numbers: Numbers<'_>, last: usize, length: usize) -> bool {
        let Some(row) = self.rows.row(last + 1 - length) else { return false };
        let mut strands = [[0.0f64; MOST]; 4];
        let whole = if row.len() < LONG { 0 } else { row.len() & !3 };
        for (at, id) in row.iter().enumerate() {
            let Some(part) = numbers.sequence(id.position(), length) else { return false };
            let strand = &mut strands[if row.len() < LONG {
                0
            } else if at < whole {
                at & 3
            } else {
                at - whole
            }];
            for node in 0..length.min(MOST) {
                strand[node] += part[node];
            }
        }
        for node in 0..length.min(MOST) {
            let sum = if row.len() < LONG {
                strands[0][node]
            } else {
                (strands[0][node] + strands[1][node]) + (strands[2][node] + strands[3][node])
            };
            self.sums[length - 1 - node] = sum;
        }
        true
    }
}

/// [`Batches::alike`], compiled for every instruction set.
struct Alike<'a, 'b, 'r, I> {
    batches: &'a mut Batches<'b, 'r, I>,
    numbers: Numbers<'a>,
    first: usize,
}

impl<I: Index> pulp::NullaryFnOnce for Alike<'_, '_, '_, I> {
    type Output = usize;

    #[inline(always)]
    fn call(self) -> usize {
        let Self { batches, numbers, first } = self;
        let (last, rows) = (batches.last, batches.rows);
        let nodes = shifted(rows, first, last);
        if nodes == 0 || !batches.in_sequence(numbers, last, nodes) {
            return 0;
        }
        batches.last = last.wrapping_sub(nodes);
        batches.stop = rows.start(last + 1 - nodes);
        batches.start = if last >= nodes { rows.start(last - nodes) } else { 0 };
        nodes
    }
}

/// Whether the list `row` begins with the number after the one at `before`.
#[inline(always)]
fn follows<I: Index>(row: &[I], targets: &[I], before: usize) -> bool {
    match (row.first(), targets.get(before)) {
        (Some(id), Some(&other)) => id.follows(other),
        _ => false,
    }
}

/// The sum of the numbers in `row`, across two epochs if need be; not a number if a number is still
/// missing.
#[inline(always)]
fn sum<I: Index>(numbers: Numbers<'_>, row: &[I]) -> f64 {
    match strands(row, |id| numbers.get(id)) {
        Some(sum) => sum,
        None => across(numbers, row),
    }
}

#[cold]
fn across<I: Index>(numbers: Numbers<'_>, row: &[I]) -> f64 {
    strands(row, |id| numbers.across(id)).unwrap_or(f64::NAN)
}

/// The sum of the numbers in `row`, each taken some times.
#[inline(always)]
fn weighted<I: Index>(numbers: Numbers<'_>, row: &[I], times: &[u64]) -> f64 {
    let terms = row.iter().zip(times);
    terms.fold(0.0, |sum, (id, &times)| {
        sum + numbers.get(id.position()).unwrap_or(f64::NAN) * times as f64
    })
}
