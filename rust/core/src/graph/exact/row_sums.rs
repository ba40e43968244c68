//! The innermost loops of exact counting, which add up rows of digits and settle carries.

use std::ops::Range;

use crate::error::Result;
use crate::graph::exact::bands::CountedRows;
use crate::graph::exact::digits::{
    BATCH, add_to, carry_over, no_carry, settle, settle_at_once, settle_wide,
};
use crate::graph::exact::stretch_sums::ReadableRows;
use crate::graph::lists::csr::Index;
use crate::graph::lists::node_set::NodeSet;
use crate::graph::lists::source::{ListSection, lists_changed};
use crate::graph::survey::stretches::{SIDE_BY_SIDE, Stretch, StretchCursor, StretchKind};

/// So many digits of neighbouring rows are worth adding up together.
const WORTH: usize = 384;
/// Rows wider than [`WIDEST`] are added up by so many digits at a time.
const GROUP: usize = 16;

/// Rows of up to so many digits have a loop for their width.
const WIDEST: usize = 16;
/// Masks for rows of fewer digits than are read: from `WIDEST - digits` on, the first `digits`
/// masks are all ones and the others 0. (As a constant, compilers would turn them into jumps.)
static MASKS: [u64; 2 * WIDEST] = {
    let mut masks = [0; 2 * WIDEST];
    let mut digit = 0;
    while digit < WIDEST {
        masks[digit] = u64::MAX;
        digit += 1;
    }
    masks
};

/// A task: some rows of one band, which are to be written.
pub(crate) struct RowTask<'f, 'r, I> {
    /// The rows of the nodes from `first` on.
    pub(crate) open: &'f mut [u64],
    pub(crate) first: usize,
    pub(crate) digits: usize,
    pub(crate) counted: CountedRows<'f>,
    pub(crate) lists: &'f ListSection<'r, I>,
    pub(crate) outputs: &'f NodeSet,
    pub(crate) stretches: &'f [Stretch],
}

/// Counts the nodes of `range`, the last one first.
pub(crate) fn count_rows<I: Index>(
    mut task: RowTask<'_, '_, I>,
    range: Range<usize>,
) -> Result<()> {
    if task.lists.multiplicity.is_some() {
        return task.count_weighted(range);
    }
    pulp::Arch::new().dispatch(UnweightedRows { task, range })
}

/// The work of [`count_rows`] without multiplicities, compiled for every instruction set.
struct UnweightedRows<'f, 'r, I> {
    task: RowTask<'f, 'r, I>,
    range: Range<usize>,
}

impl<I: Index> pulp::NullaryFnOnce for UnweightedRows<'_, '_, I> {
    type Output = Result<()>;

    #[inline(always)]
    fn call(self) -> Result<()> {
        let Self { mut task, range } = self;
        let (mut cursor, mut end) = (StretchCursor::new(task.stretches, range.end), range.end);
        let mut sums = Vec::new();
        while end > range.start {
            cursor.look_ahead(task.lists, range.start);
            let (nodes, kind) = cursor.last(range.start..end);
            end = nodes.start;
            let repeated = kind == Some(StretchKind::Repeated)
                && !task.outputs.view().intersects(nodes.clone());
            let alone = match kind {
                Some(StretchKind::Repeated) if repeated => nodes.end - 1..nodes.end,
                Some(StretchKind::Shifted) => {
                    nodes.start..task.count_shifted(nodes.clone(), &mut sums)?
                }
                _ => nodes.clone(),
            };
            task.count_separately(alone)?;
            if repeated {
                task.repeat_last(nodes)?;
            }
        }
        Ok(())
    }
}

impl<I: Index> RowTask<'_, '_, I> {
    /// The rows of `nodes`, to be written; the rows of the band that may be read, and the node of
    /// the first of these.
    #[inline(always)]
    fn split(&mut self, nodes: Range<usize>) -> Option<(&mut [u64], &[u64], usize)> {
        let place = (nodes.start - self.first) * self.digits;
        let (_, from) = self.open.split_at_mut_checked(place)?;
        let (own, behind) = from.split_at_mut_checked(nodes.len() * self.digits)?;
        let (near, base) = self.counted.near.unwrap_or((behind, nodes.end));
        Some((own, near, base))
    }

    /// Copies the row of the last of some nodes to all others.
    fn repeat_last(&mut self, nodes: Range<usize>) -> Result<()> {
        let digits = self.digits;
        let (rows, ..) = self.split(nodes).ok_or_else(lists_changed)?;
        let (rows, last) = rows.split_at_mut(rows.len() - digits);
        for row in rows.chunks_exact_mut(digits) {
            row.copy_from_slice(last);
        }
        Ok(())
    }

