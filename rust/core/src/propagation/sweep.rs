//! The two sweeps: signals forwards, derivatives backwards.
//!
//! A signal is the law of a tensor's elements over random weights, as far as second moments say it;
//! behind a function it is taken to be normal. Rules are those of mean field theory: He et al.,
//! *Delving deep into rectifiers*, 2015; Poole et al., *Exponential expressivity in deep neural
//! networks through transient chaos*, 2016; Schoenholz et al., *Deep information propagation*, 2017;
//! Yang et al., *A mean field theory of batch normalization*, 2019.

use super::functions::Function;
use super::moments::{Law, Moments};
use super::piecewise::PiecewiseLinear;
use super::program::{Affine, Cross, Fixed, Node, Operator, Program, Rule, Scores};
use super::scaled::{Scaled, excess, power_of_four, power_of_two};
use super::settings::{BatchNormMode, Elements, InputLaw, Settings};
use super::smooth::Expansion;
use crate::error::{Error, Result};
use crate::network::TensorId;

/// With another sample, with another position, with both: the pairs that products are kept of.
const SAMPLES: usize = 0;
const POSITIONS: usize = Law::POSITIONS;
const BOTH: usize = 2;

/// Moments of the elements of a tensor. With the tensor's exponent `e`, means are in units of
/// `2^e` and products in units of `4^e`.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
struct Signal {
    mean: f64,
    square: f64,
    /// Mean products of an element with itself in another sample, at another position, and both.
    pairs: [f64; 3],
}

/// Mean square of the derivatives by the elements of a tensor, and their mean product at two
/// positions; in units of `4^e` with an exponent of the tensor.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
struct Gradient {
    square: f64,
    pair: f64,
}

/// Room for the numbers of a sweep, which holds them after it; to be used again and again.
#[derive(Debug, Clone, Default)]
pub struct Workspace {
    signals: Vec<Signal>,
    signal_exponents: Vec<i64>,
    gradients: Vec<Gradient>,
    gradient_exponents: Vec<i64>,
    /// Whether a signal arrives at each node.
    alive: Vec<bool>,
    /// By which factor each link multiplies mean squares and mean products of derivatives.
    slopes: Vec<(f64, f64)>,
    /// The expected squared gradient of each parameter, summed over its elements.
    parameters: Vec<Scaled>,
    expansions: Vec<Option<Expansion>>,
}

/// What a sweep says of a tensor. Products are mean products of elements.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TensorReading {
    /// Mean of the elements, without the factor `2^exponent` of [`TensorReading::square`].
    pub mean: f64,
    /// Mean square, with the exponent of it and the following products.
    pub square: Scaled,
    /// With the same element of another sample.
    pub samples: f64,
    /// With the element of the same channel at another position.
    pub positions: f64,
    /// With that of another sample.
    pub both: f64,
    /// Mean square of the derivatives.
    pub gradient: Scaled,
    /// Their correlation between positions.
    pub coherence: f64,
}

/// Sends a signal through a network, and derivatives back.
///
/// # Errors
/// [`Error::InvalidSetting`] if the settings do not fit the program, [`Error::OutOfDomain`] where
/// a signal leaves what a formula can follow.
pub fn propagate(
    program: &Program,
    settings: &Settings,
    live: Option<&[bool]>,
    workspace: &mut Workspace,
) -> Result<()> {
    let mut sweep = Sweep { program, settings, workspace };
    sweep.prepare(live)?;
    sweep.forward(live)?;
    sweep.backward(live);
    Ok(())
}

impl Workspace {
    /// What the last sweep says of a tensor; `None` for one that is not in the program, or that no
    /// signal arrived at.
    #[must_use]
    pub fn tensor(&self, program: &Program, tensor: TensorId) -> Option<TensorReading> {
        let node = program.node_of.get(tensor.0).copied().flatten()?;
        if !self.alive.get(node).copied().unwrap_or(false) {
            return None;
        }
        let (signal, exponent) = (self.signals[node], self.signal_exponents[node]);
        let gradient = self.gradients[node];
        Some(TensorReading {
            mean: signal.mean,
            square: Scaled { value: signal.square, exponent },
            samples: signal.pairs[SAMPLES],
            positions: signal.pairs[POSITIONS],
            both: signal.pairs[BOTH],
            gradient: Scaled { value: gradient.square, exponent: self.gradient_exponents[node] },
            coherence: if gradient.square > 0.0 { gradient.pair / gradient.square } else { 0.0 },
        })
    }

    /// The expected squared gradient of a parameter, summed over its elements, by its number.
    #[must_use]
    pub fn parameter(&self, number: usize) -> Scaled {
        self.parameters.get(number).copied().unwrap_or_default()
    }

    /// The expected square of the derivatives of all outputs by all inputs.
    #[must_use]
    pub fn jacobian(&self, program: &Program) -> Scaled {
        let mut sum = Scaled::default();
        for (number, node) in program.nodes.iter().enumerate() {
            if matches!(node.rule, Rule::Input) && self.alive[number] {
                let gradient = self.gradients[number].square;
                sum.add(Scaled::new(node.elements * gradient, self.gradient_exponents[number]));
            }
        }
        sum
    }
}

struct Sweep<'a> {
    program: &'a Program,
    settings: &'a Settings,
    workspace: &'a mut Workspace,
}

