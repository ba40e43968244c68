//! Successor lists in memory, as compressed sparse rows, and the integers they are made of.
//!
//! The successors of node `v` are `targets[offsets[v]..offsets[v + 1]]`. Whether they are in range
//! and the graph has no cycle is not known here.

use std::borrow::Cow;
use std::collections::TryReserveError;
use std::ops::Range;

use crate::error::{Error, Result};

/// The largest number of nodes that a graph can have: identifiers take 32 bits, of which one value
/// stands for no node.
pub const MOST_NODES: usize = u32::MAX as usize - 1;

/// An unsigned integer that numbers nodes or edges.
pub(crate) trait Index: Copy + Ord + Send + Sync + 'static {
    /// The number as a position in an array. A number that does not fit becomes a position that no
    /// array has.
    fn position(self) -> usize;
    /// The number in 32 bits. A number that does not fit becomes one that no node has.
    fn narrow(self) -> u32;
    /// `self + more`, wrapping around.
    fn plus(self, more: usize) -> Self;
    /// `other - self`, wrapping around.
    fn steps_to(self, other: Self) -> usize;
}

impl Index for u32 {
    #[inline(always)]
    fn position(self) -> usize {
        self as usize
    }

    #[inline(always)]
    fn narrow(self) -> u32 {
        self
    }

    #[inline(always)]
    fn plus(self, more: usize) -> Self {
        self.wrapping_add(more as Self)
    }

    #[inline(always)]
    fn steps_to(self, other: Self) -> usize {
        other.wrapping_sub(self).position()
    }
}

impl Index for u64 {
    #[inline(always)]
    fn position(self) -> usize {
        usize::try_from(self).unwrap_or(usize::MAX)
    }

    #[inline(always)]
    fn narrow(self) -> u32 {
        u32::try_from(self).unwrap_or(u32::MAX)
    }

    #[inline(always)]
    fn plus(self, more: usize) -> Self {
        self.wrapping_add(more as Self)
    }

    #[inline(always)]
    fn steps_to(self, other: Self) -> usize {
        other.wrapping_sub(self).position()
    }
}

/// Integers of 32 or 64 bits, owned or borrowed.
///
/// ```
/// use unrolled_core::Indices;
/// let numbers = [3u64, 4];
/// let (owned, borrowed) = (Indices::from(vec![3u32, 4]), Indices::from(&numbers[..]));
/// assert_eq!((owned.get(1), borrowed.get(1)), (4, 4));
/// ```
#[derive(Debug, Clone)]
pub enum Indices<'a> {
    /// Integers of 32 bits.
    Narrow(Cow<'a, [u32]>),
    /// Integers of 64 bits.
    Wide(Cow<'a, [u64]>),
}

impl Indices<'_> {
    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Narrow(values) => values.len(),
            Self::Wide(values) => values.len(),
        }
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The integer at `at` as a position; past the end, a position that no array has.
    #[inline(always)]
    #[must_use]
    pub fn get(&self, at: usize) -> usize {
        match self {
            Self::Narrow(values) => values.get(at).map_or(usize::MAX, |value| value.position()),
            Self::Wide(values) => values.get(at).map_or(usize::MAX, |value| value.position()),
        }
    }

    /// A copy, if there is memory for it.
    ///
    /// # Errors
    /// There is none.
    pub fn try_clone(&self) -> std::result::Result<Indices<'static>, TryReserveError> {
        Ok(match self {
            Self::Narrow(values) => copied(values)?.into(),
            Self::Wide(values) => copied(values)?.into(),
        })
    }

    /// The same integers, borrowed.
    #[must_use]
    pub fn borrowed(&self) -> Indices<'_> {
        match self {
            Self::Narrow(values) => Indices::Narrow(Cow::Borrowed(values)),
            Self::Wide(values) => Indices::Wide(Cow::Borrowed(values)),
        }
    }
}

impl From<Vec<u32>> for Indices<'_> {
    fn from(values: Vec<u32>) -> Self {
        Self::Narrow(values.into())
    }
}

impl From<Vec<u64>> for Indices<'_> {
    fn from(values: Vec<u64>) -> Self {
        Self::Wide(values.into())
    }
}

impl<'a> From<&'a [u32]> for Indices<'a> {
    fn from(values: &'a [u32]) -> Self {
        Self::Narrow(values.into())
    }
}

impl<'a> From<&'a [u64]> for Indices<'a> {
    fn from(values: &'a [u64]) -> Self {
        Self::Wide(values.into())
    }
}

/// Runs `$body` with `$values` bound to the slice inside an [`Indices`], whatever its width.
macro_rules! with_indices {
    ($indices:expr, $values:ident => $body:expr) => {
        match $indices {
            $crate::graph::lists::csr::Indices::Narrow($values) => $body,
            $crate::graph::lists::csr::Indices::Wide($values) => $body,
        }
    };
}
pub(crate) use with_indices;

/// Successor lists of a directed multigraph.
///
/// ```
/// use unrolled_core::Csr;
///
/// // 0 -> 1, 0 -> 2 (twice), 1 -> 2
/// let multiplicity = Some(vec![1, 2, 1].into());
/// let lists = Csr::new(vec![0u32, 2, 3, 3].into(), vec![1u32, 2, 2].into(), multiplicity)?;
/// assert_eq!((lists.nodes(), lists.edges()), (3, 3));
/// # Ok::<(), unrolled_core::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Csr<'a> {
    pub(crate) offsets: Indices<'a>,
    pub(crate) targets: Indices<'a>,
    pub(crate) multiplicity: Option<Cow<'a, [u64]>>,
}

