//! One sweep forwards, one backwards, and the sums over links that are scores.

use std::f64::consts::PI;

use super::operators::{Gradient, Operator, Signal, Weighted};
use super::plan::{Node, Plan, PlanLink, Rule};
use crate::propagation::Moments;

/// The names of the scores of [`Plan::score`], in their order.
pub const SCORE_NAMES: [&str; 11] = [
    "saliency_entropy",
    "effective_macs",
    "effective_units",
    "effective_edges",
    "effective_parameters",
    "weights",
    "macs",
    "activations",
    "depth",
    "layers",
    "log_size",
];

/// Scores of one architecture. Only what lies between an input and an output counts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scores {
    /// In nats; minus infinity if no path leads from an input to an output over a kernel.
    pub saliency_entropy: f64,
    /// Multiplications by weights, with effective taps.
    pub effective_macs: f64,
    /// Units, with effective inputs.
    pub effective_units: f64,
    /// Edges, counted at the positions that are read.
    pub effective_edges: f64,
    /// Weights, with effective taps; tied ones once.
    pub effective_parameters: f64,
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
    /// The mean of the saliency entropy and of the mean logarithm of effective parameters and
    /// layers, in nats. Kernels whose results meet in one sum or concatenation, and nowhere else,
    /// are one layer here, for they are blocks of one kernel.
    pub log_size: f64,
}

impl Scores {
    /// Where no path leads from an input to an output.
    pub(crate) const NOTHING: Self = Self {
        saliency_entropy: f64::NEG_INFINITY,
        effective_macs: 0.0,
        effective_units: 0.0,
        effective_edges: 0.0,
        effective_parameters: 0.0,
        weights: 0.0,
        macs: 0.0,
        activations: 0.0,
        depth: 0.0,
        layers: 0.0,
        log_size: f64::NEG_INFINITY,
    };

    /// All scores, in the order of [`SCORE_NAMES`].
    #[must_use]
    pub fn to_array(&self) -> [f64; 11] {
        [
            self.saliency_entropy,
            self.effective_macs,
            self.effective_units,
            self.effective_edges,
            self.effective_parameters,
            self.weights,
            self.macs,
            self.activations,
            self.depth,
            self.layers,
            self.log_size,
        ]
    }
}

/// Buffers that sweeps over one plan write to, so that none of them allocates.
#[derive(Debug, Clone)]
pub struct Workspace {
    signals: Vec<Signal>,
    gradients: Vec<Gradient>,
    /// Mean squared slope of each function, and its mean product at two positions.
    slopes: Vec<(f64, f64)>,
    depths: Vec<u32>,
    known: KnownMoments,
    saliencies: Vec<Saliency>,
    /// The last sweep in which each kernel was met.
    met: Vec<u64>,
    meetings: Meetings,
    sweep: u64,
}

/// What a kernel matters: the square root of saliency times units, as `root * 2^exponent`.
#[derive(Debug, Clone, Copy)]
struct Saliency {
    root: f64,
    exponent: i64,
    units: f64,
}

impl Saliency {
    /// The root, divided by `2^top`; zero if that is too small to matter.
    fn below(&self, top: i64) -> f64 {
        let shift = self.exponent.saturating_sub(top);
        if shift == 0 {
            self.root
        } else if shift > -1000 {
            self.root * f64::from_bits(((1023 + shift) as u64) << 52)
        } else {
            0.0
        }
    }
}

impl Workspace {
    /// Buffers for sweeps over the given plan.
    #[must_use]
    pub fn new(plan: &Plan) -> Self {
        let nodes = plan.nodes.len();
        Self {
            signals: vec![Signal::default(); nodes],
            gradients: vec![Gradient::default(); nodes],
            slopes: vec![(0.0, 0.0); nodes],
            depths: vec![0; nodes],
            known: KnownMoments::new(plan.functions.len()),
            saliencies: Vec::with_capacity(plan.links.len()),
            met: vec![0; plan.kernels],
            meetings: Meetings::new(nodes),
            sweep: 0,
        }
    }
}

