//! Count tensors: the counts of all elements of one tensor, run-length encoded along every axis,
//! with digits in planes.

use std::sync::Arc;

use smallvec::SmallVec;

use crate::error::{Error, Result};
use crate::machine::reserve::Buffer;
use crate::network::maps::runs::Runs;
use crate::number::{Number, Value};

/// So many lanes are worked on together.
pub(crate) const VECTOR: usize = 8;

/// How many lanes are set aside for so many.
pub(crate) fn padded(lanes: usize) -> usize {
    if lanes == 1 { 1 } else { lanes.next_multiple_of(VECTOR) }
}

/// The counts of all elements of one tensor.
///
/// A cell is one run of every axis. Cells are stored row by row; a row holds the cells along the
/// lane axis, once for each plane: `[row][plane][lane]`. So carries run along planes while the
/// lanes of a row are worked on side by side, and a row with all its planes is small and local.
/// Several lanes are filled up with zeros to a multiple of [`VECTOR`].
#[derive(Debug)]
pub(crate) struct CountTensor<N: Number> {
    /// The runs along each axis.
    pub(crate) axes: Arc<[Runs]>,
    /// The axis that is laid out in lanes; axes after it have a single run.
    pub(crate) lane_axis: usize,
    /// The lanes, which clones share.
    pub(crate) buffer: Arc<Buffer<N::Lane>>,
    /// How many lanes it is from one row to the next.
    pub(crate) stride: usize,
    /// How many lanes of a row come before its first plane in use.
    pub(crate) start: usize,
    /// The number of the first plane in use.
    pub(crate) low: usize,
    /// How many planes are in use.
    pub(crate) planes: usize,
    /// The bits of the largest count, without factors.
    pub(crate) bits: u64,
    /// The counts are those stored times the product of these.
    pub(crate) factors: SmallVec<[u64; 2]>,
    /// Whether no runs with equal counts are left that would be worth joining.
    pub(crate) compact: bool,
}

impl<N: Number> Clone for CountTensor<N> {
    fn clone(&self) -> Self {
        Self {
            axes: Arc::clone(&self.axes),
            buffer: Arc::clone(&self.buffer),
            factors: self.factors.clone(),
            ..*self
        }
    }
}

impl<N: Number> CountTensor<N> {
    /// Counts of 1 for every element.
    pub(crate) fn ones(shape: &[u64]) -> Self {
        Self {
            axes: shape.iter().map(|&n| Runs::single(n)).collect(),
            lane_axis: 0,
            buffer: Arc::new(Buffer::alone(vec![N::ONE])),
            stride: 1,
            start: 0,
            low: 0,
            planes: 1,
            bits: 1,
            factors: SmallVec::new(),
            compact: true,
        }
    }

    /// The buffer, to be written.
    ///
    /// # Errors
    /// [`Error::Internal`] if a clone uses the buffer, too.
    pub(crate) fn buffer_mut(&mut self) -> Result<&mut Buffer<N::Lane>> {
        let shared = || Error::Internal("a result is shared before it is written".into());
        Arc::get_mut(&mut self.buffer).ok_or_else(shared)
    }

    /// How many cells there are along the lane axis.
    pub(crate) fn lanes(&self) -> usize {
        self.axes.get(self.lane_axis).map_or(1, Runs::len)
    }

    /// How many lanes a plane has, with those that only fill it up.
    pub(crate) fn width(&self) -> usize {
        padded(self.lanes())
    }

    /// How many rows there are: cells over the axes before the lane axis.
    pub(crate) fn rows(&self) -> usize {
        self.axes.iter().take(self.lane_axis).map(Runs::len).product()
    }

    /// The last axis with several runs, or 0.
    pub(crate) fn last_varying(&self) -> usize {
        self.axes.iter().rposition(|runs| !runs.is_single()).unwrap_or(0)
    }

    /// The lanes of a row, one plane in use after the other.
    pub(crate) fn row(&self, row: usize) -> &[N::Lane] {
        let from = row * self.stride + self.start;
        &self.buffer.lanes[from..from + self.planes * self.width()]
    }

    /// The digits of cell `index`, the lowest first. Cells are numbered in row-major order over the
    /// runs of all axes.
    pub(crate) fn digits(&self, index: usize) -> impl DoubleEndedIterator<Item = N::Lane> {
        let lanes = self.lanes();
        let (row, lane) = (index / lanes, index % lanes);
        self.row(row).iter().skip(lane).step_by(self.width()).copied()
    }