impl<'a> Csr<'a> {
    /// Takes successor lists as they are, and checks that they are lists. The nodes that they lead
    /// to are checked by [`Graph::new`](crate::Graph::new).
    ///
    /// # Errors
    /// [`Error::InvalidGraph`] if `offsets` does not begin with 0, falls somewhere or does not end
    /// with the number of `targets`, if lengths differ, a multiplicity is 0, or there are more
    /// nodes than 32 bits can number.
    pub fn new(
        offsets: Indices<'a>,
        targets: Indices<'a>,
        multiplicity: Option<Cow<'a, [u64]>>,
    ) -> Result<Self> {
        let edges = targets.len();
        check_offsets(&offsets, edges)?;
        if let Some(multiplicity) = &multiplicity {
            check_multiplicity(multiplicity, edges)?;
        }
        Ok(Self { offsets, targets, multiplicity })
    }

    /// Takes lists that passed [`Csr::new`] before, without checking them again. If they were
    /// changed since, counting ends with an error.
    #[must_use]
    pub fn trusted(
        offsets: Indices<'a>,
        targets: Indices<'a>,
        multiplicity: Option<Cow<'a, [u64]>>,
    ) -> Self {
        Self { offsets, targets, multiplicity }
    }

    /// Number of nodes.
    #[must_use]
    pub fn nodes(&self) -> usize {
        self.offsets.len().saturating_sub(1)
    }

    /// Number of edges, parallel ones counted one by one.
    #[must_use]
    pub fn edges(&self) -> usize {
        self.targets.len()
    }

    /// Where the successor list of every node begins, and the number of edges at the end.
    #[must_use]
    pub fn offsets(&self) -> &Indices<'a> {
        &self.offsets
    }

    /// The successors of all nodes, one list after the other.
    #[must_use]
    pub fn targets(&self) -> &Indices<'a> {
        &self.targets
    }

    /// How often each edge counts; `None` if every edge counts once.
    #[must_use]
    pub fn multiplicity(&self) -> Option<&[u64]> {
        self.multiplicity.as_deref()
    }

    /// Offsets, targets and multiplicities.
    #[must_use]
    pub fn into_parts(self) -> (Indices<'a>, Indices<'a>, Option<Cow<'a, [u64]>>) {
        (self.offsets, self.targets, self.multiplicity)
    }

    /// A copy, if there is memory for it.
    ///
    /// # Errors
    /// There is none.
    pub fn try_clone(&self) -> std::result::Result<Csr<'static>, TryReserveError> {
        let multiplicity = self.multiplicity.as_deref().map(copied).transpose()?;
        Ok(Csr {
            offsets: self.offsets.try_clone()?,
            targets: self.targets.try_clone()?,
            multiplicity: multiplicity.map(Cow::Owned),
        })
    }

    /// The same lists, borrowed.
    #[must_use]
    pub fn borrowed(&self) -> Csr<'_> {
        Csr {
            offsets: self.offsets.borrowed(),
            targets: self.targets.borrowed(),
            multiplicity: self.multiplicity.as_deref().map(Cow::Borrowed),
        }
    }

    /// The places of the successors of `node` among the targets.
    #[inline(always)]
    pub(crate) fn range(&self, node: usize) -> Range<usize> {
        self.offsets.get(node)..self.offsets.get(node + 1)
    }
}

/// A copy of some integers, if there is memory for it.
fn copied<T: Copy>(values: &[T]) -> std::result::Result<Vec<T>, TryReserveError> {
    let mut copy = Vec::new();
    copy.try_reserve_exact(values.len())?;
    copy.extend_from_slice(values);
    Ok(copy)
}

/// Refuses offsets that do not describe successor lists with `edges` entries.
pub(crate) fn check_offsets(offsets: &Indices<'_>, edges: usize) -> Result<()> {
    let invalid = |reason: String| Err(Error::InvalidGraph { reason });
    if offsets.is_empty() || offsets.get(0) != 0 {
        let problem = if offsets.is_empty() {
            "is empty".into()
        } else {
            format!("begins with {}", offsets.get(0))
        };
        return invalid(format!(
            "indptr {problem}; it must begin with 0 and have one entry more than there are nodes"
        ));
    }
    let nodes = offsets.len() - 1;
    check_nodes(nodes as u64)?;
    let fall =
        with_indices!(offsets, values => values.windows(2).position(|pair| pair[1] < pair[0]));
    if let Some(node) = fall {
        let (from, to) = (offsets.get(node), offsets.get(node + 1));
        return invalid(format!(
            "indptr falls from {from} to {to} at node {node}; it must not fall"
        ));
    }
    let last = offsets.get(nodes);
    if last != edges {
        return invalid(format!(
            "indptr ends with {last}, but there are {edges} indices; it must end with their number"
        ));
    }
    Ok(())
}

/// Refuses more nodes than identifiers of 32 bits can tell apart.
pub(crate) fn check_nodes(nodes: u64) -> Result<()> {
    if nodes > MOST_NODES as u64 {
        return Err(Error::InvalidGraph {
            reason: format!("{nodes} nodes; a graph can have at most {MOST_NODES}"),
        });
    }
    Ok(())
}

/// Refuses multiplicities of which there is not one for each of `edges`, or of which one is 0.
pub(crate) fn check_multiplicity(multiplicity: &[u64], edges: usize) -> Result<()> {
    let reason = match multiplicity.iter().position(|&times| times == 0) {
        _ if multiplicity.len() != edges => {
            format!("{} multiplicities for {edges} edges; give one an edge", multiplicity.len())
        }
        Some(edge) => format!("the multiplicity of edge {edge} is 0; it must be at least 1"),
        None => return Ok(()),
    };
    Err(Error::InvalidGraph { reason })
}
