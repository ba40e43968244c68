//! How the engine carries counts backwards through a link, from the axes of its target to those of
//! its source.

use smallvec::{SmallVec, smallvec};

use crate::error::{Error, Result};
use crate::network::count_tensor::CountTensor;
use crate::network::engine::accumulate::{Contribution, Engine};
use crate::network::maps::axis_map::{AxisMap, MAX_RUNS};
use crate::network::maps::matrix::Compiled;
use crate::network::maps::runs::{PerAxis, Runs};
use crate::network::relation::{AxisRelation, Relation};
use crate::network::tensors::{Link, Network, Tensor};
use crate::number::Number;

/// The part of a link that concerns one axis of either side.
#[derive(Clone, Copy)]
struct LinkPart<'r> {
    relation: &'r Relation,
    source: Option<usize>,
    target: Option<usize>,
}

/// A link, axis by axis. A reshape that only adds or drops axes of length one is a renaming of
/// axes.
struct LinkParts<'r> {
    single: SmallVec<[LinkPart<'r>; 6]>,
    reshapes: Vec<&'r AxisRelation>,
}

/// Where the runs of some source axes come from: from some axes of the target.
struct AxisGroup {
    source_axes: PerAxis<usize>,
    target_axes: PerAxis<usize>,
    runs: Vec<Runs>,
    /// For every cell over `runs`, the cell over the runs of the target axes that it lies in.
    cells: Vec<u32>,
}

impl<N: Number> Engine<'_, N> {
    /// What `link` hands to its source when its target has the counts `counts`. Maps that wait in
    /// `counts` are followed by those of the link.
    pub(crate) fn carry(
        &mut self,
        counts: &Contribution<N>,
        link: &Link,
        network: &Network,
    ) -> Result<Contribution<N>> {
        let (source, target) = (network.tensor(link.source)?, network.tensor(link.target)?);
        let invalid = |reason| Error::InvalidLink {
            from: source.name.clone(),
            from_shape: source.shape.clone(),
            to: target.name.clone(),
            to_shape: target.shape.clone(),
            reason,
        };
        let parts = LinkParts::of(link, source, target);
        let (mut tensor, mut waiting) = (counts.tensor.clone(), &counts.maps[..]);
        if !waiting.is_empty() && !parts.reshapes.is_empty() {
            tensor = self.finish(counts.clone())?;
            waiting = &[];
        }
        if waiting.is_empty() {
            tensor = self.prepare(tensor, &parts)?;
        }
        let (mut sums, mut maps) = (Vec::new(), Vec::new());
        for part in &parts.single {
            let Some(axis) = part.target else { continue };
            let extent = part.source.map_or(1, |a| source.shape[a]);
            let before = waiting.iter().find(|(mapped, _)| *mapped == axis).map(|(_, map)| map);
            let runs = before.map_or(&tensor.axes[axis], |map| &map.runs);
            let mut map = AxisMap::compile(part.relation, runs, extent).map_err(invalid)?;
            if let Some(before) = before {
                map = map.after(before, tensor.axes[axis].len());
            }
            match part.source {
                Some(to) => maps.push((axis, to, map)),
                None => sums.push((axis, map)),
            }
        }
        tensor = self.finish(Contribution { tensor, maps: sums })?;
        if !is_in_order(&tensor, &parts, &maps) {
            let maps = std::mem::take(&mut maps);
            let on_target = maps.into_iter().map(|(axis, _, map)| (axis, map)).collect();
            tensor = self.finish(Contribution { tensor, maps: on_target })?;
            let groups = axis_groups(&tensor, &parts, source).map_err(invalid)?;
            let tensor = self.rearrange(tensor, &groups, source)?;
            return Ok(Contribution { tensor, maps: Vec::new() });
        }
        let tensor = self.relabel(tensor, &parts, source)?;
        Ok(Contribution { tensor, maps: maps.into_iter().map(|(_, to, map)| (to, map)).collect() })
    }

    /// Splits the runs of axes under a window into single indices, where runs are short anyway:
    /// sums of shifted lanes are cheaper than weighted sums.
    fn prepare(&mut self, tensor: CountTensor<N>, parts: &LinkParts<'_>) -> Result<CountTensor<N>> {
        let mut maps = Vec::new();
        for part in &parts.single {
            if let (Relation::Window(_) | Relation::TransposedWindow(_), Some(axis)) =
                (part.relation, part.target)
            {
                let runs = &tensor.axes[axis];
                if runs.len() > 1 && !runs.is_unit() && runs.extent() <= 4 * runs.len() as u64 {
                    maps.push((
                        axis,
                        AxisMap::refinement(runs, &Runs::unit(runs.extent() as usize)),
                    ));
                }
            }
        }
        self.finish(Contribution { tensor, maps })
    }

    /// Renames the axes of a tensor from those of the target to those of the source. Axes that vary
    /// must have the same order in both.
    fn relabel(
        &mut self,
        tensor: CountTensor<N>,
        parts: &LinkParts<'_>,
        source: &Tensor,
    ) -> Result<CountTensor<N>> {
        let target_lanes = tensor.last_varying();
        let mut tensor = self.with_lanes(tensor, target_lanes)?;
        let mut axes: PerAxis<Runs> = source.shape.iter().map(|&n| Runs::single(n)).collect();
        let mut lane_axis = 0;
        for part in &parts.single {
            if let (Some(to), Some(from)) = (part.source, part.target) {
                axes[to] = tensor.axes[from].clone();
                if from == target_lanes && !axes[to].is_single() {
                    lane_axis = to;
                }
            }
        }
        tensor.axes = axes[..].into();
        tensor.lane_axis = lane_axis;
        Ok(tensor)
    }

    /// Moves cells where axes change places or are reshaped, as `groups` say. All other maps of the
    /// link must have been applied.
    fn rearrange(
        &mut self,
        tensor: CountTensor<N>,
        groups: &[AxisGroup],
        source: &Tensor,
    ) -> Result<CountTensor<N>> {
        let mut axes: PerAxis<Runs> = source.shape.iter().map(|&n| Runs::single(n)).collect();
        for group in groups {
            for (&axis, runs) in group.source_axes.iter().zip(&group.runs) {
                axes[axis] = runs.clone();
            }
        }
        let lengths: Vec<usize> = axes.iter().map(Runs::len).collect();
        let old_steps = steps(&tensor.axes.iter().map(Runs::len).collect::<Vec<_>>());
        let new_steps = steps(&lengths);
        let lookup = |cell: usize| {
            let mut from = 0;
            for group in groups {
                let flat = group.source_axes.iter().fold(0, |flat, &axis| {
                    flat * lengths[axis] + cell / new_steps[axis] % lengths[axis]
                });
                let mut inside = group.cells[flat] as usize;
                for &axis in group.target_axes.iter().rev() {
                    let n = tensor.axes[axis].len();
                    from += inside % n * old_steps[axis];
                    inside /= n;
                }
            }
            from
        };
        let lane_axis = axes.iter().rposition(|runs| !runs.is_single()).unwrap_or(0);
        let old = tensor.clone();
        let result = self.gather(old, axes[..].into(), lane_axis, lookup);
        self.arena.give(tensor);
        result
    }
}

