//! The innermost loops of exact counting: rows of digits added up, and carries settled.

use std::ops::Range;

use crate::error::{Error, Result};
use crate::graph::chunks::{CHUNK, Chunk, DIGIT, DIGIT_BITS};
use crate::graph::csr::Index;
use crate::graph::marks::Marks;
use crate::graph::run::{WORTH_COMPARING, same};
use crate::graph::source::{Rows, changed};
use crate::graph::survey::CHUNK_BITS;

/// Edges whose digits are added up before carries are settled.
const BATCH: usize = 128;
/// Digits added up at once in rows wider than that.
const GROUP: usize = 16;

/// Where the rows of a chunk are written to, and those that are read come from.
pub(crate) trait Place {
    fn digits(&self) -> usize;
    /// Chunks that can be read, and the number of the first.
    fn done(&self) -> (&[Chunk], usize);
    /// The row of `node`, to be written.
    fn row(&mut self, node: usize) -> &mut [u64];
}

/// A chunk whose nodes read each other.
pub(crate) struct InPlace<'c> {
    pub(crate) chunks: &'c mut [Chunk],
    pub(crate) chunk: usize,
}

/// A chunk whose nodes only read the chunks from `first` on.
pub(crate) struct Apart<'c> {
    pub(crate) chunk: &'c mut Chunk,
    pub(crate) done: &'c [Chunk],
    pub(crate) first: usize,
}

impl Place for InPlace<'_> {
    #[inline(always)]
    fn digits(&self) -> usize {
        self.chunks[self.chunk].digits
    }

    #[inline(always)]
    fn done(&self) -> (&[Chunk], usize) {
        (self.chunks, 0)
    }

    #[inline(always)]
    fn row(&mut self, node: usize) -> &mut [u64] {
        let chunk = &mut self.chunks[self.chunk];
        &mut chunk.rows[(node % CHUNK) * chunk.digits..][..chunk.digits]
    }
}

impl Place for Apart<'_> {
    #[inline(always)]
    fn digits(&self) -> usize {
        self.chunk.digits
    }

    #[inline(always)]
    fn done(&self) -> (&[Chunk], usize) {
        (self.done, self.first)
    }

    #[inline(always)]
    fn row(&mut self, node: usize) -> &mut [u64] {
        &mut self.chunk.rows[(node % CHUNK) * self.chunk.digits..][..self.chunk.digits]
    }
}

/// Counts the nodes of `range`, all in the chunk of `place`.
pub(crate) fn fill<P: Place, I: Index>(
    place: P,
    rows: &Rows<'_, I>,
    range: Range<usize>,
    outputs: &Marks,
) -> Result<()> {
    pulp::Arch::new().dispatch(Fill { place, rows, range, outputs })
}

/// [`fill`], compiled for every instruction set.
struct Fill<'f, 'r, P, I> {
    place: P,
    rows: &'f Rows<'r, I>,
    range: Range<usize>,
    outputs: &'f Marks,
}

impl<P: Place, I: Index> pulp::NullaryFnOnce for Fill<'_, '_, P, I> {
    type Output = Result<()>;

    #[inline(always)]
    fn call(self) -> Result<()> {
        if self.rows.multiplicity.is_some() {
            return self.weighted();
        }
        match self.place.digits() {
            1 => self.plain::<1>(),
            2 => self.plain::<2>(),
            3 => self.plain::<3>(),
            4 => self.plain::<4>(),
            5 => self.plain::<5>(),
            6 => self.plain::<6>(),
            7 => self.plain::<7>(),
            8 => self.plain::<8>(),
            9 => self.plain::<9>(),
            10 => self.plain::<10>(),
            11 => self.plain::<11>(),
            12 => self.plain::<12>(),
            13 => self.plain::<13>(),
            14 => self.plain::<14>(),
            15 => self.plain::<15>(),
            16 => self.plain::<16>(),
            _ => self.groups(),
        }
    }
}

