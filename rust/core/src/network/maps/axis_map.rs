//! Axis maps: what a relation does to counts along one axis.
//!
//! Counts flow backwards, so that a source index receives the sum over the target indices that read
//! it: the transposed relation. Between runs, this is a small matrix of non-negative integers.

use crate::network::maps::matrix::{Compiled, Phase, RunMatrix, SparseBuilder};
use crate::network::maps::progression::{overlap, tap_range, transposed_tap_range, window_phases};
use crate::network::maps::runs::Runs;
use crate::network::relation::{Relation, Window};

/// The most runs along one axis. A description of more runs would not fit into memory itself.
pub(crate) const MAX_RUNS: u64 = 1 << 24;

/// The transposed action of a relation on given runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AxisMap {
    /// The runs along the source axis.
    pub(crate) runs: Runs,
    /// How they gather from the runs of the target axis.
    pub(crate) matrix: RunMatrix,
}

impl AxisMap {
    /// Compiles `relation` for a target axis with `target` runs and a source axis of `source`
    /// indices.
    pub(crate) fn compile(relation: &Relation, target: &Runs, source: u64) -> Compiled<Self> {
        match relation {
            Relation::Same => Ok(Self { runs: target.clone(), matrix: RunMatrix::Identity }),
            Relation::Each => Ok(Self { runs: Runs::single(source), matrix: RunMatrix::Scale(1) }),
            Relation::Sum | Relation::All => Ok(Self::total(target, source)),
            Relation::Window(window) => Self::window(window, target, source),
            Relation::Slice { start, step } if *step >= 1 => {
                let window = Window {
                    size: 1,
                    stride: step.unsigned_abs(),
                    dilation: 1,
                    padding: -(*start as i64),
                };
                Self::window(&window, target, source)
            }
            Relation::TransposedWindow(window) => Self::transposed_window(window, target, source),
            Relation::Taps { window, extent } => {
                let ranges = |t| tap_range(window, t, *extent, target.extent());
                Self::from_ranges(source, target, ranges)
            }
            Relation::TransposedTaps { window, extent } => {
                let progression = |t| transposed_tap_range(window, t, *extent, target.extent());
                if window.stride == 1 {
                    return Self::from_ranges(source, target, |t| {
                        let (first, count, _) = progression(t);
                        (first, first + count)
                    });
                }
                Self::from_progressions(source, target, progression)
            }
            Relation::Blocks { groups } => {
                let (wide, block) = (source / groups, target.extent() / groups);
                if target.is_single() {
                    return Ok(Self {
                        runs: Runs::single(source),
                        matrix: RunMatrix::Scale(block),
                    });
                }
                let map = Self::from_ranges(*groups, target, |g| (g * block, (g + 1) * block))?;
                let lengths = map.runs.lengths().iter().map(|length| length * wide).collect();
                let runs = Runs::from_lengths(lengths);
                let matrix = match map.matrix {
                    // An identity has the runs of its target, which are shorter here.
                    RunMatrix::Identity if runs != *target => RunMatrix::Sparse {
                        offsets: (0..=runs.len() as u32).collect(),
                        entries: (0..runs.len() as u32).map(|run| (run, 1)).collect(),
                    },
                    matrix => matrix,
                };
                Ok(Self { runs, matrix })
            }
            Relation::Slice { start, step } => {
                let at = |o: u64| {
                    u64::try_from(i128::from(*start) + i128::from(*step) * i128::from(o)).ok()
                };
                check_positions(target.extent())?;
                Self::scattered(target, source, |o| at(o).map(|i| (i, 1)).into_iter())
            }
            Relation::Select { indices } => {
                Self::scattered(target, source, |o| indices[o as usize].map(|i| (i, 1)).into_iter())
            }
            Relation::Sparse(rows) => Self::scattered(target, source, |o| rows.row(o)),
            Relation::Reshape => Err("a reshape has no map of a single axis".into()),
        }
    }

    /// The map that gives every run of `finer` the count of the run that contains it.
    pub(crate) fn refinement(runs: &Runs, finer: &Runs) -> Self {
        let matrix = if runs == finer {
            RunMatrix::Identity
        } else {
            let entries = runs.index_of(finer).into_iter().map(|run| (run, 1)).collect();
            RunMatrix::Sparse { offsets: (0..=finer.len() as u32).collect(), entries }
        };
        Self { runs: finer.clone(), matrix }
    }