impl Sweep<'_> {
    fn prepare(&mut self, live: Option<&[bool]>) -> Result<()> {
        let (program, settings) = (self.program, self.settings);
        let inputs = program.nodes.iter().filter(|node| matches!(node.rule, Rule::Input)).count();
        let fits = |given: usize, expected: usize, one: bool, what: &str| {
            if given == expected || (one && given == 1) {
                return Ok(());
            }
            Err(Error::InvalidSetting {
                reason: format!("expected {expected} {what}, got {given}"),
            })
        };
        fits(settings.parameters.len(), program.parameters.len(), false, "parameters")?;
        fits(settings.inputs.len(), inputs, true, "laws of inputs")?;
        fits(settings.seeds.len(), program.outputs.len(), true, "mean squares of derivatives")?;
        if let Some(live) = live {
            fits(live.len(), program.links.len(), false, "marks of links")?;
        }
        let workspace = &mut *self.workspace;
        let nodes = program.nodes.len();
        workspace.signals.clear();
        workspace.signals.resize(nodes, Signal::default());
        workspace.signal_exponents.clear();
        workspace.signal_exponents.resize(nodes, 0);
        workspace.gradients.clear();
        workspace.gradients.resize(nodes, Gradient::default());
        workspace.gradient_exponents.clear();
        workspace.gradient_exponents.resize(nodes, 0);
        workspace.alive.clear();
        workspace.alive.resize(nodes, true);
        workspace.slopes.clear();
        workspace.slopes.resize(program.links.len(), (1.0, 1.0));
        workspace.parameters.clear();
        workspace.parameters.resize(program.parameters.len(), Scaled::default());
        workspace.expansions.resize(program.functions.len(), None);
        Ok(())
    }

    fn elements(&self, parameter: Option<usize>, absent: Elements) -> Elements {
        parameter.map_or(absent, |number| self.settings.parameters[number])
    }

    fn is_alive(&self, link: usize, live: Option<&[bool]>) -> bool {
        live.is_none_or(|live| live[link]) && self.workspace.alive[self.program.links[link].source]
    }

    fn forward(&mut self, live: Option<&[bool]>) -> Result<()> {
        let program = self.program;
        let mut input = 0;
        for (number, node) in program.nodes.iter().enumerate() {
            let alive = match node.rule {
                Rule::Input | Rule::Parameter(_) => true,
                Rule::Combine { .. } | Rule::Maximum { .. } => {
                    node.links.clone().any(|link| self.is_alive(link, live))
                }
                _ => node.links.clone().all(|link| self.is_alive(link, live)),
            };
            self.workspace.alive[number] = alive;
            if !alive {
                continue;
            }
            let (mut signal, mut exponent) = match &node.rule {
                Rule::Input => {
                    let laws = &self.settings.inputs;
                    let law = laws[input.min(laws.len() - 1)];
                    input += 1;
                    (Signal::of_input(law), 0)
                }
                &Rule::Parameter(parameter) => {
                    (Signal::of_parameter(self.settings.parameters[parameter]), 0)
                }
                Rule::Combine { cross } => self.combine(node, *cross, live),
                &Rule::Function(function) => {
                    let link = node.links.start;
                    let source = program.links[link].source;
                    self.function(function, link, source, node)?
                }
                Rule::Product => self.product(node),
                Rule::Maximum { sign } => self.maximum(node, *sign, live),
                Rule::MaxPool { after } => self.max_pool(node, *after)?,
                Rule::BatchNorm { epsilon, affine, stored } => {
                    self.batch_norm(node, *epsilon, *affine, *stored)
                }
                &Rule::GroupNorm { epsilon, affine, channels, positions } => {
                    self.group_norm(node, epsilon, affine, channels, positions)
                }
                &Rule::RmsNorm { epsilon, affine, group } => {
                    self.rms_norm(node, epsilon, affine, group)
                }
                Rule::Attention(scores) => (self.attention(scores), 0),
                Rule::Mix { scores, .. } => self.mix(node, scores),
                Rule::Scores(scores) => self.scores(scores),
                Rule::Softmax { length } => (self.softmax(node, *length), 0),
                Rule::Matmul { features, scale, along_positions } => {
                    self.matmul(node, *features, *scale, *along_positions)
                }
                &Rule::Embedding { table } => {
                    let table = self.settings.parameters[table];
                    let square = table.mean * table.mean;
                    let pairs = [square; 3];
                    (Signal { mean: table.mean, square: table.mean_square, pairs }, 0)
                }
                Rule::OneHot => (Signal::default(), 0),
            };
            if node.positions <= 1.0 {
                signal.pairs[POSITIONS] = signal.square;
                signal.pairs[BOTH] = signal.pairs[SAMPLES];
            }
            let shift = excess(signal.square);
            if shift != 0 {
                signal = signal.in_units_of(shift);
                exponent += shift;
            }
            if !signal.is_finite() {
                return Err(self.out_of_domain(node));
            }
            self.workspace.signals[number] = signal;
            self.workspace.signal_exponents[number] = exponent;
        }
        Ok(())
    }

    fn out_of_domain(&self, node: &Node) -> Error {
        Error::OutOfDomain { tensor: node.tensor }
    }

    fn source(&self, link: usize) -> (Signal, i64) {
        let source = self.program.links[link].source;
        (self.workspace.signals[source], self.workspace.signal_exponents[source])
    }

    fn combine(&mut self, node: &Node, cross: Cross, live: Option<&[bool]>) -> (Signal, i64) {
        let mut sum = Signal::default();
        let mut exponent = i64::MIN;
        for link in node.links.clone() {
            let (signal, own) = self.source(link);
            if self.is_alive(link, live) && signal.square > 0.0 {
                exponent = exponent.max(own);
            }
        }
        if exponent == i64::MIN {
            exponent = 0;
        }
        let mut squares = 0.0;
        for link in node.links.clone() {
            if !self.is_alive(link, live) {
                continue;
            }
            let (signal, own) = self.source(link);
            let signal = if own == exponent { signal } else { signal.in_units_of(exponent - own) };
            match &self.program.links[link].operator {
                Operator::Weighted(weighted) => {
                    let variance = self.settings.parameters[weighted.kernel].mean_square;
                    let spread = variance * weighted.into;
                    let shared = spread * weighted.share;
                    let [samples, positions, both] = signal.seen(weighted.sees_positions).pairs;
                    sum.square += spread * signal.square;
                    sum.pairs[SAMPLES] += spread * samples;
                    sum.pairs[POSITIONS] += shared * positions;
                    sum.pairs[BOTH] += shared * both;
                }
                Operator::Fixed(fixed) => {
                    let part = fixed.forward(&signal);
                    sum.mean += part.mean;
                    squares += part.mean * part.mean;
                    sum.square += part.square;
                    for (sum, pair) in sum.pairs.iter_mut().zip(part.pairs) {
                        *sum += pair;
                    }
                }
                _ => {}
            }
        }
        for &bias in &node.biases {
            let Elements { mean, mean_square } = self.settings.parameters[bias];
            let mean = mean * power_of_two(-exponent);
            let square = mean_square * power_of_four(-exponent);
            sum.mean += mean;
            squares += mean * mean;
            sum.square += square;
            for pair in &mut sum.pairs {
                *pair += square;
            }
        }
        let products = sum.mean * sum.mean - squares;
        match cross {
            Cross::All => {
                sum.square += products;
                for pair in &mut sum.pairs {
                    *pair += products;
                }
            }
            Cross::Positions => {
                let share = node.positions / (node.positions - 1.0);
                sum.pairs[POSITIONS] += products * share;
                sum.pairs[BOTH] += products * share;
            }
            Cross::None => {}
        }
        (sum, exponent)
    }

    fn function(
        &mut self,
        function: usize,
        link: usize,
        source: usize,
        node: &Node,
    ) -> Result<(Signal, i64)> {
        let (signal, exponent) =
            (self.workspace.signals[source], self.workspace.signal_exponents[source]);
        self.applied(function, link, &signal, exponent, node)
    }

    /// A function of a signal; its slopes are kept with the link.
    fn applied(
        &mut self,
        function: usize,
        link: usize,
        signal: &Signal,
        exponent: i64,
        node: &Node,
    ) -> Result<(Signal, i64)> {
        let law = signal.law();
        let known = &self.program.functions[function];
        let (moments, exponent) = if exponent == 0 || known.is_homogeneous() {
            (known.moments(&law, &mut self.workspace.expansions[function]), exponent)
        } else {
            // So near to zero, or so far from it, that only its tangents matter.
            let (limit, value) =
                known.limit(exponent < 0).ok_or_else(|| self.out_of_domain(node))?;
            let moments = limit.moments(&law, &mut None);
            if value == 0.0 {
                (moments, exponent)
            } else {
                (
                    Moments {
                        mean: value,
                        square: value * value,
                        pairs: [value * value; 3],
                        ..moments
                    },
                    0,
                )
            }
        };
        self.workspace.slopes[link] = (moments.slope_square, moments.slope_pair);
        let Moments { mean, square, pairs, .. } = moments;
        Ok((Signal { mean, square, pairs }, exponent))
    }

    /// The signal of a factor as it is after broadcasting.
    fn operand(&self, link: usize) -> (Signal, i64) {
        let (signal, exponent) = self.source(link);
        match &self.program.links[link].operator {
            Operator::Fixed(fixed) => (fixed.forward(&signal), exponent),
            _ => (signal, exponent),
        }
    }

    fn product(&mut self, node: &Node) -> (Signal, i64) {
        let mut product = Signal { mean: 1.0, square: 1.0, pairs: [1.0; 3] };
        let mut exponent = 0;
        for link in node.links.clone() {
            let (signal, own) = self.operand(link);
            product = product.times(&signal);
            exponent += own;
        }
        (product, exponent)
    }

    /// The largest of normal variables by half their sum plus half the modulus of their difference,
    /// two at a time.
    fn maximum(&mut self, node: &Node, sign: f64, live: Option<&[bool]>) -> (Signal, i64) {
        let links: Vec<usize> = node.links.clone().filter(|&l| self.is_alive(l, live)).collect();
        let exponent = links.iter().map(|&link| self.source(link).1).max().unwrap_or(0);
        let signed = |signal: Signal| Signal { mean: sign * signal.mean, ..signal };
        let operands: Vec<Signal> = links
            .iter()
            .map(|&link| {
                let (signal, own) = self.operand(link);
                signed(signal.in_units_of(exponent - own))
            })
            .collect();
        let mut largest = operands.first().copied().unwrap_or_default();
        for (index, other) in operands.iter().enumerate().skip(1) {
            let (next, first, second) = largest.or(other);
            for &link in &links[..index] {
                let slopes = &mut self.workspace.slopes[link];
                *slopes = (slopes.0 * first.0, slopes.1 * first.1);
            }
            self.workspace.slopes[links[index]] = second;
            largest = next;
        }
        (signed(largest), exponent)
    }

    fn max_pool(&mut self, node: &Node, after: Option<usize>) -> Result<(Signal, i64)> {
        let link = node.links.start;
        let (signal, exponent) = self.source(link);
        let Operator::Window(window) = &self.program.links[link].operator else {
            return Ok((signal, exponent));
        };
        let signal = signal.seen(window.sees_positions);
        let [samples, positions, both] = signal.pairs;
        let square_of_mean = signal.mean * signal.mean;
        // What elements of a window have of their own, and what they share.
        let own = (signal.square - positions).max(0.0);
        let (first, second) = window.largest;
        let mean = signal.mean + own.sqrt() * first;
        let spread = second - first * first;
        let fixed = mean * mean - square_of_mean;
        let alike = if own > 0.0 { ((samples - both) / own).clamp(0.0, 1.0) } else { 0.0 };
        // Slope at zero and value at one of the covariance of two maxima, between which it bends.
        let bend = window.inverse * alike + (spread - window.inverse) * alike * alike;
        let pooled = Signal {
            mean,
            square: positions + fixed + own * spread,
            pairs: [both + fixed + own * bend, positions + fixed, both + fixed],
        };
        self.workspace.slopes[link] = (1.0, 1.0);
        match after {
            Some(function) => self.applied(function, link, &pooled, exponent, node),
            None => Ok((pooled, exponent)),
        }
    }

    fn batch_norm(
        &mut self,
        node: &Node,
        epsilon: f64,
        affine: Affine,
        stored: Option<(usize, usize)>,
    ) -> (Signal, i64) {
        let link = node.links.start;
        let (signal, exponent) = self.source(link);
        let (mean, fixed, variance) = match (self.settings.batch_norm, stored) {
            (BatchNormMode::Stored, Some((mean, variance))) => {
                let mean = self.settings.parameters[mean];
                let variance = self.settings.parameters[variance].mean;
                let (unit, square) = (power_of_two(-exponent), power_of_four(-exponent));
                let shift = signal.mean - mean.mean * unit;
                // E (x - m)^2 = E x^2 - 2 E x E m + E m^2 for every product.
                let fixed = 2.0 * signal.mean * mean.mean * unit - mean.mean_square * square;
                (shift, fixed, variance * square)
            }
            _ => (0.0, signal.pairs[BOTH], signal.square - signal.pairs[BOTH]),
        };
        let variance = variance + epsilon * power_of_four(-exponent);
        self.normalised(link, &signal.less(mean, [fixed; 4]), variance, 1.0, affine)
    }

    fn group_norm(
        &mut self,
        node: &Node,
        epsilon: f64,
        affine: Affine,
        channels: f64,
        positions: f64,
    ) -> (Signal, i64) {
        let link = node.links.start;
        let (signal, exponent) = self.source(link);
        let [samples, other, both] = signal.pairs;
        let square_of_mean = (1.0 - 1.0 / channels) * signal.mean * signal.mean;
        // Mean product of the means of a group and of the same group elsewhere.
        let of_means = |same: f64, apart: f64| {
            (same / positions + (1.0 - 1.0 / positions) * apart) / channels + square_of_mean
        };
        let own = of_means(signal.square, other);
        let sampled = of_means(samples, both);
        // A group over all positions has one mean for all of them.
        let (apart, both) = if positions > 1.0 {
            (own, sampled)
        } else {
            (of_means(other, other), of_means(both, both))
        };
        let variance = signal.square - own + epsilon * power_of_four(-exponent);
        let less = signal.less(0.0, [own, sampled, apart, both]);
        let factor = (1.0 - 2.0 / (channels * positions)).max(0.0);
        self.normalised(link, &less, variance, factor, affine)
    }

    fn rms_norm(&mut self, node: &Node, epsilon: f64, affine: Affine, group: f64) -> (Signal, i64) {
        let link = node.links.start;
        let (signal, exponent) = self.source(link);
        let square = signal.square + epsilon * power_of_four(-exponent);
        let factor = (1.0 - 1.0 / group).max(0.0);
        self.normalised(link, &signal.less(signal.mean, [0.0; 4]), square, factor, affine)
    }

    /// A signal divided by its deviation, scaled and shifted. The slope that is kept with the link
    /// is in units of the signal's.
    fn normalised(
        &mut self,
        link: usize,
        signal: &Signal,
        variance: f64,
        factor: f64,
        affine: Affine,
    ) -> (Signal, i64) {
        let scale = self.elements(affine.scale, Elements { mean: 1.0, mean_square: 1.0 });
        let shift = self.elements(affine.shift, Elements { mean: 0.0, mean_square: 0.0 });
        let inverse = if variance > 0.0 { 1.0 / variance } else { 0.0 };
        let gain = scale.mean_square * inverse;
        let mean = signal.mean * inverse.sqrt() * scale.mean;
        let moved = shift.mean_square + 2.0 * mean * shift.mean;
        self.workspace.slopes[link] = (factor * gain, factor * gain);
        let normalised = Signal {
            mean: mean + shift.mean,
            square: gain * signal.square + moved,
            pairs: signal.pairs.map(|pair| gain * pair + moved),
        };
        (normalised, 0)
    }

    /// The variance of the scores of one query between its keys, and its covariances with those in
    /// another sample, of another query, and both.
    fn score_variances(&self, scores: &Scores) -> [f64; 4] {
        let signal = |node: usize| {
            let unit = power_of_four(self.workspace.signal_exponents[node]);
            let Signal { square, pairs, .. } = self.workspace.signals[node];
            [square, pairs[SAMPLES], pairs[POSITIONS], pairs[BOTH]].map(|product| product * unit)
        };
        let (query, key) = (signal(scores.query), signal(scores.key));
        let gain = scores.features * scores.scale * scores.scale;
        let absent = Elements { mean: 0.0, mean_square: 0.0 };
        let bias = self.elements(scores.bias, absent).mean_square;
        let within = |query: f64, same: f64, apart: f64| gain * query * (same - apart).max(0.0);
        [
            within(query[0], key[0], key[2]) + bias,
            within(query[1], key[1], key[3]) + bias,
            within(query[2], key[0], key[2]),
            within(query[3], key[1], key[3]),
        ]
    }

    /// Sums over keys of mean products of weights, as if scores were normal and their number large.
    fn weight_products(&self, scores: &Scores) -> [f64; 4] {
        self.score_variances(scores).map(|t| (t.exp() / scores.keys).min(1.0))
    }

    fn attention(&mut self, scores: &Scores) -> Signal {
        let [square, samples, positions, both] =
            self.weight_products(scores).map(|sum| sum / scores.keys);
        Signal { mean: 1.0 / scores.keys, square, pairs: [samples, positions, both] }
    }

    fn scores(&mut self, scores: &Scores) -> (Signal, i64) {
        let (query, key) =
            (self.workspace.signals[scores.query], self.workspace.signals[scores.key]);
        let gain = scores.features * scores.scale * scores.scale;
        let exponent = self.workspace.signal_exponents[scores.query]
            + self.workspace.signal_exponents[scores.key];
        // Positions of scores are those of the query.
        let signal = Signal {
            mean: scores.features * scores.scale * query.mean * key.mean,
            square: gain * query.square * key.square,
            pairs: [
                gain * query.pairs[SAMPLES] * key.pairs[SAMPLES],
                gain * query.pairs[POSITIONS] * key.square,
                gain * query.pairs[BOTH] * key.pairs[SAMPLES],
            ],
        };
        (signal, exponent)
    }

    fn mix(&mut self, node: &Node, scores: &Scores) -> (Signal, i64) {
        let (value, exponent) = self.source(node.links.start + 1);
        let [own, samples, positions, both] = self.weight_products(scores);
        let [of_samples, apart, of_both] = value.pairs;
        let (varies, sampled) = (value.square - apart, of_samples - of_both);
        let signal = Signal {
            mean: value.mean,
            square: own * varies + apart,
            pairs: [
                samples * sampled + of_both,
                positions * varies + apart,
                both * sampled + of_both,
            ],
        };
        (signal, exponent)
    }

    fn softmax(&mut self, node: &Node, length: f64) -> Signal {
        let (signal, exponent) = self.source(node.links.start);
        let unit = power_of_four(exponent);
        let mean = signal.mean * signal.mean;
        let product =
            |covariance: f64| (((covariance - mean) * unit).exp() / length).min(1.0) / length;
        let [samples, positions, both] = signal.pairs;
        let square = product(signal.square);
        self.workspace.slopes[node.links.start] = (square, product(positions));
        Signal {
            mean: 1.0 / length,
            square,
            pairs: [product(samples), product(positions), product(both)],
        }
    }

    fn matmul(
        &mut self,
        node: &Node,
        features: f64,
        scale: f64,
        along_positions: [bool; 2],
    ) -> (Signal, i64) {
        let (first, one) = self.source(node.links.start);
        let (second, other) = self.source(node.links.start + 1);
        let square = scale * scale;
        // Terms of a sum are products at other positions, or in other channels.
        let apart = |signal: &Signal, along: bool, both: bool| match (along, both) {
            (true, false) => signal.pairs[POSITIONS],
            (true, true) => signal.pairs[BOTH],
            (false, _) => signal.mean * signal.mean,
        };
        let others = features * (features - 1.0);
        let product = |a: f64, b: f64, both: bool| {
            let terms =
                apart(&first, along_positions[0], both) * apart(&second, along_positions[1], both);
            square * (features * a * b + others * terms)
        };
        let signal = Signal {
            mean: scale * features * first.mean * second.mean,
            square: product(first.square, second.square, false),
            pairs: [
                product(first.pairs[SAMPLES], second.pairs[SAMPLES], true),
                product(first.pairs[POSITIONS], second.pairs[POSITIONS], false),
                product(first.pairs[BOTH], second.pairs[BOTH], true),
            ],
        };
        (signal, one + other)
    }

    fn backward(&mut self, live: Option<&[bool]>) {
        let program = self.program;
        let seeds = &self.settings.seeds;
        for (index, &output) in program.outputs.iter().enumerate() {
            let square = seeds[index.min(seeds.len() - 1)];
            self.receive(output, Gradient { square, pair: 0.0 }, 0);
        }
        for (number, node) in program.nodes.iter().enumerate().rev() {
            let gradient = self.workspace.gradients[number];
            if !self.workspace.alive[number] || gradient.square == 0.0 {
                continue;
            }
            let exponent = self.workspace.gradient_exponents[number];
            match &node.rule {
                Rule::Input | Rule::OneHot => {}
                &Rule::Parameter(parameter) => {
                    let sum = Scaled::new(node.elements * gradient.square, exponent);
                    self.workspace.parameters[parameter].add(sum);
                }
                Rule::Combine { .. } => {
                    for link in node.links.clone() {
                        if !self.is_alive(link, live) {
                            continue;
                        }
                        self.combine_back(node, link, gradient, exponent);
                    }
                    for &bias in &node.biases {
                        self.bias_gradient(bias, node, gradient, exponent);
                    }
                }
                Rule::Function(_) | Rule::Softmax { .. } => {
                    let link = node.links.start;
                    let slopes = self.workspace.slopes[link];
                    let source = program.links[link].source;
                    self.receive(source, gradient.times(slopes.0, slopes.1), exponent);
                }
                Rule::Product => self.product_back(node, gradient, exponent),
                Rule::Maximum { .. } => {
                    for link in node.links.clone() {
                        if !self.is_alive(link, live) {
                            continue;
                        }
                        let slopes = self.workspace.slopes[link];
                        self.pass(link, gradient.times(slopes.0, slopes.1), exponent);
                    }
                }
                Rule::MaxPool { .. } => {
                    let link = node.links.start;
                    let slopes = self.workspace.slopes[link];
                    if let Operator::Window(window) = &program.links[link].operator {
                        let passed = gradient.times(slopes.0 * window.won, slopes.1 * window.apart);
                        self.receive(program.links[link].source, passed, exponent);
                    }
                }
                Rule::BatchNorm { affine, .. }
                | Rule::GroupNorm { affine, .. }
                | Rule::RmsNorm { affine, .. } => {
                    self.affine_gradient(number, node, *affine, gradient, exponent);
                    let link = node.links.start;
                    let slopes = self.workspace.slopes[link];
                    let source = program.links[link].source;
                    let unit = self.workspace.signal_exponents[source];
                    self.receive(source, gradient.times(slopes.0, slopes.1), exponent - unit);
                }
                Rule::Attention(scores) => {
                    // What all weights of a query get alike changes none of them.
                    let [own, _, positions, _] =
                        self.weight_products(scores).map(|sum| sum / scores.keys);
                    let source = program.links[node.links.start].source;
                    self.receive(source, gradient.times(own, positions), exponent);
                }
                Rule::Mix { scores, width } => {
                    self.mix_back(node, scores, *width, gradient, exponent);
                }
                Rule::Scores(scores) => self.scores_back(node, scores, gradient, exponent),
                Rule::Matmul { scale, .. } => {
                    for (index, link) in node.links.clone().enumerate() {
                        let (other, unit) = self.source(node.links.start + 1 - index);
                        if let Operator::Contracted { from } = program.links[link].operator {
                            let gain = from * scale * scale;
                            let passed =
                                gradient.times(gain * other.square, gain * other.pairs[POSITIONS]);
                            self.receive(program.links[link].source, passed, exponent + unit);
                        }
                    }
                }
                &Rule::Embedding { table } => {
                    let sum = Scaled::new(node.elements * gradient.square, exponent);
                    self.workspace.parameters[table].add(sum);
                }
            }
        }
    }

    /// Adds to the derivatives by the elements of a node.
    fn receive(&mut self, node: usize, gradient: Gradient, exponent: i64) {
        if gradient.square == 0.0 {
            return;
        }
        let (sum, own) =
            (&mut self.workspace.gradients[node], &mut self.workspace.gradient_exponents[node]);
        if sum.square == 0.0 {
            (*sum, *own) = (gradient, exponent);
        } else if *own == exponent {
            sum.square += gradient.square;
            sum.pair += gradient.pair;
        } else {
            let common = exponent.max(*own);
            let (here, there) = (power_of_four(*own - common), power_of_four(exponent - common));
            sum.square = sum.square * here + gradient.square * there;
            sum.pair = sum.pair * here + gradient.pair * there;
            *own = common;
        }
        let shift = excess(sum.square);
        if shift != 0 {
            let unit = power_of_four(-shift);
            sum.square *= unit;
            sum.pair *= unit;
            *own += shift;
        }
    }

    /// Sends derivatives by the elements that a link gives to its target on to its source.
    fn pass(&mut self, link: usize, gradient: Gradient, exponent: i64) {
        let source = self.program.links[link].source;
        let passed = match &self.program.links[link].operator {
            Operator::Fixed(fixed) => fixed.backward(&gradient),
            _ => gradient,
        };
        self.receive(source, passed, exponent);
    }

    fn combine_back(&mut self, node: &Node, link: usize, gradient: Gradient, exponent: i64) {
        let Operator::Weighted(weighted) = &self.program.links[link].operator else {
            return self.pass(link, gradient, exponent);
        };
        let (signal, unit) = self.source(link);
        let is_centred = node.is_centred_next && self.settings.batch_norm == BatchNormMode::Batch;
        let common = if is_centred { signal.pairs[BOTH] } else { 0.0 };
        let seen = signal.seen(weighted.sees_positions);
        let sum = gradient.square * weighted.edges * (signal.square - common)
            + gradient.pair * weighted.pairs * (seen.pairs[POSITIONS] - common);
        self.workspace.parameters[weighted.kernel].add(Scaled::new(sum, exponent + unit));
        let variance = self.settings.parameters[weighted.kernel].mean_square;
        let gain = variance * weighted.from;
        let coherent = if weighted.sees_positions { gain * weighted.coherence } else { 0.0 };
        let source = self.program.links[link].source;
        self.receive(source, gradient.times(gain, coherent), exponent);
    }

    fn bias_gradient(&mut self, bias: usize, node: &Node, gradient: Gradient, exponent: i64) {
        let sum = node.elements * (gradient.square + (node.positions - 1.0) * gradient.pair);
        self.workspace.parameters[bias].add(Scaled::new(sum, exponent));
    }

    fn affine_gradient(
        &mut self,
        number: usize,
        node: &Node,
        affine: Affine,
        gradient: Gradient,
        exponent: i64,
    ) {
        if let Some(shift) = affine.shift {
            self.bias_gradient(shift, node, gradient, exponent);
        }
        let Some(scale) = affine.scale else { return };
        let gain = self.settings.parameters[scale].mean_square;
        if gain == 0.0 {
            return;
        }
        let shift = self.elements(affine.shift, Elements { mean: 0.0, mean_square: 0.0 });
        let signal = self.workspace.signals[number];
        let unit = self.workspace.signal_exponents[number];
        // The shift taken off again, and the scale divided out.
        let moved = (2.0 * signal.mean * shift.mean - 2.0 * shift.mean * shift.mean
            + shift.mean_square)
            * if unit == 0 { 1.0 } else { power_of_four(-unit) };
        let square = (signal.square - moved) / gain;
        let pair = (signal.pairs[POSITIONS] - moved) / gain;
        let sum = node.elements
            * (gradient.square * square + (node.positions - 1.0) * gradient.pair * pair);
        self.workspace.parameters[scale].add(Scaled::new(sum, exponent + unit));
    }

    fn product_back(&mut self, node: &Node, gradient: Gradient, exponent: i64) {
        for link in node.links.clone() {
            let (mut others, mut unit) =
                (Signal { mean: 1.0, square: 1.0, pairs: [1.0; 3] }, exponent);
            for other in node.links.clone().filter(|&other| other != link) {
                let (signal, own) = self.operand(other);
                others = others.times(&signal);
                unit += own;
            }
            self.pass(link, gradient.times(others.square, others.pairs[POSITIONS]), unit);
        }
    }

    fn mix_back(
        &mut self,
        node: &Node,
        scores: &Scores,
        width: f64,
        gradient: Gradient,
        exponent: i64,
    ) {
        let (weights, values) = (node.links.start, node.links.start + 1);
        let (value, unit) = self.source(values);
        let varies = width * (value.square - value.pairs[POSITIONS]);
        let source = self.program.links[weights].source;
        self.receive(source, gradient.times(varies, varies), exponent + unit);
        let [own, _, positions, _] = self.weight_products(scores).map(|sum| sum / scores.keys);
        let Operator::Contracted { from } = self.program.links[values].operator else { return };
        let even = 1.0 / (scores.keys * scores.keys);
        let others = (scores.queries - 1.0).max(0.0) * gradient.pair;
        // A value feeds all queries, whose derivatives add coherently as far as they agree.
        let passed = Gradient {
            square: from * (own * gradient.square + positions * others),
            pair: from * even * (gradient.square + others),
        };
        self.receive(self.program.links[values].source, passed, exponent);
    }

    fn scores_back(&mut self, node: &Node, scores: &Scores, gradient: Gradient, exponent: i64) {
        let (query, query_unit) =
            (self.workspace.signals[scores.query], self.workspace.signal_exponents[scores.query]);
        let (key, key_unit) =
            (self.workspace.signals[scores.key], self.workspace.signal_exponents[scores.key]);
        let scale = scores.scale * scores.scale;
        for link in node.links.clone() {
            let source = self.program.links[link].source;
            let Operator::Contracted { from } = self.program.links[link].operator else {
                continue;
            };
            let is_query =
                source == scores.query && (link == node.links.start || source != scores.key);
            if is_query {
                // Derivatives by the scores of one query add up to zero, so that only what differs
                // between keys counts.
                let varies = from * scale * (key.square - key.pairs[POSITIONS]);
                self.receive(source, gradient.times(varies, varies), exponent + key_unit);
            } else {
                let others = (scores.queries - 1.0).max(0.0) * gradient.pair;
                let square = from
                    * scale
                    * (query.square * gradient.square + query.pairs[POSITIONS] * others);
                let pair = if scores.keys > 1.0 { -square / (scores.keys - 1.0) } else { 0.0 };
                self.receive(source, Gradient { square, pair }, exponent + query_unit);
            }
        }
    }
}

