//! Cells: blocks of equal elements, so that a map over positions is as small as it can be.
//!
//! Every axis of every tensor is cut into runs of indices. Across each relation, all indices of one
//! run read the same number of indices of any run at the other side, and are read by the same
//! number. A quantity that is constant on the runs of one tensor is then constant on the runs of
//! all tensors, and a link is one small matrix for each axis. Where there are no borders, unequal
//! slices and the like, every axis is a single run.
//!
//! A reshape splits axes into factors that are the same on both sides.

use std::ops::Range;

use super::geometry::{Lengths, slide, weighted_edges};
use crate::network::{AxisRelation, Link, Operation, Relation};

/// A factor of an axis, with the first index of each of its runs.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Factor {
    length: u64,
    pub(super) starts: Vec<u64>,
}

/// The axes of a tensor, cut into runs.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Grid {
    pub(super) factors: Vec<Factor>,
    /// Which factors each axis has.
    pub(super) axes: Vec<Range<usize>>,
}

/// How a link joins its ends.
#[derive(Debug, Clone, Copy)]
pub(super) enum Join<'a> {
    /// With the relations that are the same for all elements, on average.
    /// The operation of the target may give weights to the taps of a window.
    Link(&'a Link, &'a [bool], &'a Operation),
    Same,
    /// Nothing is followed element by element.
    Apart,
}

impl Factor {
    fn whole(length: u64) -> Self {
        Self { length, starts: vec![0] }
    }

    fn full(&mut self) -> bool {
        let changes = (self.starts.len() as u64) < self.length;
        if changes {
            self.starts = (0..self.length).collect();
        }
        changes
    }

    /// Adds the cuts of another factor of equal length.
    fn cut_like(&mut self, other: &Self) -> bool {
        let before = self.starts.len();
        self.starts.extend(&other.starts);
        self.starts.sort_unstable();
        self.starts.dedup();
        self.starts.len() > before
    }

    pub(super) fn run_lengths(&self) -> impl Iterator<Item = u64> {
        let ends = self.starts.iter().skip(1).copied().chain([self.length]);
        self.starts.iter().zip(ends).map(|(start, end)| end - start)
    }
}

impl Grid {
    pub(super) fn whole(shape: &[u64]) -> Self {
        Self {
            factors: shape.iter().map(|&length| Factor::whole(length)).collect(),
            axes: (0..shape.len()).map(|axis| axis..axis + 1).collect(),
        }
    }

    /// Number of cells, or `None` if they are too many to number.
    pub(super) fn cells(&self) -> Option<usize> {
        let runs = self.factors.iter().map(|factor| factor.starts.len());
        runs.into_iter().try_fold(1usize, usize::checked_mul)
    }

    pub(super) fn dims(&self) -> Vec<usize> {
        self.factors.iter().map(|factor| factor.starts.len()).collect()
    }

    /// Which share of the tensor's elements each cell has.
    pub(super) fn shares(&self) -> Vec<f64> {
        let mut shares = vec![1.0];
        for factor in &self.factors {
            let length = factor.length as f64;
            shares = shares
                .iter()
                .flat_map(|share| factor.run_lengths().map(move |run| share * run as f64 / length))
                .collect();
        }
        shares
    }

    /// For each cell the number of its group, and how many groups there are. Cells that differ only
    /// along the axes for which `together` is true are in one group.
    pub(super) fn groups(&self, together: impl Fn(usize) -> bool) -> (Vec<u32>, usize) {
        let (mut groups, mut count) = (vec![0u32], 1usize);
        for (axis, range) in self.axes.iter().enumerate() {
            for factor in &self.factors[range.clone()] {
                let runs = factor.starts.len();
                let apart = !together(axis);
                groups = groups
                    .iter()
                    .flat_map(|&group| {
                        (0..runs as u32)
                            .map(move |run| if apart { group * runs as u32 + run } else { group })
                    })
                    .collect();
                count *= if apart { runs } else { 1 };
            }
        }
        (groups, count)
    }