    /// The count of cell `index`.
    pub(crate) fn value(&self, index: usize) -> Value {
        N::value(self.digits(index), self.low, &self.factors)
    }

    /// The number of cells.
    pub(crate) fn cells(&self) -> usize {
        self.axes.iter().map(Runs::len).product()
    }

    /// How many elements cell `index` stands for.
    pub(crate) fn multiplicity(&self, mut index: usize) -> u64 {
        let mut product = 1;
        for runs in self.axes.iter().rev() {
            product *= runs.lengths()[index % runs.len()];
            index /= runs.len();
        }
        product
    }

    /// Whether the planes `low..low + planes` fit into the buffer, and no clone uses it.
    pub(crate) fn can_hold(&self, low: usize, planes: usize) -> bool {
        let room = (self.stride - self.start) / self.width();
        low == self.low && planes <= room && Arc::strong_count(&self.buffer) == 1
    }

    /// Drops planes that hold only zeros, and those that are lost in rounding; measures the largest
    /// count.
    pub(crate) fn trim(&mut self) {
        let (rows, lanes) = (self.rows(), self.width());
        let largest = |tensor: &Self, plane: usize| {
            let cut = |row| &tensor.row(row)[plane * lanes..(plane + 1) * lanes];
            largest::<N>((0..rows).map(cut))
        };
        let mut top = largest(self, self.planes - 1);
        while self.planes > 1 && top == N::ZERO {
            self.planes -= 1;
            top = largest(self, self.planes - 1);
        }
        self.bits = ((self.low + self.planes - 1) as u64) * N::RADIX_BITS + N::bits(top);
        while self.planes > 1 && self.lowest_plane_is_lost() {
            self.low += 1;
            self.start += lanes;
            self.planes -= 1;
        }
    }

    /// Whether the lowest digit of every count is 0 or is lost in the rounding of a higher one.
    fn lowest_plane_is_lost(&self) -> bool {
        let lanes = self.width();
        (0..self.rows()).all(|row| {
            let (lowest, above) = self.row(row).split_at(lanes);
            lowest.iter().enumerate().all(|(lane, &digit)| {
                let higher = above.iter().skip(lane).step_by(lanes);
                digit == N::ZERO || higher.copied().any(N::swallows)
            })
        })
    }

    /// For every axis, which runs have counts that differ from those of the run before.
    pub(crate) fn differing(&self) -> Vec<Vec<bool>> {
        let mut differing: Vec<Vec<bool>> = Vec::with_capacity(self.axes.len());
        let mut inner = self.rows();
        for (axis, runs) in self.axes.iter().enumerate() {
            let n = runs.len();
            if n == 1 {
                differing.push(vec![true]);
                continue;
            }
            if axis == self.lane_axis {
                let differs = |lane: usize| {
                    lane == 0
                        || (0..self.rows()).any(|row| {
                            self.row(row)
                                .chunks_exact(self.width())
                                .any(|plane| plane[lane] != plane[lane - 1])
                        })
                };
                differing.push((0..n).map(differs).collect());
                continue;
            }
            inner /= n;
            let outer = self.rows() / (n * inner);
            let differs = |j: usize| {
                let same = |row: usize| self.row(row) == self.row(row - inner);
                j == 0 || !(0..outer).all(|o| (0..inner).all(|i| same((o * n + j) * inner + i)))
            };
            differing.push((0..n).map(differs).collect());
        }
        differing
    }
}

/// The largest of all lanes. Several are compared side by side, since each would have to wait for the
/// one before otherwise.
fn largest<'a, N: Number>(rows: impl Iterator<Item = &'a [N::Lane]>) -> N::Lane {
    let greater = |a: N::Lane, b: N::Lane| if b > a { b } else { a };
    let (mut top, mut strands) = (N::ZERO, [N::ZERO; VECTOR]);
    for row in rows {
        let (chunks, rest) = row.as_chunks::<VECTOR>();
        for chunk in chunks {
            for lane in 0..VECTOR {
                strands[lane] = greater(strands[lane], chunk[lane]);
            }
        }
        top = rest.iter().copied().fold(top, greater);
    }
    strands.into_iter().fold(top, greater)
}