impl Signal {
    fn of_input(law: InputLaw) -> Self {
        let InputLaw { mean_square, samples, positions, both } = law;
        let pairs = [samples, positions, both].map(|correlation| correlation * mean_square);
        Self { mean: 0.0, square: mean_square, pairs }
    }

    /// Elements of a parameter are the same in all samples, and independent of each other.
    fn of_parameter(elements: Elements) -> Self {
        let Elements { mean, mean_square } = elements;
        let apart = mean * mean;
        Self { mean, square: mean_square, pairs: [mean_square, apart, apart] }
    }

    fn is_finite(&self) -> bool {
        self.square.is_finite() && self.mean.is_finite()
    }

    /// The same signal where the unit of means is `2^exponent` times as large.
    fn in_units_of(self, exponent: i64) -> Self {
        let (mean, square) = (power_of_two(-exponent), power_of_four(-exponent));
        Self {
            mean: self.mean * mean,
            square: self.square * square,
            pairs: self.pairs.map(|pair| pair * square),
        }
    }

    /// The signal as weights see it that take other axes for positions than it has: then positions
    /// are channels, which are independent.
    fn seen(mut self, sees_positions: bool) -> Self {
        if !sees_positions {
            self.pairs[POSITIONS] = self.mean * self.mean;
            self.pairs[BOTH] = self.mean * self.mean;
        }
        self
    }