    /// Counts nodes each of whose lists is the one before it shifted by one, several nodes at a
    /// time. Returns the end of the nodes that are left. `sums` is scratch space.
    #[inline(always)]
    fn count_shifted(&mut self, range: Range<usize>, sums: &mut Vec<u64>) -> Result<usize> {
        let mut end = range.end;
        let list = self.lists.list(range.start).ok_or_else(lists_changed)?;
        if range.len() < SIDE_BY_SIDE {
            return Ok(end);
        }
        // Narrow rows are worth counting in longer stretches.
        let most = (WORTH / self.digits).clamp(SIDE_BY_SIDE, range.len());
        let lanes = range.len().div_ceil(range.len().div_ceil(most));
        sums.resize(lanes * self.digits, 0);
        let (outputs, digits, counted) = (self.outputs.view(), self.digits, self.counted);
        while end > range.start {
            // The last group overlaps the one before it, and counts some nodes twice.
            let first = end.saturating_sub(lanes).max(range.start);
            let nodes = first..first + lanes;
            let (own, near, base) = self.split(nodes.clone()).ok_or_else(lists_changed)?;
            let further = nodes.start - range.start;
            let readable = ReadableRows { near, base, digits, counted: &counted };
            if readable.sum_side_by_side(list, further, sums).is_none() {
                break;
            }
            end = nodes.start;
            if outputs.intersects(nodes.clone()) || !settle_at_once(sums, digits, own) {
                let rows = own.chunks_exact_mut(digits).zip(sums.chunks_exact(digits));
                for (node, (own, sums)) in nodes.zip(rows) {
                    own.copy_from_slice(sums);
                    no_carry(settle(own, outputs.contains(node).into()))?;
                }
            }
        }
        Ok(end)
    }

    /// Counts the nodes of `range` one by one, the last one first.
    #[inline(always)]
    fn count_separately(&mut self, range: Range<usize>) -> Result<()> {
        match self.digits {
            1 => self.count_narrow::<1>(range),
            2 => self.count_narrow::<2>(range),
            3 => self.count_narrow::<3>(range),
            4 => self.count_narrow::<4>(range),
            5 => self.count_narrow::<5>(range),
            6 => self.count_narrow::<6>(range),
            7 => self.count_narrow::<7>(range),
            8 => self.count_narrow::<8>(range),
            9 => self.count_narrow::<9>(range),
            10 => self.count_narrow::<10>(range),
            11 => self.count_narrow::<11>(range),
            12 => self.count_narrow::<12>(range),
            13 => self.count_narrow::<13>(range),
            14 => self.count_narrow::<14>(range),
            15 => self.count_narrow::<15>(range),
            16 => self.count_narrow::<16>(range),
            _ => self.count_wide(range),
        }
    }

    /// Counts nodes whose edges have multiplicities, into rows of any width.
    fn count_weighted(&mut self, range: Range<usize>) -> Result<()> {
        let (digits, counted, lists, outputs) =
            (self.digits, self.counted, self.lists, self.outputs);
        let mut wide = vec![0u128; digits];
        for node in range.rev() {
            let list = lists.list(node).ok_or_else(lists_changed)?;
            let times = lists.multiplicities(node).ok_or_else(lists_changed)?;
            wide.fill(0);
            let (own, near, base) = self.split(node..node + 1).ok_or_else(lists_changed)?;
            for (ids, times) in list.chunks(BATCH).zip(times.chunks(BATCH)) {
                for (&id, &times) in ids.iter().zip(times) {
                    let read =
                        counted.row(near, base, digits, id.position()).ok_or_else(lists_changed)?;
                    for (wide, &digit) in wide.iter_mut().zip(read) {
                        *wide = wide.wrapping_add(u128::from(digit) * u128::from(times));
                    }
                }
                carry_over(&mut wide);
            }
            settle_wide(&wide, own, outputs.contains(node).into())?;
        }
        Ok(())
    }

    /// Counts nodes into rows of `W` digits.
    #[inline(always)]
    fn count_narrow<const W: usize>(&mut self, range: Range<usize>) -> Result<()> {
        let Self { ref mut open, first, counted, lists, outputs, .. } = *self;
        let outputs = outputs.view();
        let (open, _) = open.as_chunks_mut::<W>();
        for node in range.rev() {
            let list = lists.list(node).ok_or_else(lists_changed)?;
            let split = open.split_at_mut_checked((node - first).saturating_add(1));
            let (upto, behind) = split.ok_or_else(lists_changed)?;
            let (near, base) = match counted.near {
                Some((near, base)) => (near.as_chunks::<W>().0, base),
                None => (&*behind, node + 1),
            };
            let sum = sum_row::<W, I>(near, base, &counted, list, outputs.contains(node))?;
            if let Some(place) = upto.last_mut() {
                *place = sum;
            }
        }
        Ok(())
    }

