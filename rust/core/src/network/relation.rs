//! Axis relations: which indices of a later tensor's axes read which indices of an earlier one's.
//!
//! A link between two tensors is the Kronecker product of such relations, one per group of axes
//! ([`AxisRelation`]). The *source* is the earlier tensor (an input, a parameter or an
//! activation), the *target* the later one, computed from it. Throughout, `i` is an index of the
//! source axis and `o` an index of the target axis.

use std::collections::TryReserveError;

/// A sliding window: output `o` covers the positions `o * stride - padding + t * dilation` for the
/// taps `t` in `0..size`, as far as they are in bounds. Padding is not a node.
///
/// ```
/// use unrolled_core::Window;
/// let window = Window { size: 3, stride: 2, dilation: 1, padding: 1 };
/// let covered = |o| (0..window.size).filter_map(|t| window.position(o, t, 5)).collect::<Vec<_>>();
/// assert_eq!((covered(0), covered(1)), (vec![0, 1], vec![1, 2, 3]));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Window {
    /// The number of taps.
    pub size: u64,
    /// The step between neighbouring windows.
    pub stride: u64,
    /// The step between neighbouring taps.
    pub dilation: u64,
    /// How many positions are added in front; negative if the first ones are skipped.
    pub padding: i64,
}

impl std::fmt::Display for Window {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { size, stride, dilation, padding } = self;
        write!(f, "size={size}, stride={stride}, dilation={dilation}, padding={padding}")
    }
}

impl Window {
    /// Whether every window covers exactly the position with its own number.
    pub(crate) fn keeps(&self) -> bool {
        self.size == 1 && self.stride == 1 && self.padding == 0
    }

    /// The position that tap `t` of window `o` covers, or `None` if it is not below `extent`.
    #[must_use]
    pub fn position(&self, o: u64, t: u64, extent: u64) -> Option<u64> {
        let at = i128::from(o) * i128::from(self.stride) - i128::from(self.padding)
            + i128::from(t) * i128::from(self.dilation);
        u64::try_from(at).ok().filter(|&i| i < extent)
    }
}

/// Compressed rows: the source indices that each target index reads, with multiplicities.
///
/// ```
/// use unrolled_core::{Relation, SparseRows};
/// // Target index 0 reads source index 2 twice, target index 1 reads 0 and 1.
/// let rows = SparseRows {
///     offsets: vec![0, 1, 3],
///     indices: vec![2, 0, 1],
///     multiplicities: vec![2, 1, 1],
/// };
/// let relation = Relation::Sparse(rows);
/// assert_eq!(relation.check(3, 2), Ok(()));
/// assert_eq!(relation.sources(1, 3, 2), [(0, 1), (1, 1)]);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SparseRows {
    /// Row `o` is `offsets[o]..offsets[o + 1]`.
    pub offsets: Vec<u64>,
    /// The source indices of all entries.
    pub indices: Vec<u64>,
    /// The number of parallel edges of every entry, at least one.
    pub multiplicities: Vec<u64>,
}

