//! Sizes and scores of many architectures.

use super::architectures::{BATCH, Desks, Variants, room};
use super::liveness::Live;
use crate::error::{Error, Result};
use crate::machine::Monitor;
use crate::machine::team::Team;
use crate::propagation::OwnFunctions;
use crate::scores::{FeatureDesk, Features, Node, Operator, Plan, PlanLink, Scores, Workspace};

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
    plan: Plan,
    /// The node of the skeleton that each node of the plan is.
    node_of: Vec<usize>,
}

/// What one thread writes into.
struct Desk {
    open: Vec<bool>,
    live: Live,
    /// The plan of the present architecture alone.
    own: Plan,
    /// The number in it of each node of the whole plan.
    number: Vec<usize>,
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
        let plan = Plan::compile(&variants.network, own, &variants.gates)?;
        let nodes =
            plan.nodes.iter().map(|node| variants.skeleton.node_of(plan.facts(node).tensor));
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
        self.each(rows, architectures, threads, monitor, VariantSizes::default(), |desk, found| {
            *found = self.size(desk);
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
        self.each(rows, architectures, threads, monitor, empty, |desk, found| {
            self.restrict(desk);
            let parameters = desk.live.trainable(&self.variants.skeleton, &desk.open) as f64;
            *found = (desk.own.score_alone(&mut desk.workspace), parameters);
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
        self.each(rows, architectures, threads, monitor, empty, |desk, found| {
            self.restrict(desk);
            *found = desk.own.features_alone(&mut desk.workspace, &mut desk.features);
        })
    }

    /// Works on every architecture with its gates open, and what takes part in it found.
    fn each<T: Clone + Send>(
        &self,
        rows: &[u32],
        architectures: usize,
        threads: usize,
        monitor: &Monitor<'_>,
        empty: T,
        work: impl Fn(&mut Desk, &mut T) + Sync,
    ) -> Result<Vec<T>> {
        let variants = &self.variants;
        variants.check_rows(rows, architectures)?;
        let mut found = room(architectures, &empty)?;
        let places = variants.places();
        let desks = Desks::new();
        let batches = found.chunks_mut(BATCH).enumerate();
        let lanes = self.plan.links.len() as u64 * LANES_A_LINK;
        Team::new(threads).share(
            batches,
            architectures as u64,
            monitor,
            |(_, batch)| batch.len() as u64,
            |(number, batch), monitor| {
                let mut desk = desks.take(|| self.desk());
                for (at, one) in batch.iter_mut().enumerate() {
                    let row = &rows[(number * BATCH + at) * places..][..places];
                    variants.open(row, &mut desk.open);
                    desk.live.find(&variants.skeleton, &desk.open);
                    work(&mut desk, one);
                    monitor.breathe(lanes)?;
                }
                desks.give(desk);
                Ok(())
            },
        )?;
        Ok(found)
    }

    fn desk(&self) -> Desk {
        let mut own = self.plan.clone();
        own.gates = 0;
        Desk {
            open: vec![false; self.variants.gates()],
            live: Live::new(&self.variants.skeleton),
            own,
            number: vec![0; self.plan.nodes.len()],
            workspace: Workspace::new(&self.plan),
            features: FeatureDesk::default(),
            depths: vec![0; self.plan.nodes.len()],
            met: vec![0; self.plan.kernels],
            round: 0,
        }
    }

    /// Takes from the plan what takes part, so that the sweeps see a network of its own. Nothing is
    /// allocated, because the lists have had the length of the whole plan.
    fn restrict(&self, desk: &mut Desk) {
        let Desk { open, live, own, number, .. } = desk;
        own.nodes.clear();
        own.links.clear();
        own.outputs.clear();
        for (at, node) in self.plan.nodes.iter().enumerate() {
            if !live.of(self.node_of[at]) {
                continue;
            }
            let first = own.links.len();
            for link in &self.plan.links[node.first..node.end] {
                if arrives(link, &self.node_of, live, open) {
                    own.links.push(link.opened(number[link.source]));
                }
            }
            number[at] = own.nodes.len();
            own.nodes.push(Node { first, end: own.links.len(), ..*node });
        }
        for &output in &self.plan.outputs {
            if live.of(self.node_of[output]) {
                own.outputs.push(number[output]);
            }
        }
    }

    fn size(&self, desk: &mut Desk) -> VariantSizes {
        let mut sizes = VariantSizes {
            parameters: desk.live.trainable(&self.variants.skeleton, &desk.open) as f64,
            ..VariantSizes::default()
        };
        desk.round += 1;
        for (at, node) in self.plan.nodes.iter().enumerate() {
            if !desk.live.of(self.node_of[at]) {
                continue;
            }
            let mut depth = 0;
            for link in &self.plan.links[node.first..node.end] {
                if !arrives(link, &self.node_of, &desk.live, &desk.open) {
                    continue;
                }
                let mut through = desk.depths[link.source];
                if let Operator::Weighted(kernel) = self.plan.operator(link) {
                    through += 1;
                    let weights = kernel.fan * kernel.target_channels;
                    sizes.macs += weights * kernel.taps * kernel.target_positions;
                    sizes.layers += 1.0;
                    sizes.activations += kernel.target_channels * kernel.target_positions;
                    if desk.met[kernel.kernel] != desk.round {
                        desk.met[kernel.kernel] = desk.round;
                        sizes.weights += weights * kernel.taps;
                    }
                }
                depth = depth.max(through);
            }
            desk.depths[at] = depth;
        }
        for &output in &self.plan.outputs {
            if desk.live.of(self.node_of[output]) {
                sizes.depth = sizes.depth.max(f64::from(desk.depths[output]));
            }
        }
        sizes
    }
}

/// Whether a link into a tensor that takes part does so itself.
#[inline]
fn arrives(link: &PlanLink, node_of: &[usize], live: &Live, open: &[bool]) -> bool {
    live.of(node_of[link.source]) && link.gate.is_none_or(|gate| open[gate as usize])
}