    /// Other moments taken off: of the mean square, and of the three products.
    fn less(&self, mean: f64, products: [f64; 4]) -> Self {
        let [square, samples, positions, both] = products;
        let pairs = self.pairs;
        Self {
            mean,
            square: self.square - square,
            pairs: [pairs[0] - samples, pairs[1] - positions, pairs[2] - both],
        }
    }

    fn times(&self, other: &Self) -> Self {
        Self {
            mean: self.mean * other.mean,
            square: self.square * other.square,
            pairs: std::array::from_fn(|index| self.pairs[index] * other.pairs[index]),
        }
    }

    fn law(&self) -> Law {
        let square_of_mean = self.mean * self.mean;
        let variance = self.square - square_of_mean;
        // Rounding must not make a variance of what never varies.
        let varies = variance > 1e-14 * self.square;
        let correlation = |pair: f64| {
            if varies { ((pair - square_of_mean) / variance).clamp(-1.0, 1.0) } else { 1.0 }
        };
        Law {
            mean: self.mean,
            variance: if varies { variance } else { 0.0 },
            correlations: self.pairs.map(correlation),
        }
    }

    /// The larger of two independent variables, and for each of them how often it is.
    fn or(&self, other: &Self) -> (Self, (f64, f64), (f64, f64)) {
        let (a, b) = (self.law(), other.law());
        let covariance = |law: &Law, index: usize| law.variance * law.correlations[index];
        let variance = a.variance + b.variance;
        let difference = Law {
            mean: a.mean - b.mean,
            variance,
            correlations: std::array::from_fn(|index| {
                let sum = covariance(&a, index) + covariance(&b, index);
                if variance > 0.0 { sum / variance } else { 1.0 }
            }),
        };
        let modulus = PiecewiseLinear::rays(-1.0, 1.0).moments(&difference);
        let step = PiecewiseLinear::rays(0.0, 1.0).moments(&difference);
        let sum = a.mean + b.mean;
        let often = step.slope_square;
        let product = |first: f64, second: f64, moduli: f64| {
            let sums = sum * sum + first + second;
            let mixed = sum * modulus.mean + (first - second) * (2.0 * often - 1.0);
            0.25 * (sums + moduli + 2.0 * mixed)
        };
        let larger = Self {
            mean: 0.5 * (sum + modulus.mean),
            square: product(a.variance, b.variance, modulus.square),
            pairs: std::array::from_fn(|index| {
                product(covariance(&a, index), covariance(&b, index), modulus.pairs[index])
            }),
        };
        let both = 1.0 - 2.0 * often + step.slope_pair;
        (larger, (often, step.slope_pair), (1.0 - often, both))
    }
}