    /// This map, followed by a refinement of its runs.
    pub(crate) fn refined(self, finer: &Runs) -> Self {
        if self.runs == *finer {
            return self;
        }
        let take = self.runs.index_of(finer);
        let mut offsets = vec![0];
        let mut entries = Vec::new();
        let mut row = Vec::new();
        let extent = self.runs.extent();
        for j in take {
            self.matrix.entries(j as usize, extent, &mut row);
            entries.extend_from_slice(&row);
            offsets.push(entries.len() as u32);
        }
        Self { runs: finer.clone(), matrix: RunMatrix::Sparse { offsets, entries } }
    }

    /// This map after `first`, which is applied to an axis of `start` runs.
    pub(crate) fn after(self, first: &Self, start: usize) -> Self {
        if matches!(self.matrix, RunMatrix::Identity) {
            return first.clone();
        }
        let (mut offsets, mut entries) = (vec![0], Vec::new());
        let (mut row, mut inner, mut sum) = (Vec::new(), Vec::new(), vec![0u64; start]);
        // The runs that a row reads; looking through all sums would take time for every run.
        let mut read: Vec<u32> = Vec::new();
        for j in 0..self.runs.len() {
            self.matrix.entries(j, first.runs.len() as u64, &mut row);
            for &(run, outer_weight) in &row {
                first.matrix.entries(run as usize, start as u64, &mut inner);
                for &(from, weight) in &inner {
                    let total = &mut sum[from as usize];
                    let before = *total;
                    *total = total.saturating_add(outer_weight.saturating_mul(weight));
                    if before == 0 && *total > 0 {
                        read.push(from);
                    }
                }
            }
            read.sort_unstable();
            entries
                .extend(read.drain(..).map(|from| (from, std::mem::take(&mut sum[from as usize]))));
            offsets.push(entries.len() as u32);
        }
        Self { runs: self.runs, matrix: RunMatrix::Sparse { offsets, entries } }
    }

    /// The map that gives every source index the total over the target.
    fn total(target: &Runs, source: u64) -> Self {
        let matrix = if target.is_single() {
            RunMatrix::Scale(target.extent())
        } else if target.is_unit() {
            RunMatrix::Ranges { low: vec![0], high: vec![target.len() as u32] }
        } else {
            let entries = (0..).zip(target.lengths().iter().copied()).collect();
            RunMatrix::Sparse { offsets: vec![0, target.len() as u32], entries }
        };
        Self { runs: Runs::single(source), matrix }
    }

    /// The map of a convolution along its input.
    fn window(window: &Window, target: &Runs, source: u64) -> Compiled<Self> {
        check_positions(source)?;
        if window.keeps() && source == target.extent() {
            return Ok(Self { runs: target.clone(), matrix: RunMatrix::Identity });
        }
        let phases = window_phases(window, source);
        if target.is_unit() && target.len() > 1 {
            check_positions(target.extent())?;
            let same = source == target.extent();
            let runs = if same { target.clone() } else { Runs::unit(source as usize) };
            return Ok(Self { runs, matrix: RunMatrix::Band(phases) });
        }
        let stride = phases.len() as u64;
        Self::from_progressions(source, target, |i| {
            let phase = phases[(i % stride) as usize];
            let (first, count) = phase.clip(i / stride, target.extent());
            (first, count, phase.step)
        })
    }

    /// The map of a transposed convolution along its input.
    fn transposed_window(window: &Window, target: &Runs, source: u64) -> Compiled<Self> {
        check_positions(source)?;
        let phase = Phase { offset: -window.padding, step: window.dilation, count: window.size };
        if window.stride == 1 && target.is_unit() && target.len() > 1 {
            let runs = Runs::unit(source as usize);
            return Ok(Self { runs, matrix: RunMatrix::Band(vec![phase]) });
        }
        Self::from_progressions(source, target, |i| {
            let (first, count) = phase.clip(i * window.stride, target.extent());
            (first, count, phase.step)
        })
    }

