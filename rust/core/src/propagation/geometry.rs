//! How many elements a link joins: sums over its edges that moments of signals need, axis by axis.
//!
//! A link is a product of relations, and so is each of these sums. Nothing here depends on weights
//! or on what flows.

use crate::network::relation::{AxisRelation, Relation, Window};

/// The longest axis along which a relation is read index by index.
pub(super) const LARGEST_AXIS: u64 = 1 << 24;

/// Sums over the edges of a relation in which each edge into index `o` has the weight `w(o)`.
///
/// With `c(o)` the number of indices that `o` reads: `total` is the sum of all weights, `single`
/// that of their squares, `into` the sum over `o` of `(c(o) w(o))^2`, and `from` the sum over
/// source indices of the square of the weights that they are read with.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Sums {
    pub(crate) total: f64,
    pub(crate) single: f64,
    pub(crate) into: f64,
    pub(crate) from: f64,
}

impl Sums {
    pub(super) const ONE: Self = Self { total: 1.0, single: 1.0, into: 1.0, from: 1.0 };

    pub(super) fn times(self, other: Self) -> Self {
        Self {
            total: self.total * other.total,
            single: self.single * other.single,
            into: self.into * other.into,
            from: self.from * other.from,
        }
    }

    /// Every edge has the weight `w`.
    pub(super) fn scaled(self, w: f64) -> Self {
        let square = w * w;
        Self {
            total: self.total * w,
            single: self.single * square,
            into: self.into * square,
            from: self.from * square,
        }
    }
}

/// How often each target index reads and each source index is read.
pub(super) struct Degrees {
    /// For every target index the sum of multiplicities.
    pub(super) reads: Vec<f64>,
    /// For every source index the sum of multiplicities.
    pub(super) read: Vec<f64>,
}

/// Lengths of the two sides of a relation.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lengths {
    pub(crate) source: u64,
    pub(crate) target: u64,
}

/// The lengths of the axes of a relation.
pub(crate) fn lengths(part: &AxisRelation, source: &[u64], target: &[u64]) -> Lengths {
    let product = |shape: &[u64], axes: &[usize]| axes.iter().map(|&axis| shape[axis]).product();
    Lengths {
        source: product(source, &part.source_axes),
        target: product(target, &part.target_axes),
    }
}

/// The sums of a relation; `average` weighs the edges into each index by one over their number.
/// `None` if the axis is too long to be read index by index and has no simple form.
pub(crate) fn sums(relation: &Relation, lengths: Lengths, average: bool) -> Option<Sums> {
    let (source, target) = (lengths.source as f64, lengths.target as f64);
    let found = match relation {
        Relation::Same | Relation::Reshape => {
            Sums { total: source, single: source, into: source, from: source }
        }
        Relation::Sum => {
            Sums { total: target, single: target, into: target, from: target * target }
        }
        Relation::Each | Relation::All => {
            let edges = source * target;
            let sums = Sums {
                total: edges,
                single: edges,
                into: target * source * source,
                from: source * target * target,
            };
            return Some(if average { sums.scaled(1.0 / source) } else { sums });
        }
        Relation::Blocks { groups } => {
            let (groups, edges) = (*groups as f64, source * target / *groups as f64);
            let (wide, high) = (source / groups, target / groups);
            let sums = Sums { total: edges, single: edges, into: edges * wide, from: edges * high };
            return Some(if average { sums.scaled(1.0 / wide) } else { sums });
        }
        _ => {
            let degrees = degrees(relation, lengths)?;
            return Some(of_degrees(relation, &degrees, lengths, average));
        }
    };
    Some(found)
}

/// The sums of a window whose taps have these weights, or of sparse rows whose entries have them;
/// those of taps that it does not have are left out.
pub(crate) fn weighted_sums(relation: &Relation, lengths: Lengths, taps: &[f64]) -> Option<Sums> {
    if lengths.source.max(lengths.target) > LARGEST_AXIS {
        return None;
    }
    let mut into = vec![0.0; lengths.target as usize];
    let mut from = vec![0.0; lengths.source as usize];
    let mut single = 0.0;
    weighted_edges(relation, lengths, |i, o, t| {
        let weight = taps.get(t).copied().unwrap_or(0.0);
        into[o] += weight;
        from[i] += weight;
        single += weight * weight;
    });
    let squares = |sums: &[f64]| sums.iter().map(|sum| sum * sum).sum();
    Some(Sums { total: into.iter().sum(), single, into: squares(&into), from: squares(&from) })
}

/// Calls `visit(i, o, t)` for every edge of a window, from `i` to `o` by its tap `t`, or for every
/// entry of sparse rows, by its number `t`.
pub(super) fn weighted_edges(
    relation: &Relation,
    lengths: Lengths,
    mut visit: impl FnMut(usize, usize, usize),
) {
    match relation {
        Relation::Window(window) => {
            slide(window, lengths.target, lengths.source, |o, i, t| visit(i, o, t));
        }
        Relation::TransposedWindow(window) => {
            slide(window, lengths.source, lengths.target, visit);
        }
        Relation::Sparse(rows) => {
            for (o, ends) in rows.offsets.windows(2).enumerate() {
                for entry in ends[0]..ends[1] {
                    visit(rows.indices[entry as usize] as usize, o, entry as usize);
                }
            }
        }
        _ => {}
    }
}

