//! The sweep forwards, which computes signals, and the results of a sweep.
//!
//! A signal has the first and second moments of a tensor's elements over random weights; the
//! argument of a function is taken to be normal. Rules are those of mean field theory: He et al.,
//! *Delving deep into rectifiers*, 2015; Poole et al., *Exponential expressivity in deep neural
//! networks through transient chaos*, 2016; Schoenholz et al., *Deep information propagation*,
//! 2017; Yang et al., *A mean field theory of batch normalization*, 2019.
//!
//! The rules are in the files beside this one, by subject.

mod attention;
mod functions;
mod norms;
mod products;
mod routing;
mod sums;

use std::collections::HashMap;

use crate::error::{Error, Result};
use crate::network::TensorId;
use crate::propagation::cell_map::Linear;
use crate::propagation::moments::{Law, Moments};
use crate::propagation::program::{DataLink, Node, Program, Rule};
use crate::propagation::routing::WeightMoments;
use crate::propagation::scaled::{Scaled, excess, is_in_range};
use crate::propagation::settings::{Elements, Settings};
use crate::propagation::signal::{BOTH, Gradient, POSITIONS, SAMPLES, Signal};
use crate::propagation::smooth::Expansion;

/// Moments of functions that are remembered from sweep to sweep.
const MOST_MOMENTS: usize = 1 << 14;

/// Holds the results of the last sweep. It can be used for any number of sweeps.
#[derive(Debug, Clone, Default)]
pub struct Workspace {
    pub(super) signals: Vec<Signal>,
    pub(super) signal_exponents: Vec<i64>,
    pub(super) gradients: Vec<Gradient>,
    pub(super) gradient_exponents: Vec<i64>,
    /// The factors by which each link multiplies mean squares and mean products of derivatives, for
    /// every cell of its target.
    pub(super) slopes: Vec<(f64, f64)>,
    /// The power of four that the slopes of each node have in common.
    pub(super) slope_exponents: Vec<i64>,
    /// The expected squared gradient of each parameter, summed over its elements.
    pub(super) parameters: Vec<Scaled>,
    expansions: Vec<Option<Expansion>>,
    /// Moments of smooth functions by the number of the function and the law.
    moments: HashMap<(usize, [u64; 5]), Moments>,
    /// Moments of weights of experts by the number of their law and the law of the numbers.
    routes: HashMap<(usize, [u64; 5]), WeightMoments>,
    /// The program that these belong to.
    program: u64,
}

/// The results of a sweep for a tensor, as means over its elements.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TensorReading {
    /// Mean of the elements, but for the factor `2^exponent` with the exponent of the mean square.
    pub mean: f64,
    /// Mean square; its exponent holds for the following products, too.
    pub square: Scaled,
    /// Mean product with the same element of another sample.
    pub samples: f64,
    /// Mean product with the element of the same channel at another position.
    pub positions: f64,
    /// Mean product with that of another sample.
    pub both: f64,
    /// Mean square of the derivatives.
    pub gradient: Scaled,
    /// Their correlation between positions.
    pub coherence: f64,
    /// By which factor the function or normaliser that makes the tensor multiplies mean squares of
    /// derivatives; `None` for all other tensors.
    pub slope: Option<Scaled>,
}

/// Propagates a signal through a network, and derivatives back.
///
/// # Errors
/// [`Error::InvalidSetting`] if the settings do not fit the program, [`Error::OutOfDomain`] where
/// a signal or a derivative leaves what a formula can follow.
pub fn propagate(program: &Program, settings: &Settings, workspace: &mut Workspace) -> Result<()> {
    let mut sweep = Sweep { program, settings, workspace };
    sweep.prepare()?;
    sweep.forward()?;
    sweep.backward()
}