/// A relation between the indices of a source axis and those of a target axis.
///
/// Below, `i` is an index of the source axis and `o` an index of the target axis.
/// [`Relation::sources`] is the definition of each relation, one index at a time.
///
/// ```
/// use unrolled_core::Relation;
/// // Every second index from the end: o reads 4 - 2 o.
/// let slice = Relation::Slice { start: 4, step: -2 };
/// assert_eq!(slice.check(5, 3), Ok(()));
/// assert_eq!(slice.sources(1, 5, 3), [(2, 1)]);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Relation {
    /// `i = o`.
    Same,
    /// The axis is in the target only: every target index reads the same source element.
    Sum,
    /// The axis is in the source only: every index of it is read alike.
    Each,
    /// Every target index reads every source index.
    All,
    /// `i = o * stride - padding + t * dilation` for a tap `t`, in bounds: a convolution or
    /// pooling.
    Window(Window),
    /// `o = i * stride - padding + t * dilation` for a tap `t`, in bounds: a transposed
    /// convolution.
    TransposedWindow(Window),
    /// The source axis holds the taps of a window over an axis of `extent` positions: tap `i` is
    /// used at every `o` where it is in bounds.
    Taps {
        /// The window.
        window: Window,
        /// The length of the axis that the window slides over.
        extent: u64,
    },
    /// The source axis holds the taps of a transposed convolution with `extent` inputs.
    TransposedTaps {
        /// The window.
        window: Window,
        /// The length of the input axis of the transposed convolution.
        extent: u64,
    },
    /// Both axes fall into `groups` equal blocks; a target index reads its own block.
    Blocks {
        /// How many blocks.
        groups: u64,
    },
    /// `i = start + step * o`.
    Slice {
        /// The source index of the first target index.
        start: u64,
        /// The distance between neighbours, which may be negative or zero.
        step: i64,
    },
    /// `i = indices[o]`; `None` reads nothing.
    Select {
        /// The source index of every target index.
        indices: Vec<Option<u64>>,
    },
    /// Anything else, row by row.
    Sparse(SparseRows),
    /// Several axes on either side, equal in row-major order: a reshape.
    Reshape,
}

impl Relation {
    /// The name of the relation in messages and bindings.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Same => "same",
            Self::Sum => "sum",
            Self::Each => "each",
            Self::All => "all",
            Self::Window(_) => "window",
            Self::TransposedWindow(_) => "transposed_window",
            Self::Taps { .. } => "taps",
            Self::TransposedTaps { .. } => "transposed_taps",
            Self::Blocks { .. } => "blocks",
            Self::Slice { .. } => "slice",
            Self::Select { .. } => "select",
            Self::Sparse(_) => "sparse",
            Self::Reshape => "reshape",
        }
    }

    /// Checks that the relation fits a source axis of length `source` and a target axis of length
    /// `target`. [`Relation::Sum`] has `source = 1`, [`Relation::Each`] `target = 1`; for
    /// [`Relation::Reshape`] the lengths are products.
    ///
    /// # Errors
    /// A sentence that says what does not fit.
    pub fn check(&self, source: u64, target: u64) -> std::result::Result<(), String> {
        match self {
            Self::Same | Self::Reshape if source != target => {
                Err(format!("'{}' needs equal lengths, got {source} and {target}", self.name()))
            }
            Self::Window(window) | Self::TransposedWindow(window) => check_window(window),
            Self::Taps { window, extent } | Self::TransposedTaps { window, extent } => {
                check_window(window)?;
                if source != window.size {
                    return Err(format!(
                        "a window of {} taps needs a source axis of that length, got {source}",
                        window.size
                    ));
                }
                if *extent == 0 {
                    return Err("the extent under a window must be at least 1".into());
                }
                Ok(())
            }
            Self::Blocks { groups } => {
                let divides = |length: u64| length.is_multiple_of(*groups);
                if *groups == 0 || !divides(source) || !divides(target) {
                    return Err(format!(
                        "lengths {source} and {target} do not divide into {groups} equal groups"
                    ));
                }
                Ok(())
            }
            Self::Slice { start, step } => {
                let last = i128::from(*start) + i128::from(*step) * (i128::from(target) - 1);
                let end = i128::from(source);
                if i128::from(*start) >= end || last < 0 || last >= end {
                    return Err(format!(
                        "slice from {start} with step {step} reads index {last} of an axis of length {source}"
                    ));
                }
                Ok(())
            }
            Self::Select { indices } => {
                if indices.len() as u64 != target {
                    return Err(format!(
                        "'select' has {} indices for an axis of length {target}",
                        indices.len()
                    ));
                }
                match indices.iter().flatten().find(|&&i| i >= source) {
                    Some(i) => {
                        Err(format!("'select' reads index {i} of an axis of length {source}"))
                    }
                    None => Ok(()),
                }
            }
            Self::Sparse(rows) => rows.check(source, target),
            _ => Ok(()),
        }
    }

    /// The indices of a source axis of length `source` that index `o` of a target axis of length
    /// `target` reads, with multiplicities: the definition of each relation, one index at a time.
    /// For [`Relation::Reshape`] both are row-major indices over all its axes.
    #[must_use]
    pub fn sources(&self, o: u64, source: u64, target: u64) -> Vec<(u64, u64)> {
        let once = |i: u64| (i, 1);
        match self {
            Self::Same | Self::Reshape => vec![(o, 1)],
            Self::Sum => vec![(0, 1)],
            Self::Each | Self::All => (0..source).map(once).collect(),
            Self::Window(window) => {
                (0..window.size).filter_map(|t| window.position(o, t, source)).map(once).collect()
            }
            Self::TransposedWindow(window) => (0..source)
                .filter(|&i| (0..window.size).any(|t| window.position(i, t, o + 1) == Some(o)))
                .map(once)
                .collect(),
            Self::Taps { window, extent } => (0..window.size)
                .filter(|&t| window.position(o, t, *extent).is_some())
                .map(once)
                .collect(),
            Self::TransposedTaps { window, extent } => (0..window.size)
                .filter(|&t| (0..*extent).any(|i| window.position(i, t, o + 1) == Some(o)))
                .map(once)
                .collect(),
            Self::Blocks { groups } => {
                let (wide, block) = (source / groups, o / (target / groups));
                (block * wide..(block + 1) * wide).map(once).collect()
            }
            Self::Slice { start, step } => {
                let at = i128::from(*start) + i128::from(*step) * i128::from(o);
                u64::try_from(at).ok().map(once).into_iter().collect()
            }
            Self::Select { indices } => indices
                .get(usize::try_from(o).unwrap_or(usize::MAX))
                .copied()
                .flatten()
                .map(once)
                .into_iter()
                .collect(),
            Self::Sparse(rows) => rows.row(o).collect(),
        }
    }
}

