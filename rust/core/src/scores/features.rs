//! Numbers that describe an architecture to a predictor: moments of its paths, what passes by its
//! kernels, widths and shapes, and correlations.
//!
//! A link carries a share of the variance that arrives at its target. A path is taken with the
//! product of the shares of its links, so that the number of kernels on it has a distribution,
//! whose moments one sweep forwards finds. What predicts accuracy from these numbers is not here.

use super::operators::{Operator, Weighted};
use super::plan::{Node, Plan, PlanLink, Rule};
use super::sweep::{LinkMeasure, Scores, Workspace};
use crate::propagation::times_power_of_four;

/// The names of the features, in the order of [`Features`].
pub const FEATURE_NAMES: [&str; 40] = [
    "path_kernels",
    "path_kernels_deviation",
    "path_activations",
    "log_receptive_field",
    "log_paths",
    "least_kernels",
    "most_kernels",
    "log_path_kernels",
    "relative_path_kernels",
    "relative_path_kernels_deviation",
    "weightless_share",
    "identity_share",
    "log_merges",
    "log_identities",
    "log_average_pools",
    "log_max_pools",
    "log_lone_norms",
    "log_concatenations",
    "log_lone_activations",
    "log_gates",
    "log_channels",
    "log_channels_deviation",
    "log_channels_maximum",
    "log_channels_minimum",
    "log_channel_ratio",
    "log_fan_in",
    "log_effective_weights_deviation",
    "log_effective_units_deviation",
    "log_effective_taps",
    "log_saliency",
    "log_saliency_deviation",
    "log_positions",
    "saliency_slope",
    "channels_slope",
    "correlation",
    "last_correlation",
    "weighted_correlation",
    "log_links",
    "log_other_parameters",
    "log_other_macs",
];

/// The features of one architecture, in the order of [`FEATURE_NAMES`]; natural logarithms. All are
/// zero where no path leads from an input to an output.
pub type Features = [f64; FEATURE_NAMES.len()];

/// What is known of the paths from the inputs to a tensor.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
struct Paths {
    /// Mean number of kernels, and of its square.
    kernels: f64,
    kernels_square: f64,
    /// Mean number of functions.
    activations: f64,
    /// Mean square distance, along one axis, that windows reach at the input.
    reach: f64,
    /// The logarithm of the number of paths, all alike.
    log_number: f64,
    least: f64,
    most: f64,
}

/// What a link that is not a kernel's own does.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Kernel,
    Identity,
    AveragePool,
    MaxPool,
    Norm,
    Function,
}

/// Mean and mean square of numbers that come one by one.
#[derive(Debug, Clone, Copy, Default)]
struct Moments {
    count: f64,
    sum: f64,
    squares: f64,
}

impl Moments {
    fn add(&mut self, value: f64) {
        self.count += 1.0;
        self.sum += value;
        self.squares += value * value;
    }

    fn mean(&self) -> f64 {
        if self.count > 0.0 { self.sum / self.count } else { 0.0 }
    }

    fn deviation(&self) -> f64 {
        let mean = self.mean();
        if self.count > 0.0 {
            (self.squares / self.count - mean * mean).max(0.0).sqrt()
        } else {
            0.0
        }
    }
}

/// Mean products of two numbers that come one by one.
#[derive(Debug, Clone, Copy, Default)]
struct Slope {
    x: Moments,
    y: Moments,
    products: f64,
}

impl Slope {
    fn add(&mut self, x: f64, y: f64) {
        self.x.add(x);
        self.y.add(y);
        self.products += x * y;
    }

    /// The least-squares slope of `y` on `x`, times the deviation of `x`.
    fn scaled(&self) -> f64 {
        let deviation = self.x.deviation();
        if deviation <= 1e-9 * (1.0 + self.x.mean().abs()) {
            return 0.0;
        }
        (self.products / self.x.count - self.x.mean() * self.y.mean()) / deviation
    }
}

/// Numbers of links, and shares of what passes by the kernels.
#[derive(Debug, Clone, Copy, Default)]
struct Census {
    merges: f64,
    weightless: f64,
    identical: f64,
    identities: f64,
    average_pools: f64,
    max_pools: f64,
    norms: f64,
    concatenated: f64,
    gates: f64,
    links: f64,
}

/// What one sweep reads and finds.
struct Sweep<'a> {
    plan: &'a Plan,
    workspace: &'a Workspace,
    desk: &'a mut FeatureDesk,
    /// Positions of the largest input.
    extent: f64,
    census: Census,
}

