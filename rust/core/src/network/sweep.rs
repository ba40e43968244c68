//! The reverse sweep: from the outputs back to every parameter.

use crate::error::{Error, Result};
use crate::machine::monitor::Monitor;
use crate::network::bound;
use crate::network::count_tensor::CountTensor;
use crate::network::counts::{Counts, ParameterCounts};
use crate::network::engine::accumulate::{Contribution, Engine};
use crate::network::engine::arena::Arena;
use crate::network::tensors::{Link, Network, Role, TensorId};
use crate::number::{Exact, Log, Number};

/// How to count.
#[derive(Debug, Clone, Copy)]
pub struct CountOptions {
    /// Integers of unlimited size; else log space.
    pub exact: bool,
    /// Leave out parameters that training does not change.
    pub trainable_only: bool,
    /// Most bytes of counts held at once; by default most of what is free.
    pub memory_limit: Option<u64>,
}

impl Default for CountOptions {
    fn default() -> Self {
        Self { exact: true, trainable_only: false, memory_limit: None }
    }
}

/// Counts the contexts of every parameter.
///
/// One sweep over the tensors in reverse topological order; every link is applied once, transposed,
/// axis by axis. Time and memory depend on how many distinct counts lie next to each other along
/// the axes, not on the number of elements or edges.
///
/// # Errors
/// A cycle, a disconnected output, no parameter, a count that needs more than
/// `options.memory_limit`, or an interruption by the monitor's hook.
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
    let limit = options.memory_limit.unwrap_or_else(bound::available_memory);
    let plan = Plan::new(network, options)?;
    if bound::most_bytes(network, &plan.order, &plan.incoming) > limit {
        plan.rehearse(limit, options.exact, monitor)?;
    }
    if options.exact {
        let arena = Arena::new(Exact::reserve(), limit, Exact::RADIX_BITS);
        plan.sweep(&mut Engine::<Exact>::new(arena, monitor))
    } else {
        let arena = Arena::new(Log::reserve(), limit, Log::RADIX_BITS);
        plan.sweep(&mut Engine::<Log>::new(arena, monitor))
    }
}

/// What there is to do, whatever the number.
pub(crate) struct Plan<'n> {
    network: &'n Network,
    order: Vec<TensorId>,
    /// The links into each tensor that lead to counted parameters, those from parameters first.
    incoming: Incoming<'n>,
    /// Whether a tensor is a counted parameter.
    counted: Vec<bool>,
    /// Whether a tensor is, or depends on, a counted parameter.
    matters: Vec<bool>,
    /// Whether only sums over a tensor's counts are wanted, so that maps on the way to it may wait
    /// and become part of the sums.
    summed: Vec<bool>,
}

/// Links sorted by target.
pub(crate) struct Incoming<'n> {
    links: Vec<&'n Link>,
    /// The links of target `v` are `offsets[v]..offsets[v + 1]`.
    offsets: Vec<usize>,
}

impl<'n> Incoming<'n> {
    fn new(links: Vec<&'n Link>, tensors: usize) -> Self {
        let mut offsets = Vec::with_capacity(tensors + 1);
        let mut at = 0;
        for target in 0..tensors {
            offsets.push(at);
            at += links[at..].iter().take_while(|link| link.target.0 == target).count();
        }
        offsets.push(at);
        Self { links, offsets }
    }

    pub(crate) fn of(&self, target: TensorId) -> &[&'n Link] {
        &self.links[self.offsets[target.0]..self.offsets[target.0 + 1]]
    }

    fn retain(&mut self, keep: impl Fn(&Link) -> bool) {
        self.links.retain(|link| keep(link));
        *self = Self::new(std::mem::take(&mut self.links), self.offsets.len() - 1);
    }
}

/// What a parameter receives in one place; scale, shift, mean and variance of a norm are linked
/// alike, and counted once.
struct Alike<'p, N: Number> {
    /// The links from the parameter to the place.
    place: &'p [&'p Link],
    shape: &'p [u64],
    sum: CountTensor<N>,
    /// How many elements have a context here.
    nodes: u64,
}

impl<N: Number> Alike<'_, N> {
    /// Whether a parameter of this shape, linked so, receives the same.
    fn suits(&self, place: &[&Link], shape: &[u64]) -> bool {
        let relations = |(a, b): (&&Link, &&Link)| a.relations == b.relations;
        self.shape == shape
            && self.place.len() == place.len()
            && self.place.iter().zip(place).all(relations)
    }
}

impl<'n> Plan<'n> {
    pub(crate) fn new(network: &'n Network, options: &CountOptions) -> Result<Self> {
        let order = network.topological_order()?;
        let counted: Vec<bool> = network
            .tensors()
            .iter()
            .map(|tensor| match tensor.role {
                Role::Parameter { trainable } => trainable || !options.trainable_only,
                _ => false,
            })
            .collect();
        if !counted.contains(&true) {
            let reason = "the network has no parameters to count; add layers with parameters";
            return Err(Error::NothingToCount { reason: reason.into() });
        }
        if network.outputs().is_empty() {
            let reason = "the network has no output; mark at least one tensor as output";
            return Err(Error::NothingToCount { reason: reason.into() });
        }
        for &output in network.outputs() {
            let tensor = network.tensor(output)?;
            if tensor.role == Role::Activation
                && !network.links().iter().any(|l| l.target == output)
            {
                return Err(Error::DisconnectedOutput { name: tensor.name.clone() });
            }
        }
        let is_parameter = |link: &Link| counted[link.source.0];
        // Uses of one parameter stand together, and parameters first.
        let mut links: Vec<&Link> = network.links().iter().collect();
        links.sort_by_key(|link| {
            (link.target, !is_parameter(link), is_parameter(link).then_some(link.source))
        });
        let mut matters = counted.clone();
        let mut incoming = Incoming::new(links, network.tensors().len());
        for &id in &order {
            matters[id.0] |= incoming.of(id).iter().any(|link| matters[link.source.0]);
        }
        incoming.retain(|link| matters[link.source.0]);
        let summed = only_summed(network, &order, &incoming, &counted);
        Ok(Self { network, order, incoming, counted, matters, summed })
    }

