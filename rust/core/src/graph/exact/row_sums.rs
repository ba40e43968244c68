//! The innermost loops of exact counting: rows of digits added up, and carries settled.

use std::ops::Range;

use crate::error::Result;
use crate::graph::exact::bands::CountedRows;
use crate::graph::exact::digits::{
    BATCH, add_to, carried_at_once, carry_over, no_carry, settle, settle_wide,
};
use crate::graph::exact::stretch_sums::Counted;
use crate::graph::lists::csr::Index;
use crate::graph::lists::node_set::NodeSet;
use crate::graph::lists::source::{ListSection, lists_changed};
use crate::graph::survey::stretches::{SIDE_BY_SIDE, Stretch, StretchCursor, StretchKind};

/// Digits of neighbouring rows that are worth adding up together.
const WORTH: usize = 384;
/// Digits added up at once in rows wider than that.
const GROUP: usize = 16;

/// Digits of the widest rows that have a loop of their own.
const WIDEST: usize = 16;
/// From `WIDEST - digits` on, masks of the digits that a row has. (A `static`, lest compilers make
/// jumps of it.)
static MASKS: [u64; 2 * WIDEST] = {
    let mut masks = [0; 2 * WIDEST];
    let mut digit = 0;
    while digit < WIDEST {
        masks[digit] = u64::MAX;
        digit += 1;
    }
    masks
};

/// ListSection to be written, of nodes of one band.
pub(crate) struct Fill<'f, 'r, I> {
    /// ListSection of the nodes from `first` on.
    pub(crate) open: &'f mut [u64],
    pub(crate) first: usize,
    pub(crate) digits: usize,
    pub(crate) done: CountedRows<'f>,
    pub(crate) rows: &'f ListSection<'r, I>,
    pub(crate) outputs: &'f NodeSet,
    pub(crate) stretches: &'f [Stretch],
}

/// Counts the nodes of `range`, the last one first.
pub(crate) fn fill<I: Index>(mut fill: Fill<'_, '_, I>, range: Range<usize>) -> Result<()> {
    if fill.rows.multiplicity.is_some() {
        return fill.weighted(range);
    }
    pulp::Arch::new().dispatch(Plain { fill, range })
}

/// [`fill`] without multiplicities, compiled for every instruction set.
struct Plain<'f, 'r, I> {
    fill: Fill<'f, 'r, I>,
    range: Range<usize>,
}

impl<I: Index> pulp::NullaryFnOnce for Plain<'_, '_, I> {
    type Output = Result<()>;

    #[inline(always)]
    fn call(self) -> Result<()> {
        let Self { mut fill, range } = self;
        let (mut cut, mut end) = (StretchCursor::new(fill.stretches, range.end), range.end);
        let mut sums = Vec::new();
        while end > range.start {
            cut.look_ahead(fill.rows, range.start);
            let (nodes, kind) = cut.last(range.start..end);
            end = nodes.start;
            let repeated = kind == Some(StretchKind::Repeated)
                && !fill.outputs.view().intersects(nodes.clone());
            let alone = match kind {
                Some(StretchKind::Repeated) if repeated => nodes.end - 1..nodes.end,
                Some(StretchKind::Shifted) => {
                    nodes.start..fill.shifted(nodes.clone(), &mut sums)?
                }
                _ => nodes.clone(),
            };
            fill.one_by_one(alone)?;
            if repeated {
                fill.repeat_last(nodes)?;
            }
        }
        Ok(())
    }
}