impl<P: Place, I: Index> Fill<'_, '_, P, I> {
    /// Rows of `W` digits.
    #[inline(always)]
    fn plain<const W: usize>(mut self) -> Result<()> {
        let mut latest: &[I] = &[];
        let mut latest_sum = [0u64; W];
        for node in self.range.clone().rev() {
            let row = self.rows.row(node).ok_or_else(changed)?;
            let sum = if row.len() < WORTH_COMPARING {
                self.settled::<W>(row)?
            } else {
                if !same(row, latest) {
                    (latest, latest_sum) = (row, self.settled::<W>(row)?);
                }
                latest_sum
            };
            self.put_down(node, sum)?;
        }
        Ok(())
    }

    /// Writes the settled sum of a node, with the path of its own if it is an output.
    #[inline(always)]
    fn put_down<const W: usize>(&mut self, node: usize, mut sum: [u64; W]) -> Result<()> {
        if self.outputs.has(node) {
            let mut carry = 1;
            for digit in &mut sum {
                let with_carry = digit.wrapping_add(carry);
                *digit = with_carry & DIGIT;
                carry = with_carry >> DIGIT_BITS;
            }
            no_carry(carry)?;
        }
        if let Some(place) = self.place.row(node).first_chunk_mut::<W>() {
            *place = sum;
        }
        Ok(())
    }

    /// The sum over a row with its carries settled.
    #[inline(always)]
    fn settled<const W: usize>(&self, row: &[I]) -> Result<[u64; W]> {
        let (done, first) = self.place.done();
        if row.len() > BATCH {
            let mut wide = [0u128; W];
            for batch in row.chunks(BATCH) {
                let sums = add_rows::<W, I>(done, first, batch).ok_or_else(changed)?;
                for (wide, sum) in wide.iter_mut().zip(sums) {
                    *wide += u128::from(sum);
                }
            }
            let mut sums = [0u64; W];
            settle(&wide, &mut sums, 0)?;
            return Ok(sums);
        }
        let mut sums = add_rows::<W, I>(done, first, row).ok_or_else(changed)?;
        let mut carry = 0;
        for sum in &mut sums {
            let with_carry = sum.wrapping_add(carry);
            *sum = with_carry & DIGIT;
            carry = with_carry >> DIGIT_BITS;
        }
        no_carry(carry)?;
        Ok(sums)
    }

    /// Rows of many digits, a multiple of 4, group after group.
    #[inline(always)]
    fn groups(mut self) -> Result<()> {
        let digits = self.place.digits();
        let mut wide = vec![0u128; digits];
        let mut latest: &[I] = &[];
        for node in self.range.clone().rev() {
            let row = self.rows.row(node).ok_or_else(changed)?;
            if !(row.len() >= WORTH_COMPARING && same(row, latest)) {
                wide.fill(0);
                let (done, first) = self.place.done();
                for batch in row.chunks(BATCH) {
                    let mut at = 0;
                    while at + GROUP <= digits {
                        let sums = add_up::<GROUP, I>(done, first, batch, at);
                        add_to(&mut wide[at..], &sums.ok_or_else(changed)?);
                        at += GROUP;
                    }
                    while at < digits {
                        let sums = add_up::<4, I>(done, first, batch, at);
                        add_to(&mut wide[at..], &sums.ok_or_else(changed)?);
                        at += 4;
                    }
                }
                latest = row;
            }
            settle(&wide, self.place.row(node), u128::from(self.outputs.has(node)))?;
        }
        Ok(())
    }