/// Where the results of kernels meet.
#[derive(Debug, Clone, Default)]
struct Meetings {
    /// The sum or the concatenation of channels that a tensor is a part of and that alone reads it,
    /// if there is one. Norms may lie in between, and before a concatenation functions.
    of: Vec<Option<usize>>,
    /// The same for whatever arrives at a tensor, which may be that place itself.
    into: Vec<Option<usize>>,
    is_read: Vec<bool>,
    /// The last sweep in which a kernel led to each of them.
    met: Vec<u64>,
}

impl Meetings {
    fn new(nodes: usize) -> Self {
        let (of, into) = (vec![None; nodes], vec![None; nodes]);
        Self { of, into, is_read: vec![false; nodes], met: vec![0; nodes] }
    }

    /// One more reader of a tensor, and the meeting that it leads to.
    fn read(&mut self, tensor: usize, to: Option<usize>) {
        self.of[tensor] = to.filter(|_| !self.is_read[tensor]);
        self.is_read[tensor] = true;
    }
}

/// The latest moments of functions, which take long to integrate. Equal branches, the gates of a
/// recurrent cell, and other architectures of a space ask for the same ones again.
#[derive(Debug, Clone)]
struct KnownMoments(Vec<Option<(MomentsKey, Moments)>>);

/// The number of a function, and the bits of the variance and correlation of its arguments.
type MomentsKey = (usize, u64, u64);

impl KnownMoments {
    /// How many are kept, a power of two.
    const PLACES: usize = 1 << 10;

    fn new(functions: usize) -> Self {
        Self(vec![None; if functions > 0 { Self::PLACES } else { 0 }])
    }

    /// Moments from the table, or computed and put there.
    fn get(&mut self, key: MomentsKey, compute: impl FnOnce() -> Moments) -> Moments {
        let (function, variance, correlation) = key;
        let mixed = (variance ^ correlation.rotate_left(29) ^ function as u64)
            .wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let place = (mixed >> 32) as usize & (Self::PLACES - 1);
        match self.0.get(place) {
            Some(Some((known, moments))) if *known == key => *moments,
            _ => {
                let moments = compute();
                if let Some(slot) = self.0.get_mut(place) {
                    *slot = Some((key, moments));
                }
                moments
            }
        }
    }
}

/// `Cov(relu x, relu x') / Var relu x` of normal variables with correlation `r`, the cosine of
/// `angle`.
fn relu_correlation(r: f64, angle: f64) -> f64 {
    let kernel = ((1.0 - r * r).max(0.0).sqrt() + r * (PI - angle)) / PI;
    (kernel - 1.0 / PI) / (1.0 - 1.0 / PI)
}

impl Plan {
    /// Scores, in a workspace of this plan or of a larger one that this is a part of; nothing is
    /// allocated.
    pub fn score(&self, workspace: &mut Workspace) -> Scores {
        self.forwards(workspace);
        self.backwards(workspace);
        self.find_meetings(&mut workspace.meetings);
        self.sum(workspace)
    }

    /// The signal of every tensor.
    pub(super) fn forwards(&self, workspace: &mut Workspace) {
        for (at, node) in self.nodes.iter().enumerate() {
            if node.rule == Rule::Input {
                (workspace.signals[at], workspace.depths[at]) = (Signal::STANDARD, 0);
                continue;
            }
            let mut depth = 0;
            for link in self.into(node) {
                let step = u32::from(matches!(self.operator(link), Operator::Weighted(_)));
                depth = depth.max(workspace.depths[link.source()] + step);
            }
            workspace.depths[at] = depth;
            workspace.signals[at] = self.forwards_into(at, node, workspace);
        }
    }

