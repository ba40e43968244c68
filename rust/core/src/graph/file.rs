//! Successor lists in a file: only where each list begins is held in memory.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::PathBuf;

use crate::error::{Error, Result};
use crate::graph::csr::{Index, Indices, check_offsets};
use crate::graph::source::{Rows, Source, changed};

/// Edges read at a time, unless one list is longer.
const STRETCH: usize = 1 << 20;

/// Where a file has successor lists, as arrays of little-endian integers.
#[derive(Debug, Clone)]
pub struct FileLists<'a> {
    /// Where every list begins, and the number of edges.
    pub(crate) offsets: Indices<'a>,
    path: PathBuf,
    targets: Array,
    /// Bytes before the multiplicities, 64 bits each.
    multiplicity: Option<u64>,
}

/// An array of integers in a file.
#[derive(Debug, Clone, Copy)]
struct Array {
    /// Bytes before it.
    start: u64,
    /// Whether its integers have 64 bits, not 32.
    wide: bool,
}

impl<'a> FileLists<'a> {
    /// Lists in the file at `path`: targets from byte `targets` on, of 64 bits if `wide`, else 32;
    /// multiplicities of 64 bits from byte `multiplicity` on.
    ///
    /// # Errors
    /// [`Error::InvalidGraph`] if `offsets` are none.
    pub fn new(
        path: PathBuf,
        offsets: Indices<'a>,
        targets: u64,
        wide: bool,
        multiplicity: Option<u64>,
    ) -> Result<Self> {
        let edges = offsets.get(offsets.len().saturating_sub(1));
        check_offsets(&offsets, edges)?;
        Ok(Self::trusted(path, offsets, targets, wide, multiplicity))
    }

    /// Lists that passed [`FileLists::new`] before.
    #[must_use]
    pub fn trusted(
        path: PathBuf,
        offsets: Indices<'a>,
        targets: u64,
        wide: bool,
        multiplicity: Option<u64>,
    ) -> Self {
        Self { offsets, path, targets: Array { start: targets, wide }, multiplicity }
    }

    pub(crate) fn nodes(&self) -> usize {
        self.offsets.len().saturating_sub(1)
    }

    pub(crate) fn has_multiplicity(&self) -> bool {
        self.multiplicity.is_some()
    }

    /// Runs `job` with a reader of the file.
    pub(crate) fn with_source<T>(
        &self,
        job: impl FnOnce(FileSource<'_>) -> Result<T>,
    ) -> Result<T> {
        let file = File::open(&self.path).map_err(|error| self.failed(&error))?;
        job(if self.targets.wide {
            FileSource::Wide(Reader {
                lists: self,
                file,
                targets: vec![],
                multiplicity: vec![],
                bytes: vec![],
            })
        } else {
            FileSource::Narrow(Reader {
                lists: self,
                file,
                targets: vec![],
                multiplicity: vec![],
                bytes: vec![],
            })
        })
    }

    fn failed(&self, error: &std::io::Error) -> Error {
        self.broken(&format!("cannot be read: {error}"))
    }

    fn broken(&self, reason: &str) -> Error {
        Error::GraphFile { path: self.path.display().to_string(), reason: reason.into() }
    }

    /// The error for lists that would have to be sorted first.
    pub(crate) fn not_topological(&self) -> Error {
        self.broken(
            "its nodes are not in topological order, so its edges cannot be read in order; load it \
             into memory and save it again, which sorts it",
        )
    }
}

/// A reader of either width.
pub(crate) enum FileSource<'f> {
    Narrow(Reader<'f, u32>),
    Wide(Reader<'f, u64>),
}

/// Reads lists stretch by stretch.
pub(crate) struct Reader<'f, I> {
    lists: &'f FileLists<'f>,
    file: File,
    targets: Vec<I>,
    multiplicity: Vec<u64>,
    bytes: Vec<u8>,
}

/// An integer that is stored with the least byte first.
pub(crate) trait Stored: Index {
    const BYTES: usize;
    fn decode(bytes: &[u8], into: &mut Vec<Self>);
}

impl Stored for u32 {
    const BYTES: usize = 4;

    fn decode(bytes: &[u8], into: &mut Vec<Self>) {
        into.extend(bytes.as_chunks().0.iter().map(|&bytes| Self::from_le_bytes(bytes)));
    }
}

impl Stored for u64 {
    const BYTES: usize = 8;

    fn decode(bytes: &[u8], into: &mut Vec<Self>) {
        into.extend(bytes.as_chunks().0.iter().map(|&bytes| Self::from_le_bytes(bytes)));
    }
}

impl<I: Stored> Reader<'_, I> {
    /// Fills `into` with the integers `first..first + count` of an array.
    fn read<T: Stored>(
        &mut self,
        start: u64,
        first: usize,
        count: usize,
        into: fn(&mut Self) -> &mut Vec<T>,
    ) -> Result<()> {
        let mut bytes = std::mem::take(&mut self.bytes);
        bytes.resize(count * T::BYTES, 0);
        let from = SeekFrom::Start(start + (first * T::BYTES) as u64);
        let done = self.file.seek(from).and_then(|_| self.file.read_exact(&mut bytes));
        let values = into(self);
        values.clear();
        T::decode(&bytes, values);
        self.bytes = bytes;
        done.map_err(|error| self.lists.failed(&error))
    }
}