/// Buffers that sweeps over one plan write to.
#[derive(Debug, Clone, Default)]
pub(crate) struct FeatureDesk {
    paths: Vec<Paths>,
    /// Whether a kernel reads a tensor.
    is_read: Vec<bool>,
    /// How many links read a tensor.
    readers: Vec<u32>,
    /// What a link that does nothing itself is, if it alone reads a tensor.
    behind: Vec<Kind>,
}

impl Plan {
    /// Scores and features, in a workspace as for [`Plan::score`].
    pub fn features(&self, workspace: &mut Workspace) -> (Scores, Features) {
        self.features_at(workspace, &mut FeatureDesk::default())
    }

    /// Scores and features, in buffers that were used before.
    pub(crate) fn features_at(
        &self,
        workspace: &mut Workspace,
        desk: &mut FeatureDesk,
    ) -> (Scores, Features) {
        let scores = self.score(workspace);
        let inputs = self.nodes.iter().filter(|node| node.rule == Rule::Input);
        let extent = inputs.map(|node| self.facts(node).positions).fold(1.0, f64::max);
        desk.paths.clear();
        desk.paths.resize(self.nodes.len(), Paths::default());
        desk.is_read.clear();
        desk.is_read.resize(self.nodes.len(), false);
        desk.behind.clear();
        desk.behind.resize(self.nodes.len(), Kind::Identity);
        desk.readers.clear();
        desk.readers.resize(self.nodes.len(), 0);
        for link in &self.links {
            desk.readers[link.source()] += 1;
        }
        let census = Census::default();
        let mut sweep = Sweep { plan: self, workspace, desk, extent, census };
        for at in 0..self.nodes.len() {
            sweep.desk.paths[at] = sweep.paths_into(at);
            sweep.desk.behind[at] = sweep.behind(&self.nodes[at]);
        }
        (scores, sweep.gather())
    }
}

