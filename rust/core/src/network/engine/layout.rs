//! How the engine moves cells of a tensor: to other lanes, to longer runs, or one link further.

use std::sync::Arc;

use crate::error::Result;
use crate::network::count_tensor::CountTensor;
use crate::network::engine::accumulate::Engine;
use crate::network::maps::runs::{PerAxis, Runs};
use crate::number::Number;

impl<N: Number> Engine<'_, N> {
    /// The same counts, with `lane_axis` laid out in lanes; axes after it must have a single run.
    pub(crate) fn with_lanes(
        &mut self,
        mut tensor: CountTensor<N>,
        lane_axis: usize,
    ) -> Result<CountTensor<N>> {
        if tensor.cells() == 1 {
            tensor.lane_axis = lane_axis;
        }
        if tensor.lane_axis == lane_axis {
            return Ok(tensor);
        }
        let axes = tensor.axes.clone();
        self.gather(tensor, axes, lane_axis, |cell| cell)
    }

    /// A tensor whose cell `c` (row-major over the runs of all axes) is cell `from(c)` of `tensor`.
    pub(crate) fn gather(
        &mut self,
        tensor: CountTensor<N>,
        axes: Arc<[Runs]>,
        lane_axis: usize,
        from: impl Fn(usize) -> usize,
    ) -> Result<CountTensor<N>> {
        let mut result = self.fresh(axes, lane_axis, tensor.low, tensor.planes, tensor.bits)?;
        result.factors.clone_from(&tensor.factors);
        let (lanes, width, stride) = (result.lanes(), result.width(), result.stride);
        let (old_lanes, old_width) = (tensor.lanes(), tensor.width());
        let rows = result.axes.iter().map(Runs::len).product::<usize>() / lanes;
        let buffer = result.buffer_mut()?;
        for (row, out) in buffer.lanes.chunks_exact_mut(stride).enumerate().take(rows) {
            self.monitor.breathe(stride as u64)?;
            if lanes < width {
                out.fill(N::ZERO);
            }
            for lane in 0..lanes {
                let cell = from(row * lanes + lane);
                let digits = tensor.row(cell / old_lanes).iter().skip(cell % old_lanes);
                for (to, &digit) in
                    out.iter_mut().skip(lane).step_by(width).zip(digits.step_by(old_width))
                {
                    *to = digit;
                }
            }
        }
        self.arena.give(tensor);
        Ok(result)
    }

    /// The same counts, one link earlier.
    pub(crate) fn through_link(&mut self, tensor: CountTensor<N>) -> Result<CountTensor<N>> {
        let (axes, lane_axis, compact) = (tensor.axes.clone(), tensor.lane_axis, tensor.compact);
        let mut result = self.gather(tensor, axes, lane_axis, |cell| cell)?;
        let buffer = result.buffer_mut()?;
        for lane in &mut buffer.lanes {
            *lane = N::through_link(*lane);
        }
        Ok(CountTensor { compact, ..result })
    }

    /// Joins neighbouring runs with equal counts, and lays out the last varying axis in lanes.
    /// Unless `fully` is set, runs of single indices stay apart where little would be gained: they
    /// need no weights.
    pub(crate) fn compact(
        &mut self,
        tensor: CountTensor<N>,
        fully: bool,
    ) -> Result<CountTensor<N>> {
        if tensor.cells() == 1 || (tensor.compact && !fully) {
            return Ok(tensor);
        }
        let mut differing = tensor.differing();
        for (runs, keep) in tensor.axes.iter().zip(&mut differing) {
            let merged = keep.iter().filter(|&&differs| differs).count();
            if !fully && runs.is_unit() && 2 * merged > runs.len() {
                keep.fill(true);
            }
        }
        if differing.iter().flatten().all(|&differs| differs) {
            let lane_axis = tensor.last_varying();
            let tensor = self.with_lanes(tensor, lane_axis)?;
            return Ok(CountTensor { compact: true, ..tensor });
        }
        let axes: Arc<[Runs]> =
            tensor.axes.iter().zip(&differing).map(|(runs, keep)| runs.merged(keep)).collect();
        let kept: Vec<Vec<usize>> = differing
            .iter()
            .map(|keep| (0..keep.len()).filter(|&j| j == 0 || keep[j]).collect())
            .collect();
        let old: PerAxis<usize> = tensor.axes.iter().map(Runs::len).collect();
        let new: PerAxis<usize> = axes.iter().map(Runs::len).collect();
        let lane_axis = axes.iter().rposition(|runs| !runs.is_single()).unwrap_or(0);
        let merged = self.gather(tensor, axes, lane_axis, |mut cell| {
            let (mut from, mut step) = (0, 1);
            for axis in (0..new.len()).rev() {
                from += kept[axis][cell % new[axis]] * step;
                cell /= new[axis];
                step *= old[axis];
            }
            from
        })?;
        Ok(CountTensor { compact: true, ..merged })
    }
}