/// A copy of a list, if there is memory for it.
fn copied<T: Copy>(list: &[T]) -> std::result::Result<Vec<T>, TryReserveError> {
    let mut copy = Vec::new();
    copy.try_reserve_exact(list.len())?;
    copy.extend_from_slice(list);
    Ok(copy)
}

/// Refuses windows without taps or steps, and windows too large to be counted.
fn check_window(window: &Window) -> std::result::Result<(), String> {
    const LARGEST: u64 = 1 << 31;
    if window.size == 0 || window.stride == 0 || window.dilation == 0 {
        return Err(format!(
            "size, stride and dilation of a window must be at least 1, got {window}"
        ));
    }
    if window.size.max(window.stride).max(window.dilation).max(window.padding.unsigned_abs())
        > LARGEST
    {
        return Err(format!("a window this large cannot be counted: {window}"));
    }
    Ok(())
}

impl SparseRows {
    /// Refuses rows that do not fit the two axes.
    fn check(&self, source: u64, target: u64) -> std::result::Result<(), String> {
        if self.offsets.len() as u64 != target + 1 {
            return Err(format!(
                "'sparse' has {} offsets for an axis of length {target}; it needs one more than that",
                self.offsets.len()
            ));
        }
        let ordered = self.offsets.first() == Some(&0) && self.offsets.is_sorted();
        if !ordered || self.offsets.last() != Some(&(self.indices.len() as u64)) {
            return Err("'sparse' offsets must rise from 0 to the number of indices".into());
        }
        if self.multiplicities.len() != self.indices.len() || self.multiplicities.contains(&0) {
            return Err("'sparse' needs one multiplicity of at least 1 for every index".into());
        }
        let edges = self.multiplicities.iter().try_fold(0u64, |sum, &m| sum.checked_add(m));
        if edges.is_none_or(|sum| sum > 1 << 62) {
            return Err("'sparse' has more edges than fit into 62 bits".into());
        }
        match self.indices.iter().find(|&&i| i >= source) {
            Some(i) => Err(format!("'sparse' reads index {i} of an axis of length {source}")),
            None => Ok(()),
        }
    }