    /// The map in which source index `j` gathers from the target indices `range(j)`; both ends of
    /// the range rise or both fall with `j`.
    fn from_ranges(
        source: u64,
        target: &Runs,
        range: impl Fn(u64) -> (u64, u64),
    ) -> Compiled<Self> {
        check_positions(source)?;
        if !target.is_unit() || target.len() == 1 {
            return Self::from_progressions(source, target, |j| {
                let (low, high) = range(j);
                (low, high.saturating_sub(low), 1)
            });
        }
        let mut runs: Vec<u64> = Vec::new();
        let (mut low, mut high) = (Vec::new(), Vec::new());
        for j in 0..source {
            let (from, to) = range(j);
            let (from, to) = (from as u32, to.max(from) as u32);
            match runs.last_mut() {
                Some(last) if low.last() == Some(&from) && high.last() == Some(&to) => *last += 1,
                _ => {
                    runs.push(1);
                    low.push(from);
                    high.push(to);
                }
            }
        }
        Ok(Self { runs: Runs::from_lengths(runs), matrix: RunMatrix::Ranges { low, high } })
    }

    /// The map in which source index `j` gathers from an arithmetic progression of target indices:
    /// `progression(j)` is the first index, how many there are, and their step.
    fn from_progressions(
        source: u64,
        target: &Runs,
        progression: impl Fn(u64) -> (u64, u64, u64),
    ) -> Compiled<Self> {
        check_positions(source)?;
        let ends = target.ends();
        let mut builder = SparseBuilder::default();
        for j in 0..source {
            let (first, count, step) = progression(j);
            overlap(&ends, first, count, step, &mut builder.row);
            builder.push()?;
        }
        let (runs, matrix) = builder.finish(target);
        Ok(Self { runs, matrix })
    }

    /// The map in which target index `o` reads the source indices `sources(o)`, with
    /// multiplicities.
    fn scattered<I: Iterator<Item = (u64, u64)>>(
        target: &Runs,
        source: u64,
        sources: impl Fn(u64) -> I,
    ) -> Compiled<Self> {
        check_positions(source)?;
        let mut received: Vec<(u64, u32, u64)> = Vec::new();
        let mut o = 0;
        for (run, &length) in target.lengths().iter().enumerate() {
            for at in o..o + length {
                received.extend(sources(at).map(|(i, multiplicity)| (i, run as u32, multiplicity)));
            }
            o += length;
        }
        received.sort_unstable();
        let mut builder = SparseBuilder::default();
        let mut next = received.iter().peekable();
        for j in 0..source {
            while let Some(&&(_, run, multiplicity)) = next.peek().filter(|entry| entry.0 == j) {
                next.next();
                match builder.row.last_mut() {
                    Some(last) if last.0 == run => last.1 += multiplicity,
                    _ => builder.row.push((run, multiplicity)),
                }
            }
            builder.push()?;
        }
        let (runs, matrix) = builder.finish(target);
        Ok(Self { runs, matrix })
    }
}

