//! The sweep over a network, from the outputs back to every parameter.

use std::sync::Arc;

use crate::error::{Error, Result};
use crate::machine::memory::{available_memory, is_to_be_had};
use crate::machine::monitor::Monitor;
use crate::network::bound;
use crate::network::count_tensor::CountTensor;
use crate::network::counts::{Counts, ParameterCounts};
use crate::network::engine::accumulate::{Contribution, Engine};
use crate::network::plan::{CountOptions, Plan};
use crate::network::tensors::{Link, Network, TensorId};
use crate::number::{Exact, Log, Number};

/// Counts the contexts of every parameter.
///
/// This takes one sweep over the tensors in reverse topological order, in which every link is
/// applied once, transposed, axis by axis. Time and memory depend on how many distinct counts lie
/// next to each other along the axes, and not on the number of elements or edges.
///
/// # Errors
/// [`Error::Cycle`], [`Error::DisconnectedOutput`], [`Error::NothingToCount`] without a parameter
/// or an output, [`Error::MemoryLimit`], or [`Error::Interrupted`] by the monitor's hook.
///
/// ```
/// use unrolled_core::{AxisRelation, CountOptions, Monitor, Network, Relation, Role, count};
/// let mut network = Network::new();
/// let x = network.add("x", &[3], Role::Input)?;
/// let w = network.add("w", &[3, 2], Role::Parameter { trainable: true })?;
/// let y = network.add("y", &[2], Role::Activation)?;
/// network.link(x, y, vec![AxisRelation::new(Relation::All, 0, 0)])?;
/// network.link(w, y, vec![AxisRelation::each(0), AxisRelation::new(Relation::Same, 1, 0)])?;
/// network.mark_output(y)?;
/// let counts = count(&network, &CountOptions::default(), &Monitor::silent())?;
/// assert_eq!(counts.total.exact, Some(6u32.into()));
/// # Ok::<(), unrolled_core::Error>(())
/// ```
pub fn count(network: &Network, options: &CountOptions, monitor: &Monitor<'_>) -> Result<Counts> {
    let limit = options.memory_limit.unwrap_or_else(available_memory);
    let plan = Plan::new(network, options)?;
    if options.exact {
        if bound::most_bytes(network, &plan.order, &plan.incoming) > limit {
            plan.rehearse(limit, true, monitor)?;
        }
        return plan.count::<Exact>(limit, monitor);
    }
    // A rehearsal takes as long as the count itself: it only says how much memory was missing.
    match plan.count::<Log>(limit, monitor) {
        Err(error @ Error::MemoryLimit { complete: false, .. }) => {
            plan.rehearse(limit, false, monitor)?;
            Err(error)
        }
        found => found,
    }
}

/// By tensor: what arrives, in the end only at counted parameters, and how many weight nodes these
/// have.
pub(crate) struct Arrived<N: Number> {
    pub(crate) counts: Vec<Option<Contribution<N>>>,
    pub(crate) weight_nodes: Vec<u64>,
}

impl<N: Number> Arrived<N> {
    /// Nothing has arrived at any tensor.
    pub(crate) fn new(network: &Network) -> Self {
        let tensors = network.tensors().len();
        Self { counts: (0..tensors).map(|_| None).collect(), weight_nodes: vec![0; tensors] }
    }
}

/// What a parameter receives in one place of its use. Scale, shift, mean and variance of a norm are
/// linked alike, so that their counts are computed once.
struct PlaceCounts<'p, N: Number> {
    /// The links from the parameter to the place.
    place: &'p [&'p Link],
    /// The shape of the parameter.
    shape: &'p [u64],
    sum: CountTensor<N>,
    /// How many elements have a context here.
    nodes: u64,
}

impl<N: Number> PlaceCounts<'_, N> {
    /// Whether a parameter of this shape and with these links receives the same.
    fn are_those_of(&self, place: &[&Link], shape: &[u64]) -> bool {
        let relations = |(a, b): (&&Link, &&Link)| {
            Arc::ptr_eq(&a.relations, &b.relations) || a.relations == b.relations
        };
        self.shape == shape
            && self.place.len() == place.len()
            && self.place.iter().zip(place).all(relations)
    }
}

impl<'n> Plan<'n> {
    /// Goes through the count in log space, which takes little memory, to see how much memory it
    /// takes.
    pub(crate) fn rehearse(&self, limit: u64, exact: bool, monitor: &Monitor<'_>) -> Result<()> {
        let radix = if exact { Exact::RADIX_BITS } else { Log::RADIX_BITS };
        let room = limit.max(available_memory());
        let mut engine = Engine::<Log>::new(room, radix, monitor);
        self.sweep(&mut engine)?;
        let (needed, tensor) = engine.arena.planned_peak();
        if needed > limit {
            let tensor = tensor.into();
            let (complete, is_free) = (true, false);
            return Err(Error::MemoryLimit { needed, complete, limit, is_free, tensor, exact });
        }
        Ok(())
    }

    /// Counts in numbers `N`, within `limit` bytes.
    pub(crate) fn count<N: Number>(&self, limit: u64, monitor: &Monitor<'_>) -> Result<Counts> {
        self.sweep(&mut Engine::<N>::new(limit, N::RADIX_BITS, monitor))
    }

    /// Carries counts from the outputs back to the counted parameters.
    fn sweep<N: Number>(&self, engine: &mut Engine<'_, N>) -> Result<Counts> {
        let mut arrived = Arrived::new(self.network);
        self.carry_all(engine, &mut arrived)?;
        self.gather(engine, &mut arrived.counts, &arrived.weight_nodes)
    }