/// For every axis, how many cells lie between neighbours along it.
fn steps(lengths: &[usize]) -> Vec<usize> {
    let mut steps = vec![1; lengths.len()];
    for axis in (1..lengths.len()).rev() {
        steps[axis - 1] = steps[axis] * lengths[axis];
    }
    steps
}

impl<'r> LinkParts<'r> {
    /// The parts of a link.
    fn of(link: &'r Link, source: &Tensor, target: &Tensor) -> Self {
        let mut parts = Self { single: SmallVec::new(), reshapes: Vec::new() };
        for relation in link.relations.iter() {
            if relation.relation != Relation::Reshape {
                parts.single.push(LinkPart {
                    relation: &relation.relation,
                    source: relation.source_axes.first().copied(),
                    target: relation.target_axes.first().copied(),
                });
            } else if !parts.take_as_renaming(relation, source, target) {
                parts.reshapes.push(relation);
            }
        }
        parts
    }

    /// Takes a reshape as a renaming of axes, and says whether it is one.
    fn take_as_renaming(
        &mut self,
        relation: &AxisRelation,
        source: &Tensor,
        target: &Tensor,
    ) -> bool {
        let long = |tensor: &Tensor, axes: &[usize]| -> PerAxis<usize> {
            axes.iter().copied().filter(|&axis| tensor.shape[axis] > 1).collect()
        };
        let (from, to) = (long(source, &relation.source_axes), long(target, &relation.target_axes));
        let equal = |(&s, &t): (&usize, &usize)| source.shape[s] == target.shape[t];
        if from.len() != to.len() || !from.iter().zip(&to).all(equal) {
            return false;
        }
        let pairs = from.iter().zip(&to).map(|(&s, &t)| (Some(s), Some(t)));
        let dropped = relation.target_axes.iter().filter(|axis| !to.contains(axis));
        for (source, target) in pairs.chain(dropped.map(|&t| (None, Some(t)))) {
            let relation = if source.is_some() { &Relation::Same } else { &Relation::Sum };
            self.single.push(LinkPart { relation, source, target });
        }
        true
    }
}

impl AxisGroup {
    /// A single axis, which keeps its runs.
    fn of_one_axis(source: usize, target: usize, runs: &Runs) -> Self {
        Self {
            source_axes: smallvec![source],
            target_axes: smallvec![target],
            runs: vec![runs.clone()],
            cells: (0..runs.len() as u32).collect(),
        }
    }
}