    /// Counts nodes into rows of many digits, a multiple of 4, one group of digits after the other.
    #[inline(always)]
    fn count_wide(&mut self, range: Range<usize>) -> Result<()> {
        let Self { digits, counted, lists, outputs, .. } = *self;
        let mut wide = vec![0u128; digits];
        for node in range.rev() {
            let list = lists.list(node).ok_or_else(lists_changed)?;
            let (own, near, base) = self.split(node..node + 1).ok_or_else(lists_changed)?;
            wide.fill(0);
            let read = |id: I| counted.row(near, base, digits, id.position());
            for batch in list.chunks(BATCH) {
                let mut at = 0;
                while at + GROUP <= digits {
                    add_to(
                        &mut wide[at..],
                        &sum_digits::<GROUP, I>(read, batch, at).ok_or_else(lists_changed)?,
                    );
                    at += GROUP;
                }
                while at < digits {
                    add_to(
                        &mut wide[at..],
                        &sum_digits::<4, I>(read, batch, at).ok_or_else(lists_changed)?,
                    );
                    at += 4;
                }
            }
            settle_wide(&wide, own, outputs.contains(node).into())?;
        }
        Ok(())
    }
}

/// The row of a node: the sum of the rows in its list, with carries settled.
#[inline(always)]
fn sum_row<const W: usize, I: Index>(
    near: &[[u64; W]],
    base: usize,
    counted: &CountedRows<'_>,
    list: &[I],
    output: bool,
) -> Result<[u64; W]> {
    let mut sums = [0u64; W];
    sums[0] = output.into();
    for (number, batch) in list.chunks(BATCH).enumerate() {
        if number > 0 {
            no_carry(settle(&mut sums, 0))?;
        }
        add_rows(near, base, counted, batch, &mut sums).ok_or_else(lists_changed)?;
    }
    let mut row = [0u64; W];
    if !settle_at_once(&sums, W, &mut row) {
        no_carry(settle(&mut sums, 0))?;
        row = sums;
    }
    Ok(row)
}

/// Adds the rows of `ids` to `into`, digit by digit, without carries. Rows of other bands may be
/// narrower or wider than `W`; their missing digits are 0, and those beyond `W` are 0, too.
#[inline(always)]
fn add_rows<const W: usize, I: Index>(
    near: &[[u64; W]],
    base: usize,
    counted: &CountedRows<'_>,
    ids: &[I],
    into: &mut [u64; W],
) -> Option<()> {
    let mut sums = *into;
    for &id in ids {
        let node = id.position();
        if let Some(row) = near.get(node.wrapping_sub(base)) {
            for digit in 0..W {
                sums[digit] = sums[digit].wrapping_add(row[digit]);
            }
            continue;
        }
        let (rows, digits) = counted.behind.rows(node)?;
        let masks = MASKS.get(WIDEST.saturating_sub(digits)..).unwrap_or_default();
        let row: [u64; W] = match (rows.first_chunk::<W>(), masks.first_chunk::<W>()) {
            (Some(row), Some(masks)) => std::array::from_fn(|digit| row[digit] & masks[digit]),
            _ => lower_digits(rows.get(..digits)?),
        };
        for digit in 0..W {
            sums[digit] = sums[digit].wrapping_add(row[digit]);
        }
    }
    *into = sums;
    Some(())
}

/// The `W` lower digits of a row that ends its slab, where no more than the row can be read.
#[cold]
#[inline(never)]
fn lower_digits<const W: usize>(row: &[u64]) -> [u64; W] {
    std::array::from_fn(|digit| row.get(digit).copied().unwrap_or(0))
}

/// The sums of the digits `at..at + W` of the rows of `ids`, digit by digit, without carries.
#[inline(always)]
fn sum_digits<'r, const W: usize, I: Index>(
    read: impl Fn(I) -> Option<&'r [u64]>,
    ids: &[I],
    at: usize,
) -> Option<[u64; W]> {
    let mut sums = [0u64; W];
    for &id in ids {
        let row = read(id)?.get(at..).unwrap_or_default();
        let mut part = [0u64; W];
        match row.first_chunk::<W>() {
            Some(digits) => part = *digits,
            None => part[..row.len()].copy_from_slice(row),
        }
        for digit in 0..W {
            sums[digit] = sums[digit].wrapping_add(part[digit]);
        }
    }
    Some(sums)
}