    /// Rows of any width, each edge with a multiplicity.
    #[inline(always)]
    fn weighted(mut self) -> Result<()> {
        let digits = self.place.digits();
        let mut wide = vec![0u128; digits];
        for node in self.range.clone().rev() {
            let row = self.rows.row(node).ok_or_else(changed)?;
            let times = self.rows.times(node).ok_or_else(changed)?;
            wide.fill(0);
            let (done, first) = self.place.done();
            for (ids, times) in row.chunks(BATCH).zip(times.chunks(BATCH)) {
                for (&id, &times) in ids.iter().zip(times) {
                    let read = read(done, first, id).ok_or_else(changed)?;
                    for (wide, &digit) in wide.iter_mut().zip(read) {
                        *wide += u128::from(digit) * u128::from(times);
                    }
                }
                carry_over(&mut wide);
            }
            settle(&wide, self.place.row(node), u128::from(self.outputs.has(node)))?;
        }
        Ok(())
    }
}

/// The row of a node that is counted.
#[inline(always)]
fn read<I: Index>(done: &[Chunk], first: usize, id: I) -> Option<&[u64]> {
    let chunk = done.get((id.position() >> CHUNK_BITS).wrapping_sub(first))?;
    let start = (id.position() % CHUNK).wrapping_mul(chunk.digits);
    chunk.rows.get(start..start.wrapping_add(chunk.digits))
}

/// The rows of `ids`, each of their `W` lower digits added up without carries.
#[inline(always)]
fn add_rows<const W: usize, I: Index>(done: &[Chunk], first: usize, ids: &[I]) -> Option<[u64; W]> {
    let mut sums = [0u64; W];
    for &id in ids {
        let chunk = done.get((id.position() >> CHUNK_BITS).wrapping_sub(first))?;
        // Checked against a constant length, the place within the chunk needs no check.
        let rows = chunk.rows.get(..CHUNK * W).filter(|rows| rows.len() == chunk.rows.len());
        let start = (id.position() % CHUNK) * W;
        let row: [u64; W] = match rows {
            Some(rows) => std::array::from_fn(|digit| rows[start + digit]),
            None => lower_digits(read(done, first, id)?),
        };
        for digit in 0..W {
            sums[digit] = sums[digit].wrapping_add(row[digit]);
        }
    }
    Some(sums)
}

/// The lower digits of a row of another width.
#[inline(never)]
fn lower_digits<const W: usize>(row: &[u64]) -> [u64; W] {
    std::array::from_fn(|digit| row.get(digit).copied().unwrap_or(0))
}

/// Digits `at..at + W` of the rows of `ids`, whatever their widths, each added up without carries.
#[inline(always)]
fn add_up<const W: usize, I: Index>(
    done: &[Chunk],
    first: usize,
    ids: &[I],
    at: usize,
) -> Option<[u64; W]> {
    let mut sums = [0u64; W];
    for &id in ids {
        let row = read(done, first, id)?.get(at..).unwrap_or_default();
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

#[inline(always)]
fn add_to(wide: &mut [u128], sums: &[u64]) {
    for (wide, &sum) in wide.iter_mut().zip(sums) {
        *wide += u128::from(sum);
    }
}

/// Settles the carries of `wide` in place, as far as it reaches.
#[inline(always)]
fn carry_over(wide: &mut [u128]) {
    let mut carry = 0;
    if let Some((top, lower)) = wide.split_last_mut() {
        for wide in lower {
            let sum = *wide + carry;
            *wide = sum & u128::from(DIGIT);
            carry = sum >> DIGIT_BITS;
        }
        *top += carry;
    }
}

/// Writes `wide + carry` as digits.
#[inline(always)]
fn settle(wide: &[u128], digits: &mut [u64], mut carry: u128) -> Result<()> {
    for (digit, wide) in digits.iter_mut().zip(wide) {
        let sum = wide + carry;
        *digit = sum as u64 & DIGIT;
        carry = sum >> DIGIT_BITS;
    }
    no_carry(u64::from(carry != 0))
}

/// A carry out of the last digit means that the bound on the width was wrong.
#[inline(always)]
fn no_carry(carry: u64) -> Result<()> {
    if carry == 0 {
        return Ok(());
    }
    Err(Error::Internal("a count is larger than its bound".into()))
}
