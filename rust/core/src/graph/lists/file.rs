//! Successor lists in a file. Only the offsets, where each list begins, are held in memory.
//!
//! How a file is laid out, and where in it the arrays begin, is the caller's business.

use std::fs::{File, Metadata};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use crate::error::{Error, Result};
use crate::graph::lists::csr::{Index, Indices, check_offsets};
use crate::graph::lists::source::{ListSection, Source, lists_changed};
use crate::graph::purposes::{READING, READING_BACKWARDS};
use crate::machine::memory::{Purpose, grow, listed, zeroed};

/// So many edges are read at a time, unless one list is longer.
const SECTION_EDGES: usize = 1 << 20;

/// Successor lists in a file, as arrays of little-endian integers.
///
/// ```
/// use unrolled_core::{
///     FileLists, FilePlace, Graph, GraphCountOptions, Lists, Monitor, NodeOrder, Roles,
/// };
///
/// // 0 -> 1, 0 -> 2, 1 -> 2; targets of 32 bits from the first byte on.
/// let path = std::env::temp_dir().join(format!("unrolled-{}", std::process::id()));
/// let targets: Vec<u8> = [1u32, 2, 2].into_iter().flat_map(u32::to_le_bytes).collect();
/// std::fs::write(&path, targets).expect("there is room for a small file");
/// let place = FilePlace::open(&path, 0, false, None)?;
/// let lists = Lists::File(FileLists::new(place, vec![0u32, 2, 3, 3].into(), 3)?);
/// let monitor = Monitor::silent();
/// let graph = Graph::new(lists, Roles::default(), NodeOrder::default(), 1, &monitor)?;
/// let counts = graph.count(&GraphCountOptions::default(), &monitor)?;
/// assert_eq!(counts.value(0)?.exact, Some(2u32.into()));
/// # std::fs::remove_file(&path).expect("it was just written");
/// # Ok::<(), unrolled_core::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct FileLists<'a> {
    /// Where every list begins, and the number of edges at the end.
    pub(crate) offsets: Indices<'a>,
    place: FilePlace,
}

/// A file, and the places of the arrays in it.
#[derive(Debug, Clone)]
pub struct FilePlace {
    path: PathBuf,
    file: Arc<File>,
    /// The size and the time of the latest change when the file was opened.
    state: (u64, Option<SystemTime>),
    targets: Array,
    /// The bytes before the multiplicities, which have 64 bits each.
    multiplicity: Option<u64>,
}

/// An array of integers in a file.
#[derive(Debug, Clone, Copy)]
struct Array {
    /// The bytes before the array.
    start: u64,
    /// Whether its integers have 64 bits and not 32.
    wide: bool,
}

impl FilePlace {
    /// Opens the file at `path`. It has targets from byte `targets` on, of 64 bits if `wide` and
    /// else of 32, and, unless `multiplicity` is `None`, multiplicities of 64 bits from that byte
    /// on.
    ///
    /// # Errors
    /// [`Error::GraphFile`] if the file cannot be opened.
    pub fn open(path: &Path, targets: u64, wide: bool, multiplicity: Option<u64>) -> Result<Self> {
        let opened = File::open(path).and_then(|file| Ok((state(&file.metadata()?), file)));
        let (state, file) = opened.map_err(|error| failed(path, &error))?;
        let targets = Array { start: targets, wide };
        Ok(Self { path: path.into(), file: Arc::new(file), state, targets, multiplicity })
    }

    /// The error for a file that is not as it should be.
    fn broken(&self, reason: &str) -> Error {
        Error::GraphFile { path: self.path.display().to_string(), reason: reason.into() }
    }
}

/// The error for a file that cannot be read.
fn failed(path: &Path, error: &io::Error) -> Error {
    let reason = format!("cannot be read: {error}");
    Error::GraphFile { path: path.display().to_string(), reason }
}

/// What a change of a file would change.
fn state(metadata: &Metadata) -> (u64, Option<SystemTime>) {
    (metadata.len(), metadata.modified().ok())
}

impl<'a> FileLists<'a> {
    /// Lists of `edges` targets in a file.
    ///
    /// # Errors
    /// [`Error::InvalidGraph`] if `offsets` does not begin with 0, falls somewhere or does not end
    /// with `edges`, or if there are more nodes than 32 bits can number.
    pub fn new(place: FilePlace, offsets: Indices<'a>, edges: usize) -> Result<Self> {
        check_offsets(&offsets, edges)?;
        Ok(Self::trusted(place, offsets))
    }

    /// Lists that passed [`FileLists::new`] before, without checking them again.
    #[must_use]
    pub fn trusted(place: FilePlace, offsets: Indices<'a>) -> Self {
        Self { offsets, place }
    }

    /// The number of nodes.
    pub(crate) fn nodes(&self) -> usize {
        self.offsets.len().saturating_sub(1)
    }

