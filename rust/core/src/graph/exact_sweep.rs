//! Exact counting, into rows whose widths are known beforehand.

use std::ops::Range;

use crate::error::Result;
use crate::graph::bands::{Band, Bands};
use crate::graph::csr::Index;
use crate::graph::drive::Sweep;
use crate::graph::fill::{Done, Fill, fill};
use crate::graph::kept::Kept;
use crate::graph::marks::Marks;
use crate::graph::source::{Rows, changed};
use crate::graph::stretches::{Stretch, is_one};
use crate::graph::team::{Team, parts};
use crate::monitor::Monitor;

/// Edges of one part of a wide piece, about.
const PART: usize = 1 << 13;

/// Digits written between two looks at the monitor, about.
const STEP: usize = 1 << 20;

/// See the module.
pub(crate) struct ExactSweep<'a> {
    pub(crate) bands: Bands,
    outputs: &'a Marks,
    stretches: &'a [Stretch],
    /// What is kept of bands that no node reads any more; `None` keeps the bands.
    pub(crate) kept: Option<Kept>,
    /// Bytes of bands that are there, and the most there were.
    held: u64,
    pub(crate) peak: u64,
}

impl<'a> ExactSweep<'a> {
    pub(crate) fn new(
        bands: Bands,
        outputs: &'a Marks,
        stretches: &'a [Stretch],
        kept: Option<Kept>,
    ) -> Self {
        Self { bands, outputs, stretches, kept, held: 0, peak: 0 }
    }

    /// The band of the node before `end`, which gets its memory when its last node is counted.
    fn open(&mut self, end: usize) -> Result<usize> {
        let number = self.bands.of(end.wrapping_sub(1)).ok_or_else(changed)?;
        let band = self.bands.bands.get_mut(number).ok_or_else(changed)?;
        if band.end == end {
            band.open();
            self.held += band.bytes();
            self.peak = self.peak.max(self.held);
        }
        Ok(number)
    }

    /// Nodes from `start` on are counted: lets go of the bands that were read for the last time.
    fn close(&mut self, start: usize) {
        if let Some(kept) = &mut self.kept {
            while let Some(number) = kept.next_freed(start) {
                let band = &mut self.bands.bands[number];
                kept.keep(band);
                self.held -= band.bytes();
                band.close();
            }
        }
    }

    /// The rows of a band, and what is counted behind it.
    fn split(&mut self, number: usize) -> Result<(&mut Band, Done<'_>)> {
        let Bands { bands, of } = &mut self.bands;
        let (open, later) = bands.split_at_mut(number + 1);
        let band = open.last_mut().ok_or_else(changed)?;
        Ok((band, Done { near: None, later, first: number + 1, of }))
    }
}

impl<I: Index> Sweep<I> for ExactSweep<'_> {
    fn narrow(
        &mut self,
        rows: &Rows<'_, I>,
        range: Range<usize>,
        monitor: &Monitor<'_>,
    ) -> Result<()> {
        let mut end = range.end;
        while end > range.start {
            let number = self.open(end)?;
            let (outputs, stretches) = (self.outputs, self.stretches);
            let (band, done) = self.split(number)?;
            let (digits, first) = (band.digits, band.first);
            let start = first.max(range.start).max(end.saturating_sub((STEP / digits).max(1)));
            fill(
                Fill { open: &mut band.rows, first, digits, done, rows, outputs, stretches },
                start..end,
            )?;
            self.close(start);
            monitor.breathe((rows.edges(start, end) * digits) as u64)?;
            end = start;
        }
        Ok(())
    }

    fn wide(
        &mut self,
        rows: &Rows<'_, I>,
        range: Range<usize>,
        team: &Team,
        monitor: &Monitor<'_>,
    ) -> Result<()> {
        if team.threads() == 1 || is_one(self.stretches, range.clone()) {
            return self.narrow(rows, range, monitor);
        }
        let mut end = range.end;
        while end > range.start {
            let number = self.open(end)?;
            let (outputs, stretches) = (self.outputs, self.stretches);
            let (band, done) = self.split(number)?;
            let start = band.first.max(range.start);
            let (digits, row) = (band.digits, |node: usize| (node - band.first) * band.digits);
            // Rows of the range to be written, and those behind it, which may be read.
            let from = row(start);
            let until = row(range.end.min(band.end));
            let upto = row(end) - from;
            let (open, near) = band.rows.split_at_mut_checked(until).ok_or_else(changed)?;
            let mut rest =
                open.get_mut(from..).and_then(|open| open.get_mut(..upto)).ok_or_else(changed)?;
            let done = Done { near: Some((near, range.end.min(band.end))), ..done };
            let mut tasks = Vec::new();
            for part in parts(start..end, rows.edges(start, end) / PART, 1) {
                let (open, later) = rest.split_at_mut(part.len() * digits);
                rest = later;
                tasks.push((
                    Fill { open, first: part.start, digits, done, rows, outputs, stretches },
                    part,
                ));
            }
            team.each(tasks.into_iter(), monitor, |_| 0, |(task, part)| fill(task, part))?;
            self.close(start);
            end = start;
        }
        Ok(())
    }
}
