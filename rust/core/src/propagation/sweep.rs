//! The sweep forwards, which computes signals, and the results of a sweep.
//!
//! A signal has the first and second moments of a tensor's elements over random weights; the
//! argument of a function is taken to be normal. Rules are those of mean field theory: He et al.,
//! *Delving deep into rectifiers*, 2015; Poole et al., *Exponential expressivity in deep neural
//! networks through transient chaos*, 2016; Schoenholz et al., *Deep information propagation*,
//! 2017; Yang et al., *A mean field theory of batch normalization*, 2019.

use std::collections::HashMap;

use super::cells::Linear;
use super::functions::Function;
use super::moments::{Law, Moments};
use super::program::{Bypassed, Cross, DataLink, LinkMap, Node, Operator, Program, Rule, Scores};
use super::scaled::{Scaled, excess, is_in_range, times_power_of_four};
use super::settings::{BatchNormMode, Elements, Settings};
use super::signal::{BOTH, Gradient, POSITIONS, SAMPLES, Signal};
use super::smooth::{Expansion, Expansions};
use smallvec::SmallVec;

use crate::error::{Error, Result};
use crate::network::TensorId;

/// Moments of functions that are remembered from sweep to sweep.
const MOST_MOMENTS: usize = 1 << 14;

/// With this many cells or more, moments of smooth functions are interpolated.
const MANY_CELLS: usize = 24;

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
            | Rule::RmsNorm { .. } => {
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
                    self.fill(node, Signal::of_input(law))
                }
                &Rule::Parameter(parameter) => {
                    self.fill(node, Signal::of_parameter(self.settings.parameters[parameter]))
                }
                Rule::Combine { cross } => self.combine(node, *cross),
                &Rule::Function(function) => self.function(node, function)?,
                Rule::Product => self.product(node),
                Rule::Maximum { sign } => self.maximum(node, *sign),
                Rule::MaxPool { after } => self.max_pool(node, *after)?,
                Rule::BatchNorm { .. } | Rule::GroupNorm { .. } | Rule::RmsNorm { .. } => {
                    self.normalise(number, node)
                }
                Rule::Attention(scores) => {
                    let signal = self.attention(scores);
                    self.fill(node, signal)
                }
                Rule::Mix { scores, .. } => self.mix(node, scores),
                Rule::Scores(scores) => self.scores(node, scores),
                Rule::Softmax { length } => self.softmax(node, *length),
                Rule::Matmul { features, scale, along_positions } => {
                    self.matmul(node, *features, *scale, *along_positions)
                }
                &Rule::Embedding { table } => {
                    self.fill(node, Signal::of_table(self.settings.parameters[table]))
                }
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

    /// The mean square of the weights of a link and the power of four it comes with; 1 where there
    /// are none.
    pub(super) fn weight(&self, link: usize) -> Scaled {
        match &self.program.links[link].operator {
            Operator::Weighted(weighted) => {
                Scaled::new(self.settings.parameters[weighted.kernel].mean_square, 0)
            }
            _ => Scaled::new(1.0, 0),
        }
    }

    fn combine(&mut self, node: &Node, cross: Cross) -> Exponent {
        let program = self.program;
        // Operands that are zero have no unit, and nothing to add.
        let links: SmallVec<[usize; 4]> = node
            .links
            .clone()
            .filter(|&link| self.has_signal(link) && self.weight(link).value > 0.0)
            .collect();
        let of_links = links.iter().map(|&link| self.exponent(link) + self.weight(link).exponent);
        let biases = node.biases.iter().map(|&bias| self.settings.parameters[bias].mean_square);
        let of_biases =
            biases.filter(|&square| square > 0.0).map(|square| Scaled::new(square, 0).exponent);
        let exponent = of_links.chain(of_biases).max().unwrap_or(0);
        // Squares of the means of the operands, for the products of different ones.
        let mut squares = Squares::default();
        for number in links {
            let weight = self.weight(number);
            let shift = exponent - self.exponent(number) - weight.exponent;
            let link = &program.links[number];
            let (from, to) = self.ends(node, link);
            match &link.operator {
                Operator::Weighted(weighted) => {
                    let into = if link.map.is_some() { 1.0 } else { weighted.into };
                    let spread = weight.value * into;
                    let shared = spread * weighted.share;
                    let term = |signal: &Signal| Signal {
                        mean: 0.0,
                        square: spread * signal.square,
                        pairs: [
                            spread * signal.pairs[SAMPLES],
                            shared * signal.pairs[POSITIONS],
                            shared * signal.pairs[BOTH],
                        ],
                    };
                    let see =
                        |signal: &Signal| signal.in_units_of(shift).seen(weighted.sees_positions);
                    match &link.map {
                        None => {
                            for (to, from) in to.iter_mut().zip(from) {
                                to.add_times(&term(&see(from)), 1.0);
                            }
                        }
                        Some(map) => {
                            let seen: Vec<Signal> = from.iter().map(see).collect();
                            for (to, sum) in to.iter_mut().zip(map.cells.forward(&seen)) {
                                to.add_times(&term(&sum), 1.0);
                            }
                        }
                    }
                }
                Operator::Fixed(fixed) => {
                    let parts = match &link.map {
                        None => {
                            for (at, (to, from)) in to.iter_mut().zip(from).enumerate() {
                                let part = fixed.forward(&from.in_units_of(shift));
                                squares.add(at, part.mean);
                                to.add_times(&part, 1.0);
                            }
                            continue;
                        }
                        Some(map) => {
                            let given: Vec<Signal> =
                                from.iter().map(|one| one.in_units_of(shift)).collect();
                            map.gather(fixed, &given)
                        }
                    };
                    for (at, (to, part)) in to.iter_mut().zip(&parts).enumerate() {
                        squares.add(at, part.mean);
                        to.add_times(part, 1.0);
                    }
                }
                _ => {}
            }
        }
        self.add_biases(node, exponent, &mut squares);
        let share = match cross {
            Cross::All => (1.0, 1.0),
            Cross::Positions if node.positions > 1.0 => {
                (0.0, node.positions / (node.positions - 1.0))
            }
            Cross::Positions | Cross::None => return exponent,
        };
        for (at, cell) in self.workspace.signals[node.cells.clone()].iter_mut().enumerate() {
            let products = cell.mean * cell.mean - squares.at(at);
            cell.square += share.0 * products;
            cell.pairs[SAMPLES] += share.0 * products;
            cell.pairs[POSITIONS] += share.1 * products;
            cell.pairs[BOTH] += share.1 * products;
        }
        exponent
    }

    /// A bias is the same in all samples and at all positions.
    fn add_biases(&mut self, node: &Node, exponent: Exponent, squares: &mut Squares) {
        for &bias in &node.biases {
            let (signal, unit) = Signal::of_bias(self.settings.parameters[bias]);
            if signal.square == 0.0 {
                continue;
            }
            let signal = signal.in_units_of(exponent - unit);
            for (at, cell) in self.workspace.signals[node.cells.clone()].iter_mut().enumerate() {
                squares.add(at, signal.mean);
                cell.add_times(&signal, 1.0);
            }
        }
    }

    fn function(&mut self, node: &Node, function: usize) -> Result<Exponent> {
        let number = node.links.start;
        let exponent = self.exponent(number);
        let link = &self.program.links[number];
        let (from, to) = self.ends(node, link);
        to.copy_from_slice(from);
        self.apply(node, function, exponent)
    }

    /// Applies a function to the cells of a node; slopes are kept with its first link.
    fn apply(&mut self, node: &Node, function: usize, exponent: Exponent) -> Result<Exponent> {
        let known = &self.program.functions[function];
        let slopes = self.program.links[node.links.start].slopes;
        let Workspace { signals, slopes: all, expansions, moments: known_moments, .. } =
            &mut *self.workspace;
        let cells = &mut signals[node.cells.clone()];
        let slopes = &mut all[slopes..slopes + cells.len()];
        if exponent == 0 || known.is_homogeneous() {
            let table = match known {
                Function::Smooth(smooth) if cells.len() >= MANY_CELLS => {
                    Expansions::new(smooth, cells.iter().map(Signal::law))
                }
                _ => None,
            };
            let mut last: Option<(Law, Moments)> = None;
            for (cell, slope) in cells.iter_mut().zip(slopes) {
                let law = cell.law();
                let moments = match (&last, &table, known) {
                    (Some((before, moments)), ..) if *before == law => *moments,
                    (_, Some(table), Function::Smooth(smooth)) => table.moments(smooth, &law),
                    (_, _, Function::Smooth(smooth)) => *known_moments
                        .entry((function, law.bits()))
                        .or_insert_with(|| smooth.moments(&law, &mut expansions[function])),
                    _ => known.moments(&law, &mut expansions[function]),
                };
                last = Some((law, moments));
                (*cell, *slope) = moments.parts();
            }
            return Ok(exponent);
        }
        // Arguments are so close to zero, or so large, that only the function's tangents matter.
        let (limit, value) =
            known.limit(exponent < 0).ok_or_else(|| out_of_domain(node, exponent > 0))?;
        for (cell, slope) in cells.iter_mut().zip(slopes) {
            let moments = limit.moments(&cell.law(), &mut None);
            (*cell, *slope) = moments.parts();
            if value != 0.0 {
                *cell = Signal { mean: value, ..Signal::ONE.scaled(1.0, value * value) };
            }
        }
        Ok(if value == 0.0 { exponent } else { 0 })
    }

    /// The signal of a factor as it is after broadcasting, for every cell of the product.
    pub(super) fn operand(&self, node: &Node, number: usize) -> Vec<Signal> {
        let link = &self.program.links[number];
        let from = &self.workspace.signals[self.program.nodes[link.source].cells.clone()];
        match (&link.operator, &link.map) {
            (Operator::Fixed(fixed), Some(map)) => map.gather(fixed, from),
            (Operator::Fixed(fixed), None) => {
                vec![fixed.forward(&from[0]); node.cells.len()]
            }
            _ => from.to_vec(),
        }
    }

    fn product(&mut self, node: &Node) -> Exponent {
        let mut exponent = 0i64;
        self.workspace.signals[node.cells.clone()].fill(Signal::ONE);
        for (at, link) in node.links.clone().enumerate() {
            exponent = exponent.saturating_add(self.exponent(link));
            if at > 1 {
                // A few factors at the ends of their range leave that of their type.
                let cells = &mut self.workspace.signals[node.cells.clone()];
                let largest = cells.iter().map(|signal| signal.square).fold(0.0, f64::max);
                let shift = excess(largest);
                cells.iter_mut().for_each(|signal| *signal = signal.in_units_of(shift));
                exponent = exponent.saturating_add(shift);
            }
            if node.cells.len() == 1 && matches!(self.program.links[link].operator, Operator::Same)
            {
                let source = &self.program.nodes[self.program.links[link].source];
                let factor = self.workspace.signals[source.cells.start];
                let cell = &mut self.workspace.signals[node.cells.start];
                *cell = cell.times(&factor);
                continue;
            }
            let factors = self.operand(node, link);
            let cells = &mut self.workspace.signals[node.cells.clone()];
            for (cell, factor) in cells.iter_mut().zip(&factors) {
                *cell = cell.times(factor);
            }
        }
        exponent
    }

    /// The largest of several, two at a time.
    fn maximum(&mut self, node: &Node, sign: f64) -> Exponent {
        let links: Vec<usize> = node.links.clone().collect();
        let known = links.iter().filter(|&&link| self.has_signal(link));
        let exponent = known.map(|&link| self.exponent(link)).max().unwrap_or(0);
        let operands: Vec<Vec<Signal>> = links
            .iter()
            .map(|&link| {
                let shift = exponent - self.exponent(link);
                let operand = self.operand(node, link);
                operand.iter().map(|one| one.in_units_of(shift).scaled(sign, 1.0)).collect()
            })
            .collect();
        for at in 0..node.cells.len() {
            let mut largest = operands[0][at];
            for (index, operand) in operands.iter().enumerate().skip(1) {
                let (next, first, second) = largest.or(&operand[at]);
                for &link in &links[..index] {
                    let slopes = &mut self.workspace.slopes[self.program.links[link].slopes + at];
                    *slopes = (slopes.0 * first.0, slopes.1 * first.1);
                }
                self.workspace.slopes[self.program.links[links[index]].slopes + at] = second;
                largest = next;
            }
            self.workspace.signals[node.cells.start + at] = largest.scaled(sign, 1.0);
        }
        exponent
    }

    fn max_pool(&mut self, node: &Node, after: Option<Bypassed>) -> Result<Exponent> {
        let number = node.links.start;
        let exponent = self.exponent(number);
        let link = &self.program.links[number];
        let Operator::Window(window) = &link.operator else { return Ok(exponent) };
        let (from, to) = self.ends(node, link);
        match &link.map {
            None => to[0] = from[0].largest(window, window.largest),
            Some(map) => {
                let sums = map.cells.forward(from);
                for (at, (to, sum)) in to.iter_mut().zip(&sums).enumerate() {
                    let reads = map.reads[at];
                    let inverse = if reads > 0.0 { 1.0 / reads } else { 0.0 };
                    *to = sum.scaled(inverse, inverse).largest(window, map.largest[at]);
                }
            }
        }
        match after {
            Some(bypassed) => self.apply(node, bypassed.function, exponent),
            None => Ok(exponent),
        }
    }

    /// Batch, layer, group and RMS norm, their scale and their shift.
    fn normalise(&mut self, number: usize, node: &Node) -> Exponent {
        let (affine, factor) = match &node.rule {
            Rule::BatchNorm { affine, .. } => (*affine, 1.0),
            Rule::GroupNorm { affine, channels, positions, .. } => {
                (*affine, slope_of_norm(channels * positions, 1.0))
            }
            Rule::RmsNorm { affine, group, .. } => (*affine, slope_of_norm(*group, 0.0)),
            _ => return 0,
        };
        let standard = self.standardised(node);
        let (scale, scale_unit) = Signal::of_bias(self.elements(affine.scale, 1.0));
        let (shift, shift_unit) = Signal::of_bias(self.elements(affine.shift, 0.0));
        let scaled_unit = scale_unit.saturating_add(standard.exponent);
        let has_scaled = scale.square > 0.0 && standard.cells.iter().any(|one| one.square > 0.0);
        let units = [(has_scaled, scaled_unit), (shift.square > 0.0, shift_unit)];
        let units = units.iter().filter(|(is_used, _)| *is_used).map(|&(_, unit)| unit);
        let exponent = units.max().unwrap_or(0);
        let shift = shift.in_units_of(exponent.saturating_sub(shift_unit));
        let slopes = self.program.links[node.links.start].slopes;
        let cells = &mut self.workspace.signals[node.cells.clone()];
        for (at, (cell, standard_cell)) in cells.iter_mut().zip(&standard.cells).enumerate() {
            let scaled = standard_cell.scaled(scale.mean, scale.square);
            let scaled = scaled.in_units_of(exponent.saturating_sub(scaled_unit));
            let moved = shift.square + 2.0 * scaled.mean * shift.mean;
            *cell = Signal {
                mean: scaled.mean + shift.mean,
                square: scaled.square + moved,
                pairs: scaled.pairs.map(|pair| pair + moved),
            };
            let slope = factor * scale.square * standard.inverses[at];
            self.workspace.slopes[slopes + at] = (slope, slope);
        }
        self.workspace.slope_exponents[number] = scale_unit - standard.unit;
        exponent
    }

    /// What a normaliser makes of its argument before its scale and shift. Which mean is subtracted
    /// depends on the norm; the variance that it divides by is the mean over a group of the squares
    /// that are left.
    pub(super) fn standardised(&self, node: &Node) -> Standardised {
        let number = node.links.start;
        let link = &self.program.links[number];
        let source = &self.program.nodes[link.source];
        let stored = self.stored(&node.rule);
        // The unit of the argument, or of a stored mean that is larger.
        let mut unit = self.exponent(number);
        if let Some((mean, _)) = &stored
            && mean.0.square > 0.0
        {
            unit = if self.has_signal(number) { unit.max(mean.1) } else { mean.1 };
        }
        let shift = unit - self.exponent(number);
        let whole = source.mean(&self.workspace.signals).in_units_of(shift);
        let own = &self.workspace.signals[source.cells.clone()];
        let mut cells: Vec<Signal> = own
            .iter()
            .map(|from| from.in_units_of(shift))
            .map(|from| match (&node.rule, &stored) {
                (_, Some(((mean, mean_unit), _))) => {
                    let mean = mean.in_units_of(unit - mean_unit);
                    let fixed = 2.0 * from.mean * mean.mean - mean.square;
                    from.less(from.mean - mean.mean, [fixed; 4])
                }
                (Rule::BatchNorm { .. }, None) => from.less(0.0, [from.pairs[BOTH]; 4]),
                (Rule::GroupNorm { channels, positions, .. }, None) => {
                    from.without_group(&whole, *channels, *positions)
                }
                _ => from,
            })
            .collect();
        let (variances, own_unit) = match stored {
            Some((_, variance)) => (vec![variance.value; cells.len()], variance.exponent),
            None => (node.means_over_groups(&cells), unit),
        };
        let epsilon = match node.rule {
            Rule::BatchNorm { epsilon, .. }
            | Rule::GroupNorm { epsilon, .. }
            | Rule::RmsNorm { epsilon, .. } => Scaled::new(epsilon, 0),
            _ => Scaled::default(),
        };
        let has_variance = variances.iter().any(|&variance| variance > 0.0);
        let units = [(has_variance, own_unit), (epsilon.value > 0.0, epsilon.exponent)];
        let units = units.iter().filter(|(is_used, _)| *is_used).map(|&(_, unit)| unit);
        let divisor_unit = units.max().unwrap_or(0);
        let epsilon = times_power_of_four(epsilon.value, epsilon.exponent - divisor_unit);
        let inverse = |variance: f64| {
            let divisor = times_power_of_four(variance, own_unit - divisor_unit) + epsilon;
            if divisor > 0.0 { 1.0 / divisor } else { 0.0 }
        };
        let inverses: Vec<f64> = variances.into_iter().map(inverse).collect();
        for (cell, &inverse) in cells.iter_mut().zip(&inverses) {
            *cell = cell.scaled(inverse.sqrt(), inverse);
        }
        Standardised { cells, exponent: unit - divisor_unit, inverses, unit: divisor_unit }
    }

    /// The running means of a batch norm that uses them, with their power of four, and the mean of
    /// its running variances.
    fn stored(&self, rule: &Rule) -> Option<((Signal, Exponent), Scaled)> {
        let Rule::BatchNorm { stored: Some((mean, variance)), .. } = rule else { return None };
        if self.settings.batch_norm == BatchNormMode::Batch {
            return None;
        }
        let mean = Signal::of_bias(self.settings.parameters[*mean]);
        Some((mean, Scaled::new(self.settings.parameters[*variance].mean, 0)))
    }

    /// The variance of the scores of one query between its keys, and its covariances with those in
    /// another sample, of another query, and both.
    fn score_variances(&self, scores: &Scores) -> [f64; 4] {
        let signal = |number: usize| {
            let Signal { square, pairs, .. } =
                self.program.nodes[number].mean(&self.workspace.signals);
            [square, pairs[SAMPLES], pairs[POSITIONS], pairs[BOTH]]
        };
        let (query, key) = (signal(scores.query), signal(scores.key));
        let exponents = &self.workspace.signal_exponents;
        let unit = exponents[scores.query] + exponents[scores.key];
        let gain = scores.features * scores.scale * scores.scale;
        let bias = self.elements(scores.bias, 0.0).mean_square;
        let within = |query: f64, same: f64, apart: f64| {
            times_power_of_four(gain * query * (same - apart).max(0.0), unit)
        };
        [
            within(query[0], key[0], key[2]) + bias,
            within(query[1], key[1], key[3]) + bias,
            within(query[2], key[0], key[2]),
            within(query[3], key[1], key[3]),
        ]
    }

    /// Sums over keys of mean products of weights, as if scores were normal and their number large.
    pub(super) fn weight_products(&self, scores: &Scores) -> [f64; 4] {
        self.score_variances(scores).map(|t| (t.exp() / scores.keys).min(1.0))
    }

    fn attention(&self, scores: &Scores) -> Signal {
        let [square, samples, positions, both] =
            self.weight_products(scores).map(|sum| sum / scores.keys);
        Signal { mean: 1.0 / scores.keys, square, pairs: [samples, positions, both] }
    }

    /// The mean signal of the source of a link.
    pub(super) fn source(&self, number: usize) -> (Signal, Exponent) {
        let source = &self.program.nodes[self.program.links[number].source];
        (source.mean(&self.workspace.signals), self.exponent(number))
    }

    fn scores(&mut self, node: &Node, scores: &Scores) -> Exponent {
        let mean = |number: usize| self.program.nodes[number].mean(&self.workspace.signals);
        let (query, key) = (mean(scores.query), mean(scores.key));
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
        self.fill(node, signal);
        exponent
    }

    fn mix(&mut self, node: &Node, scores: &Scores) -> Exponent {
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
        self.fill(node, signal);
        exponent
    }

    fn softmax(&mut self, node: &Node, length: f64) -> Exponent {
        let number = node.links.start;
        let unit = self.exponent(number);
        let link = &self.program.links[number];
        let (from, to) = self.ends(node, link);
        let mut slopes = Vec::with_capacity(to.len());
        for (to, from) in to.iter_mut().zip(from) {
            let mean = from.mean * from.mean;
            let product = |pair: f64| {
                (times_power_of_four(pair - mean, unit).exp() / length).min(1.0) / length
            };
            let square = product(from.square);
            *to = Signal { mean: 1.0 / length, square, pairs: from.pairs.map(product) };
            slopes.push((square, to.pairs[POSITIONS]));
        }
        self.workspace.slopes[link.slopes..link.slopes + slopes.len()].copy_from_slice(&slopes);
        0
    }

    fn matmul(
        &mut self,
        node: &Node,
        features: f64,
        scale: f64,
        along_positions: [bool; 2],
    ) -> Exponent {
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
        self.fill(node, signal);
        one + other
    }
}

