//! The innermost loop of counting in log space: list after list, as long as nothing out of the
//! ordinary comes.

use std::cell::Cell;
use std::ops::Range;

use crate::graph::lists::csr::{Index, with_indices};
use crate::graph::lists::node_set::{Marked, Marks};
use crate::graph::lists::source::Rows;
use crate::graph::log::scaled_counts::{LARGE, SMALL};
use crate::graph::survey::stretches::{Cut, Kind, LANES, Stretch};

/// Lists at least this long are summed in four strands, shorter ones in sequence.
pub(crate) const LONG: usize = 32;

/// Nodes between two looks for outputs.
const PIECE: usize = 256;

/// Where numbers are read from and sums written to. (A copy of it needs no look behind a reference
/// for every edge.)
pub(crate) trait Place: Copy {
    /// The number of a node in the scale of the latest epoch; `None` if it has another.
    fn read(self, node: usize) -> Option<f64>;
    /// Those of [`LANES`] nodes.
    fn stretch(self, node: usize) -> Option<[f64; LANES]>;
    fn write(self, node: usize, sum: f64);
}

/// Numbers and sums in one array: those of the latest epoch.
#[derive(Clone, Copy)]
pub(crate) struct Together<'v> {
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
    fn read(self, node: usize) -> Option<f64> {
        self.current.get(node).map(Cell::get)
    }

    #[inline(always)]
    fn stretch(self, node: usize) -> Option<[f64; LANES]> {
        let cells = self.current.get(node..)?.first_chunk::<LANES>()?;
        Some(cells.each_ref().map(Cell::get))
    }

    #[inline(always)]
    fn write(self, node: usize, sum: f64) {
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
    place: impl Place,
    outputs: &Marks,
    stretches: &[Stretch],
    one: f64,
) -> usize {
    let outputs = outputs.view();
    with_indices!(rows.offsets, offsets => {
        pulp::Arch::new().dispatch(Run { offsets, rows, range, place, outputs, stretches, one })
    })
}

/// [`run`], compiled for every instruction set.
struct Run<'f, 'r, O, I, P> {
    offsets: &'f [O],
    rows: &'f Rows<'r, I>,
    range: Range<usize>,
    place: P,
    outputs: Marked<'f>,
    stretches: &'f [Stretch],
    one: f64,
}

impl<O: Index, I: Index, P: Place> pulp::NullaryFnOnce for Run<'_, '_, O, I, P> {
    type Output = usize;

    #[inline(always)]
    fn call(self) -> usize {
        let (start, mut end) = (self.range.start, self.range.end);
        let mut cut = Cut::new(self.stretches, end);
        while end > start {
            cut.look_ahead(self.rows, start);
            let (nodes, kind) = cut.last(start..end);
            let first = nodes.start;
            end = match kind {
                None => self.one_by_one(nodes),
                Some(Kind::Repeated) => self.repeated(nodes),
                Some(Kind::Shifted) if nodes.len() < LANES => self.one_by_one(nodes),
                Some(Kind::Shifted) => self.shifted(nodes),
            };
            if end > first {
                break;
            }
        }
        end
    }
}

impl<O: Index, I: Index, P: Place> Run<'_, '_, O, I, P> {
    /// Counts the nodes of `range`, the last one first.
    fn one_by_one(&self, range: Range<usize>) -> usize {
        let mut end = range.end;
        while end > range.start {
            // Most pieces have no output, and need not ask of every node.
            let first = range.start.max((end - 1) / PIECE * PIECE);
            end = if self.outputs.any(first..end) {
                self.plain::<true>(first..end)
            } else {
                self.plain::<false>(first..end)
            };
            if end > first {
                break;
            }
        }
        end
    }

    /// [`Run::one_by_one`]; apart from the rest, so that all that an edge needs is in registers.
    #[inline(never)]
    fn plain<const OUTPUTS: bool>(&self, range: Range<usize>) -> usize {
        let Rows { first_edge, targets, .. } = *self.rows;
        let (place, outputs, one) = (self.place, self.outputs, self.one);
        let (Some(nodes), Some(stop)) =
            (self.offsets.get(range.clone()), self.offsets.get(range.end))
        else {
            return range.end;
        };
        let mut stop = stop.position().wrapping_sub(first_edge);
        for (node, start) in range.clone().zip(nodes).rev() {
            let start = start.position().wrapping_sub(first_edge);
            let Some(row) = targets.get(start..stop) else { return node + 1 };
            let Some(mut sum) = strands(row, |_, id| place.read(id)) else { return node + 1 };
            let output = OUTPUTS && outputs.has(node);
            if output {
                sum += one;
            }
            if !(is_in_scale(sum) || (sum == 0.0 && !output)) {
                return node + 1;
            }
            place.write(node, sum);
            stop = start;
        }
        range.start
    }