impl<I: Stored> Source for Reader<'_, I> {
    type Id = I;

    fn nodes(&self) -> usize {
        self.lists.nodes()
    }

    fn edges(&self) -> usize {
        self.lists.offsets.get(self.nodes())
    }

    fn before(&mut self, end: usize) -> Result<(usize, Rows<'_, I>)> {
        let offsets = &self.lists.offsets;
        let first = stretch(offsets, end, STRETCH);
        let (first_edge, last_edge) = (offsets.get(first), offsets.get(end));
        let count = last_edge - first_edge;
        self.read(self.lists.targets.start, first_edge, count, |reader| &mut reader.targets)?;
        if let Some(start) = self.lists.multiplicity {
            self.read(start, first_edge, count, |reader| &mut reader.multiplicity)?;
            if self.multiplicity.contains(&0) {
                return Err(self.lists.broken("a multiplicity is 0; the file is damaged"));
            }
        }
        let multiplicity = self.lists.multiplicity.map(|_| &self.multiplicity[..]);
        Ok((first, Rows { offsets, first_edge, targets: &self.targets, multiplicity }))
    }
}

/// The first of the nodes before `end` that have together about as many edges as given.
fn stretch(offsets: &Indices<'_>, end: usize, edges: usize) -> usize {
    let from = offsets.get(end).saturating_sub(edges);
    let (mut low, mut high) = (0, end - 1);
    while low < high {
        let middle = low.midpoint(high);
        if offsets.get(middle) < from { low = middle + 1 } else { high = middle }
    }
    low
}

/// The edges of a file turned round and numbered from the other end. A stretch of as many edges as
/// there is room for is picked out of the whole file, which is read once for each.
pub(crate) struct Turned<'f, I> {
    reader: Reader<'f, I>,
    offsets: Indices<'static>,
    targets: Vec<u32>,
    multiplicity: Vec<u64>,
    room: usize,
}

impl<'f, I: Stored> Turned<'f, I> {
    /// Reads the file once to see how many edges come to every node.
    pub(crate) fn new(mut reader: Reader<'f, I>) -> Result<Self> {
        let nodes = reader.nodes();
        let mut offsets = vec![0u64; nodes + 1];
        let mut end = nodes;
        while end > 0 {
            let (first, rows) = reader.before(end)?;
            for id in rows.targets {
                let flipped = nodes.checked_sub(id.position() + 1).ok_or_else(changed)?;
                offsets[flipped + 1] += 1;
            }
            end = first;
        }
        for node in 0..nodes {
            offsets[node + 1] += offsets[node];
        }
        let room = (2 * nodes).max(4 * STRETCH);
        Ok(Self { reader, offsets: offsets.into(), targets: vec![], multiplicity: vec![], room })
    }
}

impl<I: Stored> Source for Turned<'_, I> {
    type Id = u32;

    fn nodes(&self) -> usize {
        self.reader.nodes()
    }

    fn edges(&self) -> usize {
        self.reader.edges()
    }

    fn before(&mut self, end: usize) -> Result<(usize, Rows<'_, u32>)> {
        let nodes = self.nodes();
        let first = stretch(&self.offsets, end, self.room);
        let first_edge = self.offsets.get(first);
        let count = self.offsets.get(end) - first_edge;
        let weighted = self.reader.lists.has_multiplicity();
        self.targets.clear();
        self.targets.resize(count, 0);
        self.multiplicity.clear();
        self.multiplicity.resize(if weighted { count } else { 0 }, 0);
        let mut next: Vec<usize> =
            (first..end).map(|node| self.offsets.get(node) - first_edge).collect();
        let mut last = nodes;
        while last > 0 {
            let (start, rows) = self.reader.before(last)?;
            for node in (start..last).rev() {
                for (at, id) in rows.row(node).ok_or_else(changed)?.iter().enumerate() {
                    let flipped = nodes.checked_sub(id.position() + 1).ok_or_else(changed)?;
                    let Some(place) = next.get_mut(flipped.wrapping_sub(first)) else { continue };
                    *self.targets.get_mut(*place).ok_or_else(changed)? = (nodes - 1 - node) as u32;
                    if let Some(times) = rows.times(node) {
                        *self.multiplicity.get_mut(*place).ok_or_else(changed)? = times[at];
                    }
                    *place += 1;
                }
            }
            last = start;
        }
        let multiplicity = weighted.then_some(&self.multiplicity[..]);
        let Self { offsets, targets, .. } = &*self;
        Ok((first, Rows { offsets, first_edge, targets, multiplicity }))
    }
}
