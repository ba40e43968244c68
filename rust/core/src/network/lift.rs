//! Lengths of contexts: how many links the paths from each parameter to the outputs have.
//!
//! With `C` the number of the paths of an element, `S1` the sum of their lengths and `S2` that of
//! the squares, one link more turns the three into `C`, `S1 + C` and `S2 + 2 S1 + C`. This is linear,
//! so that a tensor with one axis more, of length three, and links with one factor more count all
//! three by the sweep there is, exactly or in log space.

use crate::error::Result;
use crate::machine::monitor::Monitor;
use crate::network::bound;
use crate::network::counts::Counts;
use crate::network::engine::accumulate::Engine;
use crate::network::engine::arena::Arena;
use crate::network::relation::{AxisRelation, Relation, SparseRows};
use crate::network::sweep::{CountOptions, Plan, count};
use crate::network::tensors::{Network, Role, Tensor, TensorId};
use crate::number::{Number, Steps};

/// Sums over the contexts of every parameter: how many there are, the sum of their lengths, and the
/// sum of the squares of their lengths. They stand one after the other along an axis that comes
/// before those of the parameter.
///
/// # Errors
/// As for [`count`].
///
/// ```
/// use unrolled_core::{AxisRelation, CountOptions, Monitor, Network, Role, length_sums};
/// let mut network = Network::new();
/// let w = network.add("w", &[], Role::Parameter { trainable: true })?;
/// let y = network.add("y", &[], Role::Activation)?;
/// let z = network.add("z", &[], Role::Activation)?;
/// for (source, target) in [(w, y), (y, z), (w, z)] {
///     network.link(source, target, vec![])?;
/// }
/// network.mark_output(z)?;
/// let sums = length_sums(&network, &CountOptions::default(), &Monitor::silent())?;
/// // One context has two links and one has one: 2 contexts, lengths 2 + 1, squares 4 + 1.
/// assert_eq!(sums.total.exact, Some((2u32 + 3 + 5).into()));
/// # Ok::<(), unrolled_core::Error>(())
/// ```
pub fn length_sums(
    network: &Network,
    options: &CountOptions,
    monitor: &Monitor<'_>,
) -> Result<Counts> {
    count(&with_moments(network)?, options, monitor)
}

/// The length of the shortest or of the longest context of every parameter, plus one; 0 for a
/// parameter without any.
///
/// # Errors
/// As for [`count`].
pub fn extreme_lengths(
    network: &Network,
    longest: bool,
    options: &CountOptions,
    monitor: &Monitor<'_>,
) -> Result<Counts> {
    fn sweep<N: Number>(plan: &Plan<'_>, limit: u64, monitor: &Monitor<'_>) -> Result<Counts> {
        let arena = Arena::new(N::reserve(), limit, N::RADIX_BITS);
        plan.sweep(&mut Engine::<N>::new(arena, monitor))
    }
    let limit = options.memory_limit.unwrap_or_else(bound::available_memory);
    let plan = Plan::new(network, options)?;
    if longest {
        sweep::<Steps<true>>(&plan, limit, monitor)
    } else {
        sweep::<Steps<false>>(&plan, limit, monitor)
    }
}

/// The network whose counts are the sums over lengths. Tensors keep their identifiers. Before every
/// tensor that is computed there is one more, which all its links lead to: the step is taken once,
/// between the two. Every output leads to one more tensor, too, where paths have length zero.
fn with_moments(network: &Network) -> Result<Network> {
    let mut larger = Network::new();
    for tensor in network.tensors() {
        larger.add(&tensor.name, &beneath(3, &tensor.shape), tensor.role)?;
    }
    let mut before: Vec<Option<TensorId>> = vec![None; network.tensors().len()];
    for link in network.links() {
        let target = network.tensor(link.target)?;
        let entrance = match before[link.target.0] {
            Some(entrance) => entrance,
            None => {
                let entrance = beside(&mut larger, target, "before", 3)?;
                larger.link(entrance, link.target, alike(one_step(), target))?;
                *before[link.target.0].insert(entrance)
            }
        };
        let mut relations: Vec<AxisRelation> = link.relations.iter().map(shifted).collect();
        relations.push(AxisRelation::new(Relation::Same, 0, 0));
        larger.link(link.source, entrance, relations)?;
    }
    for &output in network.outputs() {
        let tensor = network.tensor(output)?;
        let end = beside(&mut larger, tensor, "end", 1)?;
        larger.link(output, end, alike(Relation::Slice { start: 0, step: 1 }, tensor))?;
        larger.mark_output(end)?;
    }
    Ok(larger)
}

/// One more tensor for `tensor`, with an axis of this length before its own.
fn beside(larger: &mut Network, tensor: &Tensor, what: &str, length: u64) -> Result<TensorId> {
    let mut name = format!("{}, {what}", tensor.name);
    while larger.find(&name).is_some() {
        name.push('.');
    }
    larger.add(&name, &beneath(length, &tensor.shape), Role::Activation)
}

/// A relation of the first axes, all others being the same.
fn alike(first: Relation, tensor: &Tensor) -> Vec<AxisRelation> {
    let same = (1..=tensor.shape.len()).map(|axis| AxisRelation::new(Relation::Same, axis, axis));
    std::iter::once(AxisRelation::new(first, 0, 0)).chain(same).collect()
}

/// Which sums at the source of a link each sum at its target enters into, and how often.
fn one_step() -> Relation {
    Relation::Sparse(SparseRows {
        offsets: vec![0, 3, 5, 6],
        indices: vec![0, 1, 2, 1, 2, 2],
        multiplicities: vec![1, 1, 1, 1, 2, 1],
    })
}

fn beneath(length: u64, shape: &[u64]) -> Vec<u64> {
    std::iter::once(length).chain(shape.iter().copied()).collect()
}

/// The same relation of axes that have moved up by one.
fn shifted(part: &AxisRelation) -> AxisRelation {
    let mut part = part.clone();
    for axis in part.source_axes.iter_mut().chain(&mut part.target_axes) {
        *axis += 1;
    }
    part
}