impl<I: Index> Fill<'_, '_, I> {
    /// The rows of `nodes`, and those of the same band that are counted, with the node of the first.
    #[inline(always)]
    fn split(&mut self, nodes: Range<usize>) -> Option<(&mut [u64], &[u64], usize)> {
        let place = (nodes.start - self.first) * self.digits;
        let (_, from) = self.open.split_at_mut_checked(place)?;
        let (own, behind) = from.split_at_mut_checked(nodes.len() * self.digits)?;
        let (near, base) = self.done.near.unwrap_or((behind, nodes.end));
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

    /// Counts nodes with shifted lists, some at a time; returns the end of those that are left. The
    /// sums are for its own use.
    #[inline(always)]
    fn shifted(&mut self, range: Range<usize>, sums: &mut Vec<u64>) -> Result<usize> {
        let mut end = range.end;
        let row = self.rows.list(range.start).ok_or_else(lists_changed)?;
        if range.len() < SIDE_BY_SIDE {
            return Ok(end);
        }
        // Narrow rows are worth counting in longer stretches.
        let most = (WORTH / self.digits).clamp(SIDE_BY_SIDE, range.len());
        let lanes = range.len().div_ceil(range.len().div_ceil(most));
        sums.resize(lanes * self.digits, 0);
        let (outputs, digits, done) = (self.outputs.view(), self.digits, self.done);
        while end > range.start {
            // The last ones may be counted twice.
            let first = end.saturating_sub(lanes).max(range.start);
            let nodes = first..first + lanes;
            let (own, near, base) = self.split(nodes.clone()).ok_or_else(lists_changed)?;
            let further = nodes.start - range.start;
            let counted = Counted { near, base, digits, done: &done };
            if counted.side_by_side(row, further, sums).is_none() {
                break;
            }
            end = nodes.start;
            if outputs.intersects(nodes.clone()) || !carried_at_once(sums, digits, own) {
                let rows = own.chunks_exact_mut(digits).zip(sums.chunks_exact(digits));
                for (node, (own, sums)) in nodes.zip(rows) {
                    own.copy_from_slice(sums);
                    no_carry(settle(own, outputs.contains(node).into()))?;
                }
            }
        }
        Ok(end)
    }

    #[inline(always)]
    fn one_by_one(&mut self, range: Range<usize>) -> Result<()> {
        match self.digits {
            1 => self.plain::<1>(range),
            2 => self.plain::<2>(range),
            3 => self.plain::<3>(range),
            4 => self.plain::<4>(range),
            5 => self.plain::<5>(range),
            6 => self.plain::<6>(range),
            7 => self.plain::<7>(range),
            8 => self.plain::<8>(range),
            9 => self.plain::<9>(range),
            10 => self.plain::<10>(range),
            11 => self.plain::<11>(range),
            12 => self.plain::<12>(range),
            13 => self.plain::<13>(range),
            14 => self.plain::<14>(range),
            15 => self.plain::<15>(range),
            16 => self.plain::<16>(range),
            _ => self.groups(range),
        }
    }

    /// ListSection of any width, each edge with a multiplicity.
    fn weighted(&mut self, range: Range<usize>) -> Result<()> {
        let (digits, done, rows, outputs) = (self.digits, self.done, self.rows, self.outputs);
        let mut wide = vec![0u128; digits];
        for node in range.rev() {
            let row = rows.list(node).ok_or_else(lists_changed)?;
            let times = rows.multiplicities(node).ok_or_else(lists_changed)?;
            wide.fill(0);
            let (own, near, base) = self.split(node..node + 1).ok_or_else(lists_changed)?;
            for (ids, times) in row.chunks(BATCH).zip(times.chunks(BATCH)) {
                for (&id, &times) in ids.iter().zip(times) {
                    let read =
                        done.row(near, base, digits, id.position()).ok_or_else(lists_changed)?;
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

    /// ListSection of `W` digits.
    #[inline(always)]
    fn plain<const W: usize>(&mut self, range: Range<usize>) -> Result<()> {
        let Self { ref mut open, first, done, rows, outputs, .. } = *self;
        let outputs = outputs.view();
        let (open, _) = open.as_chunks_mut::<W>();
        for node in range.rev() {
            let row = rows.list(node).ok_or_else(lists_changed)?;
            let split = open.split_at_mut_checked((node - first).saturating_add(1));
            let (upto, behind) = split.ok_or_else(lists_changed)?;
            let (near, base) = match done.near {
                Some((near, base)) => (near.as_chunks::<W>().0, base),
                None => (&*behind, node + 1),
            };
            let sum = settled::<W, I>(near, base, &done, row, outputs.contains(node))?;
            if let Some(place) = upto.last_mut() {
                *place = sum;
            }
        }
        Ok(())
    }

    /// ListSection of many digits, a multiple of 4, group after group.
    #[inline(always)]
    fn groups(&mut self, range: Range<usize>) -> Result<()> {
        let Self { digits, done, rows, outputs, .. } = *self;
        let mut wide = vec![0u128; digits];
        for node in range.rev() {
            let row = rows.list(node).ok_or_else(lists_changed)?;
            let (own, near, base) = self.split(node..node + 1).ok_or_else(lists_changed)?;
            wide.fill(0);
            let read = |id: I| done.row(near, base, digits, id.position());
            for batch in row.chunks(BATCH) {
                let mut at = 0;
                while at + GROUP <= digits {
                    add_to(
                        &mut wide[at..],
                        &add_up::<GROUP, I>(read, batch, at).ok_or_else(lists_changed)?,
                    );
                    at += GROUP;
                }
                while at < digits {
                    add_to(
                        &mut wide[at..],
                        &add_up::<4, I>(read, batch, at).ok_or_else(lists_changed)?,
                    );
                    at += 4;
                }
            }
            settle_wide(&wide, own, outputs.contains(node).into())?;
        }
        Ok(())
    }
}

/// The sum over a row with its carries settled.
#[inline(always)]
fn settled<const W: usize, I: Index>(
    near: &[[u64; W]],
    base: usize,
    done: &CountedRows<'_>,
    row: &[I],
    output: bool,
) -> Result<[u64; W]> {
    let mut sums = [0u64; W];
    sums[0] = output.into();
    for (number, batch) in row.chunks(BATCH).enumerate() {
        if number > 0 {
            no_carry(settle(&mut sums, 0))?;
        }
        add_rows(near, base, done, batch, &mut sums).ok_or_else(lists_changed)?;
    }
    let mut row = [0u64; W];
    if !carried_at_once(&sums, W, &mut row) {
        no_carry(settle(&mut sums, 0))?;
        row = sums;
    }
    Ok(row)
}

/// Adds the rows of `ids` to `sums`, each of their `W` lower digits without carries.
#[inline(always)]
fn add_rows<const W: usize, I: Index>(
    near: &[[u64; W]],
    base: usize,
    done: &CountedRows<'_>,
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
        let (rows, digits) = done.behind.rows(node)?;
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

/// The lower digits of a row at the end of its slab.
#[cold]
#[inline(never)]
fn lower_digits<const W: usize>(row: &[u64]) -> [u64; W] {
    std::array::from_fn(|digit| row.get(digit).copied().unwrap_or(0))
}

/// Digits `at..at + W` of the rows of `ids`, whatever their widths, each added up without carries.
#[inline(always)]
fn add_up<'r, const W: usize, I: Index>(
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