    /// The signal of a tensor that is not an input.
    fn forwards_into(&self, at: usize, node: &Node, workspace: &mut Workspace) -> Signal {
        let arriving =
            |link: &PlanLink| self.operator(link).forwards(&workspace.signals[link.source()]);
        let links = self.into(node);
        let mut found = Signal::default();
        match node.rule {
            Rule::Input => return Signal::STANDARD,
            Rule::Sum { subtracts } => {
                if let Some((link, others)) = links.split_first() {
                    found = arriving(link);
                    for link in others {
                        let mut one = arriving(link);
                        if subtracts {
                            one.mean = -one.mean;
                        }
                        found.add(&one, 1.0);
                    }
                    if !others.is_empty() || !matches!(self.operator(link), Operator::Move(_)) {
                        found.kept = found.variance;
                    }
                }
            }
            Rule::Concatenation | Rule::Choice => {
                let share = |link: &PlanLink| match self.operator(link) {
                    Operator::Move(moved) if node.rule == Rule::Concatenation => moved.share,
                    _ => 1.0,
                };
                let total: f64 = links.iter().map(share).sum();
                for link in links {
                    found.add(&arriving(link), share(link) / total);
                }
                if node.rule == Rule::Choice {
                    found.kept = found.variance;
                }
            }
            Rule::Norm => {
                for link in links {
                    found = Signal { covariance: arriving(link).correlation(), ..Signal::STANDARD };
                }
            }
            Rule::Relu | Rule::Function(_) => {
                let argument = links.first().map(arriving);
                if let Some(argument) = argument {
                    (found, workspace.slopes[at]) =
                        self.function(node.rule, &argument, &mut workspace.known);
                }
            }
            Rule::Product => {
                let (mut square, mut pair, mut means) = (1.0, 1.0, 1.0);
                for link in links {
                    let one = arriving(link);
                    let mean = one.mean * one.mean;
                    square *= one.variance + mean;
                    pair *= one.covariance + mean;
                    means *= one.mean;
                    found.exponent = found.exponent.saturating_add(one.exponent);
                }
                found.mean = means;
                found.variance = (square - means * means).max(0.0);
                found.covariance = (pair - means * means).max(0.0);
                found.kept = found.variance;
                found.settle();
            }
            Rule::Quotient => {
                if let Some(dividend) = links.first() {
                    found = arriving(dividend);
                    found.kept = found.variance;
                }
            }
            Rule::Steady => found = Signal { mean: 1.0, ..Signal::default() },
            Rule::Softmax { length } => {
                for link in links {
                    let one = arriving(link).plain();
                    // The mean square of the weights of normal scores, which is e^t / n^2 for many
                    // keys, with the mean square of their sum in the denominator.
                    let apart = (one.variance - one.covariance).max(0.0);
                    let mean = 1.0 / length;
                    let square = mean / (1.0 + (length - 1.0) * (-apart).exp());
                    let variance = (square - mean * mean).max(0.0);
                    found = Signal { variance, covariance: 0.0, mean, kept: variance, exponent: 0 };
                }
            }
            Rule::Route(route) => {
                let r = links.first().map_or(0.0, |link| arriving(link).correlation());
                let pair = route.apart + (route.square - route.apart) * r.powf(route.power);
                let mean = route.mean * route.mean;
                let variance = (route.square - mean).max(0.0);
                // Tokens that chose other experts have less in common than independent numbers.
                let covariance = pair - mean;
                found =
                    Signal { variance, covariance, mean: route.mean, kept: variance, exponent: 0 };
            }
            Rule::Matmul { terms, scale, is_score } => {
                let factors = [0, 1].map(|number| self.factor(links, number, workspace));
                let [(q1, r1), (q2, r2)] = factors.map(|one| {
                    let mean = one.mean * one.mean;
                    (one.variance + mean, one.covariance + mean)
                });
                let scale = terms * scale;
                found.variance = scale * q1 * q2;
                // The covariance between two keys of one query, or between two queries of one key.
                found.covariance =
                    scale * if is_score { (q1 * r2 + r1 * q2) / 2.0 } else { r1 * r2 };
                found.kept = found.variance;
                found.exponent = factors[0].exponent.saturating_add(factors[1].exponent);
                found.settle();
            }
            Rule::Mix { keys, weights } => {
                let spread = self.spread(node, weights, keys, workspace);
                found = self.factor(links, 1 - weights, workspace);
                let apart = found.variance - found.covariance;
                found.variance = found.covariance + spread * apart;
                found.covariance += apart / keys;
                found.kept = found.variance;
            }
        }
        found
    }

    /// The signal of one of the two factors of a product of matrices.
    fn factor(&self, links: &[PlanLink], number: usize, workspace: &Workspace) -> Signal {
        match (links.get(number), links.first().map(|link| self.operator(link))) {
            (Some(link), _) => self.operator(link).forwards(&workspace.signals[link.source()]),
            (None, Some(Operator::ByLearnt { factor, .. })) => *factor,
            (None, _) => Signal::STANDARD,
        }
    }

