//! How the engine adds up counts that arrive at a tensor over several links.
//!
//! Counts arrive as a [`Contribution`], whose maps may wait: applied together, or as part of a sum,
//! they cost less.

use std::collections::VecDeque;
use std::sync::Arc;

use smallvec::SmallVec;

use crate::error::{Error, Result};
use crate::machine::monitor::Monitor;
use crate::network::count_tensor::{CountTensor, padded};
use crate::network::engine::arena::Arena;
use crate::network::kernels::pass::{Base, Pass, RowMap, Scratch, Target};
use crate::network::maps::axis_map::AxisMap;
use crate::network::maps::matrix::RunMatrix;
use crate::network::maps::runs::Runs;
use crate::number::Number;

/// Works on count tensors. Each of its operations takes tensors and gives back their memory.
pub(crate) struct Engine<'a, N: Number> {
    pub(crate) arena: Arena<N::Lane>,
    scratch: Scratch<N::Lane>,
    pub(crate) monitor: &'a Monitor<'a>,
    /// The latest reductions.
    recent: VecDeque<Reduction<N>>,
}

/// A sum over a tensor that may be wanted again. A convolution, the norm after it and the
/// activation after that, for example, pass the same counts on, and all of them want the total.
struct Reduction<N: Number> {
    /// The version of the contents that were summed.
    version: u64,
    lane_axis: usize,
    maps: Vec<(usize, AxisMap)>,
    result: CountTensor<N>,
}

/// How many reductions are remembered.
const REMEMBERED: usize = 8;

/// Counts on their way to a source: a tensor with the axes of the source, and maps that are still
/// to be applied to some of them.
#[derive(Clone)]
pub(crate) struct Contribution<N: Number> {
    pub(crate) tensor: CountTensor<N>,
    pub(crate) maps: Vec<(usize, AxisMap)>,
}

impl<N: Number> From<CountTensor<N>> for Contribution<N> {
    fn from(tensor: CountTensor<N>) -> Self {
        Self { tensor, maps: Vec::new() }
    }
}

impl<N: Number> Contribution<N> {
    /// The same counts, with scales turned into factors, so that only maps between several runs are
    /// left.
    pub(crate) fn absorb_scales(self) -> Self {
        let Self { mut tensor, mut maps } = self;
        maps.retain(|(axis, map)| {
            let plain = matches!(map.matrix, RunMatrix::Scale(_) | RunMatrix::Identity);
            if plain && tensor.axes[*axis] != map.runs {
                Arc::make_mut(&mut tensor.axes)[*axis] = map.runs.clone();
            }
            if let RunMatrix::Scale(weight) = map.matrix {
                push_factor(&mut tensor.factors, weight);
            }
            !plain
        });
        Self { tensor, maps }
    }

    /// Whether the maps had better be applied later, as part of sums: if no map reduces the number
    /// of runs much, and weights are so small that the sums will fit into lanes.
    pub(crate) fn may_wait(&self) -> bool {
        self.maps.iter().all(|(axis, map)| {
            2 * map.runs.len() > self.tensor.axes[*axis].len() && map.matrix.heaviest() <= 8
        })
    }

    /// The runs along each axis when all maps are applied.
    fn axes(&self) -> Arc<[Runs]> {
        axes_after(&self.tensor.axes, &self.maps)
    }
}

impl<'a, N: Number> Engine<'a, N> {
    /// An engine that holds at most `limit` bytes of counts, and adds up besides what they would
    /// take in planes of `planned_radix` bits.
    pub(crate) fn new(limit: u64, planned_radix: u64, monitor: &'a Monitor<'a>) -> Self {
        let arena = Arena::new(N::reserve(), limit, planned_radix);
        Self { arena, scratch: Scratch::new(), monitor, recent: VecDeque::new() }
    }

    /// Sets out on so many tensors.
    pub(crate) fn start(&self, steps: usize) {
        self.monitor.start(steps as u64);
    }

    /// Turns to the next tensor.
    pub(crate) fn step(&mut self, tensor: &str) -> Result<()> {
        self.arena.tensor.clear();
        self.arena.tensor.push_str(tensor);
        self.monitor.step()
    }

