//! How the cells of two tensors join: one small matrix between runs for each relation of a link.

use super::cells::{Grid, edges};
use super::geometry::{Lengths, weighted_edges};
use crate::network::{AxisRelation, Link, Operation, Relation};

/// Something that links add up.
pub(super) trait Linear: Copy + Default {
    fn add_times(&mut self, other: &Self, factor: f64);
}

impl Linear for f64 {
    fn add_times(&mut self, other: &Self, factor: f64) {
        *self += factor * other;
    }
}

/// How many elements of each cell of its source each element of a target's cell reads.
#[derive(Debug, Clone)]
pub(super) struct CellMap {
    parts: Vec<Part>,
    /// Cells along the factors of the source, and their order as the parts have them.
    source_dims: Vec<usize>,
    source_order: Vec<usize>,
    /// Cells along the factors of the target as the parts have them, and the order they are in.
    target_dims: Vec<usize>,
    target_order: Vec<usize>,
}

/// What an edge counts: how many parallel ones there are, or the weight of its tap, or the square
/// of that.
#[derive(Clone, Copy)]
pub(super) struct Weigh<'a> {
    pub(super) operation: &'a Operation,
    pub(super) squares: bool,
}

impl Weigh<'_> {
    fn of(self, weight: f64) -> f64 {
        if self.squares { weight * weight } else { weight }
    }

    fn taps(&self, part: &AxisRelation) -> Option<&[f64]> {
        self.operation.taps_of(part)
    }
}

/// One relation, between runs.
#[derive(Debug, Clone)]
struct Part {
    source: usize,
    target: usize,
    /// For every run of the target: the runs of the source that one of its elements reads, how many
    /// elements it reads there, and how many elements of the target's run read one of those. `None`
    /// if runs are the same on both sides.
    rows: Option<Vec<Vec<(u32, f64, f64)>>>,
    /// Whether the relation joins positions, not channels.
    of_positions: bool,
}

impl CellMap {
    /// The map of a link; `of_positions` says for each of its relations whether it joins positions,
    /// and `edges` how many edges it has, or what they weigh, if only the mean number an element is
    /// wanted. Edges count as `weigh` says.
    pub(super) fn new(
        link: &Link,
        from: &Grid,
        to: &Grid,
        edges: &[Option<f64>],
        of_positions: impl Fn(&AxisRelation) -> bool,
        weigh: Weigh<'_>,
    ) -> Self {
        let mut map = Self {
            parts: Vec::new(),
            source_dims: from.dims(),
            source_order: Vec::new(),
            target_dims: Vec::new(),
            target_order: vec![0; to.factors.len()],
        };
        let mut place = Vec::new();
        for (relation, &edges) in link.relations.iter().zip(edges) {
            let part = Part::new(relation, from, to, edges, of_positions(relation), weigh);
            let sources: Vec<usize> =
                relation.source_axes.iter().flat_map(|&axis| from.axes[axis].clone()).collect();
            let targets: Vec<usize> =
                relation.target_axes.iter().flat_map(|&axis| to.axes[axis].clone()).collect();
            for factor in sources {
                map.source_order.push(factor);
            }
            for factor in targets {
                map.target_dims.push(to.factors[factor].starts.len());
                place.push(factor);
            }
            map.parts.push(part);
        }
        for (at, &factor) in place.iter().enumerate() {
            map.target_order[factor] = at;
        }
        map
    }

    /// For every cell of the target, the sum over the elements that one of its elements reads.
    pub(super) fn forward<T: Linear>(&self, values: &[T]) -> Vec<T> {
        let mut values = permuted(values, &self.source_dims, &self.source_order);
        let mut before = 1;
        for (index, part) in self.parts.iter().enumerate() {
            let after: usize = self.parts[index + 1..].iter().map(|part| part.source).product();
            values = part.forward(values, before, after);
            before *= part.target;
        }
        permuted(&values, &self.target_dims, &self.target_order)
    }

    /// For every cell of the source, the sum over the elements that read one of its elements.
    pub(super) fn backward<T: Linear>(&self, values: &[T]) -> Vec<T> {
        let (dims, order) = inverse(&self.target_dims, &self.target_order);
        let mut values = permuted(values, &dims, &order);
        let mut before = 1;
        for (index, part) in self.parts.iter().enumerate() {
            let after: usize = self.parts[index + 1..].iter().map(|part| part.target).product();
            values = part.backward(values, before, after);
            before *= part.source;
        }
        let (dims, order) = inverse(&self.source_dims, &self.source_order);
        permuted(&values, &dims, &order)
    }