    /// The factor by which attention multiplies the variance between keys: one over their number if
    /// they have equal weights.
    fn spread(&self, node: &Node, weights: usize, keys: f64, workspace: &Workspace) -> f64 {
        let one = self.factor(self.into(node), weights, workspace);
        (keys * (one.variance + one.mean * one.mean)).min(1.0)
    }

    /// The signal of a function's values, with the mean square of its slopes and their mean product
    /// at two positions.
    fn function(
        &self,
        rule: Rule,
        argument: &Signal,
        known: &mut KnownMoments,
    ) -> (Signal, (f64, f64)) {
        let r = argument.correlation();
        let Rule::Function(number) = rule else {
            let variance = argument.variance * (1.0 - 1.0 / PI) / 2.0;
            let angle = r.acos();
            let signal = Signal {
                variance,
                covariance: variance * relu_correlation(r, angle),
                mean: (argument.variance / (2.0 * PI)).sqrt(),
                ..*argument
            };
            return (signal, (0.5, (PI - angle) / (2.0 * PI)));
        };
        let function = &self.functions[number];
        let (argument, exponent) = if function.is_homogeneous() {
            (*argument, argument.exponent)
        } else {
            (argument.plain(), 0)
        };
        let key = (number, argument.variance.to_bits(), r.to_bits());
        let moments = known.get(key, || function.alone(0.0, argument.variance, r));
        let mean = moments.mean * moments.mean;
        let variance = (moments.square - mean).max(0.0);
        let signal = Signal {
            variance,
            covariance: (moments.pairs[0] - mean).clamp(0.0, variance),
            mean: moments.mean,
            kept: argument.kept,
            exponent,
        };
        (signal, (moments.slope_square, moments.slope_pair))
    }

    fn backwards(&self, workspace: &mut Workspace) {
        workspace.gradients[..self.nodes.len()].fill(Gradient::default());
        for &output in &self.outputs {
            workspace.gradients[output].add(&Gradient::OUTPUT);
        }
        for (at, node) in self.nodes.iter().enumerate().rev() {
            let gradient = workspace.gradients[at];
            if gradient.square == 0.0 {
                continue;
            }
            for (number, link) in self.into(node).iter().enumerate() {
                let source = link.source();
                let given = self.through(at, number, &gradient, workspace);
                let back = self.operator(link).backwards(&given, &workspace.signals[source]);
                workspace.gradients[source].add(&back);
            }
        }
    }

