//! Sizes and scores of many architectures.

use super::architectures::{BATCH, Desks, Variants, room};
use super::liveness::{LANES, Live, bits};
use crate::error::{Error, Result};
use crate::machine::Monitor;
use crate::machine::team::Team;
use crate::propagation::OwnFunctions;
use crate::scores::{FeatureDesk, Features, GatedPlan, Operator, Plan, Scores, Workspace};

/// How long one link takes, as a number of lanes of a count, so that progress is reported in time.
const LANES_A_LINK: u64 = 64;

/// The columns of [`VariantSizes`].
pub const SIZE_NAMES: [&str; 6] =
    ["parameters", "weights", "macs", "activations", "depth", "layers"];

/// Sizes of one architecture; only what takes part in it has a part in them.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct VariantSizes {
    /// Elements of trainable parameters.
    pub parameters: f64,
    /// Weights of kernels; tied ones once.
    pub weights: f64,
    /// Multiplications by weights, with padding.
    pub macs: f64,
    /// Elements that are computed with a kernel.
    pub activations: f64,
    /// The most kernels on one path.
    pub depth: f64,
    /// Links with a kernel.
    pub layers: f64,
}

impl VariantSizes {
    /// In the order of [`SIZE_NAMES`].
    #[must_use]
    pub fn to_array(&self) -> [f64; 6] {
        [self.parameters, self.weights, self.macs, self.activations, self.depth, self.layers]
    }
}

/// Variants of one network, compiled for scoring.
#[derive(Debug, Clone)]
pub struct VariantScorer {
    variants: Variants,
    plan: GatedPlan,
    /// The node of the skeleton that each node of the plan is.
    node_of: Vec<usize>,
}

/// What one thread writes into.
struct Desk {
    open: Vec<u64>,
    live: Live,
    /// Where each node of the whole plan lies between an input and an output.
    between: Vec<u64>,
    /// The nodes of the whole plan that are in each architecture of a batch.
    members: Vec<Vec<u32>>,
    /// The plan of the present architecture alone.
    own: Plan,
    /// The number in it of each node of the whole plan.
    numbers: Vec<u32>,
    workspace: Workspace,
    features: FeatureDesk,
    depths: Vec<u32>,
    met: Vec<u64>,
    round: u64,
}

impl VariantScorer {
    /// Compiles the network of all variants.
    ///
    /// # Errors
    /// As for [`Plan::compile`].
    pub fn new(variants: Variants, own: &OwnFunctions) -> Result<Self> {
        let plan = GatedPlan::compile(&variants.network, own, &variants.gates)?;
        let all = &plan.all;
        let nodes = all.nodes.iter().map(|node| variants.skeleton.node_of(all.facts(node).tensor));
        let node_of = nodes.collect::<Option<_>>().ok_or_else(|| {
            Error::Internal("a node of the plan is no tensor that may take part".into())
        })?;
        Ok(Self { variants, plan, node_of })
    }

    /// Sizes of architectures, whose rows of options follow one another.
    ///
    /// # Errors
    /// Rows that do not fit, too little memory for the result, or an interruption.
    pub fn sizes(
        &self,
        rows: &[u32],
        architectures: usize,
        threads: usize,
        monitor: &Monitor<'_>,
    ) -> Result<Vec<VariantSizes>> {
        self.each(rows, architectures, threads, monitor, VariantSizes::default(), |desk, batch| {
            let parameters = desk.live.trainable(&self.variants.skeleton, &desk.open);
            for (lane, found) in batch.iter_mut().enumerate() {
                *found = self.size(desk, lane, parameters[lane]);
            }
        })
    }

    /// Scores and sizes of architectures, whose rows of options follow one another.
    ///
    /// # Errors
    /// As for [`VariantScorer::sizes`].
    pub fn scores(
        &self,
        rows: &[u32],
        architectures: usize,
        threads: usize,
        monitor: &Monitor<'_>,
    ) -> Result<Vec<(Scores, f64)>> {
        let empty = (Scores::NOTHING, 0.0);
        self.each(rows, architectures, threads, monitor, empty, |desk, batch| {
            let parameters = desk.live.trainable(&self.variants.skeleton, &desk.open);
            for (lane, found) in batch.iter_mut().enumerate() {
                self.restrict(desk, lane);
                *found = (desk.own.score(&mut desk.workspace), parameters[lane] as f64);
            }
        })
    }