    /// Goes through the count in log space, which takes little memory, to see how much it takes.
    fn rehearse(&self, limit: u64, exact: bool, monitor: &Monitor<'_>) -> Result<()> {
        let radix = if exact { Exact::RADIX_BITS } else { Log::RADIX_BITS };
        let room = limit.max(bound::available_memory());
        let mut engine = Engine::<Log>::new(Arena::new(Log::reserve(), room, radix), monitor);
        self.sweep(&mut engine)?;
        let (needed, tensor) = engine.arena.planned_peak();
        if needed > limit {
            let tensor = tensor.into();
            return Err(Error::MemoryLimit { needed, complete: true, limit, tensor, exact });
        }
        Ok(())
    }

    pub(crate) fn sweep<N: Number>(&self, engine: &mut Engine<'_, N>) -> Result<Counts> {
        let mut collected: Vec<Option<Contribution<N>>> = vec![None; self.network.tensors().len()];
        let mut weight_nodes = vec![0u64; collected.len()];
        for &output in self.network.outputs() {
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
            if N::TAKES_STEPS {
                counts.tensor = engine.step_back(counts.tensor)?;
            }
            let incoming = self.incoming.of(id);
            let parameters = incoming.partition_point(|link| self.counted[link.source.0]);
            let (parameters, activations) = incoming.split_at(parameters);
            self.collect_parameters(
                engine,
                &counts,
                parameters,
                &mut collected,
                &mut weight_nodes,
            )?;
            for link in activations {
                let source = link.source.0;
                let contribution = engine.carry(&counts, link, self.network)?.absorbed();
                collected[source] = Some(if self.summed[source] && contribution.may_wait() {
                    contribution
                } else {
                    let before = collected[source].take().map(|before| before.tensor);
                    engine.accumulate(before, contribution)?.into()
                });
            }
            engine.arena.give(counts.tensor);
        }
        self.gather(engine, &mut collected, &weight_nodes)
    }

    /// Hands the counts of one tensor to the parameters it is computed from.
    fn collect_parameters<N: Number>(
        &self,
        engine: &mut Engine<'_, N>,
        counts: &Contribution<N>,
        links: &[&'n Link],
        collected: &mut [Option<Contribution<N>>],
        weight_nodes: &mut [u64],
    ) -> Result<()> {
        let mut known: Vec<Alike<'_, N>> = Vec::new();
        for place in links.chunk_by(|a, b| a.source == b.source) {
            let source = place[0].source;
            let shape = &self.network.tensor(source)?.shape[..];
            let at = match known.iter().position(|alike| alike.suits(place, shape)) {
                Some(at) => at,
                None => {
                    let mut sum = None;
                    for link in place {
                        let contribution = engine.carry(counts, link, self.network)?;
                        sum = Some(engine.accumulate(sum, contribution)?);
                    }
                    let Some(sum) = sum else { continue };
                    known.push(Alike { place, shape, nodes: reached(&sum), sum });
                    known.len() - 1
                }
            };
            let overflow = || Error::SizeOverflow { what: "the number of weight nodes".into() };
            let nodes = weight_nodes[source.0].checked_add(known[at].nodes);
            weight_nodes[source.0] = nodes.ok_or_else(overflow)?;
            let before = collected[source.0].take().map(|before| before.tensor);
            collected[source.0] = Some(engine.join(before, known[at].sum.clone())?.into());
        }
        for alike in known {
            engine.arena.give(alike.sum);
        }
        Ok(())
    }

    /// Sorts what was collected at the parameters.
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

/// For every tensor, whether its counts come over a single link and go on to sums only: to
/// parameters, and over at most one link that mixes indices to tensors of which the same is true.
/// (Over several, applying one map after the other costs less than their product.)
fn only_summed(
    network: &Network,
    order: &[TensorId],
    incoming: &Incoming<'_>,
    counted: &[bool],
) -> Vec<bool> {
    let mut readers = vec![0usize; counted.len()];
    for link in network.links() {
        readers[link.source.0] += 1;
    }
    for output in network.outputs() {
        readers[output.0] += 1;
    }
    // Mixing links on the longest way to the last sums; `None` if there is more than one.
    let mut mixing = vec![None; counted.len()];
    for &id in order.iter().filter(|id| readers[id.0] == 1) {
        let sources = incoming.of(id.to_owned()).iter().filter(|link| !counted[link.source.0]);
        let beyond = |link: &&Link| Some(mixing[link.source.0]? + usize::from(link.mixes()));
        let longest = sources.map(beyond).try_fold(0, |longest, length| Some(longest.max(length?)));
        mixing[id.0] = longest.filter(|&length| length <= 1);
    }
    mixing.iter().map(Option::is_some).collect()
}

/// How many elements have a context.
fn reached<N: Number>(counts: &CountTensor<N>) -> u64 {
    let zero = N::Lane::default();
    let reached = |&cell: &usize| counts.digits(cell).any(|digit| digit != zero);
    (0..counts.cells()).filter(reached).map(|cell| counts.multiplicity(cell)).sum()
}