    /// The derivatives that the rule of a tensor passes on to one of its links.
    #[inline]
    fn through(
        &self,
        at: usize,
        number: usize,
        gradient: &Gradient,
        workspace: &Workspace,
    ) -> Gradient {
        let node = &self.nodes[at];
        let links = self.into(node);
        let source = &workspace.signals[links[number].source()];
        let others =
            || {
                links.iter().enumerate().filter(move |&(other, _)| other != number).map(
                    |(_, link)| self.operator(link).forwards(&workspace.signals[link.source()]),
                )
            };
        match node.rule {
            Rule::Input | Rule::Sum { .. } | Rule::Concatenation => *gradient,
            Rule::Choice => {
                let share = 1.0 / (1.0 + others().count() as f64);
                gradient.times(share, share)
            }
            Rule::Relu | Rule::Function(_) => {
                let (square, pair) = workspace.slopes[at];
                gradient.times(square, pair)
            }
            Rule::Norm => {
                if source.variance <= 0.0 {
                    return Gradient::default();
                }
                let mut to = gradient.times(1.0 / source.variance, 1.0 / source.variance);
                to.exponent = to.exponent.saturating_sub(source.exponent);
                to
            }
            Rule::Product => {
                let (mut square, mut pair) = (1.0, 1.0);
                let mut to = *gradient;
                for other in others() {
                    let mean = other.mean * other.mean;
                    square *= other.variance + mean;
                    pair *= other.covariance + mean;
                    to.exponent = to.exponent.saturating_add(other.exponent);
                }
                to.times(square, pair)
            }
            Rule::Quotient if number == 0 => *gradient,
            Rule::Quotient => {
                // In proportion to the divisor, as if that were one.
                let (mut to, divisor) = (*gradient, source.variance + source.mean * source.mean);
                if divisor <= 0.0 {
                    return Gradient::default();
                }
                for other in others() {
                    let mean = other.mean * other.mean;
                    let squares = (other.variance + mean, other.covariance + mean);
                    to = to.times(squares.0 / divisor, squares.1 / divisor);
                    to.exponent = to.exponent.saturating_add(other.exponent);
                }
                to.exponent = to.exponent.saturating_sub(source.exponent);
                to
            }
            Rule::Steady => Gradient::default(),
            Rule::Route(route) => {
                // The operator counts the weights that follow from each number.
                let pair = route.slope * source.correlation();
                let mut to = gradient.times(route.slope, pair);
                if let Operator::Move(moved) = self.operator(&links[number]) {
                    to = to.times(1.0 / moved.channels, 1.0 / moved.channels);
                }
                to.exponent = to.exponent.saturating_sub(source.exponent);
                to
            }
            Rule::Softmax { .. } => {
                let own = workspace.signals[at];
                let square = own.variance + own.mean * own.mean;
                gradient.times(square, square)
            }
            Rule::Matmul { scale, is_score, .. } => {
                let other = self.factor(links, 1 - number, workspace);
                let mean = other.mean * other.mean;
                let apart = other.variance - other.covariance;
                let mut to = if is_score {
                    gradient.times(scale * apart, scale * apart)
                } else {
                    gradient
                        .times(scale * (other.variance + mean), scale * (other.covariance + mean))
                };
                to.exponent = to.exponent.saturating_add(other.exponent);
                to
            }
            Rule::Mix { keys, weights } => {
                let (Operator::Contracted { products } | Operator::ByLearnt { products, .. }) =
                    *self.operator(&links[number])
                else {
                    return *gradient;
                };
                if number == weights {
                    let other = self.factor(links, 1 - number, workspace);
                    let mut to = gradient.times(other.variance - other.covariance, 0.0);
                    to.exponent = to.exponent.saturating_add(other.exponent);
                    return to;
                }
                // The operator counts the queries that read a value. Their derivatives add up, each
                // times a weight, which is one over the number of keys in the mean.
                let spread = self.spread(node, weights, keys, workspace);
                let (queries, apart) = (products, gradient.square - gradient.covariance);
                let coherent = queries / keys * gradient.covariance;
                Gradient {
                    square: (coherent + spread * apart) / keys,
                    covariance: (coherent + apart / keys) / keys,
                    exponent: gradient.exponent,
                }
            }
        }
    }

    /// Finds where each tensor is added or put beside others, if nothing else is done with it.
    ///
    /// Kernels that lead to one such place do not lead to each other. They are blocks of one kernel:
    /// side by side if they are added, one below the other if they read one tensor and are put
    /// beside each other, and else along the diagonal, as groups are.
    fn find_meetings(&self, meetings: &mut Meetings) {
        meetings.is_read[..self.nodes.len()].fill(false);
        for &output in &self.outputs {
            meetings.read(output, None);
        }
        let is_sum = |place: usize| matches!(self.nodes[place].rule, Rule::Sum { .. });
        for (at, node) in self.nodes.iter().enumerate().rev() {
            let behind = if meetings.is_read[at] { meetings.of[at] } else { None };
            let to = match (node.rule, self.into(node).len()) {
                // Sums of sums are one sum, and so are concatenations.
                (Rule::Sum { .. }, 2..) => behind.filter(|&place| is_sum(place)).or(Some(at)),
                (Rule::Concatenation, 2..) => behind.filter(|&place| !is_sum(place)).or(Some(at)),
                (Rule::Relu | Rule::Function(_), _) => behind.filter(|&place| !is_sum(place)),
                (Rule::Norm | Rule::Sum { .. } | Rule::Concatenation, _) => behind,
                _ => None,
            };
            meetings.into[at] = to;
            let positions = self.facts(node).positions;
            for link in self.into(node) {
                let source = self.facts(&self.nodes[link.source()]);
                // Parts that lie at other positions are results of other layers.
                let stays = matches!(self.operator(link), Operator::Move(_))
                    && source.positions == positions;
                meetings.read(link.source(), to.filter(|_| stays));
            }
        }
    }

    /// How many layers the kernels into a tensor are, apart from those that were met before.
    fn new_layers(at: usize, kernels: usize, workspace: &mut Workspace) -> usize {
        let Workspace { meetings, sweep, .. } = workspace;
        match meetings.into[at] {
            Some(place) if kernels > 0 => {
                usize::from(std::mem::replace(&mut meetings.met[place], *sweep) != *sweep)
            }
            _ => kernels,
        }
    }