    /// Scores and features of architectures, whose rows of options follow one another.
    ///
    /// # Errors
    /// As for [`VariantScorer::sizes`].
    pub fn features(
        &self,
        rows: &[u32],
        architectures: usize,
        threads: usize,
        monitor: &Monitor<'_>,
    ) -> Result<Vec<(Scores, Features)>> {
        let empty = (Scores::NOTHING, Features::NOTHING);
        self.each(rows, architectures, threads, monitor, empty, |desk, batch| {
            for (lane, found) in batch.iter_mut().enumerate() {
                self.restrict(desk, lane);
                *found = desk.own.features_at(&mut desk.workspace, &mut desk.features);
            }
        })
    }

    /// Works on batches of architectures with their gates open, and what takes part in them found.
    fn each<T: Clone + Send>(
        &self,
        rows: &[u32],
        architectures: usize,
        threads: usize,
        monitor: &Monitor<'_>,
        empty: T,
        work: impl Fn(&mut Desk, &mut [T]) + Sync,
    ) -> Result<Vec<T>> {
        let variants = &self.variants;
        variants.check_rows(rows, architectures)?;
        let mut found = room(architectures, &empty)?;
        let places = variants.places();
        let desks = Desks::new();
        let batches = found.chunks_mut(BATCH).enumerate();
        let lanes = self.plan.all.links.len() as u64 * LANES_A_LINK;
        Team::new(threads).share(
            batches,
            architectures as u64,
            monitor,
            |(_, batch)| batch.len() as u64,
            |(number, batch), monitor| {
                let mut desk = desks.take(|| self.desk());
                let rows = &rows[number * BATCH * places..][..batch.len() * places];
                self.find(rows, batch.len(), &mut desk);
                work(&mut desk, batch);
                monitor.breathe(lanes * batch.len() as u64)?;
                desks.give(desk);
                Ok(())
            },
        )?;
        Ok(found)
    }

    fn desk(&self) -> Desk {
        let nodes = self.plan.all.nodes.len();
        Desk {
            open: vec![0; self.variants.gates()],
            live: Live::new(&self.variants.skeleton),
            between: vec![0; nodes],
            members: vec![Vec::new(); LANES],
            own: self.plan.all.clone(),
            numbers: vec![0; nodes],
            workspace: Workspace::new(&self.plan.all),
            features: FeatureDesk::default(),
            depths: vec![0; nodes],
            met: vec![0; self.plan.all.kernels],
            round: 0,
        }
    }

    /// Finds what takes part in each architecture of a batch.
    fn find(&self, rows: &[u32], architectures: usize, desk: &mut Desk) {
        let Desk { open, live, between, members, .. } = desk;
        self.variants.open(rows, open);
        live.find(&self.variants.skeleton, open);
        self.plan.find_between(open, |at| live.of(self.node_of[at]), between);
        for list in members.iter_mut() {
            list.clear();
        }
        let every = u64::MAX >> (LANES - architectures.clamp(1, LANES));
        for (at, here) in (0u32..).zip(&*between) {
            for lane in bits(here & every) {
                members[lane].push(at);
            }
        }
    }

    /// Takes from the plan what takes part in an architecture, so that the sweeps see a network of
    /// its own.
    fn restrict(&self, desk: &mut Desk, lane: usize) {
        let Desk { open, between, members, own, numbers, .. } = desk;
        self.plan.restrict(&members[lane], lane, open, between, numbers, own);
    }

    fn size(&self, desk: &mut Desk, lane: usize, parameters: u64) -> VariantSizes {
        let mut sizes = VariantSizes { parameters: parameters as f64, ..VariantSizes::default() };
        let Desk { open, between, members, depths, met, round, .. } = desk;
        let GatedPlan { all, .. } = &self.plan;
        *round += 1;
        for &at in &members[lane] {
            let node = &all.nodes[at as usize];
            let mut depth = 0;
            for number in node.links() {
                let link = &all.links[number];
                let here = between[link.source()] & self.plan.is_open(number, open);
                if here >> lane & 1 == 0 {
                    continue;
                }
                let mut through = depths[link.source()];
                if let Operator::Weighted(kernel) = all.operator(link) {
                    through += 1;
                    let weights = kernel.fan * kernel.target_channels;
                    sizes.macs += weights * kernel.taps * kernel.target_positions;
                    sizes.layers += 1.0;
                    sizes.activations += kernel.target_channels * kernel.target_positions;
                    if met[kernel.kernel] != *round {
                        met[kernel.kernel] = *round;
                        sizes.weights += weights * kernel.taps * kernel.copies;
                    }
                }
                depth = depth.max(through);
            }
            depths[at as usize] = depth;
        }
        for &output in &all.outputs {
            if between[output] >> lane & 1 != 0 {
                sizes.depth = sizes.depth.max(f64::from(depths[output]));
            }
        }
        sizes
    }
}
