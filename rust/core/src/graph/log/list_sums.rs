//! The innermost loop of counting in log space, for ordinary lists.
//!
//! A list is ordinary if all numbers in it have the scale of the latest epoch, and their sum has
//! it, too. At any other list the loop stops, and `sweep.rs` counts that node with the scales
//! looked up.

use std::cell::Cell;
use std::ops::Range;

use crate::graph::lists::csr::{Index, with_indices};
use crate::graph::lists::node_set::{NodeSet, NodeSetView};
use crate::graph::lists::source::ListSection;
use crate::graph::log::scaled_counts::{LARGE, SMALL};
use crate::graph::survey::blocks::LONG;
use crate::graph::survey::stretches::{SIDE_BY_SIDE, Stretch, StretchCursor, StretchKind};

/// How many nodes are asked at once whether there is an output among them.
const PIECE: usize = 256;

/// The place that numbers are read from and sums are written to. It is copied into loops, so that
/// an edge costs no look behind a reference.
pub(crate) trait NumberStore: Copy {
    /// The number of a node in the scale of the latest epoch; `None` if the node has another scale.
    fn read(self, node: usize) -> Option<f64>;
    /// The numbers of [`SIDE_BY_SIDE`] neighbouring nodes, from `node` on.
    fn stretch(self, node: usize) -> Option<[f64; SIDE_BY_SIDE]>;
    /// Writes the sum of a node.
    fn write(self, node: usize, sum: f64);
}

/// One array for the numbers that are read and the sums that are written, of the latest epoch.
#[derive(Clone, Copy)]
pub(crate) struct OneArray<'v> {
    current: &'v [Cell<f64>],
}

impl<'v> OneArray<'v> {
    /// An array in which the nodes before `end` have the scale of the latest epoch.
    pub(crate) fn new(values: &'v mut [f64], end: usize) -> Self {
        let end = end.min(values.len());
        Self { current: Cell::from_mut(&mut values[..end]).as_slice_of_cells() }
    }
}

impl NumberStore for OneArray<'_> {
    #[inline(always)]
    fn read(self, node: usize) -> Option<f64> {
        self.current.get(node).map(Cell::get)
    }

    #[inline(always)]
    fn stretch(self, node: usize) -> Option<[f64; SIDE_BY_SIDE]> {
        let cells = self.current.get(node..)?.first_chunk::<SIDE_BY_SIDE>()?;
        Some(cells.each_ref().map(Cell::get))
    }

    #[inline(always)]
    fn write(self, node: usize, sum: f64) {
        if let Some(value) = self.current.get(node) {
            value.set(sum);
        }
    }
}

/// Counts the nodes of `range`, the last one first, up to one whose list is not ordinary. Returns
/// the end of the nodes that are left.
pub(crate) fn count_ordinary_lists<I: Index>(
    lists: &ListSection<'_, I>,
    range: Range<usize>,
    store: impl NumberStore,
    outputs: &NodeSet,
    stretches: &[Stretch],
    one: f64,
) -> usize {
    let outputs = outputs.view();
    with_indices!(lists.offsets, offsets => {
        pulp::Arch::new().dispatch(ListSums { offsets, lists, range, store, outputs, stretches, one })
    })
}

/// The work of [`count_ordinary_lists`], compiled for every instruction set.
struct ListSums<'f, 'r, O, I, S> {
    offsets: &'f [O],
    lists: &'f ListSection<'r, I>,
    range: Range<usize>,
    store: S,
    outputs: NodeSetView<'f>,
    stretches: &'f [Stretch],
    one: f64,
}

impl<O: Index, I: Index, S: NumberStore> pulp::NullaryFnOnce for ListSums<'_, '_, O, I, S> {
    type Output = usize;

