//! Exact counting, into rows whose widths are bounded before they are counted.

use std::ops::Range;

use crate::error::{Error, Result};
use crate::graph::exact::bands::{Bands, CHUNK, CountedRows};
use crate::graph::exact::parameter_rows::ParameterRows;
use crate::graph::exact::row_sums::{Fill, fill};
use crate::graph::exact::widths::Widths;
use crate::graph::lists::csr::Index;
use crate::graph::lists::node_set::NodeSet;
use crate::graph::lists::source::{ListSection, lists_changed};
use crate::graph::survey::blocks::Survey;
use crate::graph::survey::stretches::{Stretch, edges_read};
use crate::graph::sweep::Sweep;
use crate::machine::monitor::Monitor;
use crate::machine::team::Team;

/// Digits written between two looks at the monitor, about.
const STEP: usize = 1 << 20;

/// What memory is asked for.
pub(crate) const COUNTING: &str = "counting exactly";

/// The first slab has rows for this part of the nodes, if widths are found on the way.
const FIRST: usize = 8;

/// See the module.
pub(crate) struct ExactSweep<'a> {
    pub(crate) bands: Bands,
    widths: Widths<'a>,
    outputs: &'a NodeSet,
    stretches: &'a [Stretch],
    /// What is kept of rows that no node reads any more; `None` keeps the rows.
    pub(crate) kept: Option<ParameterRows>,
    /// Bytes of rows that are there, the most there were, and the most there may be.
    held: u64,
    pub(crate) peak: u64,
    limit: u64,
}

impl<'a> ExactSweep<'a> {
    pub(crate) fn new(
        nodes: usize,
        widths: Widths<'a>,
        outputs: &'a NodeSet,
        survey: &'a Survey,
        kept: Option<ParameterRows>,
        limit: u64,
    ) -> Self {
        let bands = Bands::new(nodes);
        let stretches = &survey.stretches;
        Self { bands, widths, outputs, stretches, kept, held: 0, peak: 0, limit }
    }

    /// Bytes that the rows will take at once; at least, if widths are not known.
    pub(crate) fn needed(&self) -> u64 {
        let nodes = self.bands.nodes();
        let bytes = |part: Range<usize>| {
            (size_of::<u64>() * self.widths.lanes(part.start..part.end.min(nodes), 1)) as u64
        };
        self.kept.as_ref().map_or_else(|| bytes(0..nodes), |kept| kept.peak(bytes))
    }

    /// Gives rows to the node before `end`, and to those before it that can have them already;
    /// nodes from `apart` on read none of each other. Gives the first node of the band.
    fn open(&mut self, end: usize, apart: usize) -> Result<usize> {
        if end == self.bands.first() {
            let group = self.kept.as_ref().map_or(0, |kept| kept.first(end - 1));
            let chunks = group / CHUNK..end.div_ceil(CHUNK);
            let behind = self.bands.latest().map_or(1, |band| band.digits);
            let (chunks, digits) = self.widths.last(chunks, apart.div_ceil(CHUNK), behind);
            let first = chunks.start * CHUNK;
            let room = if self.widths.are_known() || self.kept.is_some() {
                self.widths.lanes(group..end, digits)
            } else {
                self.guessed(end, digits)
            };
            let room = room.max((end - first) * digits);
            let most = self.hold((end - first) * digits, room)?;
            if self.kept.as_ref().is_some_and(|kept| kept.first(end) == end) {
                self.bands.leave_slab();
            }
            self.bands.extend(first, digits, room.min(most));
        }
        self.bands.latest().map(|band| band.first).ok_or_else(lists_changed)
    }

    /// Digits that the rows of all nodes before `end` may have, if they go on to grow from the
    /// present width as they did before; of some nodes only, if no rows are there yet. What turns out
    /// to be too much is never touched.
    fn guessed(&self, end: usize, digits: usize) -> usize {
        let done = self.bands.nodes() - end;
        if done == 0 {
            return end.div_ceil(FIRST).saturating_mul(digits);
        }
        let (rest, width) = (end as f64, digits as f64);
        let growth = (width - self.bands.lanes() as f64 / done as f64).max(0.0) / done as f64;
        ((width + growth * rest) * rest * 1.125) as usize
    }