impl Gradient {
    fn times(self, square: f64, pair: f64) -> Self {
        Self { square: self.square * square, pair: self.pair * pair }
    }
}

impl Fixed {
    fn is_identity(&self) -> bool {
        let same = |sums: super::geometry::Sums, source: f64, target: f64| {
            source == target
                && sums.total == source
                && sums.single == source
                && sums.into == source
                && sums.from == source
        };
        same(self.positions, self.source_positions, self.target_positions)
            && same(self.channels, self.source_channels, self.target_channels)
    }

    fn forward(&self, signal: &Signal) -> Signal {
        let (a, square) = (self.coefficient, self.coefficient * self.coefficient);
        if self.is_identity() {
            return Signal {
                mean: a * signal.mean,
                square: square * signal.square,
                pairs: signal.pairs.map(|pair| square * pair),
            };
        }
        let (positions, channels) = (self.positions, self.channels);
        let elements = self.target_positions * self.target_channels;
        let independent = (channels.into - channels.single) * signal.mean * signal.mean;
        let others = positions.into - positions.single;
        let within = |same: f64, apart: f64| {
            let terms = channels.single * (positions.single * same + others * apart);
            square * (terms + independent * positions.into) / elements
        };
        let pairs = self.target_positions * (self.target_positions - 1.0) * self.target_channels;
        let shared = positions.from - positions.single;
        let all = positions.total * positions.total - positions.into;
        let between = |same: f64, apart: f64, alone: f64| {
            if pairs > 0.0 {
                let terms = channels.single * (shared * same + (all - shared) * apart);
                square * (terms + independent * all) / pairs
            } else {
                alone
            }
        };
        let [samples, apart, both] = signal.pairs;
        let own = within(signal.square, apart);
        let sampled = within(samples, both);
        Signal {
            mean: a * signal.mean * positions.total * channels.total / elements,
            square: own,
            pairs: [sampled, between(signal.square, apart, own), between(samples, both, sampled)],
        }
    }

    fn backward(&self, gradient: &Gradient) -> Gradient {
        let square = self.coefficient * self.coefficient;
        if self.is_identity() {
            return gradient.times(square, if self.flattens { 0.0 } else { square });
        }
        let (positions, channels) = (self.positions, self.channels);
        let elements = self.source_positions * self.source_channels;
        let gain = square * channels.single;
        let terms = positions.single * gradient.square
            + (positions.from - positions.single) * gradient.pair;
        let pairs = self.source_positions * (self.source_positions - 1.0) * self.source_channels;
        let shared = positions.into - positions.single;
        let all = positions.total * positions.total - positions.from;
        let pair = if pairs > 0.0 && !self.flattens {
            gain * (shared * gradient.square + (all - shared) * gradient.pair) / pairs
        } else {
            0.0
        };
        Gradient { square: gain * terms / elements, pair }
    }
}

impl Function {
    /// Moments of the values at a normal variable, for tests and for the functions of a module.
    pub(crate) fn alone(&self, mean: f64, variance: f64, correlation: f64) -> Moments {
        let law = Law { mean, variance, correlations: [correlation; 3] };
        self.moments(&law, &mut None)
    }
}