    /// How many elements each element of the target reads, along all axes or along positions only.
    pub(super) fn reads(&self, only_positions: bool) -> Vec<f64> {
        let mut product = vec![1.0];
        for part in &self.parts {
            let sums = part.reads(only_positions);
            product = product.iter().flat_map(|p| sums.iter().map(move |s| p * s)).collect();
        }
        permuted(&product, &self.target_dims, &self.target_order)
    }

    /// How many elements read each element of the source along positions.
    pub(super) fn read_positions(&self) -> Vec<f64> {
        let mut product = vec![1.0];
        for part in &self.parts {
            let sums = part.read_positions();
            product = product.iter().flat_map(|p| sums.iter().map(move |s| p * s)).collect();
        }
        let (dims, order) = inverse(&self.source_dims, &self.source_order);
        permuted(&product, &dims, &order)
    }
}

impl Part {
    fn new(
        part: &AxisRelation,
        from: &Grid,
        to: &Grid,
        edges: Option<f64>,
        of_positions: bool,
        weigh: Weigh<'_>,
    ) -> Self {
        let runs = |grid: &Grid, axes: &[usize]| -> usize {
            axes.iter()
                .flat_map(|&axis| grid.factors[grid.axes[axis].clone()].iter())
                .map(|factor| factor.starts.len())
                .product()
        };
        let (source, target) = (runs(from, &part.source_axes), runs(to, &part.target_axes));
        let rows = match &part.relation {
            Relation::Same | Relation::Reshape => None,
            Relation::All | Relation::Each | Relation::Sum => {
                let sizes = run_sizes(from, &part.source_axes);
                let others = run_sizes(to, &part.target_axes);
                let row = |other: &f64| {
                    let runs = sizes.iter().enumerate();
                    runs.map(|(run, &size)| (run as u32, size, *other)).collect()
                };
                Some(others.iter().map(row).collect())
            }
            _ if edges.is_some() && source == 1 && target == 1 => {
                let length = |grid: &Grid, axes: &[usize]| run_sizes(grid, axes)[0];
                let edges = edges.unwrap_or(0.0);
                let reads = edges / length(to, &part.target_axes);
                Some(vec![vec![(0, reads, edges / length(from, &part.source_axes))]])
            }
            Relation::Blocks { groups } if source == 1 && target == 1 => {
                let length = |grid: &Grid, axis: usize| -> f64 {
                    grid.lengths(axis).iter().product::<u64>() as f64 / *groups as f64
                };
                let wide = length(from, part.source_axes[0]);
                Some(vec![vec![(0, wide, length(to, part.target_axes[0]))]])
            }
            relation => {
                let axes = (part.source_axes[0], part.target_axes[0]);
                let taps = weigh.taps(part);
                Some(rows(relation, (from, axes.0), (to, axes.1), (weigh, taps)))
            }
        };
        Self { source, target, rows, of_positions }
    }

    fn forward<T: Linear>(&self, values: Vec<T>, before: usize, after: usize) -> Vec<T> {
        let Some(rows) = &self.rows else { return values };
        let mut out = vec![T::default(); before * self.target * after];
        for b in 0..before {
            for (t, row) in rows.iter().enumerate() {
                let at = (b * self.target + t) * after;
                for &(s, weight, _) in row {
                    let from = (b * self.source + s as usize) * after;
                    let (sums, terms) = (&mut out[at..at + after], &values[from..from + after]);
                    for (sum, term) in sums.iter_mut().zip(terms) {
                        sum.add_times(term, weight);
                    }
                }
            }
        }
        out
    }

    fn backward<T: Linear>(&self, values: Vec<T>, before: usize, after: usize) -> Vec<T> {
        let Some(rows) = &self.rows else { return values };
        let mut out = vec![T::default(); before * self.source * after];
        for b in 0..before {
            for (t, row) in rows.iter().enumerate() {
                let from = (b * self.target + t) * after;
                for &(s, _, weight) in row {
                    let at = (b * self.source + s as usize) * after;
                    let (sums, terms) = (&mut out[at..at + after], &values[from..from + after]);
                    for (sum, term) in sums.iter_mut().zip(terms) {
                        sum.add_times(term, weight);
                    }
                }
            }
        }
        out
    }