    /// Carries counts from the outputs back to the counted parameters; `arrived` begins empty.
    pub(crate) fn carry_all<N: Number>(
        &self,
        engine: &mut Engine<'_, N>,
        arrived: &mut Arrived<N>,
    ) -> Result<()> {
        let Arrived { counts: collected, weight_nodes } = arrived;
        for &output in &self.outputs {
            collected[output.0] =
                Some(CountTensor::ones(&self.network.tensor(output)?.shape).into());
        }
        engine.start(self.order.len());
        for &id in self.order.iter().rev() {
            engine.step(&self.network.tensor(id)?.name)?;
            if self.counted[id.0] || !self.matters[id.0] {
                continue;
            }
            let Some(counts) = collected[id.0].take() else { continue };
            let mut counts = if counts.maps.is_empty() {
                engine.compact(counts.tensor, false)?.into()
            } else {
                counts
            };
            if N::LINKS_HAVE_LENGTH {
                counts.tensor = engine.through_link(counts.tensor)?;
            }
            let incoming = self.incoming.of(id);
            let parameters = incoming.partition_point(|link| self.counted[link.source.0]);
            let (parameters, activations) = incoming.split_at(parameters);
            self.collect_parameters(engine, &counts, parameters, collected, weight_nodes)?;
            for link in activations {
                let source = link.source.0;
                let contribution = engine.carry(&counts, link, self.network)?.absorb_scales();
                collected[source] = Some(if self.summed[source] && contribution.may_wait() {
                    contribution
                } else {
                    let before = collected[source].take().map(|before| before.tensor);
                    engine.accumulate(before, contribution)?.into()
                });
            }
            engine.arena.give(counts.tensor);
        }
        Ok(())
    }

    /// Hands the counts of one tensor to the parameters that it is computed from.
    fn collect_parameters<N: Number>(
        &self,
        engine: &mut Engine<'_, N>,
        counts: &Contribution<N>,
        links: &[&'n Link],
        collected: &mut [Option<Contribution<N>>],
        weight_nodes: &mut [u64],
    ) -> Result<()> {
        let mut known: Vec<PlaceCounts<'_, N>> = Vec::new();
        for place in links.chunk_by(|a, b| a.source == b.source) {
            let source = place[0].source;
            let shape = &self.network.tensor(source)?.shape[..];
            let at = match known.iter().position(|counts| counts.are_those_of(place, shape)) {
                Some(at) => at,
                None => {
                    let mut sum = None;
                    for link in place {
                        let contribution = engine.carry(counts, link, self.network)?;
                        sum = Some(engine.accumulate(sum, contribution)?);
                    }
                    let Some(sum) = sum else { continue };
                    known.push(PlaceCounts { place, shape, nodes: count_reached(&sum), sum });
                    known.len() - 1
                }
            };
            let overflow = || Error::SizeOverflow { what: "the number of weight nodes".into() };
            let nodes = weight_nodes[source.0].checked_add(known[at].nodes);
            weight_nodes[source.0] = nodes.ok_or_else(overflow)?;
            let before = collected[source.0].take().map(|before| before.tensor);
            collected[source.0] = Some(engine.join(before, known[at].sum.clone())?.into());
        }
        for counts in known {
            engine.arena.give(counts.sum);
        }
        Ok(())
    }

    /// Sorts the counts that were collected at the parameters.
    fn gather<N: Number>(
        &self,
        engine: &mut Engine<'_, N>,
        collected: &mut [Option<Contribution<N>>],
        weight_nodes: &[u64],
    ) -> Result<Counts> {
        let mut parameters = Vec::new();
        for (index, tensor) in self.network.tensors().iter().enumerate() {
            if !self.counted[index] {
                continue;
            }
            let id = TensorId(index);
            parameters.push(match collected[index].take() {
                Some(counts) => {
                    let counts = engine.compact(counts.tensor, true)?;
                    check_room(ParameterCounts::bytes_of(&counts), &tensor.name, N::EXACT)?;
                    ParameterCounts::collect(id, &counts, weight_nodes[index])
                }
                None => ParameterCounts::unreached(id, &tensor.shape),
            });
        }
        for parameter in &parameters {
            let tensor = self.network.tensor(parameter.tensor)?;
            let counted: u64 = parameter.levels.iter().map(|level| level.degeneracy).sum();
            if counted != tensor.elements() {
                return Err(Error::Internal(format!(
                    "{counted} of the {} elements of '{}' were counted",
                    tensor.elements(),
                    tensor.name
                )));
            }
        }
        Counts::new(parameters, N::EXACT, engine.arena.peak())
    }
}

/// Refuses to sort counts that would take more bytes than the system gives.
fn check_room(needed: u64, tensor: &str, exact: bool) -> Result<()> {
    if is_to_be_had(needed) {
        return Ok(());
    }
    let (limit, tensor) = (available_memory().min(needed), tensor.into());
    Err(Error::MemoryLimit { needed, complete: false, limit, is_free: true, tensor, exact })
}

/// How many elements have a context.
fn count_reached<N: Number>(counts: &CountTensor<N>) -> u64 {
    let zero = N::ZERO;
    let reached = |&cell: &usize| counts.digits(cell).any(|digit| digit != zero);
    (0..counts.cells()).filter(reached).map(|cell| counts.multiplicity(cell)).sum()
}