    #[inline(always)]
    fn call(self) -> usize {
        let (start, mut end) = (self.range.start, self.range.end);
        let mut cursor = StretchCursor::new(self.stretches, end);
        while end > start {
            cursor.look_ahead(self.lists, start);
            let (nodes, kind) = cursor.last(start..end);
            let first = nodes.start;
            end = match kind {
                None => self.count_separately(nodes),
                Some(StretchKind::Repeated) => self.count_repeated(nodes),
                Some(StretchKind::Shifted) if nodes.len() < SIDE_BY_SIDE => {
                    self.count_separately(nodes)
                }
                Some(StretchKind::Shifted) => self.count_shifted(nodes),
            };
            if end > first {
                break;
            }
        }
        end
    }
}

impl<O: Index, I: Index, S: NumberStore> ListSums<'_, '_, O, I, S> {
    /// Counts the nodes of `range` one by one, the last one first; returns the end of those left.
    fn count_separately(&self, range: Range<usize>) -> usize {
        let mut end = range.end;
        while end > range.start {
            // Most pieces have no output, and then the loop need not ask for every node.
            let first = range.start.max((end - 1) / PIECE * PIECE);
            end = if self.outputs.intersects(first..end) {
                self.count_each::<true>(first..end)
            } else {
                self.count_each::<false>(first..end)
            };
            if end > first {
                break;
            }
        }
        end
    }

    /// The loop of [`ListSums::count_separately`]. It is a function of its own, so that everything
    /// an edge needs stays in registers.
    #[inline(never)]
    fn count_each<const OUTPUTS: bool>(&self, range: Range<usize>) -> usize {
        let ListSection { first_edge, targets, .. } = *self.lists;
        let (store, outputs, one) = (self.store, self.outputs, self.one);
        let (Some(nodes), Some(stop)) =
            (self.offsets.get(range.clone()), self.offsets.get(range.end))
        else {
            return range.end;
        };
        let mut stop = stop.position().wrapping_sub(first_edge);
        for (node, start) in range.clone().zip(nodes).rev() {
            let start = start.position().wrapping_sub(first_edge);
            let Some(list) = targets.get(start..stop) else { return node + 1 };
            let Some(mut sum) = sum_list(list, |_, id| store.read(id)) else { return node + 1 };
            let output = OUTPUTS && outputs.contains(node);
            if output {
                sum += one;
            }
            if !(is_in_scale(sum) || (sum == 0.0 && !output)) {
                return node + 1;
            }
            store.write(node, sum);
            stop = start;
        }
        range.start
    }

    /// Counts nodes that all have the same list.
    #[inline(always)]
    fn count_repeated(&self, range: Range<usize>) -> usize {
        let store = self.store;
        let sum = self.lists.list(range.start).map(|list| sum_list(list, |_, id| store.read(id)));
        let Some(sum) = sum.flatten().filter(|&sum| is_ordinary(sum, false)) else {
            return range.end;
        };
        if self.outputs.intersects(range.clone()) {
            return self.count_separately(range);
        }
        for node in range.clone() {
            store.write(node, sum);
        }
        range.start
    }

    /// Counts nodes each of whose lists is the one before it, shifted by one.
    #[inline(always)]
    fn count_shifted(&self, range: Range<usize>) -> usize {
        let Some(list) = self.lists.list(range.start) else { return range.end };
        if list.len() >= LONG {
            self.count_side_by_side(range, |further| sums_in_strands(self.store, list, further))
        } else {
            self.count_side_by_side(range, |further| sums_in_sequence(self.store, list, further))
        }
    }

