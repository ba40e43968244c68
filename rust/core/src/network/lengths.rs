//! Lengths of contexts: how many links the paths from each parameter to the outputs have; and grades
//! of paths from the inputs, to which every link adds a number of its own.
//!
//! Their moments are counts of another network (see `lift.rs`); their extremes are counts in
//! another semiring (see `number/tropical.rs`).

use crate::error::Result;
use crate::machine::memory::available_memory;
use crate::machine::monitor::Monitor;
use crate::network::counts::Counts;
use crate::network::lift::{graded_network, moment_network};
use crate::network::plan::{CountOptions, Plan};
use crate::network::sweep::count;
use crate::network::tensors::Network;
use crate::number::Tropical;

/// Three sums over the contexts of every parameter: how many there are, the sum of their lengths,
/// and the sum of the squares of their lengths. They stand one after the other along an axis that
/// comes before the axes of the parameter.
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
    count(&moment_network(network)?, options, monitor)
}

/// Three sums over the paths from the inputs to the outputs, as counts of the first parameter: how
/// many there are, the sum of their grades, and the sum of the squares. The grade of a path is the
/// sum of those of its links; `grades` has them in the order of the links, and what it leaves out
/// is zero. If all are zero, the number of paths is the only count.
///
/// # Errors
/// As for [`count`], but a network without parameters or paths has sums, too.
///
/// ```
/// use unrolled_core::{AxisRelation, CountOptions, Monitor, Network, Relation, Role, path_moments};
/// let mut network = Network::new();
/// let x = network.add("x", &[3], Role::Input)?;
/// let y = network.add("y", &[2], Role::Activation)?;
/// network.link(x, y, vec![AxisRelation::new(Relation::All, 0, 0)])?;
/// network.mark_output(y)?;
/// let sums = path_moments(&network, &[5], &CountOptions::default(), &Monitor::silent())?;
/// // Six paths of grade 5, beside the one that every count has in addition.
/// assert_eq!(sums.total.exact, Some((6u32 + 6 * 5 + 6 * 25 + 2 + 1).into()));
/// # Ok::<(), unrolled_core::Error>(())
/// ```
pub fn path_moments(
    network: &Network,
    grades: &[u32],
    options: &CountOptions,
    monitor: &Monitor<'_>,
) -> Result<Counts> {
    count(&graded_network(network, grades)?, options, monitor)
}

/// The length of the shortest or of the longest context of every parameter, plus one; 0 for a
/// parameter without any.
///
/// # Errors
/// As for [`count`].
///
/// ```
/// use unrolled_core::{CountOptions, Monitor, Network, Role, extreme_lengths};
/// let mut network = Network::new();
/// let w = network.add("w", &[], Role::Parameter { trainable: true })?;
/// let y = network.add("y", &[], Role::Activation)?;
/// let z = network.add("z", &[], Role::Activation)?;
/// for (source, target) in [(w, y), (y, z), (w, z)] {
///     network.link(source, target, vec![])?;
/// }
/// network.mark_output(z)?;
/// let longest = extreme_lengths(&network, true, &CountOptions::default(), &Monitor::silent())?;
/// assert_eq!(longest.parameters[0].levels[0].value.log2().exp2(), 2.0 + 1.0);
/// # Ok::<(), unrolled_core::Error>(())
/// ```
pub fn extreme_lengths(
    network: &Network,
    longest: bool,
    options: &CountOptions,
    monitor: &Monitor<'_>,
) -> Result<Counts> {
    let limit = options.memory_limit.unwrap_or_else(available_memory);
    let plan = Plan::new(network, options)?;
    if longest {
        plan.count::<Tropical<true>>(limit, monitor)
    } else {
        plan.count::<Tropical<false>>(limit, monitor)
    }
}
