//! Exact counting, into rows whose widths are known beforehand.

use std::ops::Range;

use crate::error::Result;
use crate::graph::chunks::{CHUNK, Chunk, nodes_of};
use crate::graph::csr::Index;
use crate::graph::drive::Sweep;
use crate::graph::fill::{Apart, InPlace, fill};
use crate::graph::kept::Kept;
use crate::graph::marks::Marks;
use crate::graph::source::Rows;
use crate::graph::team::Team;
use crate::monitor::Monitor;

/// Chunks that several threads fill at once, if others are let go in between.
const AT_ONCE: usize = 64;

/// See the module.
pub(crate) struct ExactSweep<'a> {
    pub(crate) chunks: Vec<Chunk>,
    outputs: &'a Marks,
    nodes: usize,
    /// What is kept of chunks that no node reads any more; `None` keeps the chunks.
    pub(crate) kept: Option<Kept>,
    /// Bytes of chunks that are there, and the most there were.
    held: u64,
    pub(crate) peak: u64,
}

impl<'a> ExactSweep<'a> {
    /// `widths` in digits, one for each chunk.
    pub(crate) fn new(
        nodes: usize,
        widths: &[usize],
        outputs: &'a Marks,
        kept: Option<Kept>,
    ) -> Self {
        let chunk = |&digits: &usize| Chunk { rows: Vec::new(), digits };
        let chunks = widths.iter().map(chunk).collect();
        Self { chunks, outputs, nodes, kept, held: 0, peak: 0 }
    }

    /// Gives a chunk its memory when its first node is counted.
    fn open(&mut self, chunk: usize) {
        let chunk = &mut self.chunks[chunk];
        if chunk.rows.is_empty() {
            chunk.rows = vec![0; CHUNK * chunk.digits];
            self.held += chunk.bytes();
            self.peak = self.peak.max(self.held);
        }
    }

    /// Nodes from `start` on are counted: lets go of the chunks that were read for the last time.
    fn close(&mut self, start: usize) {
        if let Some(kept) = &mut self.kept {
            while let Some(chunk) = kept.next_freed(start) {
                kept.keep(&self.chunks[chunk], chunk);
                self.held -= self.chunks[chunk].bytes();
                self.chunks[chunk].rows = Vec::new();
            }
        }
    }

    /// How many chunks may be filled before one is let go.
    pub(crate) fn at_once(team: &Team) -> usize {
        if team.threads() == 1 { 1 } else { AT_ONCE }
    }

    /// Nodes below `end` within its chunk.
    fn start_of_chunk(end: usize) -> usize {
        (end - 1) / CHUNK * CHUNK
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
            let start = Self::start_of_chunk(end).max(range.start);
            let chunk = start / CHUNK;
            self.open(chunk);
            let place = InPlace { chunks: &mut self.chunks, chunk };
            fill(place, rows, start..end, self.outputs)?;
            self.close(start);
            monitor.breathe((rows.edges(start, end) * self.chunks[chunk].digits) as u64)?;
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
        let first = range.start.div_ceil(CHUNK);
        let last =
            if range.end == self.nodes { range.end.div_ceil(CHUNK) } else { range.end / CHUNK };
        if team.threads() == 1 || last <= first + 1 {
            return self.narrow(rows, range, monitor);
        }
        // Chunks that are only partly in the range come before and after those that are wholly so.
        let whole = first * CHUNK..range.end.min(last * CHUNK);
        self.narrow(rows, whole.end..range.end, monitor)?;
        let at_once = if self.kept.is_some() { Self::at_once(team) } else { last - first };
        let mut end = last;
        while end > first {
            let start = first.max(end.saturating_sub(at_once));
            (start..end).for_each(|chunk| self.open(chunk));
            let (open, done) = self.chunks.split_at_mut(end);
            let tasks = open[start..].iter_mut().zip(start..end);
            let (outputs, done, nodes) = (self.outputs, &*done, self.nodes);
            team.each(
                tasks,
                monitor,
                |_| 0,
                |(chunk, number)| {
                    let place = Apart { chunk, done, first: end };
                    fill(place, rows, nodes_of(number, nodes), outputs)
                },
            )?;
            self.close(start * CHUNK);
            end = start;
        }
        self.narrow(rows, range.start..whole.start, monitor)
    }
}