/// An argument of a normaliser, divided by its deviation.
pub(super) struct Standardised {
    pub(super) cells: Vec<Signal>,
    /// The power of four of the cells.
    pub(super) exponent: Exponent,
    /// For every cell, one over the variance that it was divided by.
    inverses: Vec<f64>,
    /// The power of four of these variances.
    unit: Exponent,
}

fn out_of_domain(node: &Node, is_large: bool) -> Error {
    Error::OutOfDomain { tensor: node.tensor.0, what: "signal", is_large }
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

/// The factor by which a norm over `n` normal elements multiplies the mean square of derivatives,
/// times the variance of the elements. The derivative of a norm has no component along the
/// normalised elements, and none along the mean if that is subtracted (`means` is 1). The factor
/// `free / (free - 2)` is the mean of one over the sampled variance, times the variance.
fn slope_of_norm(n: f64, means: f64) -> f64 {
    let free = n - means;
    let directions = ((free - 1.0) / n).max(0.0);
    if free > 2.0 { directions * free / (free - 2.0) } else { directions }
}

/// Sums of squares, for every cell.
#[derive(Default)]
struct Squares(SmallVec<[f64; 1]>);

impl Squares {
    fn add(&mut self, cell: usize, mean: f64) {
        if mean != 0.0 {
            if self.0.len() <= cell {
                self.0.resize(cell + 1, 0.0);
            }
            self.0[cell] += mean * mean;
        }
    }

    fn at(&self, cell: usize) -> f64 {
        self.0.get(cell).copied().unwrap_or(0.0)
    }
}

fn refill<T: Clone>(values: &mut Vec<T>, length: usize, value: T) {
    values.clear();
    values.resize(length, value);
}

impl Moments {
    /// The signal of the values, and the slopes.
    fn parts(&self) -> (Signal, (f64, f64)) {
        let signal = Signal { mean: self.mean, square: self.square, pairs: self.pairs };
        (signal, (self.slope_square, self.slope_pair))
    }
}

impl Signal {
    /// The signal minus the mean of its group, whose signal is `whole`. The products of an element
    /// lose twice those of the element with the mean, and gain those of the mean with itself.
    fn without_group(&self, whole: &Self, channels: f64, positions: f64) -> Self {
        // A group that has only one position is at the position of its element.
        let whole = if positions > 1.0 { whole } else { self };
        let product = |of: &Self, same: f64, apart: f64| {
            let between_channels = (1.0 - 1.0 / channels) * of.mean * whole.mean;
            (same / positions + (1.0 - 1.0 / positions) * apart) / channels + between_channels
        };
        let taken = |same: fn(&Self) -> f64, apart: fn(&Self) -> f64| {
            2.0 * product(self, same(self), apart(self)) - product(whole, same(whole), apart(whole))
        };
        let own = taken(|one| one.square, |one| one.pairs[POSITIONS]);
        let sampled = taken(|one| one.pairs[SAMPLES], |one| one.pairs[BOTH]);
        let (apart, both) = if positions > 1.0 {
            // A group over positions has one mean for all of them.
            (own, sampled)
        } else {
            let apart = |one: &Self| one.pairs[POSITIONS];
            let both = |one: &Self| one.pairs[BOTH];
            (taken(apart, apart), taken(both, both))
        };
        self.less(0.0, [own, sampled, apart, both])
    }
}

impl Node {
    /// For every cell the mean of the mean squares of its group.
    fn means_over_groups(&self, cells: &[Signal]) -> Vec<f64> {
        if let [only] = cells {
            return vec![only.square];
        }
        let groups = self.groups.iter().max().map_or(0, |&last| last as usize + 1);
        let (mut sums, mut shares) = (vec![0.0; groups], vec![0.0; groups]);
        for ((cell, &share), &group) in cells.iter().zip(&self.shares).zip(&self.groups) {
            sums[group as usize] += share * cell.square;
            shares[group as usize] += share;
        }
        self.groups.iter().map(|&group| sums[group as usize] / shares[group as usize]).collect()
    }
}

impl LinkMap {
    /// The signal that every cell of the target gets through fixed weights.
    fn gather(&self, fixed: &super::program::Fixed, given: &[Signal]) -> Vec<Signal> {
        let sums = self.cells.forward(given);
        let means: Vec<f64> = given.iter().map(|one| one.mean * one.mean).collect();
        let products = self.cells.forward(&means);
        // Copies of one element are equal, where others are as alike as elements of the source.
        let copies = self.copies.as_ref().map(|(squares, of_positions)| {
            let own = |one: &Signal, mean: f64| {
                let others = if *of_positions {
                    [one.pairs[POSITIONS], one.pairs[BOTH]]
                } else {
                    [mean, mean]
                };
                let [apart, both] = others;
                Signal {
                    square: one.square - apart,
                    pairs: [one.pairs[SAMPLES] - both, 0.0, 0.0],
                    ..Signal::default()
                }
            };
            let own: Vec<Signal> =
                given.iter().zip(&means).map(|(one, &mean)| own(one, mean)).collect();
            let (once, squared) = (self.cells.forward(&own), squares.forward(&own));
            let more = |(a, b): (&Signal, &Signal)| {
                (b.square - a.square, b.pairs[SAMPLES] - a.pairs[SAMPLES])
            };
            once.iter().zip(&squared).map(more).collect::<Vec<_>>()
        });
        let is_identity = fixed.is_identity();
        let coverage = fixed.coverage();
        sums.iter()
            .enumerate()
            .map(|(at, sum)| {
                let (reads, along) = (self.reads[at], self.reads_of_positions[at]);
                if reads == 0.0 {
                    return Signal::default();
                }
                if is_identity {
                    return sum.scaled(fixed.coefficient, fixed.coefficient * fixed.coefficient);
                }
                let weight = fixed.coefficient / if fixed.averages { reads } else { 1.0 };
                let square = weight * weight;
                let [samples, apart, both] = sum.pairs;
                let independent = (reads - along) * products[at];
                let own = square * (sum.square + (along - 1.0) * apart + independent);
                let sampled = square * (samples + (along - 1.0) * both + independent);
                let more = copies.as_ref().map_or((0.0, 0.0), |copies| copies[at]);
                let (own, sampled) = (own + square * more.0, sampled + square * more.1);
                let local = sum.scaled(1.0 / reads, 1.0 / reads);
                let between = |same: f64, apart: f64| {
                    fixed.between(&local, same, apart).map(|product| product / coverage)
                };
                Signal {
                    mean: weight * sum.mean,
                    square: own,
                    pairs: [
                        sampled,
                        between(local.square, local.pairs[POSITIONS]).unwrap_or(own),
                        between(local.pairs[SAMPLES], local.pairs[BOTH]).unwrap_or(sampled),
                    ],
                }
            })
            .collect()
    }
}