    /// Whether edges have multiplicities.
    pub(crate) fn has_multiplicity(&self) -> bool {
        self.place.multiplicity.is_some()
    }

    /// Runs `job` with a reader of the file, unless the file was changed since it was opened.
    pub(crate) fn with_source<T>(
        &self,
        job: impl FnOnce(FileSource<'_>) -> Result<T>,
    ) -> Result<T> {
        let place = &self.place;
        let metadata = place.file.metadata().map_err(|error| failed(&place.path, &error))?;
        if state(&metadata) != place.state {
            return Err(place.broken("was changed since it was loaded; load it again"));
        }
        job(if place.targets.wide {
            FileSource::Wide(Reader::new(self))
        } else {
            FileSource::Narrow(Reader::new(self))
        })
    }

    /// The error for lists that would have to be sorted first.
    pub(crate) fn not_topological(&self) -> Error {
        self.place.broken(
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

/// Runs `$body` with `$reader` bound to a reader of a file's lists, whatever the width of its
/// targets.
macro_rules! with_reader {
    ($file:expr, $reader:ident => $body:expr) => {
        $file.with_source(|source| match source {
            $crate::graph::lists::file::FileSource::Narrow($reader) => $body,
            $crate::graph::lists::file::FileSource::Wide($reader) => $body,
        })
    };
}
pub(crate) use with_reader;

/// Reads lists section by section.
pub(crate) struct Reader<'f, I> {
    lists: &'f FileLists<'f>,
    targets: Vec<I>,
    multiplicity: Vec<u64>,
    bytes: Vec<u8>,
}

/// An integer that is stored in a file with the least byte first.
pub(crate) trait FileInteger: Index {
    /// The bytes of an integer.
    const BYTES: usize;
    /// Appends the integers that `bytes` are.
    fn decode(bytes: &[u8], into: &mut Vec<Self>);
}

impl FileInteger for u32 {
    const BYTES: usize = 4;

    fn decode(bytes: &[u8], into: &mut Vec<Self>) {
        into.extend(bytes.as_chunks().0.iter().map(|&bytes| Self::from_le_bytes(bytes)));
    }
}

impl FileInteger for u64 {
    const BYTES: usize = 8;

    fn decode(bytes: &[u8], into: &mut Vec<Self>) {
        into.extend(bytes.as_chunks().0.iter().map(|&bytes| Self::from_le_bytes(bytes)));
    }
}

impl<'f, I: FileInteger> Reader<'f, I> {
    fn new(lists: &'f FileLists<'f>) -> Self {
        Self { lists, targets: Vec::new(), multiplicity: Vec::new(), bytes: Vec::new() }
    }

    /// Fills `into` with the integers `first..first + count` of an array.
    fn read<T: FileInteger>(
        &mut self,
        start: u64,
        first: usize,
        count: usize,
        into: fn(&mut Self) -> &mut Vec<T>,
    ) -> Result<()> {
        let place = &self.lists.place;
        let bytes = |count: usize| (count as u64).saturating_mul(T::BYTES as u64);
        let (from, length) = (start.checked_add(bytes(first)), bytes(count));
        // This is checked before memory is taken for what the file does not have.
        let end = from.and_then(|from| from.checked_add(length));
        let (Some(from), true) = (from, end.is_some_and(|end| end <= place.state.0)) else {
            return Err(place.broken("is shorter than its lists; it is damaged"));
        };
        let mut bytes = std::mem::take(&mut self.bytes);
        resize(READING, &mut bytes, usize::try_from(length).unwrap_or(usize::MAX))?;
        read_exact_at(&place.file, &mut bytes, from)
            .map_err(|error| failed(&place.path, &error))?;
        let values = into(self);
        values.clear();
        grow(READING, values, count)?;
        T::decode(&bytes, values);
        self.bytes = bytes;
        Ok(())
    }
}

/// Makes a list so long, with arbitrary contents, if there is memory for it.
fn resize<T: Copy + Default>(purpose: Purpose, list: &mut Vec<T>, length: usize) -> Result<()> {
    let more = length.saturating_sub(list.len());
    grow(purpose, list, more)?;
    list.resize(length, T::default());
    Ok(())
}

#[cfg(unix)]
fn read_exact_at(file: &File, bytes: &mut [u8], at: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, bytes, at)
}

#[cfg(windows)]
fn read_exact_at(file: &File, mut bytes: &mut [u8], mut at: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        let read = std::os::windows::fs::FileExt::seek_read(file, bytes, at)?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        bytes = &mut bytes[read..];
        at += read as u64;
    }
    Ok(())
}

impl<I: FileInteger> Source for Reader<'_, I> {
    type Id = I;

