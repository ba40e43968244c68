//! The sweep that counts exactly.
//!
//! It opens a band of rows before it counts their nodes, with a width that no count of them
//! exceeds, and lets go of rows that no node will read again where only the counts of parameters
//! are wanted.

use std::ops::Range;

use crate::error::Result;
use crate::graph::exact::bands::{Bands, CHUNK, CountedRows};
use crate::graph::exact::parameter_rows::ParameterRows;
use crate::graph::exact::row_sums::{RowTask, count_rows};
use crate::graph::exact::widths::Widths;
use crate::graph::lists::csr::Index;
use crate::graph::lists::node_set::NodeSet;
use crate::graph::lists::source::{ListSection, lists_changed};
use crate::graph::purposes::{COUNTING, COUNTING_PARAMETERS};
use crate::graph::survey::blocks::Survey;
use crate::graph::survey::stretches::{Stretch, edges_read};
use crate::graph::sweep::Sweep;
use crate::machine::memory::{Purpose, check_room, is_to_be_had};
use crate::machine::monitor::Monitor;
use crate::machine::team::Team;

/// About so many digits are written between two looks at the monitor.
const STEP: usize = 1 << 20;

/// If widths are found on the way, the first slab has rows for one in so many nodes.
const FIRST: usize = 8;

/// Counts the nodes of a graph exactly.
pub(crate) struct ExactSweep<'a> {
    pub(crate) bands: Bands,
    widths: Widths<'a>,
    outputs: &'a NodeSet,
    stretches: &'a [Stretch],
    /// The counts to be kept when rows are let go; `None` if all rows are kept.
    pub(crate) parameter_rows: Option<ParameterRows>,
    /// The bytes of the rows that are there.
    held: u64,
    /// The most bytes that there were at once.
    pub(crate) peak: u64,
    /// The most bytes that there may be.
    limit: u64,
}

impl<'a> ExactSweep<'a> {
    /// A sweep over so many nodes.
    pub(crate) fn new(
        nodes: usize,
        widths: Widths<'a>,
        outputs: &'a NodeSet,
        survey: &'a Survey,
        parameter_rows: Option<ParameterRows>,
        limit: u64,
    ) -> Self {
        let bands = Bands::new(nodes);
        let stretches = &survey.stretches;
        Self { bands, widths, outputs, stretches, parameter_rows, held: 0, peak: 0, limit }
    }

    /// What the rows are for.
    pub(crate) fn purpose(&self) -> Purpose {
        if self.parameter_rows.is_some() { COUNTING_PARAMETERS } else { COUNTING }
    }

    /// The most bytes that the rows will take at once; if widths are not known, a lower bound.
    pub(crate) fn needed(&self) -> u64 {
        let nodes = self.bands.nodes();
        let bytes = |part: Range<usize>| {
            (size_of::<u64>() * self.widths.digits_of(part.start..part.end.min(nodes), 1)) as u64
        };
        self.parameter_rows
            .as_ref()
            .map_or_else(|| bytes(0..nodes), |parameter_rows| parameter_rows.peak(bytes))
    }

    /// Makes sure that the node before `end` has a row, and with it the nodes before it whose
    /// widths are known by now; nodes from `apart` on do not read each other. Returns the first
    /// node of the band.
    fn open_band(&mut self, end: usize, apart: usize) -> Result<usize> {
        if end == self.bands.first() {
            let group = self
                .parameter_rows
                .as_ref()
                .map_or(0, |parameter_rows| parameter_rows.first(end - 1));
            let chunks = group / CHUNK..end.div_ceil(CHUNK);
            let behind = self.bands.latest().map_or(1, |band| band.digits);
            let (chunks, digits) = self.widths.last_chunks(chunks, apart.div_ceil(CHUNK), behind);
            let first = chunks.start * CHUNK;
            let room = if self.widths.are_known() || self.parameter_rows.is_some() {
                self.widths.digits_of(group..end, digits)
            } else {
                self.guess_room(end, digits)
            };
            let room = room.max((end - first) * digits);
            let most = self.hold((end - first) * digits, room)?;
            if self
                .parameter_rows
                .as_ref()
                .is_some_and(|parameter_rows| parameter_rows.first(end) == end)
            {
                self.bands.leave_slab();
            }
            // More than what is needed now is only asked for if it is there.
            let bytes = |lanes: usize| (size_of::<u64>() as u64).saturating_mul(lanes as u64);
            let needed = (end - first) * digits;
            let room = if is_to_be_had(bytes(room.min(most))) { room.min(most) } else { needed };
            check_room(self.purpose(), bytes(needed), self.limit)?;
            self.bands.extend(first, digits, room);
        }
        self.bands.latest().map(|band| band.first).ok_or_else(lists_changed)
    }

    /// A guess at how many digits the rows of all nodes before `end` will have, if widths go on
    /// growing as they did. If there are no rows yet, the guess is for the first nodes only. Memory
    /// that turns out to be too much is never touched.
    fn guess_room(&self, end: usize, digits: usize) -> usize {
        let counted = self.bands.nodes() - end;
        if counted == 0 {
            return end.div_ceil(FIRST).saturating_mul(digits);
        }
        let (rest, width) = (end as f64, digits as f64);
        let growth = (width - self.bands.lanes() as f64 / counted as f64).max(0.0) / counted as f64;
        ((width + growth * rest) * rest * 1.125) as usize
    }