fn of_degrees(relation: &Relation, degrees: &Degrees, lengths: Lengths, average: bool) -> Sums {
    let mut sums = Sums { total: 0.0, single: 0.0, into: 0.0, from: 0.0 };
    for &count in &degrees.reads {
        let weight = if average && count > 0.0 { 1.0 / count } else { 1.0 };
        sums.total += count * weight;
        sums.single += count * weight * weight;
        sums.into += (count * weight) * (count * weight);
    }
    if matches!(relation, Relation::Sparse(_)) {
        // Parallel edges carry the same value and add coherently.
        sums.single = 0.0;
        for (o, &count) in degrees.reads.iter().enumerate() {
            let weight = if average && count > 0.0 { 1.0 / count } else { 1.0 };
            for (_, multiplicity) in relation.sources(o as u64, lengths.source, lengths.target) {
                sums.single += (multiplicity as f64 * weight).powi(2);
            }
        }
    }
    sums.from = if average {
        let mut weights = vec![0.0; lengths.source as usize];
        for (o, &count) in degrees.reads.iter().enumerate() {
            for (i, multiplicity) in relation.sources(o as u64, lengths.source, lengths.target) {
                weights[i as usize] += multiplicity as f64 / count;
            }
        }
        weights.iter().map(|w| w * w).sum()
    } else {
        degrees.read.iter().map(|n| n * n).sum()
    };
    sums
}

/// How often each index reads and is read. `None` for axes that are too long.
pub(super) fn degrees(relation: &Relation, lengths: Lengths) -> Option<Degrees> {
    if lengths.source.max(lengths.target) > LARGEST_AXIS {
        return None;
    }
    let (source, target) = (lengths.source as usize, lengths.target as usize);
    let mut found = Degrees { reads: vec![0.0; target], read: vec![0.0; source] };
    match relation {
        Relation::Window(window) => slide(window, lengths.target, lengths.source, |o, i, _| {
            found.reads[o] += 1.0;
            found.read[i] += 1.0;
        }),
        Relation::TransposedWindow(window) => {
            slide(window, lengths.source, lengths.target, |i, o, _| {
                found.reads[o] += 1.0;
                found.read[i] += 1.0;
            });
        }
        Relation::Taps { window, extent } => {
            slide(window, lengths.target, *extent, |o, _, t| {
                found.reads[o] += 1.0;
                found.read[t] += 1.0;
            });
        }
        Relation::TransposedTaps { window, extent } => {
            slide(window, *extent, lengths.target, |_, o, t| {
                found.reads[o] += 1.0;
                found.read[t] += 1.0;
            });
        }
        _ => {
            for o in 0..lengths.target {
                for (i, multiplicity) in relation.sources(o, lengths.source, lengths.target) {
                    found.reads[o as usize] += multiplicity as f64;
                    found.read[i as usize] += multiplicity as f64;
                }
            }
        }
    }
    Some(found)
}

/// Calls `visit(o, i, t)` for every tap `t` of every window `o` below `stops` that covers a
/// position `i` below `extent`.
pub(super) fn slide(
    window: &Window,
    stops: u64,
    extent: u64,
    mut visit: impl FnMut(usize, usize, usize),
) {
    for t in 0..window.size {
        let shift = i128::from(t) * i128::from(window.dilation) - i128::from(window.padding);
        let stride = i128::from(window.stride);
        let first = (-shift).max(0).div_euclid(stride) + i128::from((-shift).max(0) % stride > 0);
        let mut o = first.max(0);
        while o < i128::from(stops) {
            let i = o * stride + shift;
            if i >= i128::from(extent) {
                break;
            }
            visit(o as usize, i as usize, t as usize);
            o += 1;
        }
    }
}

/// Edges into one target index where all taps are in bounds, and edges from one source index.
pub(super) fn fans(relation: &Relation, lengths: Lengths) -> (f64, f64) {
    let (source, target) = (lengths.source as f64, lengths.target as f64);
    match relation {
        Relation::Same | Relation::Reshape | Relation::Slice { .. } | Relation::Select { .. } => {
            (1.0, 1.0)
        }
        Relation::Sum => (1.0, target),
        Relation::Each | Relation::All => (source, target),
        Relation::Window(window) => (window.size as f64, window.size as f64 / window.stride as f64),
        Relation::TransposedWindow(window) => {
            (window.size as f64 / window.stride as f64, window.size as f64)
        }
        Relation::Taps { window, .. } => (window.size as f64, target),
        Relation::TransposedTaps { window, .. } => (window.size as f64, target),
        Relation::Blocks { groups } => (source / *groups as f64, target / *groups as f64),
        Relation::Sparse(rows) => {
            let edges: u64 = rows.multiplicities.iter().sum();
            (edges as f64 / target, edges as f64 / source)
        }
    }
}