    fn offsets(&self) -> &Indices<'_> {
        &self.lists.offsets
    }

    fn edges(&self) -> usize {
        self.lists.offsets.get(self.nodes())
    }

    fn before(&mut self, end: usize) -> Result<(usize, ListSection<'_, I>)> {
        let offsets = &self.lists.offsets;
        let first = section_before(offsets, end, SECTION_EDGES);
        let (first_edge, last_edge) = (offsets.get(first), offsets.get(end));
        let count = last_edge - first_edge;
        self.read(self.lists.place.targets.start, first_edge, count, |reader| &mut reader.targets)?;
        if let Some(start) = self.lists.place.multiplicity {
            self.read(start, first_edge, count, |reader| &mut reader.multiplicity)?;
            if self.multiplicity.contains(&0) {
                return Err(self.lists.place.broken("a multiplicity is 0; the file is damaged"));
            }
        }
        let multiplicity = self.lists.place.multiplicity.map(|_| &self.multiplicity[..]);
        Ok((first, ListSection { offsets, first_edge, targets: &self.targets, multiplicity }))
    }
}

/// The first node of the section before `end` that has about as many edges as given.
fn section_before(offsets: &Indices<'_>, end: usize, edges: usize) -> usize {
    let from = offsets.get(end).saturating_sub(edges);
    let (mut low, mut high) = (0, end - 1);
    while low < high {
        let middle = low.midpoint(high);
        if offsets.get(middle) < from { low = middle + 1 } else { high = middle }
    }
    low
}

/// Reads the edges of a file turned round, with nodes numbered from the other end. For every
/// section the whole file is read, and the edges of the section are picked out; so a section has as
/// many edges as there is room for.
pub(crate) struct ReversedReader<'f, I> {
    reader: Reader<'f, I>,
    offsets: Indices<'static>,
    targets: Vec<u32>,
    multiplicity: Vec<u64>,
    room: usize,
}

impl<'f, I: FileInteger> ReversedReader<'f, I> {
    /// Reads the file once to see how many edges lead to every node.
    pub(crate) fn new(mut reader: Reader<'f, I>) -> Result<Self> {
        let nodes = reader.nodes();
        let mut offsets = zeroed::<u64>(READING_BACKWARDS, nodes + 1)?;
        let mut end = nodes;
        while end > 0 {
            let (first, lists) = reader.before(end)?;
            for id in lists.targets {
                let flipped = nodes.checked_sub(id.position() + 1).ok_or_else(lists_changed)?;
                offsets[flipped + 1] += 1;
            }
            end = first;
        }
        for node in 0..nodes {
            offsets[node + 1] += offsets[node];
        }
        let room = (2 * nodes).max(4 * SECTION_EDGES);
        Ok(Self { reader, offsets: offsets.into(), targets: vec![], multiplicity: vec![], room })
    }
}

impl<I: FileInteger> Source for ReversedReader<'_, I> {
    type Id = u32;

    fn offsets(&self) -> &Indices<'_> {
        &self.offsets
    }

    fn edges(&self) -> usize {
        self.reader.edges()
    }

    fn before(&mut self, end: usize) -> Result<(usize, ListSection<'_, u32>)> {
        let nodes = self.nodes();
        let first = section_before(&self.offsets, end, self.room);
        let first_edge = self.offsets.get(first);
        let count = self.offsets.get(end) - first_edge;
        let weighted = self.reader.lists.has_multiplicity();
        resize(READING_BACKWARDS, &mut self.targets, count)?;
        resize(READING_BACKWARDS, &mut self.multiplicity, if weighted { count } else { 0 })?;
        // Lists are filled from their ends, so that their entries come in the order that they have
        // in memory.
        let ends = (first..end).map(|node| self.offsets.get(node + 1) - first_edge);
        let mut next: Vec<usize> = listed(READING_BACKWARDS, end - first, ends)?;
        let mut last = nodes;
        while last > 0 {
            let (start, lists) = self.reader.before(last)?;
            for node in (start..last).rev() {
                for (at, id) in lists.list(node).ok_or_else(lists_changed)?.iter().enumerate().rev()
                {
                    let flipped = nodes.checked_sub(id.position() + 1).ok_or_else(lists_changed)?;
                    let Some(place) = next.get_mut(flipped.wrapping_sub(first)) else { continue };
                    *place = place.checked_sub(1).ok_or_else(lists_changed)?;
                    *self.targets.get_mut(*place).ok_or_else(lists_changed)? =
                        (nodes - 1 - node) as u32;
                    if let Some(times) = lists.multiplicities(node) {
                        *self.multiplicity.get_mut(*place).ok_or_else(lists_changed)? = times[at];
                    }
                }
            }
            last = start;
        }
        let multiplicity = weighted.then_some(&self.multiplicity[..]);
        let Self { offsets, targets, .. } = &*self;
        Ok((first, ListSection { offsets, first_edge, targets, multiplicity }))
    }
}