impl Workspace {
    /// The results of the last sweep for a tensor; `None` if it is not in the program.
    #[must_use]
    pub fn tensor(&self, program: &Program, tensor: TensorId) -> Option<TensorReading> {
        let number = program.node_of.get(tensor.0).copied().flatten()?;
        let node = &program.nodes[number];
        let signal = node.mean(&self.signals);
        let gradient = node.mean(&self.gradients);
        let exponent = self.signal_exponents[number];
        let slope = match node.rule {
            Rule::Function(_)
            | Rule::BatchNorm { .. }
            | Rule::GroupNorm { .. }
            | Rule::RmsNorm { .. }
            | Rule::MeanNorm { .. } => {
                let link = &program.links[node.links.start];
                let own = &self.slopes[link.slopes..link.slopes + node.cells.len()];
                let shares = own.iter().enumerate();
                let value =
                    shares.map(|(at, slope)| node.shares.get(at).unwrap_or(&1.0) * slope.0).sum();
                Some(Scaled::new(value, self.slope_exponents[number]))
            }
            _ => None,
        };
        Some(TensorReading {
            mean: signal.mean,
            square: Scaled { value: signal.square, exponent },
            samples: signal.pairs[SAMPLES],
            positions: signal.pairs[POSITIONS],
            both: signal.pairs[BOTH],
            gradient: Scaled { value: gradient.square, exponent: self.gradient_exponents[number] },
            coherence: if gradient.square > 0.0 { gradient.pair / gradient.square } else { 0.0 },
            slope,
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
            if matches!(node.rule, Rule::Input) {
                let gradient = node.mean(&self.gradients).square;
                sum.add(Scaled::new(node.elements * gradient, self.gradient_exponents[number]));
            }
        }
        sum
    }
}

impl Node {
    /// The mean over all elements.
    pub(super) fn mean<T: Linear>(&self, values: &[T]) -> T {
        let own = &values[self.cells.clone()];
        if let [only] = own {
            return *only;
        }
        let mut mean = T::default();
        for (value, &share) in own.iter().zip(&self.shares) {
            mean.add_times(value, share);
        }
        mean
    }
}

pub(super) struct Sweep<'a> {
    pub(super) program: &'a Program,
    pub(super) settings: &'a Settings,
    pub(super) workspace: &'a mut Workspace,
}

/// One exponent for the cells that follow.
type Exponent = i64;

impl Sweep<'_> {
    fn prepare(&mut self) -> Result<()> {
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
        check_numbers(settings)?;
        let workspace = &mut *self.workspace;
        let nodes = program.nodes.len();
        refill(&mut workspace.signals, program.cells, Signal::default());
        refill(&mut workspace.signal_exponents, nodes, 0);
        refill(&mut workspace.gradients, program.cells, Gradient::default());
        refill(&mut workspace.gradient_exponents, nodes, 0);
        refill(&mut workspace.slopes, program.slopes, (1.0, 1.0));
        refill(&mut workspace.slope_exponents, nodes, 0);
        refill(&mut workspace.parameters, program.parameters.len(), Scaled::default());
        if workspace.program != program.number || workspace.moments.len() > MOST_MOMENTS {
            workspace.moments.clear();
        }
        if workspace.program != program.number || workspace.routes.len() > MOST_MOMENTS {
            workspace.routes.clear();
        }
        if workspace.program != program.number {
            refill(&mut workspace.expansions, program.functions.len(), None);
            workspace.program = program.number;
        }
        Ok(())
    }

    pub(super) fn elements(&self, parameter: Option<usize>, absent: f64) -> Elements {
        let absent = Elements { mean: absent, mean_square: absent };
        parameter.map_or(absent, |number| self.settings.parameters[number])
    }

    fn forward(&mut self) -> Result<()> {
        let program = self.program;
        let mut input = 0;
        for (number, node) in program.nodes.iter().enumerate() {
            let exponent = match &node.rule {
                Rule::Input => {
                    let laws = &self.settings.inputs;
                    let law = laws[input.min(laws.len() - 1)];
                    input += 1;
                    let signal = Signal::of_input(law);
                    let scaling = program.scalings.get(&number).filter(|_| law.is_scaled);
                    self.fill(node, scaling.map_or(signal, |scaling| signal.before(scaling)))
                }
                &Rule::Parameter(parameter) => {
                    self.fill(node, Signal::of_parameter(self.settings.parameters[parameter]))
                }
                Rule::Combine { cross } => self.combine(node, *cross),
                &Rule::Function(function) => self.function(number, node, function)?,
                Rule::Product => self.product(node),
                Rule::Maximum { sign } => self.maximum(node, *sign),
                Rule::MaxPool { after } => self.max_pool(node, *after)?,
                Rule::Quotient => self.quotient(number, node)?,
                Rule::BatchNorm { .. }
                | Rule::GroupNorm { .. }
                | Rule::RmsNorm { .. }
                | Rule::MeanNorm { .. } => self.normalise(number, node)?,
                Rule::Attention(scores) => {
                    let signal = self.attention(scores);
                    self.fill(node, signal)
                }
                Rule::Mix { scores, .. } => self.mix(node, scores),
                Rule::Scores(scores) => self.scores(node, scores),
                Rule::Masked(masked) => self.masked(node, masked),
                Rule::Softmax { length } => self.softmax(node, *length),
                Rule::Matmul { features, scale, along_positions } => {
                    self.matmul(node, *features, *scale, *along_positions)
                }
                &Rule::Embedding { table } => {
                    self.fill(node, Signal::of_table(self.settings.parameters[table]))
                }
                &Rule::Route(law) => self.route(node, law),
                Rule::OneHot => self.fill(node, Signal::default()),
            };
            self.finish(number, node, exponent)?;
        }
        Ok(())
    }

    /// Moves powers of four from the numbers of a node to its exponent, so that they are of
    /// moderate size.
    fn finish(&mut self, number: usize, node: &Node, exponent: Exponent) -> Result<()> {
        let cells = &mut self.workspace.signals[node.cells.clone()];
        let largest = cells.iter().map(|signal| signal.square).fold(0.0, f64::max);
        let shift = excess(largest);
        for signal in cells.iter_mut() {
            if node.positions <= 1.0 {
                *signal = signal.at_one_position();
            }
            *signal = signal.in_units_of(shift);
            if !signal.is_finite() {
                return Err(out_of_domain(node, true));
            }
        }
        if largest == 0.0 {
            // The power of four that nothing is multiplied by means nothing.
            cells.fill(Signal::default());
            return Ok(());
        }
        let exponent = exponent.saturating_add(shift);
        if !is_in_range(exponent) {
            return Err(out_of_domain(node, exponent > 0));
        }
        self.workspace.signal_exponents[number] = exponent;
        Ok(())
    }

    fn fill(&mut self, node: &Node, signal: Signal) -> Exponent {
        self.workspace.signals[node.cells.clone()].fill(signal);
        0
    }

    /// The cells of the source of a link, and of the node that it leads to.
    fn ends(&mut self, node: &Node, link: &DataLink) -> (&[Signal], &mut [Signal]) {
        let source = self.program.nodes[link.source].cells.clone();
        let (before, after) = self.workspace.signals.split_at_mut(node.cells.start);
        (&before[source], &mut after[..node.cells.len()])
    }

    fn exponent(&self, link: usize) -> Exponent {
        self.workspace.signal_exponents[self.program.links[link].source]
    }

    /// Whether any element of the source of a link is other than zero.
    fn has_signal(&self, link: usize) -> bool {
        let source = self.program.nodes[self.program.links[link].source].cells.clone();
        self.workspace.signals[source].iter().any(|signal| signal.square > 0.0)
    }

    /// The mean signal of the source of a link.
    pub(super) fn source(&self, number: usize) -> (Signal, Exponent) {
        let source = &self.program.nodes[self.program.links[number].source];
        (source.mean(&self.workspace.signals), self.exponent(number))
    }
}

