//! One pass over a count tensor, row by row and plane by plane.
//!
//! A pass applies a map along one of the axes that rows are numbered by and a map along the lanes,
//! multiplies by a scale, and adds the result to what is there already. A row of the source or of
//! the result is a cell over the axes before the lane axis.

use crate::error::{Error, Result};
use crate::machine::monitor::Monitor;
use crate::network::count_tensor::CountTensor;
use crate::network::kernels::lanes::LaneMap;
use crate::network::kernels::mixer::{Mix, Mixer};
use crate::network::kernels::sliding::{self, MiddleSum, NestedPlan, SlidingQueue, WindowClass};
use crate::network::kernels::vector::{add_to, add_weighted, copy, settle, weigh};
use crate::network::maps::matrix::RunMatrix;
use crate::number::Number;

/// A map along one of the axes that rows are numbered by.
pub(crate) struct RowMap<'a> {
    /// The map.
    pub(crate) matrix: &'a RunMatrix,
    /// The number of rows over the axes after the mapped one.
    pub(crate) inner: usize,
    /// The runs of the mapped axis in the source.
    pub(crate) from: usize,
    /// The runs of the mapped axis in the result.
    pub(crate) to: usize,
}

/// What the result is added to.
pub(crate) enum Base<'a, N: Number> {
    /// Nothing.
    Nothing,
    /// What is in the buffer of the result, which holds this many planes.
    InPlace(usize),
    /// Another tensor with the runs of the result.
    Other(&'a CountTensor<N>),
}

/// The shape of the buffer that a pass writes: see [`CountTensor`].
#[derive(Clone, Copy)]
pub(crate) struct Target {
    pub(crate) lanes: usize,
    pub(crate) width: usize,
    pub(crate) stride: usize,
    pub(crate) start: usize,
    pub(crate) low: usize,
    pub(crate) planes: usize,
}

/// A pass: see the module.
pub(crate) struct Pass<'a, N: Number> {
    pub(crate) source: &'a CountTensor<N>,
    pub(crate) row_map: RowMap<'a>,
    /// The map along the lanes.
    pub(crate) lane_matrix: &'a RunMatrix,
    pub(crate) scale: u64,
    pub(crate) base: Base<'a, N>,
    pub(crate) target: Target,
}

/// Buffers that passes share.
pub(crate) struct Scratch<L> {
    mixer: Mixer<L>,
    carry: Vec<L>,
    queue: SlidingQueue<L>,
    middle: MiddleSum<L>,
    entries: Vec<(u32, u64)>,
    mix: Vec<(usize, u64)>,
}

impl<L: Copy + Default> Scratch<L> {
    pub(crate) fn new() -> Self {
        Self {
            mixer: Mixer::new(),
            carry: Vec::new(),
            queue: SlidingQueue::new(),
            middle: MiddleSum::new(),
            entries: Vec::new(),
            mix: Vec::new(),
        }
    }
}

/// A pass whose sums fit into lanes, compiled for every instruction set. Everything that it calls
/// is inlined, so that all of it is vectorised.
struct NarrowPass<'a, N: Number> {
    pass: &'a Pass<'a, N>,
    out: &'a mut [N::Lane],
    scratch: &'a mut Scratch<N::Lane>,
    monitor: &'a Monitor<'a>,
}

impl<N: Number> pulp::NullaryFnOnce for NarrowPass<'_, N> {
    type Output = Result<()>;

    #[inline(always)]
    fn call(self) -> Result<()> {
        self.pass.run_narrow(self.out, self.scratch, self.monitor)
    }
}