    /// Adds up two tensors of the same shape.
    pub(crate) fn join(
        &mut self,
        collected: Option<CountTensor<N>>,
        tensor: CountTensor<N>,
    ) -> Result<CountTensor<N>> {
        self.accumulate(collected, tensor.into())
    }

    /// Adds a contribution to what has been collected.
    pub(crate) fn accumulate(
        &mut self,
        collected: Option<CountTensor<N>>,
        contribution: Contribution<N>,
    ) -> Result<CountTensor<N>> {
        let Some(collected) = collected else { return self.finish(contribution) };
        let axes = contribution.axes();
        let pairs = axes.iter().zip(collected.axes.iter());
        let union: Arc<[Runs]> = pairs.map(|(a, b)| a.union(b)).collect();
        if contribution.maps.is_empty() && union == axes && union != collected.axes {
            // What arrives has the finer runs, so that the coarser counts are added to it.
            let Contribution { tensor, .. } = contribution;
            return self.accumulate(Some(tensor), collected.into());
        }
        let collected = self.refine(collected, &union)?;
        let mut maps = contribution.maps;
        for (axis, (from, to)) in
            axes.iter().zip(union.iter()).enumerate().filter(|(_, (a, b))| a != b)
        {
            match maps.iter_mut().find(|(mapped, _)| *mapped == axis) {
                Some((_, map)) => *map = map.clone().refined(to),
                None => maps.push((axis, AxisMap::refinement(from, to))),
            }
        }
        let contribution = self.reduce_maps(Contribution { maps, ..contribution })?;
        self.add(collected, contribution)
    }

    /// Applies all maps of a contribution.
    pub(crate) fn finish(&mut self, contribution: Contribution<N>) -> Result<CountTensor<N>> {
        let Contribution { tensor, maps } = self.reduce_maps(contribution)?;
        if maps.is_empty() {
            return Ok(tensor);
        }
        self.reduce(tensor, maps)
    }

    /// Applies maps that fit one pass. If they reduce the tensor much, the result is remembered.
    fn reduce(
        &mut self,
        tensor: CountTensor<N>,
        maps: Vec<(usize, AxisMap)>,
    ) -> Result<CountTensor<N>> {
        let cells = |axes: &[Runs]| axes.iter().map(Runs::len).product::<usize>();
        let after = maps.iter().map(|(_, map)| map.runs.len()).product::<usize>();
        let before = maps.iter().map(|(axis, _)| tensor.axes[*axis].len()).product::<usize>();
        if 4 * after > before || cells(&tensor.axes) < 16 {
            return self.map(tensor, &maps, 1, None);
        }
        let (version, lane_axis) = (tensor.buffer.version, tensor.lane_axis);
        let known = self.recent.iter().find(|known| {
            known.version == version && known.lane_axis == lane_axis && known.maps == maps
        });
        if let Some(known) = known {
            // Axes with a single run may have other lengths here, and the factors may differ.
            let axes = axes_after(&tensor.axes, &maps);
            let factors = tensor.factors.clone();
            self.arena.give(tensor);
            return Ok(CountTensor { axes, factors, ..known.result.clone() });
        }
        let result = self.map(tensor, &maps, 1, None)?;
        if self.recent.len() == REMEMBERED
            && let Some(oldest) = self.recent.pop_front()
        {
            self.arena.give(oldest.result);
        }
        self.recent.push_back(Reduction { version, lane_axis, maps, result: result.clone() });
        Ok(result)
    }

    /// Applies maps until the others fit one pass: one map along the lanes and one along an axis of
    /// rows.
    fn reduce_maps(&mut self, contribution: Contribution<N>) -> Result<Contribution<N>> {
        let Contribution { mut tensor, mut maps } = contribution.absorb_scales();
        let growth = |tensor: &CountTensor<N>, axis: usize, map: &AxisMap| {
            map.runs.len() as f64 / tensor.axes[axis].len() as f64
        };
        // The map that shrinks the tensor most comes last, and is applied first. Among equal maps,
        // one along an axis of rows comes before one along the lanes.
        maps.sort_by(|(a, x), (b, y)| {
            growth(&tensor, *b, y).total_cmp(&growth(&tensor, *a, x)).then(b.cmp(a))
        });
        while let Some((axis, map)) = maps.last() {
            let lane_axis = lane_axis_of(&tensor, &maps);
            let rows_mapped = maps.iter().filter(|(axis, _)| *axis != lane_axis).count();
            let heavy = maps.iter().fold(1u64, |w, (_, m)| w.saturating_mul(m.matrix.heaviest()))
                > N::HEADROOM;
            let shrinks = maps.len() > 1 && growth(&tensor, *axis, map) <= 0.5;
            if rows_mapped <= 1 && !shrinks && !heavy {
                break;
            }
            let Some(step) = maps.pop() else { break };
            tensor = self.reduce(tensor, vec![step])?;
        }
        Ok(Contribution { tensor, maps })
    }