/// Whether axes that vary keep their order, and none of them is reshaped.
fn is_in_order<N: Number>(
    tensor: &CountTensor<N>,
    parts: &LinkParts<'_>,
    maps: &[(usize, usize, AxisMap)],
) -> bool {
    let varies = |axis: &usize| !tensor.axes[*axis].is_single();
    if parts.reshapes.iter().flat_map(|part| &part.target_axes).any(varies) {
        return false;
    }
    let mut varying: PerAxis<(usize, usize)> = maps
        .iter()
        .filter(|(axis, _, map)| varies(axis) || !map.runs.is_single())
        .map(|&(axis, to, _)| (axis, to))
        .collect();
    varying.sort_unstable();
    varying.is_sorted_by_key(|&(_, to)| to)
}

/// Where the runs of all source axes come from, group by group.
fn axis_groups<N: Number>(
    tensor: &CountTensor<N>,
    parts: &LinkParts<'_>,
    source: &Tensor,
) -> Compiled<Vec<AxisGroup>> {
    let mut groups = Vec::new();
    for part in &parts.single {
        if let (Some(to), Some(from)) = (part.source, part.target) {
            groups.push(AxisGroup::of_one_axis(to, from, &tensor.axes[from]));
        }
    }
    for reshape in &parts.reshapes {
        groups.push(group_of_reshape(tensor, reshape, source)?);
    }
    Ok(groups)
}

/// The source axes of a reshape, with runs such that every cell over them lies in one cell over the
/// target axes.
fn group_of_reshape<N: Number>(
    tensor: &CountTensor<N>,
    reshape: &AxisRelation,
    source: &Tensor,
) -> Compiled<AxisGroup> {
    let target: Vec<&Runs> = reshape.target_axes.iter().map(|&axis| &tensor.axes[axis]).collect();
    let source_axes: PerAxis<usize> = reshape.source_axes[..].into();
    let target_axes: PerAxis<usize> = reshape.target_axes[..].into();
    let flat = flatten(&target)?;
    let ends: Vec<u64> = flat
        .iter()
        .scan(0, |end, &(length, _)| {
            *end += length;
            Some(*end)
        })
        .collect();
    let lengths: Vec<u64> = source_axes.iter().map(|&axis| source.shape[axis]).collect();
    let mut runs = Vec::new();
    split(&ends, &lengths, &mut runs);
    let mut starts = vec![0u64];
    for (axis, runs) in runs.iter().enumerate() {
        let inner: u64 = lengths[axis + 1..].iter().product();
        if (starts.len() as u64).saturating_mul(runs.len() as u64) > MAX_RUNS {
            return Err(format!("the reshape scatters counts into more than {MAX_RUNS} runs"));
        }
        let firsts: Vec<u64> =
            runs.ends().iter().zip(runs.lengths()).map(|(e, n)| (e - n) * inner).collect();
        starts =
            starts.iter().flat_map(|start| firsts.iter().map(move |first| start + first)).collect();
    }
    let cells =
        starts.iter().map(|start| flat[ends.partition_point(|end| end <= start)].1).collect();
    Ok(AxisGroup { source_axes, target_axes, runs, cells })
}

/// The runs of several axes taken as one, in row-major order: their lengths, and the cell of each.
fn flatten(axes: &[&Runs]) -> Compiled<Vec<(u64, u32)>> {
    let Some((outer, rest)) = axes.split_first() else { return Ok(vec![(1, 0)]) };
    let inner = flatten(rest)?;
    let cells: usize = rest.iter().map(|runs| runs.len()).product();
    let extent: u64 = inner.iter().map(|run| run.0).sum();
    if inner.len() as u64 > 1 && outer.extent().saturating_mul(inner.len() as u64) > MAX_RUNS {
        return Err(format!("the reshape scatters counts into more than {MAX_RUNS} runs"));
    }
    let mut flat = Vec::new();
    for (run, &length) in outer.lengths().iter().enumerate() {
        let first = (run * cells) as u32;
        if let [(_, cell)] = inner[..] {
            flat.push((length * extent, first + cell));
            continue;
        }
        for _ in 0..length {
            flat.extend(inner.iter().map(|&(n, cell)| (n, first + cell)));
        }
    }
    Ok(flat)
}

/// Adds runs along axes of the given lengths, such that no cell over them crosses one of the
/// `ends`.
fn split(ends: &[u64], lengths: &[u64], runs: &mut Vec<Runs>) {
    let Some((&outer, rest)) = lengths.split_first() else { return };
    let inner: u64 = rest.iter().product();
    let (mut breaks, mut inside) = (vec![outer], vec![inner]);
    for &end in ends {
        breaks.extend([end / inner, end.div_ceil(inner)]);
        inside.push(end % inner);
    }
    runs.push(runs_between(breaks));
    let mut inside: Vec<u64> = inside.into_iter().filter(|&at| at > 0).collect();
    inside.sort_unstable();
    inside.dedup();
    split(&inside, rest, runs);
}

/// The runs between breaks, of which the last ends the axis.
fn runs_between(mut breaks: Vec<u64>) -> Runs {
    breaks.sort_unstable();
    breaks.dedup();
    let mut at = 0;
    let lengths = breaks.into_iter().filter(|&end| end > 0).map(|end| {
        let length = end - at;
        at = end;
        length
    });
    Runs::from_lengths(lengths.collect())
}