    /// Counts nodes that have the same list.
    #[inline(always)]
    fn repeated(&self, range: Range<usize>) -> usize {
        let place = self.place;
        let sum = self.rows.row(range.start).map(|row| strands(row, |_, id| place.read(id)));
        let Some(sum) = sum.flatten().filter(|&sum| is_ordinary(sum, false)) else {
            return range.end;
        };
        if self.outputs.any(range.clone()) {
            return self.one_by_one(range);
        }
        for node in range.clone() {
            place.write(node, sum);
        }
        range.start
    }

    /// Counts nodes with shifted lists.
    #[inline(always)]
    fn shifted(&self, range: Range<usize>) -> usize {
        let Some(row) = self.rows.row(range.start) else { return range.end };
        if row.len() >= LONG {
            self.lanes(range, |further| in_strands(self.place, row, further))
        } else {
            self.lanes(range, |further| in_sequence(self.place, row, further))
        }
    }

    /// Counts nodes with shifted lists, some at a time, given their sums from some node on.
    #[inline(always)]
    fn lanes(&self, range: Range<usize>, sums: impl Fn(usize) -> Option<[f64; LANES]>) -> usize {
        let mut end = range.end;
        while end > range.start {
            // The last ones may be counted twice.
            let first = range.start.max(end.saturating_sub(LANES));
            let nodes = first..first + LANES;
            let Some(mut sums) = sums(first - range.start) else { break };
            let mut ordinary = true;
            if self.outputs.any(nodes.clone()) {
                for (sum, node) in sums.iter_mut().zip(nodes) {
                    let output = self.outputs.has(node);
                    *sum += if output { self.one } else { 0.0 };
                    ordinary &= is_ordinary(*sum, output);
                }
            } else {
                ordinary = sums.iter().fold(true, |all, &sum| all & is_ordinary(sum, false));
            }
            if !ordinary {
                break;
            }
            for (lane, sum) in sums.into_iter().enumerate() {
                self.place.write(first + lane, sum);
            }
            end = first;
        }
        end
    }
}

/// Whether a number has the scale, and needs no other.
#[inline(always)]
fn is_in_scale(number: f64) -> bool {
    // As integers, in one comparison; numbers below are far above.
    const SCALE: u64 = LARGE.to_bits() - SMALL.to_bits();
    number.to_bits().wrapping_sub(SMALL.to_bits()) < SCALE
}

/// Whether a sum can be put down without a thought to scales; without jumps, for many at a time.
#[inline(always)]
fn is_ordinary(sum: f64, output: bool) -> bool {
    (SMALL..LARGE).contains(&sum) | ((sum == 0.0) & !output)
}

/// Adds the numbers of neighbouring nodes to `sums`.
#[inline(always)]
fn add(sums: &mut [f64; LANES], place: impl Place, node: usize) -> Option<()> {
    let numbers = place.stretch(node)?;
    for lane in 0..LANES {
        sums[lane] += numbers[lane];
    }
    Some(())
}

/// The sums of some nodes, the first of which has the list `row`, its entries `further` on, and
/// every next one the next; in the order of [`strands`] for short lists.
#[inline(always)]
fn in_sequence<I: Index>(place: impl Place, row: &[I], further: usize) -> Option<[f64; LANES]> {
    let mut sums = [0.0; LANES];
    for id in row {
        add(&mut sums, place, id.position().wrapping_add(further))?;
    }
    Some(sums)
}

/// [`in_sequence`] for long lists.
#[inline(always)]
fn in_strands<I: Index>(place: impl Place, row: &[I], further: usize) -> Option<[f64; LANES]> {
    let mut sums = [[0.0; LANES]; 4];
    for ids in row.chunks(4) {
        for (sums, id) in sums.iter_mut().zip(ids) {
            add(sums, place, id.position().wrapping_add(further))?;
        }
    }
    let [a, b, c, d] = sums;
    Some(std::array::from_fn(|lane| (a[lane] + b[lane]) + (c[lane] + d[lane])))
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