/// Refuses an axis that has too many positions to tell apart.
fn check_positions(positions: u64) -> Compiled<()> {
    if positions > MAX_RUNS {
        return Err(format!(
            "an axis of {positions} positions is more than the {MAX_RUNS} that can be told apart"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::network::relation::SparseRows;

    fn any_relation() -> impl Strategy<Value = (Relation, u64, u64)> {
        let window =
            (1u64..5, 1u64..4, 1u64..4, -3i64..5).prop_map(|(size, stride, dilation, padding)| {
                Window { size, stride, dilation, padding }
            });
        let lengths = || (1u64..9, 1u64..9);
        prop_oneof![
            (1u64..9).prop_map(|n| (Relation::Same, n, n)),
            (1u64..9).prop_map(|n| (Relation::Sum, 1, n)),
            (1u64..9).prop_map(|n| (Relation::Each, n, 1)),
            lengths().prop_map(|(i, o)| (Relation::All, i, o)),
            (window.clone(), lengths()).prop_map(|(w, (i, o))| (Relation::Window(w), i, o)),
            (window.clone(), lengths()).prop_map(|(w, (i, o))| (
                Relation::TransposedWindow(w),
                i,
                o
            )),
            (window.clone(), lengths()).prop_map(|(window, (extent, o))| {
                (Relation::Taps { window, extent }, window.size, o)
            }),
            (window, lengths()).prop_map(|(window, (extent, o))| {
                (Relation::TransposedTaps { window, extent }, window.size, o)
            }),
            (1u64..4, 1u64..4, 1u64..4).prop_map(|(groups, i, o)| (
                Relation::Blocks { groups },
                groups * i,
                groups * o
            )),
            (0u64..3, 0i64..3, 1u64..4).prop_map(|(start, step, o)| (
                Relation::Slice { start, step },
                9,
                o
            )),
            (5u64..9, -2i64..0, 1u64..4).prop_map(|(start, step, o)| (
                Relation::Slice { start, step },
                9,
                o
            )),
            prop::collection::vec(prop::option::of(0u64..6), 1..8).prop_map(|indices| {
                let o = indices.len() as u64;
                (Relation::Select { indices }, 6, o)
            }),
            prop::collection::vec(prop::collection::vec((0u64..5, 1u64..4), 0..4), 1..6).prop_map(
                |rows| {
                    let offsets = std::iter::once(0).chain(rows.iter().scan(0, |end, row| {
                        *end += row.len() as u64;
                        Some(*end)
                    }));
                    let flat: Vec<(u64, u64)> = rows.concat();
                    let sparse = SparseRows {
                        offsets: offsets.collect(),
                        indices: flat.iter().map(|entry| entry.0).collect(),
                        multiplicities: flat.iter().map(|entry| entry.1).collect(),
                    };
                    (Relation::Sparse(sparse), 5, rows.len() as u64)
                }
            ),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(3000))]
        #[test]
        fn maps_transpose_the_definition(
            (relation, source, target) in any_relation(),
            cuts in prop::collection::vec(any::<bool>(), 9),
        ) {
            prop_assert_eq!(relation.check(source, target), Ok(()));
            let runs = Runs::unit(target as usize).merged(&cuts);
            let counts: Vec<u64> = (0u64..).zip(runs.lengths())
                .flat_map(|(run, &n)| std::iter::repeat_n(run * run + 1, n as usize)).collect();
            let mut expected = vec![0; source as usize];
            for o in 0..target {
                for (i, multiplicity) in relation.sources(o, source, target) {
                    expected[i as usize] += multiplicity * counts[o as usize];
                }
            }
            let map = AxisMap::compile(&relation, &runs, source).unwrap();
            prop_assert_eq!(map.runs.extent(), source);
            // An identity lends its counts as they are, and their runs with them.
            prop_assert!(map.matrix != RunMatrix::Identity || map.runs == runs);
            let mut row = Vec::new();
            let mut got = Vec::new();
            for (j, &length) in map.runs.lengths().iter().enumerate() {
                map.matrix.entries(j, runs.len() as u64, &mut row);
                let sum: u64 = row.iter().map(|&(run, w)| w * (u64::from(run).pow(2) + 1)).sum();
                prop_assert!(row.iter().map(|entry| entry.1).sum::<u64>() <= map.matrix.heaviest());
                got.extend(std::iter::repeat_n(sum, length as usize));
            }
            prop_assert_eq!(got, expected);
        }

        #[test]
        fn maps_one_after_the_other_are_the_product_of_their_matrices(
            (start, first, second) in (1usize..12, 1usize..12, 1usize..12).prop_flat_map(
                |(start, middle, end)| (Just(start), any_map(start, middle), any_map(middle, end)),
            ),
        ) {
            let product = second.clone().after(&first, start);
            let mut expected = vec![vec![0u64; start]; second.runs.len()];
            let (mut outer, mut inner) = (Vec::new(), Vec::new());
            for (j, sums) in expected.iter_mut().enumerate() {
                second.matrix.entries(j, first.runs.len() as u64, &mut outer);
                for &(run, times) in &outer {
                    first.matrix.entries(run as usize, start as u64, &mut inner);
                    inner.iter().for_each(|&(from, weight)| sums[from as usize] += times * weight);
                }
            }
            prop_assert_eq!(&product.runs, &second.runs);
            for (j, sums) in expected.into_iter().enumerate() {
                product.matrix.entries(j, start as u64, &mut outer);
                let wanted: Vec<(u32, u64)> =
                    (0..).zip(sums).filter(|&(_, weight)| weight > 0).collect();
                prop_assert_eq!(&outer, &wanted);
            }
        }
    }

    /// A map whose every run sums any runs of an axis of so many, in rising order.
    fn any_map(from: usize, to: usize) -> impl Strategy<Value = AxisMap> {
        let row = prop::collection::btree_map(0..from as u32, 0u64..4, 0..=from);
        prop::collection::vec(row, to).prop_map(move |rows| {
            let ends = rows.iter().scan(0, |end, row| {
                *end += row.len() as u32;
                Some(*end)
            });
            let offsets = std::iter::once(0).chain(ends).collect();
            let entries = rows.iter().flatten().map(|(&run, &weight)| (run, weight)).collect();
            AxisMap { runs: Runs::unit(to), matrix: RunMatrix::Sparse { offsets, entries } }
        })
    }
}
