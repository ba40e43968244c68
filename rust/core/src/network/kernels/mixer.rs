//! Mixing rows: one plane of several rows, added up and mapped along the lanes.

use crate::network::count_tensor::CountTensor;
use crate::network::kernels::lanes::{LaneMap, LaneScratch};
use crate::network::kernels::vector::{add_three, add_two, add_weighted, copy};
use crate::number::Number;

/// What a row of the result is mixed from.
#[derive(Clone, Copy)]
pub(crate) enum Mix<'a, L> {
    /// Weighted rows of the source: the place of the first lane of every row, and its weight.
    Rows(&'a [(usize, u64)]),
    /// A sum of rows that was computed before.
    Block(&'a [L]),
}

/// Buffers in which lanes are added up and mapped.
pub(crate) struct Mixer<L> {
    padded: Vec<L>,
    pub(crate) mapped: Vec<L>,
    scratch: LaneScratch<L>,
}

impl<L: Copy + Default> Mixer<L> {
    /// Empty buffers.
    pub(crate) fn new() -> Self {
        Self { padded: Vec::new(), mapped: Vec::new(), scratch: LaneScratch::new() }
    }

    /// Makes room for rows of `from` lanes that are mapped to `to`.
    pub(crate) fn prepare(&mut self, lanes: &LaneMap, from: usize, to: usize) {
        let (before, after) = lanes.margins();
        self.padded.clear();
        self.padded.resize(before + from + after + to, L::default());
        self.mapped.clear();
        self.mapped.resize(to, L::default());
    }

    /// Adds up one plane of the rows and maps its lanes. `plane` counts the planes of the source.
    #[inline(always)]
    pub(crate) fn mix<'s, N: Number<Lane = L>>(
        &'s mut self,
        source: &'s CountTensor<N>,
        mix: Mix<'s, L>,
        plane: usize,
        lanes: &LaneMap,
        kept: usize,
    ) -> &'s [L] {
        let width = source.width();
        let whole = |at: usize| &source.buffer.lanes[at + plane * width..][..width];
        let alone = match mix {
            Mix::Block(block) => Some(&block[plane * width..][..width]),
            Mix::Rows(&[(at, 1)]) => Some(whole(at)),
            Mix::Rows(_) => None,
        };
        let needs_margin = matches!(lanes, LaneMap::Band { .. });
        if let Some(lane) = alone.filter(|_| !needs_margin) {
            if matches!(lanes, LaneMap::Identity) {
                return lane;
            }
            lanes.apply::<N>(lane, kept, &mut self.mapped, &mut self.scratch);
            return &self.mapped;
        }
        let before = lanes.margins().0;
        let sum = &mut self.padded[before..before + width];
        match mix {
            Mix::Block(_) | Mix::Rows(&[(_, 1)]) => copy(alone.unwrap_or_default(), sum),
            Mix::Rows(&[(a, 1), (b, 1)]) => add_two::<N>(whole(a), whole(b), sum),
            Mix::Rows(&[(a, 1), (b, 1), (c, 1)]) => {
                add_three::<N>(whole(a), whole(b), whole(c), sum)
            }
            Mix::Rows(rows) => {
                sum.fill(L::default());
                for &(at, weight) in rows {
                    add_weighted::<N>(whole(at), weight, sum);
                }
            }
        }
        if matches!(lanes, LaneMap::Identity) {
            return &self.padded[..width];
        }
        lanes.apply::<N>(&self.padded, kept, &mut self.mapped, &mut self.scratch);
        &self.mapped
    }
}