    fn reads(&self, only_positions: bool) -> Vec<f64> {
        match &self.rows {
            Some(rows) if self.of_positions || !only_positions => {
                rows.iter().map(|row| row.iter().map(|entry| entry.1).sum()).collect()
            }
            _ => vec![1.0; self.target],
        }
    }

    fn read_positions(&self) -> Vec<f64> {
        let mut sums = vec![1.0; self.source];
        if let Some(rows) = self.rows.as_ref().filter(|_| self.of_positions) {
            sums.fill(0.0);
            for &(run, _, weight) in rows.iter().flatten() {
                sums[run as usize] += weight;
            }
        }
        sums
    }
}

fn run_sizes(grid: &Grid, axes: &[usize]) -> Vec<f64> {
    let mut sizes = vec![1.0];
    for factor in axes.iter().flat_map(|&axis| &grid.factors[grid.axes[axis].clone()]) {
        sizes = sizes
            .iter()
            .flat_map(|size| factor.run_lengths().map(move |run| size * run as f64))
            .collect();
    }
    sizes
}

/// The rows of any other relation, each from the first index of a run of the target.
fn rows(
    relation: &Relation,
    (from, source): (&Grid, usize),
    (to, target): (&Grid, usize),
    (weigh, taps): (Weigh<'_>, Option<&[f64]>),
) -> Vec<Vec<(u32, f64, f64)>> {
    let (of_source, of_target) = (from.starts(source), to.starts(target));
    let source_length: u64 = from.lengths(source).iter().product();
    let target_length: u64 = to.lengths(target).iter().product();
    let size = |starts: &[u64], length: u64, run: usize| {
        (starts.get(run + 1).copied().unwrap_or(length) - starts[run]) as f64
    };
    let mut first = vec![Vec::new(); of_target.len()];
    let mut run_of = vec![usize::MAX; target_length as usize];
    for (run, &start) in of_target.iter().enumerate() {
        run_of[start as usize] = run;
    }
    let mut join = |i: usize, o: usize, weight: f64| {
        if run_of[o] != usize::MAX {
            let run = of_source.partition_point(|&start| start <= i as u64) - 1;
            first[run_of[o]].push((run, weigh.of(weight)));
        }
    };
    match taps {
        Some(taps) => {
            let ends = Lengths { source: source_length, target: target_length };
            weighted_edges(relation, ends, |i, o, t| {
                join(i, o, taps.get(t).copied().unwrap_or(0.0));
            });
        }
        None => {
            edges(relation, source_length, target_length, |i, o, times| join(i, o, times as f64));
        }
    }
    first
        .into_iter()
        .enumerate()
        .map(|(t, mut entries)| {
            entries.sort_unstable_by_key(|entry| entry.0);
            let mut row: Vec<(u32, f64, f64)> = Vec::new();
            for (run, times) in entries {
                match row.last_mut() {
                    Some(last) if last.0 as usize == run => last.1 += times,
                    _ => row.push((run as u32, times, 0.0)),
                }
            }
            let high = size(&of_target, target_length, t);
            for entry in &mut row {
                let wide = size(&of_source, source_length, entry.0 as usize);
                entry.2 = entry.1 * high / wide;
            }
            row
        })
        .collect()
}

/// An array whose axes come in another order: axis `a` of the result is axis `order[a]`.
fn permuted<T: Copy + Default>(values: &[T], dims: &[usize], order: &[usize]) -> Vec<T> {
    if order.iter().enumerate().all(|(at, &axis)| at == axis) {
        return values.to_vec();
    }
    let mut strides = vec![1; dims.len()];
    for axis in (0..dims.len().saturating_sub(1)).rev() {
        strides[axis] = strides[axis + 1] * dims[axis + 1];
    }
    let mut places = vec![0usize];
    for &axis in order {
        let (dim, stride) = (dims[axis], strides[axis]);
        places = places.iter().flat_map(|at| (0..dim).map(move |i| at + i * stride)).collect();
    }
    places.iter().map(|&place| values[place]).collect()
}

/// The lengths and the order of axes that undo a permutation.
fn inverse(dims: &[usize], order: &[usize]) -> (Vec<usize>, Vec<usize>) {
    let moved: Vec<usize> = order.iter().map(|&axis| dims[axis]).collect();
    let mut back = vec![0; order.len()];
    for (at, &axis) in order.iter().enumerate() {
        back[axis] = at;
    }
    (moved, back)
}