impl Sweep<'_> {
    fn paths_into(&mut self, at: usize) -> Paths {
        let node = &self.plan.nodes[at];
        let links = self.plan.into(node);
        let count = links.len() as f64;
        if node.rule == Rule::Input || count == 0.0 {
            return Paths::default();
        }
        let total: f64 = (0..links.len()).map(|number| self.carried(at, number)).sum();
        let is_function = matches!(node.rule, Rule::Relu | Rule::Function(_));
        let is_merge = count > 1.0 && matches!(node.rule, Rule::Sum { .. } | Rule::Choice);
        let mut found = Paths { least: f64::INFINITY, ..Paths::default() };
        let (mut largest, mut number_of_paths) = (f64::NEG_INFINITY, 0.0);
        for (number, link) in links.iter().enumerate() {
            let share = if total > 0.0 { self.carried(at, number) / total } else { 1.0 / count };
            let from = self.desk.paths[link.source()];
            let is_kernel = matches!(self.plan.operator(link), Operator::Weighted(_));
            let kappa = f64::from(u8::from(is_kernel));
            found.kernels += share * (from.kernels + kappa);
            found.kernels_square +=
                share * (from.kernels_square + 2.0 * kappa * from.kernels + kappa);
            found.activations += share * (from.activations + f64::from(u8::from(is_function)));
            let source = self.plan.facts(&self.plan.nodes[link.source()]);
            let jump = (self.extent / source.positions).powf(2.0 / source.dimensions.max(1.0));
            found.reach += share * (from.reach + jump * self.plan.reach(link));
            found.least = found.least.min(from.least + kappa);
            found.most = found.most.max(from.most + kappa);
            if from.log_number > largest {
                number_of_paths = number_of_paths * (largest - from.log_number).exp() + 1.0;
                largest = from.log_number;
            } else {
                number_of_paths += (from.log_number - largest).exp();
            }
            self.desk.is_read[link.source()] |= is_kernel;
            self.take_census(node, link, share, count);
        }
        self.census.merges += f64::from(u8::from(is_merge));
        found.log_number = largest + number_of_paths.ln();
        found
    }

    /// The variance that a link carries into its target, in a unit that all links into it share.
    fn carried(&self, at: usize, number: usize) -> f64 {
        let node = &self.plan.nodes[at];
        let link = &self.plan.into(node)[number];
        let arriving = || {
            let signal = self.plan.operator(link).forwards(self.workspace.signal(link.source()));
            let exponent = signal.exponent.saturating_sub(self.workspace.signal(at).exponent);
            times_power_of_four(signal.variance, exponent.clamp(-500, 500))
        };
        match (node.rule, self.plan.operator(link)) {
            (Rule::Sum { .. }, _) => arriving(),
            (Rule::Concatenation, Operator::Move(moved)) => moved.share * arriving(),
            // A gate scales what passes; it is repeated at all positions of what it gates.
            (Rule::Product, Operator::Move(moved)) if moved.is_repeated => 0.0,
            (Rule::Mix { weights, .. }, _) => f64::from(u8::from(number != weights)),
            _ => 1.0,
        }
    }

    /// What a link is. Behind a tensor that it alone reads, it is what led there: a kernel before a
    /// norm, or the only option of a choice.
    fn kind(&self, link: &PlanLink) -> Kind {
        match self.plan.operator(link) {
            Operator::Weighted(_) => Kind::Kernel,
            Operator::Average(_) => Kind::AveragePool,
            Operator::Largest(_) => Kind::MaxPool,
            _ if self.desk.readers[link.source()] > 1 => Kind::Identity,
            _ => self.desk.behind[link.source()],
        }
    }

    /// What a link that does nothing itself is, if it alone reads this tensor. It is kept for each
    /// tensor, because a walk back through all of them for each link would not end in deep networks.
    fn behind(&self, node: &Node) -> Kind {
        let [only] = self.plan.into(node) else { return Kind::Identity };
        match node.rule {
            Rule::Norm => match self.kind(only) {
                Kind::Identity => Kind::Norm,
                other => other,
            },
            Rule::Sum { .. } | Rule::Concatenation | Rule::Choice => self.kind(only),
            Rule::Relu | Rule::Function(_) => Kind::Function,
            _ => Kind::Identity,
        }
    }

    fn take_census(&mut self, node: &Node, link: &PlanLink, share: f64, count: f64) {
        let moves = matches!(self.plan.operator(link), Operator::Move(_) | Operator::Global { .. });
        self.census.links += f64::from(u8::from(count > 1.0 || !moves));
        match node.rule {
            Rule::Sum { .. } | Rule::Choice if count > 1.0 => {
                let kind = self.kind(link);
                if kind != Kind::Kernel {
                    self.census.weightless += share;
                }
                if kind == Kind::Identity {
                    self.census.identical += share;
                    self.census.identities += 1.0;
                }
            }
            Rule::Norm => {
                self.census.norms += f64::from(u8::from(self.kind(link) == Kind::Identity));
            }
            Rule::Product if count > 1.0 => self.census.gates += 1.0,
            Rule::Concatenation if count > 1.0 => self.census.concatenated += 1.0,
            _ => {}
        }
        match self.plan.operator(link) {
            Operator::Average(_) => self.census.average_pools += 1.0,
            Operator::Largest(_) => self.census.max_pools += 1.0,
            _ => {}
        }
    }

    fn gather(&self) -> Features {
        let end = self.at_the_outputs();
        let mut widths = Widths::default();
        let (mut other_parameters, mut other_macs, mut lone_functions) = (0f64, 0f64, 0f64);
        for (at, node) in self.plan.nodes.iter().enumerate() {
            other_parameters += self.plan.facts(node).parameters;
            other_macs += self.plan.facts(node).products;
            if matches!(node.rule, Rule::Relu | Rule::Function(_)) && !self.desk.is_read[at] {
                lone_functions += 1.0;
            }
            for link in self.plan.into(node) {
                if let Operator::Weighted(kernel) = self.plan.operator(link) {
                    let before = &self.desk.paths[link.source()];
                    widths.add(self.workspace.measure(kernel, link.source(), at), kernel, before);
                }
            }
        }
        let census = &self.census;
        let merges = census.merges.max(1.0);
        let variance = (end.kernels_square - end.kernels * end.kernels).max(0.0);
        let deviation = variance.sqrt();
        let or_zero = |numerator: f64, denominator: f64| {
            if denominator > 0.0 { numerator / denominator } else { 0.0 }
        };
        let extreme = |value: f64| if value.is_finite() { value } else { 0.0 };
        [
            end.kernels,
            deviation,
            end.activations,
            end.reach.ln_1p(),
            end.log_number,
            end.least,
            end.most,
            end.kernels.ln_1p(),
            or_zero(end.kernels, end.most),
            or_zero(deviation, end.kernels),
            census.weightless / merges,
            census.identical / merges,
            census.merges.ln_1p(),
            census.identities.ln_1p(),
            census.average_pools.ln_1p(),
            census.max_pools.ln_1p(),
            census.norms.ln_1p(),
            census.concatenated.ln_1p(),
            lone_functions.ln_1p(),
            census.gates.ln_1p(),
            widths.channels.mean(),
            widths.channels.deviation(),
            extreme(widths.widest),
            extreme(widths.narrowest),
            widths.ratio.mean(),
            widths.fan_in.mean(),
            widths.weights.deviation(),
            widths.units.deviation(),
            widths.taps.mean(),
            widths.saliency.mean(),
            widths.saliency.deviation(),
            widths.positions.mean(),
            widths.saliency_by_depth.scaled(),
            widths.channels_by_depth.scaled(),
            widths.correlation.mean(),
            widths.last_correlation,
            or_zero(widths.weighted_correlation, widths.macs),
            census.links.max(1.0).ln(),
            other_parameters.ln_1p(),
            other_macs.ln_1p(),
        ]
    }

    /// The paths to all outputs together, each output with an equal share.
    fn at_the_outputs(&self) -> Paths {
        let outputs = &self.plan.outputs;
        let count = outputs.len() as f64;
        let mut found = Paths { least: f64::INFINITY, ..Paths::default() };
        let mut number_of_paths = 0.0;
        let largest = outputs
            .iter()
            .map(|&at| self.desk.paths[at].log_number)
            .fold(f64::NEG_INFINITY, f64::max);
        for &at in outputs {
            let one = &self.desk.paths[at];
            found.kernels += one.kernels / count;
            found.kernels_square += one.kernels_square / count;
            found.activations += one.activations / count;
            found.reach += one.reach / count;
            found.least = found.least.min(one.least);
            found.most = found.most.max(one.most);
            number_of_paths += (one.log_number - largest).exp();
        }
        if count == 0.0 {
            return Paths::default();
        }
        found.log_number = largest + number_of_paths.ln();
        found
    }
}

