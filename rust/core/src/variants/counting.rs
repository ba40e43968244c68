//! Counts of contexts of many architectures, and what follows from them.

use num_bigint::BigUint;

use super::architectures::{Desks, Variants, room};
use super::liveness::Live;
use crate::error::Result;
use crate::machine::Monitor;
use crate::machine::memory::available_memory;
use crate::machine::team::Team;
use crate::network::bound;
use crate::network::engine::accumulate::Engine;
use crate::network::plan::{Plan, sorting_key};
use crate::network::sweep::Arrived;
use crate::network::{CountOptions, Link, Role, TensorId};
use crate::number::{Exact, Log, Number, Value};
use crate::quantities::Quantities;

/// Architectures that a thread counts before it takes the next ones.
const BATCH: usize = 16;

/// What follows from the counts of one architecture. If nothing in it leads to an output, all sums
/// are zero, the logarithm of the total is minus infinity, and means are not numbers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct VariantTotals {
    /// Scalar parameters that have a context, `N_G`.
    pub parameters: u64,
    /// Weight nodes: parameters, once for each place in which they are used.
    pub weight_nodes: u64,
    /// `log2 Z`, in bits, as all that follow.
    pub log2_total: f64,
    /// `H`.
    pub entropy: f64,
    /// `E[log2 C]`.
    pub expected_spread: f64,
    /// `S_G`.
    pub total_surprisal: f64,
    /// `P_G`; minus infinity for one parameter.
    pub surprisal_estimate: f64,
    /// `P'_G`.
    pub spread_estimate: f64,
}

/// Counts of many architectures.
#[derive(Debug, Clone, PartialEq)]
pub struct VariantCounts {
    /// One for each architecture.
    pub totals: Vec<VariantTotals>,
    /// The total number of contexts of each, if counts are exact.
    pub exact: Vec<BigUint>,
}

impl VariantTotals {
    const NOTHING: Self = Self {
        parameters: 0,
        weight_nodes: 0,
        log2_total: f64::NEG_INFINITY,
        entropy: f64::NAN,
        expected_spread: f64::NAN,
        total_surprisal: 0.0,
        surprisal_estimate: f64::NAN,
        spread_estimate: f64::NAN,
    };
}

/// What a thread works with.
struct Desk<N: Number> {
    arrived: Arrived<N>,
    open: Vec<u64>,
    live: Live,
    is_live: Vec<bool>,
    levels: Vec<(Value, u64)>,
}

impl Variants {
    /// Counts the contexts of architectures, whose rows of options follow one another.
    ///
    /// # Errors
    /// Rows that do not fit, too little memory for the result or for a count, or an interruption.
    pub fn count(
        &self,
        rows: &[u32],
        architectures: usize,
        options: &CountOptions,
        threads: usize,
        monitor: &Monitor<'_>,
    ) -> Result<VariantCounts> {
        if options.exact {
            self.count_in::<Exact>(rows, architectures, options, threads, monitor)
        } else {
            self.count_in::<Log>(rows, architectures, options, threads, monitor)
        }
    }

    fn count_in<N: Number>(
        &self,
        rows: &[u32],
        architectures: usize,
        options: &CountOptions,
        threads: usize,
        monitor: &Monitor<'_>,
    ) -> Result<VariantCounts> {
        self.check_rows(rows, architectures)?;
        let mut totals = room(architectures, &VariantTotals::NOTHING)?;
        let mut exact = room(if options.exact { architectures } else { 0 }, &BigUint::ZERO)?;
        let whole = Whole::new(self, options);
        let limit = options.memory_limit.unwrap_or_else(available_memory);
        let is_rehearsed = whole.most_bytes(self) > limit / team_size(threads);
        let desks = Desks::new();
        let places = self.places();
        // Each architecture of a batch, with room for its total where that is exact.
        let mut exact_batches = exact.chunks_mut(BATCH);
        let batches: Vec<(usize, &mut [VariantTotals], &mut [BigUint])> = totals
            .chunks_mut(BATCH)
            .enumerate()
            .map(|(number, batch)| (number, batch, exact_batches.next().unwrap_or_default()))
            .collect();
        Team::new(threads).share(
            batches.into_iter(),
            architectures as u64,
            monitor,
            |(_, batch, _)| batch.len() as u64,
            |(number, batch, exact), monitor| {
                let mut desk = desks.take(|| Desk::<N>::new(self));
                let mut engine = Engine::<N>::new(limit, N::RADIX_BITS, monitor);
                for (at, found) in batch.iter_mut().enumerate() {
                    let row = &rows[(number * BATCH + at) * places..][..places];
                    let total = self.count_one(
                        row,
                        &whole,
                        &mut desk,
                        &mut engine,
                        is_rehearsed.then_some(limit),
                        found,
                    )?;
                    if let Some(place) = exact.get_mut(at) {
                        *place = total;
                    }
                }
                desks.give(desk);
                Ok(())
            },
        )?;
        Ok(VariantCounts { totals, exact })
    }