    fn sum(&self, workspace: &mut Workspace) -> Scores {
        let mut scores = Scores::NOTHING;
        let mut layers = 0;
        for &output in &self.outputs {
            scores.depth = scores.depth.max(f64::from(workspace.depths[output]));
        }
        workspace.saliencies.clear();
        workspace.sweep += 1;
        for (at, node) in self.nodes.iter().enumerate() {
            let mut kernels = 0;
            for link in self.into(node) {
                if let Operator::Weighted(kernel) = self.operator(link) {
                    let source = workspace.signals[link.source()];
                    add_link(&mut scores, kernel, &source, at, workspace);
                    kernels += 1;
                }
            }
            layers += Self::new_layers(at, kernels, workspace);
        }
        let matter = workspace.saliencies.iter().filter(|one| one.root > 0.0);
        let Some(top) = matter.clone().map(|one| one.exponent).max() else { return scores };
        // With r the roots and u the units, -sum p ln(p / u) of the shares p = r / sum r is
        // ln sum r - sum r ln(r / u) / sum r.
        let (mut total, mut weighed) = (0.0, 0.0);
        for one in matter {
            let root = one.below(top);
            if root > 0.0 {
                total += root;
                weighed += root * (root / one.units).ln();
            }
        }
        scores.saliency_entropy = total.ln() - weighed / total;
        let size = (scores.effective_parameters.ln() + (layers as f64).ln()) / 2.0;
        scores.log_size = (scores.saliency_entropy + size) / 2.0;
        scores
    }
}

/// What features need to know of a link with a kernel.
#[derive(Debug, Clone, Copy)]
pub(super) struct LinkMeasure {
    /// Effective taps.
    pub(super) taps: f64,
    /// Between positions of the source.
    pub(super) correlation: f64,
    /// The logarithm of the root of the expected square saliency.
    pub(super) log_saliency: f64,
}

impl Workspace {
    pub(super) fn signal(&self, at: usize) -> &Signal {
        &self.signals[at]
    }

    pub(super) fn measure(&self, kernel: &Weighted, source: usize, at: usize) -> LinkMeasure {
        let (source, gradient) = (self.signals[source], self.gradients[at]);
        let correlation = if kernel.is_table { 0.0 } else { source.correlation() };
        let (kept, exponent) =
            if kernel.is_table { (1.0, 0) } else { (source.kept, source.exponent) };
        let power = kernel.target_channels * kernel.target_positions * kept * gradient.square;
        let log_power = power.ln() + exponent.saturating_add(gradient.exponent) as f64 * 4f64.ln();
        LinkMeasure {
            taps: kernel.effective_taps(correlation),
            correlation,
            log_saliency: log_power / 2.0,
        }
    }
}

/// Adds a link with a kernel into tensor `at`.
fn add_link(
    scores: &mut Scores,
    kernel: &Weighted,
    source: &Signal,
    at: usize,
    workspace: &mut Workspace,
) {
    let x = if kernel.is_table { 0.0 } else { source.correlation() };
    let taps = kernel.effective_taps(x);
    let weights = kernel.fan * kernel.target_channels;
    let units = kernel.target_channels * kernel.positions_read * (kernel.fan * taps).sqrt();
    scores.effective_macs += weights * taps * kernel.target_positions;
    scores.effective_edges += weights * taps * kernel.positions_read;
    scores.effective_units += units;
    scores.macs += weights * kernel.taps * kernel.target_positions;
    scores.layers += 1.0;
    scores.activations += kernel.target_channels * kernel.target_positions;
    if workspace.met[kernel.kernel] != workspace.sweep {
        workspace.met[kernel.kernel] = workspace.sweep;
        scores.effective_parameters += weights * taps * kernel.copies;
        scores.weights += weights * kernel.taps * kernel.copies;
    }
    let gradient = workspace.gradients[at];
    let (kept, exponent) = if kernel.is_table { (1.0, 0) } else { (source.kept, source.exponent) };
    let power = kernel.target_channels * kernel.target_positions * kept * gradient.square;
    workspace.saliencies.push(Saliency {
        root: (power * units).sqrt(),
        exponent: exponent.saturating_add(gradient.exponent),
        units,
    });
}