impl<N: Number> Pass<'_, N> {
    /// Runs the pass; `out` is the buffer described by `target`.
    pub(crate) fn run(
        &self,
        out: &mut [N::Lane],
        scratch: &mut Scratch<N::Lane>,
        monitor: &Monitor<'_>,
    ) -> Result<()> {
        let weight = self.row_map.matrix.heaviest().saturating_mul(self.lane_matrix.heaviest());
        if weight > N::HEADROOM {
            return self.run_wide(weight, out, monitor);
        }
        pulp::Arch::new().dispatch(NarrowPass { pass: self, out, scratch, monitor })
    }

    /// Runs a pass whose sums fit into lanes.
    #[inline(always)]
    fn run_narrow(
        &self,
        out: &mut [N::Lane],
        scratch: &mut Scratch<N::Lane>,
        monitor: &Monitor<'_>,
    ) -> Result<()> {
        let lanes = LaneMap::new(self.lane_matrix, self.source.lanes(), self.target.lanes);
        scratch.mixer.prepare(&lanes, self.source.width(), self.target.width);
        scratch.carry.clear();
        scratch.carry.resize(self.target.width, N::ZERO);
        let RowMap { matrix, inner, from, to } = self.row_map;
        let outer = self.source.rows() / (from * inner);
        let places = || (0..outer).flat_map(|o| (0..inner).map(move |q| (o, q)));
        if let Some(plan) = scratch.middle.plan(matrix, from, to, self.source.buffer.version) {
            for place in places() {
                let alone = outer * inner == 1;
                self.add_up((plan.first, plan.last), place, alone, &mut scratch.middle, monitor)?;
                self.nested(&plan, place, out, &lanes, scratch, monitor)?;
            }
            return Ok(());
        }
        if let Some(classes) = sliding::classes(matrix, from, to) {
            for place in places() {
                for class in &classes {
                    self.slide(class, place, out, &lanes, scratch, monitor)?;
                }
            }
            return Ok(());
        }
        self.each_row(outer, out, &lanes, scratch, monitor)
    }

    /// Writes every row of the result from its own few rows of the source.
    #[inline(always)]
    fn each_row(
        &self,
        outer: usize,
        out: &mut [N::Lane],
        lanes: &LaneMap,
        scratch: &mut Scratch<N::Lane>,
        monitor: &Monitor<'_>,
    ) -> Result<()> {
        let Scratch { mixer, carry, entries, mix, .. } = scratch;
        let RowMap { matrix, inner, from, to } = self.row_map;
        for (o, j) in (0..outer).flat_map(|o| (0..to).map(move |j| (o, j))) {
            matrix.entries(j, from as u64, entries);
            monitor.breathe((inner * (entries.len() + 1) * self.target.stride) as u64)?;
            for q in 0..inner {
                mix.clear();
                mix.extend(entries.iter().map(|&(run, weight)| {
                    let row = (o * from + run as usize) * inner + q;
                    (row * self.source.stride + self.source.start, weight)
                }));
                let row = (o * to + j) * inner + q;
                self.row(Mix::Rows(mix), row, out, lanes, mixer, carry);
            }
        }
        Ok(())
    }

    /// Writes the rows of the result that belong to one class of windows.
    #[inline(always)]
    fn slide(
        &self,
        class: &WindowClass,
        (o, q): (usize, usize),
        out: &mut [N::Lane],
        lanes: &LaneMap,
        scratch: &mut Scratch<N::Lane>,
        monitor: &Monitor<'_>,
    ) -> Result<()> {
        let Scratch { mixer, carry, queue, .. } = scratch;
        let RowMap { inner, from, to, .. } = self.row_map;
        let width = self.source.planes * self.source.width();
        let source_row =
            |x: usize| self.source.row((o * from + class.first + class.step * x) * inner + q);
        queue.reset();
        for &window in &class.windows {
            monitor.breathe((4 * self.target.stride) as u64)?;
            let row = (o * to + window.to) * inner + q;
            let mix = if window.low < window.high {
                Mix::Block(queue.sum(window, width, source_row, N::add))
            } else {
                Mix::Rows(&[])
            };
            self.row(mix, row, out, lanes, mixer, carry);
        }
        Ok(())
    }

    /// Adds up the rows `first..last` of one place, unless their sum is known. The sum is
    /// remembered only if it is `alone`, the only one of its kind in the pass.
    #[inline(always)]
    fn add_up(
        &self,
        (first, last): (usize, usize),
        (o, q): (usize, usize),
        alone: bool,
        middle: &mut MiddleSum<N::Lane>,
        monitor: &Monitor<'_>,
    ) -> Result<()> {
        let RowMap { inner, from, .. } = self.row_map;
        let version = if alone { self.source.buffer.version } else { 0 };
        let known = (middle.version, middle.first, middle.last);
        if alone && known == (version, first, last) {
            return Ok(());
        }
        // The sum is not valid until it is complete, and an interruption may come before.
        middle.version = 0;
        let source_row = |x: usize| self.source.row((o * from + x) * inner + q);
        middle.sum.clear();
        middle.sum.extend_from_slice(source_row(first));
        for x in first + 1..last {
            monitor.breathe(middle.sum.len() as u64)?;
            add_to::<N>(source_row(x), &mut middle.sum);
        }
        (middle.version, middle.first, middle.last) = (version, first, last);
        Ok(())
    }

    /// Writes the rows of the result, each of which is a multiple of the sum of the middle rows and
    /// a few rows more.
    #[inline(always)]
    fn nested(
        &self,
        plan: &NestedPlan,
        (o, q): (usize, usize),
        out: &mut [N::Lane],
        lanes: &LaneMap,
        scratch: &mut Scratch<N::Lane>,
        monitor: &Monitor<'_>,
    ) -> Result<()> {
        let Scratch { mixer, carry, middle, .. } = scratch;
        let RowMap { inner, from, to, .. } = self.row_map;
        let mut sum = Vec::with_capacity(middle.sum.len());
        for (j, (weight, other_rows)) in plan.results.iter().enumerate() {
            sum.clear();
            sum.extend_from_slice(&middle.sum);
            if *weight != 1 {
                weigh::<N>(*weight, &mut sum);
            }
            for &(run, weight) in other_rows {
                monitor.breathe(sum.len() as u64)?;
                let row = self.source.row((o * from + run as usize) * inner + q);
                add_weighted::<N>(row, weight, &mut sum);
            }
            self.row(Mix::Block(&sum), (o * to + j) * inner + q, out, lanes, mixer, carry);
        }
        Ok(())
    }

    /// One row of the result.
    #[inline(always)]
    fn row(
        &self,
        mix: Mix<'_, N::Lane>,
        row: usize,
        out: &mut [N::Lane],
        lanes: &LaneMap,
        mixer: &mut Mixer<N::Lane>,
        carry: &mut [N::Lane],
    ) {
        let Target { lanes: kept, width, stride, start, low, planes } = self.target;
        let out = &mut out[row * stride + start..][..planes * width];
        carry.fill(N::ZERO);
        for (plane, out) in (low..).zip(out.chunks_exact_mut(width)) {
            let add = self.base_plane(row, plane, out);
            let relative = plane.wrapping_sub(self.source.low);
            if relative >= self.source.planes || matches!(mix, Mix::Rows([])) {
                if carry.iter().all(|&rest| rest == N::ZERO) {
                    if !add {
                        out.fill(N::ZERO);
                    }
                    continue;
                }
                mixer.mapped.fill(N::ZERO);
                match add {
                    false => settle::<N, false, false>(out, &mixer.mapped, 1, carry),
                    true => settle::<N, true, false>(out, &mixer.mapped, 1, carry),
                }
                continue;
            }
            let mixed = mixer.mix(self.source, mix, relative, lanes, kept);
            match (add, self.scale == 1) {
                (false, true) => settle::<N, false, false>(out, mixed, 1, carry),
                (true, true) => settle::<N, true, false>(out, mixed, 1, carry),
                (false, false) => settle::<N, false, true>(out, mixed, self.scale, carry),
                (true, false) => settle::<N, true, true>(out, mixed, self.scale, carry),
            }
        }
    }

    /// Puts what the result is added to into `out`; says whether there is anything.
    #[inline(always)]
    fn base_plane(&self, row: usize, plane: usize, out: &mut [N::Lane]) -> bool {
        match &self.base {
            Base::Nothing => false,
            Base::InPlace(held) => plane < self.target.low + held,
            Base::Other(base) => {
                let kept = plane >= base.low && plane < base.low + base.planes;
                if kept {
                    let at = row * base.stride + base.start + (plane - base.low) * out.len();
                    copy(&base.buffer.lanes[at..at + out.len()], out);
                }
                kept
            }
        }
    }

    /// Runs a pass with weights whose sums do not fit into lanes. Such a pass adds to nothing and
    /// does not scale.
    fn run_wide(&self, weight: u64, out: &mut [N::Lane], monitor: &Monitor<'_>) -> Result<()> {
        if weight == u64::MAX {
            let what = "the number of edges into one element".into();
            return Err(Error::SizeOverflow { what });
        }
        debug_assert!(self.scale == 1 && matches!(self.base, Base::Nothing));
        let RowMap { matrix, inner, from, to } = self.row_map;
        let outer = self.source.rows() / (from * inner);
        let (mut entries, mut columns) = (Vec::new(), Vec::new());
        for (o, j) in (0..outer).flat_map(|o| (0..to).map(move |j| (o, j))) {
            matrix.entries(j, from as u64, &mut entries);
            for (q, lane) in
                (0..inner).flat_map(|q| (0..self.target.width).map(move |lane| (q, lane)))
            {
                monitor.breathe((entries.len() * self.target.planes) as u64)?;
                columns.clear();
                if lane < self.target.lanes {
                    self.lane_matrix.entries(lane, self.source.lanes() as u64, &mut columns);
                }
                let digits = |run: u32| self.source.row((o * from + run as usize) * inner + q);
                self.wide_cell((o * to + j) * inner + q, lane, &entries, &columns, digits, out);
            }
        }
        Ok(())
    }

    /// Writes one cell of the result of a wide pass.
    fn wide_cell<'r>(
        &self,
        row: usize,
        lane: usize,
        entries: &[(u32, u64)],
        columns: &[(u32, u64)],
        digits: impl Fn(u32) -> &'r [N::Lane],
        out: &mut [N::Lane],
    ) where
        N::Lane: 'r,
    {
        let Target { width, stride, start, low, planes, .. } = self.target;
        let mut sum = N::Wide::default();
        for plane in 0..planes {
            let relative = (low + plane).wrapping_sub(self.source.low);
            if relative < self.source.planes {
                for &(run, height) in entries {
                    let digits = &digits(run)[relative * self.source.width()..];
                    for &(column, weight) in columns {
                        sum = N::widen(sum, digits[column as usize], height * weight);
                    }
                }
            }
            (out[row * stride + start + plane * width + lane], sum) = N::narrow(sum);
        }
    }
}