    /// Counts nodes with shifted lists, [`SIDE_BY_SIDE`] at a time; `sums(n)` are the sums of the
    /// nodes from the `n`-th of `range` on.
    #[inline(always)]
    fn count_side_by_side(
        &self,
        range: Range<usize>,
        sums: impl Fn(usize) -> Option<[f64; SIDE_BY_SIDE]>,
    ) -> usize {
        let mut end = range.end;
        while end > range.start {
            // The last group overlaps the one before it, and counts some nodes twice.
            let first = range.start.max(end.saturating_sub(SIDE_BY_SIDE));
            let nodes = first..first + SIDE_BY_SIDE;
            let Some(mut sums) = sums(first - range.start) else { break };
            let mut ordinary = true;
            if self.outputs.intersects(nodes.clone()) {
                for (sum, node) in sums.iter_mut().zip(nodes) {
                    let output = self.outputs.contains(node);
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
                self.store.write(first + lane, sum);
            }
            end = first;
        }
        end
    }
}

/// Whether a number lies within the range of one scale.
#[inline(always)]
fn is_in_scale(number: f64) -> bool {
    // Compared as integers, one comparison suffices: what is too small wraps around to a large
    // number.
    const SCALE: u64 = LARGE.to_bits() - SMALL.to_bits();
    number.to_bits().wrapping_sub(SMALL.to_bits()) < SCALE
}

/// Whether a sum can be written without a thought to scales. It is computed without jumps, so that
/// many sums are tested at a time.
#[inline(always)]
fn is_ordinary(sum: f64, output: bool) -> bool {
    (SMALL..LARGE).contains(&sum) | ((sum == 0.0) & !output)
}

/// Adds the numbers of neighbouring nodes to `sums`.
#[inline(always)]
fn add_neighbours(
    sums: &mut [f64; SIDE_BY_SIDE],
    store: impl NumberStore,
    node: usize,
) -> Option<()> {
    let numbers = store.stretch(node)?;
    for lane in 0..SIDE_BY_SIDE {
        sums[lane] += numbers[lane];
    }
    Some(())
}

/// The sums of neighbouring nodes with shifted lists. The entries of the first list are those of
/// `list` plus `further`. Terms are added in the order of [`sum_list`] for short lists.
#[inline(always)]
fn sums_in_sequence<I: Index>(
    store: impl NumberStore,
    list: &[I],
    further: usize,
) -> Option<[f64; SIDE_BY_SIDE]> {
    let mut sums = [0.0; SIDE_BY_SIDE];
    for id in list {
        add_neighbours(&mut sums, store, id.position().wrapping_add(further))?;
    }
    Some(sums)
}

/// The sums of [`sums_in_sequence`] for long lists, in the order of [`sum_list`] for these.
#[inline(always)]
fn sums_in_strands<I: Index>(
    store: impl NumberStore,
    list: &[I],
    further: usize,
) -> Option<[f64; SIDE_BY_SIDE]> {
    let mut sums = [[0.0; SIDE_BY_SIDE]; 4];
    for ids in list.chunks(4) {
        for (sums, id) in sums.iter_mut().zip(ids) {
            add_neighbours(sums, store, id.position().wrapping_add(further))?;
        }
    }
    let [a, b, c, d] = sums;
    Some(std::array::from_fn(|lane| (a[lane] + b[lane]) + (c[lane] + d[lane])))
}

/// The sum of `read(i, list[i])` over a list; `None` if that is `None` for one of its entries.
/// (Leaving the loop early keeps compilers from turning it into gather instructions, which are
/// slow.)
#[inline(always)]
pub(crate) fn sum_list<I: Index>(
    list: &[I],
    read: impl Fn(usize, usize) -> Option<f64>,
) -> Option<f64> {
    if list.len() < LONG {
        let mut sum = 0.0;
        for (at, id) in list.iter().enumerate() {
            sum += read(at, id.position())?;
        }
        return Some(sum);
    }
    let mut sums = [0.0; 4];
    let (fours, rest) = list.as_chunks::<4>();
    for (four, ids) in fours.iter().enumerate() {
        for strand in 0..4 {
            sums[strand] += read(4 * four + strand, ids[strand].position())?;
        }
    }
    for (strand, id) in rest.iter().enumerate() {
        sums[strand] += read(list.len() - rest.len() + strand, id.position())?;
    }
    Some((sums[0] + sums[1]) + (sums[2] + sums[3]))
}