    /// The sum of two tensors whose runs agree.
    fn add(
        &mut self,
        collected: CountTensor<N>,
        contribution: Contribution<N>,
    ) -> Result<CountTensor<N>> {
        let collected = self.realise(collected)?;
        let Contribution { mut tensor, maps } = contribution;
        let mut scales = std::mem::take(&mut tensor.factors);
        let last = match scales.last() {
            Some(&scale) if scale <= N::MAX_SCALE => scales.pop().unwrap_or(1),
            _ => 1,
        };
        if scales.is_empty() {
            return self.map(tensor, &maps, last, Some(collected));
        }
        tensor.factors = scales;
        let mapped = if maps.is_empty() { tensor } else { self.map(tensor, &maps, 1, None)? };
        let realised = self.realise(mapped)?;
        self.map(realised, &[], last, Some(collected))
    }

    /// Multiplies the factors into the counts.
    fn realise(&mut self, mut tensor: CountTensor<N>) -> Result<CountTensor<N>> {
        for factor in std::mem::take(&mut tensor.factors) {
            tensor = self.multiply(tensor, factor)?;
        }
        Ok(tensor)
    }

    /// Multiplies all counts by a factor.
    fn multiply(&mut self, tensor: CountTensor<N>, factor: u64) -> Result<CountTensor<N>> {
        if factor <= N::MAX_SCALE {
            return self.map(tensor, &[], factor, None);
        }
        let (high, low) = (factor / N::MAX_SCALE, factor % N::MAX_SCALE);
        let upper = self.multiply(tensor.clone(), high)?;
        let upper = self.multiply(upper, N::MAX_SCALE)?;
        if low == 0 { Ok(upper) } else { self.map(tensor, &[], low, Some(upper)) }
    }

    /// Splits runs so that they become those of `finer`.
    fn refine(&mut self, tensor: CountTensor<N>, finer: &[Runs]) -> Result<CountTensor<N>> {
        let pairs = tensor.axes.iter().zip(finer).enumerate().filter(|(_, (a, b))| a != b);
        let maps = pairs.map(|(axis, (a, b))| (axis, AxisMap::refinement(a, b))).collect();
        self.finish(Contribution { tensor, maps })
    }