    /// The entries of row `o`: source indices with multiplicities.
    pub fn row(&self, o: u64) -> impl Iterator<Item = (u64, u64)> {
        let at = usize::try_from(o).unwrap_or(usize::MAX - 1);
        let bounds = self.offsets.get(at).zip(self.offsets.get(at + 1));
        let (from, to) = bounds.map_or((0, 0), |(&from, &to)| (from as usize, to as usize));
        let indices = self.indices.get(from..to).unwrap_or_default().iter().copied();
        indices.zip(self.multiplicities.get(from..to).unwrap_or_default().iter().copied())
    }
}

/// One factor of a link: a relation between some source axes and some target axes.
///
/// ```
/// use unrolled_core::{AxisRelation, Relation};
/// // A transpose: the first source axis is the second target axis, and the other way round.
/// let transpose =
///     [AxisRelation::new(Relation::Same, 0, 1), AxisRelation::new(Relation::Same, 1, 0)];
/// assert_eq!(transpose[0].target_axes, [1]);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AxisRelation {
    /// The relation.
    pub relation: Relation,
    /// The axes of the source: none for [`Relation::Sum`], several for [`Relation::Reshape`], else
    /// one.
    pub source_axes: Vec<usize>,
    /// The axes of the target: none for [`Relation::Each`], several for [`Relation::Reshape`], else
    /// one.
    pub target_axes: Vec<usize>,
}

impl AxisRelation {
    /// A copy, if there is memory for it.
    ///
    /// # Errors
    /// The memory that its lists take cannot be had.
    pub fn try_clone(&self) -> std::result::Result<Self, TryReserveError> {
        let relation = match &self.relation {
            Relation::Select { indices } => Relation::Select { indices: copied(indices)? },
            Relation::Sparse(rows) => Relation::Sparse(SparseRows {
                offsets: copied(&rows.offsets)?,
                indices: copied(&rows.indices)?,
                multiplicities: copied(&rows.multiplicities)?,
            }),
            others => others.clone(),
        };
        Ok(Self {
            relation,
            source_axes: copied(&self.source_axes)?,
            target_axes: copied(&self.target_axes)?,
        })
    }

    /// A relation between one source axis and one target axis.
    #[must_use]
    pub fn new(relation: Relation, source_axis: usize, target_axis: usize) -> Self {
        Self { relation, source_axes: vec![source_axis], target_axes: vec![target_axis] }
    }

    /// The relation of a target axis that the source lacks.
    #[must_use]
    pub fn sum(target_axis: usize) -> Self {
        Self { relation: Relation::Sum, source_axes: vec![], target_axes: vec![target_axis] }
    }

    /// The relation of a source axis that the target lacks.
    #[must_use]
    pub fn each(source_axis: usize) -> Self {
        Self { relation: Relation::Each, source_axes: vec![source_axis], target_axes: vec![] }
    }

    /// The relation of equal elements in row-major order over both groups of axes.
    #[must_use]
    pub fn reshape(source_axes: Vec<usize>, target_axes: Vec<usize>) -> Self {
        Self { relation: Relation::Reshape, source_axes, target_axes }
    }

    /// Whether the relation relates so many axes.
    pub(crate) fn arity_fits(&self) -> bool {
        match self.relation {
            Relation::Sum => self.source_axes.is_empty() && self.target_axes.len() == 1,
            Relation::Each => self.source_axes.len() == 1 && self.target_axes.is_empty(),
            Relation::Reshape => true,
            _ => self.source_axes.len() == 1 && self.target_axes.len() == 1,
        }
    }
}