fn out_of_domain(node: &Node, is_large: bool) -> Error {
    Error::OutOfDomain { tensor: node.tensor.0, what: "signal", is_large }
}

/// Numbers that are not so positive, or not so steady, that a function of them can be followed.
fn not_steady(node: &Node, what: &'static str, law: &Law) -> Error {
    Error::NotSteady {
        tensor: node.tensor.0,
        what,
        found: format!(
            "here the deviation is {:.2e} and the mean {:.2e}",
            law.variance.max(0.0).sqrt(),
            law.mean
        ),
    }
}

/// Refuses numbers that no mean square or correlation can be.
fn check_numbers(settings: &Settings) -> Result<()> {
    let refuse = |what: &str, got: &dyn std::fmt::Debug| {
        Err(Error::InvalidSetting {
            reason: format!("{what} must be finite and its mean square at least 0, got {got:?}"),
        })
    };
    let is_square = |square: f64| (0.0..f64::INFINITY).contains(&square);
    for elements in &settings.parameters {
        if !elements.mean.is_finite() || !is_square(elements.mean_square) {
            return refuse("a parameter", elements);
        }
    }
    for law in &settings.inputs {
        let correlations = [law.samples, law.positions, law.both];
        if !is_square(law.mean_square) || !correlations.iter().all(|c| c.abs() <= 1.0) {
            return refuse("an input of correlations from -1 to 1", law);
        }
    }
    for seed in &settings.seeds {
        if !is_square(*seed) {
            return refuse("a derivative", seed);
        }
    }
    Ok(())
}

fn refill<T: Clone>(values: &mut Vec<T>, length: usize, value: T) {
    values.clear();
    values.resize(length, value);
}