    fn count_one<N: Number>(
        &self,
        row: &[u32],
        whole: &Whole,
        desk: &mut Desk<N>,
        engine: &mut Engine<'_, N>,
        rehearsed: Option<u64>,
        found: &mut VariantTotals,
    ) -> Result<BigUint> {
        self.open(row, &mut desk.open);
        desk.live.find(&self.skeleton, &desk.open);
        let Some(plan) = whole.plan(self, desk) else { return Ok(BigUint::ZERO) };
        if let Some(limit) = rehearsed {
            plan.rehearse(limit, N::EXACT, engine.monitor)?;
        }
        plan.carry_all(engine, &mut desk.arrived)?;
        desk.levels.clear();
        let mut nodes = 0u64;
        let Arrived { counts, weight_nodes } = &mut desk.arrived;
        for (id, (arrived, own_nodes)) in counts.iter_mut().zip(weight_nodes).enumerate() {
            let own_nodes = std::mem::take(own_nodes);
            let Some(arrived) = arrived.take().filter(|_| plan.is_counted(id)) else { continue };
            let counts = engine.compact(arrived.tensor, true)?;
            for cell in 0..counts.cells() {
                let value = counts.value(cell);
                if !value.is_zero() {
                    desk.levels.push((value, counts.multiplicity(cell)));
                }
            }
            engine.arena.give(counts);
            nodes = nodes.saturating_add(own_nodes);
        }
        let elements = |ids: &[TensorId]| -> u64 {
            ids.iter().map(|id| self.network.tensors()[id.0].elements()).sum()
        };
        *found = totals(&desk.levels, nodes, whole.inputs, elements(plan.outputs()));
        let term = |(value, times): &(Value, u64)| value.exact.as_ref().map(|count| count * times);
        Ok(desk.levels.iter().filter_map(term).sum())
    }
}

fn team_size(threads: usize) -> u64 {
    match threads {
        0 => std::thread::available_parallelism().map_or(1, |cores| cores.get() as u64),
        threads => threads as u64,
    }
}

impl<N: Number> Desk<N> {
    fn new(variants: &Variants) -> Self {
        Self {
            arrived: Arrived::new(&variants.network),
            open: vec![0; variants.gates()],
            live: Live::new(&variants.skeleton),
            is_live: vec![false; variants.network.tensors().len()],
            levels: Vec::new(),
        }
    }
}

/// What is known of counting before an architecture is.
struct Whole {
    /// Whether a tensor is a parameter that is counted.
    counted: Vec<bool>,
    /// The numbers of all links, in the order that a plan wants them in.
    links: Vec<usize>,
    /// How many scalar inputs there are.
    inputs: u64,
}

impl Whole {
    fn new(variants: &Variants, options: &CountOptions) -> Self {
        let network = &variants.network;
        let counted: Vec<bool> = network
            .tensors()
            .iter()
            .map(|tensor| match tensor.role {
                Role::Parameter { trainable } => trainable || !options.trainable_only,
                _ => false,
            })
            .collect();
        let mut links: Vec<usize> = (0..network.links().len()).collect();
        links.sort_by_key(|&number| sorting_key(&network.links()[number], &counted));
        let inputs = network.tensors().iter().filter(|tensor| tensor.role == Role::Input);
        let inputs = inputs.fold(0u64, |sum, tensor| sum.saturating_add(tensor.elements()));
        Self { counted, links, inputs }
    }

    /// A bound on the bytes of one count, whatever is chosen.
    fn most_bytes(&self, variants: &Variants) -> u64 {
        let links = self.links.iter().map(|&number| &variants.network.links()[number]).collect();
        let (order, outputs) = (variants.order.clone(), variants.network.outputs().to_vec());
        let all = Plan::of_parts(&variants.network, order, links, outputs, self.counted.clone());
        bound::most_bytes(&variants.network, &all.order, &all.incoming)
    }

    /// The plan for an architecture; `None` if nothing that is counted leads to an output.
    fn plan<'n, N: Number>(&self, variants: &'n Variants, desk: &mut Desk<N>) -> Option<Plan<'n>> {
        let Variants { network, skeleton, gates, .. } = variants;
        desk.is_live.fill(false);
        for (node, id) in skeleton.tensors() {
            desk.is_live[id.0] = desk.live.of(node) != 0;
        }
        let mut counted = vec![false; self.counted.len()];
        let mut links: Vec<&Link> = Vec::new();
        for &number in &self.links {
            let link = &network.links()[number];
            if !desk.is_live[link.target.0]
                || gates[number].is_some_and(|gate| desk.open[gate] == 0)
            {
                continue;
            }
            if let Some(node) = skeleton.node_of(link.source) {
                if desk.live.of(node) == 0 {
                    continue;
                }
            } else {
                desk.is_live[link.source.0] = true;
            }
            counted[link.source.0] = self.counted[link.source.0];
            links.push(link);
        }
        if !counted.contains(&true) {
            return None;
        }
        let live = |id: &TensorId| desk.is_live[id.0];
        let outputs: Vec<TensorId> = network.outputs().iter().copied().filter(live).collect();
        if outputs.is_empty() {
            return None;
        }
        let order = variants.order.iter().copied().filter(live).collect();
        Some(Plan::of_parts(network, order, links, outputs, counted))
    }
}

/// Quantities of counts with their degeneracies, of which some may be equal.
fn totals(levels: &[(Value, u64)], nodes: u64, inputs: u64, outputs: u64) -> VariantTotals {
    let scaled = levels.iter().map(|(value, times)| (value.mantissa, value.exponent, *times));
    let Ok(found) = Quantities::of(scaled) else { return VariantTotals::NOTHING };
    let parameters = u64::try_from(found.parameters).unwrap_or(u64::MAX);
    let size = (inputs as f64) + (outputs as f64) + nodes as f64;
    let inputs = inputs as f64;
    let Quantities { log2_total, entropy, expected_spread, total_surprisal, .. } = found;
    VariantTotals {
        parameters,
        weight_nodes: nodes,
        log2_total,
        entropy,
        expected_spread,
        total_surprisal,
        surprisal_estimate: (total_surprisal * inputs / size).log2(),
        spread_estimate: ((expected_spread + 1.0) * (parameters as f64 * inputs / size)).log2(),
    }
}