    /// Accounts for so many more digits, to which up to `room` may come; returns how many are
    /// allowed.
    ///
    /// # Errors
    /// [`Error::GraphMemory`].
    fn hold(&mut self, lanes: usize, room: usize) -> Result<usize> {
        let bytes = |lanes: usize| (size_of::<u64>() as u64).saturating_mul(lanes as u64);
        let left = self.limit.saturating_sub(self.held);
        if bytes(lanes) > left {
            let needed = self.held.saturating_add(bytes(room));
            return Err(self.purpose().not_allowed(needed, self.limit));
        }
        self.held += bytes(lanes);
        self.peak = self.peak.max(self.held);
        Ok((left / bytes(1)) as usize)
    }

    /// Notes that the nodes of `counted` are counted, the first that are, and lets go of the rows
    /// that no other node will read.
    ///
    /// # Errors
    /// [`crate::Error::GraphMemory`] if the counts to be kept take too much.
    fn close(&mut self, counted: Range<usize>) -> Result<()> {
        if let Some((band, rows, _)) = self.bands.split().filter(|_| !self.widths.are_known()) {
            let place = |node: usize| (node - band.first) * band.digits;
            let rows = rows.get(place(counted.start)..place(counted.end)).unwrap_or_default();
            self.widths.note_counted(counted.clone(), rows, band.digits);
        }
        if let Some(parameter_rows) = &mut self.parameter_rows {
            while let Some(nodes) = parameter_rows.next_freed(counted.start) {
                parameter_rows.keep(nodes.clone(), &self.bands)?;
                self.held -= (size_of::<u64>() * self.bands.release(nodes)) as u64;
            }
            let needed = self.held.saturating_add(parameter_rows.bytes());
            if needed > self.limit {
                return Err(COUNTING_PARAMETERS.not_allowed(needed, self.limit));
            }
        }
        Ok(())
    }

    /// Counts the nodes of `range` on this thread. Nodes from `apart` on do not read each other.
    fn count_on_one_thread<I: Index>(
        &mut self,
        lists: &ListSection<'_, I>,
        range: Range<usize>,
        apart: usize,
        monitor: &Monitor<'_>,
    ) -> Result<()> {
        let mut end = range.end;
        while end > range.start {
            let first = self.open_band(end, apart)?;
            let (outputs, stretches) = (self.outputs, self.stretches);
            let (band, open, behind) = self.bands.split().ok_or_else(lists_changed)?;
            let digits = band.digits;
            let start = first.max(range.start).max(end.saturating_sub((STEP / digits).max(1)));
            let counted = CountedRows { near: None, behind };
            count_rows(
                RowTask { open, first, digits, counted, lists, outputs, stretches },
                start..end,
            )?;
            self.close(start..end)?;
            monitor.breathe(lists.edges(start, end).saturating_mul(digits) as u64)?;
            end = start;
        }
        Ok(())
    }
}

impl<I: Index> Sweep<I> for ExactSweep<'_> {
    fn narrow(
        &mut self,
        lists: &ListSection<'_, I>,
        range: Range<usize>,
        monitor: &Monitor<'_>,
    ) -> Result<()> {
        let end = range.end;
        self.count_on_one_thread(lists, range, end, monitor)
    }

    fn wide(
        &mut self,
        lists: &ListSection<'_, I>,
        range: Range<usize>,
        team: &Team,
        monitor: &Monitor<'_>,
    ) -> Result<()> {
        let apart = range.start;
        if team.pieces(|| edges_read(self.stretches, lists, range.clone())) == 1 {
            return self.count_on_one_thread(lists, range, apart, monitor);
        }
        let mut end = range.end;
        while end > range.start {
            let first = self.open_band(end, apart)?;
            let (outputs, stretches) = (self.outputs, self.stretches);
            let (band, open, behind) = self.bands.split().ok_or_else(lists_changed)?;
            let start = first.max(range.start);
            let (digits, row) = (band.digits, |node: usize| (node - first) * band.digits);
            // The rows of the range are written; those of the same band behind it may be read.
            let base = range.end.min(band.end);
            let (open, near) = open.split_at_mut_checked(row(base)).ok_or_else(lists_changed)?;
            let mut rest = open.get_mut(row(start)..row(end)).ok_or_else(lists_changed)?;
            let counted = CountedRows { near: Some((near, base)), behind };
            let mut tasks = Vec::new();
            let pieces = team.pieces(|| edges_read(stretches, lists, start..end));
            for part in lists.parts(start..end, pieces) {
                let (open, later) = rest.split_at_mut(part.len() * digits);
                rest = later;
                let first = part.start;
                tasks.push((
                    RowTask { open, first, digits, counted, lists, outputs, stretches },
                    part,
                ));
            }
            let cost = |(_, part): &(_, Range<usize>)| {
                (lists.edges(part.start, part.end) as u64).saturating_mul(digits as u64)
            };
            team.each(tasks.into_iter(), monitor, cost, |(task, part)| count_rows(task, part))?;
            self.close(start..end)?;
            end = start;
        }
        Ok(())
    }
}