    /// Splits the factors of axes so that they have the given lengths.
    fn split(&mut self, axis: usize, lengths: &[u64]) {
        let range = self.axes[axis].clone();
        let added = lengths.len() as isize - range.len() as isize;
        let factors = lengths.iter().map(|&length| Factor::whole(length));
        self.factors.splice(range.clone(), factors);
        self.axes[axis].end = range.start + lengths.len();
        for later in &mut self.axes[axis + 1..] {
            *later =
                later.start.saturating_add_signed(added)..later.end.saturating_add_signed(added);
        }
    }

    pub(super) fn lengths(&self, axis: usize) -> Vec<u64> {
        self.factors[self.axes[axis].clone()].iter().map(|factor| factor.length).collect()
    }

    fn make_full(&mut self, axis: usize) -> bool {
        let factors = &mut self.factors[self.axes[axis].clone()];
        factors.iter_mut().fold(false, |changes, factor| factor.full() | changes)
    }

    /// The first index of each run of an axis: of its only factor, or of every index.
    pub(super) fn starts(&self, axis: usize) -> Vec<u64> {
        match &self.factors[self.axes[axis].clone()] {
            [only] => only.starts.clone(),
            factors => (0..factors.iter().map(|factor| factor.length).product()).collect(),
        }
    }

    fn cut(&mut self, axis: usize, starts: Vec<u64>) -> bool {
        match &mut self.factors[self.axes[axis].clone()] {
            [only] if starts.len() > only.starts.len() => {
                only.starts = starts;
                true
            }
            _ => false,
        }
    }
}