    /// Makes one pass: applies at most one map along the lanes and one along an axis of rows,
    /// multiplies by `scale`, and adds `collected`. The factors of `tensor` stay factors of the
    /// result; with `collected` there must be none.
    fn map(
        &mut self,
        tensor: CountTensor<N>,
        maps: &[(usize, AxisMap)],
        scale: u64,
        collected: Option<CountTensor<N>>,
    ) -> Result<CountTensor<N>> {
        let varying = collected.as_ref().map_or(0, CountTensor::last_varying);
        let lane_axis = lane_axis_of(&tensor, maps).max(varying);
        let tensor = self.with_lanes(tensor, lane_axis)?;
        let collected = collected.map(|c| self.with_lanes(c, lane_axis)).transpose()?;
        let axes = axes_after(&tensor.axes, maps);
        let weight = maps.iter().fold(u128::from(scale), |weight, (_, map)| {
            weight.saturating_mul(map.matrix.heaviest().into())
        });
        let grown = tensor.bits + u64::from(128 - weight.max(1).leading_zeros());
        let bits = collected.as_ref().map_or(grown, |c| grown.max(c.bits) + 1);
        let low = collected.as_ref().map_or(tensor.low, |c| tensor.low.min(c.low));
        let planes = (bits.div_ceil(N::RADIX_BITS) as usize).saturating_sub(low).max(1);

        let (mut result, other, held) = match collected {
            Some(mut c) if c.can_hold(low, planes) => {
                let held = c.planes;
                c.planes = planes;
                (c, None, held)
            }
            other => (self.fresh(axes, lane_axis, low, planes, bits)?, other, 0),
        };
        result.factors.clone_from(&tensor.factors);
        let target = Target {
            lanes: result.lanes(),
            width: result.width(),
            stride: result.stride,
            start: result.start,
            low,
            planes,
        };
        let lane_map = maps.iter().find(|(axis, _)| *axis == lane_axis);
        let pass = Pass {
            source: &tensor,
            row_map: row_map_of(&tensor, maps.iter().find(|(axis, _)| *axis != lane_axis)),
            lane_matrix: lane_map.map_or(&RunMatrix::Identity, |(_, map)| &map.matrix),
            scale,
            base: match &other {
                Some(other) => Base::Other(other),
                None if held > 0 => Base::InPlace(held),
                None => Base::Nothing,
            },
            target,
        };
        let rows = result.rows();
        let buffer = result.buffer_mut()?;
        if held > 0 {
            self.arena.rewrite(buffer, rows.saturating_mul(target.width), bits);
        }
        pass.run(&mut buffer.lanes, &mut self.scratch, self.monitor)?;
        if let Some(other) = other {
            self.arena.give(other);
        }
        self.arena.give(tensor);
        result.trim();
        result.compact = false;
        Ok(result)
    }

    /// A tensor whose counts are still to be written.
    pub(crate) fn fresh(
        &mut self,
        axes: Arc<[Runs]>,
        lane_axis: usize,
        low: usize,
        planes: usize,
        bits: u64,
    ) -> Result<CountTensor<N>> {
        let overflow =
            || Error::SizeOverflow { what: format!("the counts of '{}'", self.arena.tensor) };
        let width = padded(axes.get(lane_axis).map_or(1, Runs::len));
        let mut rows = axes.iter().take(lane_axis);
        let cells = rows.try_fold(width, |cells, runs| cells.checked_mul(runs.len()));
        let buffer = self.arena.take(cells.ok_or_else(overflow)?, planes, bits)?;
        Ok(CountTensor {
            axes,
            lane_axis,
            buffer: Arc::new(buffer),
            stride: planes * width,
            start: 0,
            low,
            planes,
            bits,
            factors: SmallVec::new(),
            compact: false,
        })
    }
}

/// The runs along each axis when `maps` are applied.
fn axes_after(axes: &Arc<[Runs]>, maps: &[(usize, AxisMap)]) -> Arc<[Runs]> {
    let mut axes = Arc::clone(axes);
    for (axis, map) in maps {
        if axes[*axis] != map.runs {
            Arc::make_mut(&mut axes)[*axis] = map.runs.clone();
        }
    }
    axes
}

/// Multiplies `weight` into a list of factors, into the last of them if the product stays small.
pub(crate) fn push_factor(factors: &mut SmallVec<[u64; 2]>, weight: u64) {
    match factors.last_mut().map(|last| (last.saturating_mul(weight), last)) {
        Some((product, last)) if product <= 1 << 30 => *last = product,
        _ if weight == 1 => {}
        _ => factors.push(weight),
    }
}

/// The axis that a pass with these maps lays out in lanes.
fn lane_axis_of<N: Number>(tensor: &CountTensor<N>, maps: &[(usize, AxisMap)]) -> usize {
    maps.iter().map(|(axis, _)| *axis).fold(tensor.lane_axis.max(tensor.last_varying()), usize::max)
}

/// The map of a pass along an axis of rows, if there is one.
fn row_map_of<'m, N: Number>(
    tensor: &CountTensor<N>,
    map: Option<&'m (usize, AxisMap)>,
) -> RowMap<'m> {
    match map {
        None => {
            let rows = tensor.rows();
            RowMap { matrix: &RunMatrix::Identity, inner: 1, from: rows, to: rows }
        }
        Some((axis, map)) => RowMap {
            matrix: &map.matrix,
            inner: tensor.axes[axis + 1..tensor.lane_axis].iter().map(Runs::len).product(),
            from: tensor.axes[*axis].len(),
            to: map.runs.len(),
        },
    }
}