    /// There are so many more digits, and `room` that may follow; gives how many may be taken.
    fn hold(&mut self, lanes: usize, room: usize) -> Result<usize> {
        let bytes = |lanes: usize| (size_of::<u64>() as u64).saturating_mul(lanes as u64);
        let left = self.limit.saturating_sub(self.held);
        if bytes(lanes) > left {
            let needed = self.held.saturating_add(bytes(room));
            let (what, limit) = (COUNTING.into(), self.limit);
            return Err(Error::GraphMemory { what, needed, limit });
        }
        self.held += bytes(lanes);
        self.peak = self.peak.max(self.held);
        Ok((left / bytes(1)) as usize)
    }

    /// The nodes of `counted` are counted, before which none is: lets go of the rows that were read
    /// for the last time.
    fn close(&mut self, counted: Range<usize>) {
        if let Some((band, rows, _)) = self.bands.split().filter(|_| !self.widths.are_known()) {
            let place = |node: usize| (node - band.first) * band.digits;
            let rows = rows.get(place(counted.start)..place(counted.end)).unwrap_or_default();
            self.widths.counted(counted.clone(), rows, band.digits);
        }
        if let Some(kept) = &mut self.kept {
            while let Some(nodes) = kept.next_freed(counted.start) {
                kept.keep(nodes.clone(), &self.bands);
                self.held -= (size_of::<u64>() * self.bands.free(nodes)) as u64;
            }
        }
    }

    /// [`Sweep::narrow`], of nodes that read none of each other from `apart` on.
    fn alone<I: Index>(
        &mut self,
        rows: &ListSection<'_, I>,
        range: Range<usize>,
        apart: usize,
        monitor: &Monitor<'_>,
    ) -> Result<()> {
        let mut end = range.end;
        while end > range.start {
            let first = self.open(end, apart)?;
            let (outputs, stretches) = (self.outputs, self.stretches);
            let (band, open, behind) = self.bands.split().ok_or_else(lists_changed)?;
            let digits = band.digits;
            let start = first.max(range.start).max(end.saturating_sub((STEP / digits).max(1)));
            let done = CountedRows { near: None, behind };
            fill(Fill { open, first, digits, done, rows, outputs, stretches }, start..end)?;
            self.close(start..end);
            monitor.breathe(rows.edges(start, end).saturating_mul(digits) as u64)?;
            end = start;
        }
        Ok(())
    }
}

impl<I: Index> Sweep<I> for ExactSweep<'_> {
    fn narrow(
        &mut self,
        rows: &ListSection<'_, I>,
        range: Range<usize>,
        monitor: &Monitor<'_>,
    ) -> Result<()> {
        let end = range.end;
        self.alone(rows, range, end, monitor)
    }

    fn wide(
        &mut self,
        rows: &ListSection<'_, I>,
        range: Range<usize>,
        team: &Team,
        monitor: &Monitor<'_>,
    ) -> Result<()> {
        let apart = range.start;
        if team.pieces(|| edges_read(self.stretches, rows, range.clone())) == 1 {
            return self.alone(rows, range, apart, monitor);
        }
        let mut end = range.end;
        while end > range.start {
            let first = self.open(end, apart)?;
            let (outputs, stretches) = (self.outputs, self.stretches);
            let (band, open, behind) = self.bands.split().ok_or_else(lists_changed)?;
            let start = first.max(range.start);
            let (digits, row) = (band.digits, |node: usize| (node - first) * band.digits);
            // ListSection of the range to be written, and those behind it, which may be read.
            let base = range.end.min(band.end);
            let (open, near) = open.split_at_mut_checked(row(base)).ok_or_else(lists_changed)?;
            let mut rest = open.get_mut(row(start)..row(end)).ok_or_else(lists_changed)?;
            let done = CountedRows { near: Some((near, base)), behind };
            let mut tasks = Vec::new();
            let pieces = team.pieces(|| edges_read(stretches, rows, start..end));
            for part in rows.parts(start..end, pieces) {
                let (open, later) = rest.split_at_mut(part.len() * digits);
                rest = later;
                let first = part.start;
                tasks.push((Fill { open, first, digits, done, rows, outputs, stretches }, part));
            }
            let cost = |(_, part): &(_, Range<usize>)| {
                (rows.edges(part.start, part.end) as u64).saturating_mul(digits as u64)
            };
            team.each(tasks.into_iter(), monitor, cost, |(task, part)| fill(task, part))?;
            self.close(start..end);
            end = start;
        }
        Ok(())
    }
}