/// Cuts the axes of all tensors into as few runs as the links allow. `links` has the numbers of the
/// two grids that each of them joins.
/// Gives up, with false, when there are more than `most` cells, or after so many rounds.
pub(super) fn refine(
    grids: &mut [Grid],
    links: &[(usize, usize, Join<'_>)],
    most: usize,
    rounds: usize,
) -> bool {
    // Both ways, so that no change goes back by one link a time.
    let both_ways = || links.iter().chain(links.iter().rev());
    while both_ways().fold(false, |changes, link| split_alike(grids, link) | changes) {}
    let mut round = 0;
    loop {
        if round == rounds {
            return false;
        }
        round += 1;
        let mut changes = false;
        for (number, link) in both_ways().enumerate() {
            changes |= cut_alike(grids, link);
            // A network unrolled over time has too many long before all of its links were looked at.
            if number % LINKS_BETWEEN_LOOKS == 0 && has_more_cells(grids, most) {
                return false;
            }
        }
        if has_more_cells(grids, most) {
            return false;
        }
        if !changes {
            return true;
        }
    }
}

/// After so many links cells are counted, where grids are as many or more.
const LINKS_BETWEEN_LOOKS: usize = 4096;

fn has_more_cells(grids: &[Grid], most: usize) -> bool {
    let cells = grids.iter().try_fold(0usize, |sum, grid| sum.checked_add(grid.cells()?));
    cells.is_none_or(|cells| cells > most)
}

fn pair(grids: &mut [Grid], source: usize, target: usize) -> Option<(&mut Grid, &mut Grid)> {
    // A source comes before its target.
    let (before, after) = grids.split_at_mut_checked(target)?;
    Some((before.get_mut(source)?, after.first_mut()?))
}

/// Gives axes that have the same elements the same factors.
fn split_alike(grids: &mut [Grid], &(source, target, join): &(usize, usize, Join<'_>)) -> bool {
    let Some((from, to)) = pair(grids, source, target) else { return false };
    match join {
        Join::Apart => false,
        Join::Same => (0..from.axes.len())
            .fold(false, |changes, axis| split_axes(from, &[axis], to, &[axis]) | changes),
        Join::Link(link, ..) => {
            link.relations.iter().fold(false, |changes, part| match part.relation {
                Relation::Same | Relation::Reshape => {
                    split_axes(from, &part.source_axes, to, &part.target_axes) | changes
                }
                _ => changes,
            })
        }
    }
}

fn split_axes(from: &mut Grid, source: &[usize], to: &mut Grid, target: &[usize]) -> bool {
    let lengths = |grid: &Grid, axes: &[usize]| -> Vec<u64> {
        axes.iter().flat_map(|&axis| grid.lengths(axis)).filter(|&length| length > 1).collect()
    };
    let (one, other) = (lengths(from, source), lengths(to, target));
    if one == other {
        return false;
    }
    // Places where either side is split, as products of the lengths behind them.
    let mut products: Vec<u64> = Vec::new();
    for side in [&one, &other] {
        let mut product = 1;
        for &length in side.iter().rev() {
            product *= length;
            products.push(product);
        }
    }
    products.sort_unstable();
    products.dedup();
    if products.windows(2).any(|ends| ends[1] % ends[0] != 0) {
        return false; // The two sides cannot be split alike, and are read index by index.
    }
    let mut changes = false;
    for (grid, axes) in [(from, source), (to, target)] {
        let mut behind = 1u64;
        for &axis in axes.iter().rev() {
            let length: u64 = grid.lengths(axis).iter().product();
            let whole = behind * length;
            let mut split: Vec<u64> = Vec::new();
            let mut last = behind;
            for &product in products.iter().filter(|&&p| p > behind && p <= whole) {
                split.push(product / last);
                last = product;
            }
            split.reverse();
            if split.is_empty() {
                split.push(length);
            }
            if split != grid.lengths(axis) {
                grid.split(axis, &split);
                changes = true;
            }
            behind = whole;
        }
    }
    changes
}

/// Factors longer than 1, by their number.
fn long_factors(grid: &Grid, axes: &[usize]) -> Vec<usize> {
    axes.iter()
        .flat_map(|&axis| grid.axes[axis].clone())
        .filter(|&factor| grid.factors[factor].length > 1)
        .collect()
}

fn factors_alike(from: &Grid, source: &[usize], to: &Grid, target: &[usize]) -> bool {
    let lengths = |grid: &Grid, axes: &[usize]| -> Vec<u64> {
        long_factors(grid, axes).into_iter().map(|factor| grid.factors[factor].length).collect()
    };
    lengths(from, source) == lengths(to, target)
}

fn cut_alike(grids: &mut [Grid], &(source, target, join): &(usize, usize, Join<'_>)) -> bool {
    let Some((from, to)) = pair(grids, source, target) else { return false };
    match join {
        Join::Apart => false,
        Join::Same => (0..from.axes.len())
            .fold(false, |changes, axis| cut_equal_axes(from, &[axis], to, &[axis]) | changes),
        Join::Link(link, even, operation) => {
            let parts = link.relations.iter().zip(even);
            parts.fold(false, |changes, (part, even)| {
                cut_part(from, to, part, operation.taps_of(part), *even) | changes
            })
        }
    }
}

fn cut_equal_axes(from: &mut Grid, source: &[usize], to: &mut Grid, target: &[usize]) -> bool {
    if !factors_alike(from, source, to, target) {
        let mut changes = false;
        for (grid, axes) in [(from, source), (to, target)] {
            for &axis in axes {
                changes |= grid.make_full(axis);
            }
        }
        return changes;
    }
    let mut changes = false;
    let pairs = long_factors(from, source).into_iter().zip(long_factors(to, target));
    for (one, other) in pairs {
        let (first, second) = (&mut from.factors[one], &mut to.factors[other]);
        changes |= first.cut_like(second);
        changes |= second.cut_like(first);
    }
    changes
}

fn cut_part(
    from: &mut Grid,
    to: &mut Grid,
    part: &AxisRelation,
    taps: Option<&[f64]>,
    even: bool,
) -> bool {
    let (source, target) = match part.relation {
        Relation::Same | Relation::Reshape => {
            return cut_equal_axes(from, &part.source_axes, to, &part.target_axes);
        }
        Relation::All | Relation::Each | Relation::Sum => return false,
        _ => (part.source_axes[0], part.target_axes[0]),
    };
    let whole = is_whole(from, source) && is_whole(to, target);
    if whole && (even || matches!(part.relation, Relation::Blocks { .. })) {
        return false;
    }
    let mut changes = false;
    for (grid, axis) in [(&mut *from, source), (&mut *to, target)] {
        if grid.axes[axis].len() > 1 {
            changes |= grid.make_full(axis);
        }
    }
    let (of_source, of_target) = (from.starts(source), to.starts(target));
    let length = |grid: &Grid, axis: usize| grid.lengths(axis).iter().product::<u64>();
    let (source_length, target_length) = (length(from, source), length(to, target));
    let (reads, read) =
        signatures(&part.relation, taps, (source_length, &of_source), (target_length, &of_target));
    changes |= from.cut(source, with_cuts(&of_source, &read));
    changes |= to.cut(target, with_cuts(&of_target, &reads));
    changes
}

/// Whether an axis is one run.
fn is_whole(grid: &Grid, axis: usize) -> bool {
    grid.factors[grid.axes[axis].clone()].iter().all(|factor| factor.starts.len() == 1)
}

/// The starts of runs, and every index that differs from the one before it.
fn with_cuts(starts: &[u64], signatures: &[u128]) -> Vec<u64> {
    let mut next = starts.iter().copied().peekable();
    (0..signatures.len() as u64)
        .filter(|&index| {
            let starts = next.next_if_eq(&index).is_some();
            starts || signatures[index as usize] != signatures[index as usize - 1]
        })
        .collect()
}

/// A number for every target index that says how many indices of each run of the source it reads,
/// and such a number for every source index. Two indices that differ in this have different numbers
/// but for a chance of about 2^-128.
fn signatures(
    relation: &Relation,
    taps: Option<&[f64]>,
    (source, source_starts): (u64, &[u64]),
    (target, target_starts): (u64, &[u64]),
) -> (Vec<u128>, Vec<u128>) {
    let run_of = |starts: &[u64], length: u64| -> Vec<u128> {
        let mut runs = Vec::with_capacity(length as usize);
        let mut run = 0;
        for index in 0..length {
            if starts.get(run + 1) == Some(&index) {
                run += 1;
            }
            runs.push(mixed(run as u128));
        }
        runs
    };
    let (of_source, of_target) = (run_of(source_starts, source), run_of(target_starts, target));
    let mut reads = vec![0u128; target as usize];
    let mut read = vec![0u128; source as usize];
    let mut join = |i: usize, o: usize, times: u128| {
        reads[o] = reads[o].wrapping_add(of_source[i].wrapping_mul(times));
        read[i] = read[i].wrapping_add(of_target[o].wrapping_mul(times));
    };
    match taps {
        // Taps of unequal weights are told from each other.
        Some(taps) => weighted_edges(relation, Lengths { source, target }, |i, o, t| {
            join(i, o, mixed(u128::from(taps.get(t).map_or(0, |weight| weight.to_bits()))) | 1);
        }),
        None => edges(relation, source, target, |i, o, times| join(i, o, u128::from(times))),
    }
    (reads, read)
}

/// A number that looks random, from a number.
fn mixed(number: u128) -> u128 {
    let mut x = number.wrapping_add(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
    for _ in 0..3 {
        x = (x ^ (x >> 61)).wrapping_mul(0xbf58_476d_1ce4_e5b9_94d0_49bb_1331_11eb);
    }
    x ^ (x >> 67)
}

/// Calls `visit(i, o, multiplicity)` for every edge of a relation.
pub(super) fn edges(
    relation: &Relation,
    source: u64,
    target: u64,
    mut visit: impl FnMut(usize, usize, u64),
) {
    match relation {
        Relation::Window(window) => slide(window, target, source, |o, i, _| visit(i, o, 1)),
        Relation::TransposedWindow(window) => {
            slide(window, source, target, |i, o, _| visit(i, o, 1));
        }
        _ => {
            for o in 0..target {
                for (i, multiplicity) in relation.sources(o, source, target) {
                    visit(i as usize, o as usize, multiplicity);
                }
            }
        }
    }
}