/// Sums over the links with a kernel.
#[derive(Debug, Clone, Copy)]
struct Widths {
    channels: Moments,
    widest: f64,
    narrowest: f64,
    ratio: Moments,
    fan_in: Moments,
    weights: Moments,
    units: Moments,
    taps: Moments,
    saliency: Moments,
    positions: Moments,
    saliency_by_depth: Slope,
    channels_by_depth: Slope,
    correlation: Moments,
    last_correlation: f64,
    weighted_correlation: f64,
    macs: f64,
}

impl Default for Widths {
    fn default() -> Self {
        let (none, flat) = (Moments::default(), Slope::default());
        Self {
            channels: none,
            widest: f64::NEG_INFINITY,
            narrowest: f64::INFINITY,
            ratio: none,
            fan_in: none,
            weights: none,
            units: none,
            taps: none,
            saliency: none,
            positions: none,
            saliency_by_depth: flat,
            channels_by_depth: flat,
            correlation: none,
            last_correlation: 0.0,
            weighted_correlation: 0.0,
            macs: 0.0,
        }
    }
}

impl Widths {
    fn add(&mut self, link: LinkMeasure, kernel: &Weighted, before: &Paths) {
        let channels = kernel.target_channels.ln();
        let fan = kernel.fan * link.taps;
        let units = kernel.target_channels * kernel.target_positions * fan.sqrt();
        let weights = fan * kernel.target_channels;
        self.channels.add(channels);
        self.widest = self.widest.max(channels);
        self.narrowest = self.narrowest.min(channels);
        self.ratio.add((kernel.source_channels / kernel.target_channels).ln().abs());
        self.fan_in.add((kernel.fan * kernel.taps).ln());
        self.weights.add(weights.ln());
        self.units.add(units.ln());
        self.taps.add(link.taps.ln());
        self.positions.add(kernel.target_positions.ln());
        self.correlation.add(link.correlation);
        self.channels_by_depth.add(before.kernels, channels);
        // Where no derivative arrives there is no saliency to speak of.
        if link.log_saliency.is_finite() {
            self.saliency.add(link.log_saliency);
            self.saliency_by_depth.add(before.kernels, link.log_saliency);
        }
        if kernel.target_positions > 1.0 {
            self.last_correlation = link.correlation;
        }
        self.weighted_correlation += weights * kernel.target_positions * link.correlation;
        self.macs += weights * kernel.target_positions;
    }
}
