//! The sweep backwards: derivatives by elements and by parameters.

use super::program::{Affine, LinkMap, Masked, NextNorm, Node, Operator, Rule, Scores};
use super::scaled::{Scaled, excess, is_in_range, times_power_of_four};
use super::settings::BatchNormMode;
use super::signal::{BOTH, Gradient, POSITIONS, SAMPLES, Signal};
use super::sweep::Sweep;
use crate::error::{Error, Result};

impl Sweep<'_> {
    pub(super) fn backward(&mut self) -> Result<()> {
        let program = self.program;
        let seeds = &self.settings.seeds;
        for (index, &output) in program.outputs.iter().enumerate() {
            let square = seeds[index.min(seeds.len() - 1)];
            self.receive_evenly(output, Gradient { square, pair: 0.0 }, 0);
        }
        for (number, node) in program.nodes.iter().enumerate().rev() {
            let mean = node.mean(&self.workspace.gradients);
            if mean.square == 0.0 {
                continue;
            }
            let exponent = self.workspace.gradient_exponents[number];
            if !is_in_range(exponent) || !mean.square.is_finite() || !mean.pair.is_finite() {
                let is_large = exponent >= 0;
                return Err(Error::OutOfDomain {
                    tensor: node.tensor.0,
                    what: "gradient",
                    is_large,
                });
            }
            let first = node.links.start;
            match &node.rule {
                Rule::Input | Rule::OneHot => {}
                &Rule::Parameter(parameter) | &Rule::Embedding { table: parameter } => {
                    let sum = Scaled::new(node.elements * mean.square, exponent);
                    self.workspace.parameters[parameter].add(sum);
                }
                Rule::Combine { .. } => {
                    for link in node.links.clone() {
                        self.combine_back(node, link, exponent);
                    }
                    for &bias in &node.biases {
                        self.bias_gradient(bias, node, mean, exponent);
                    }
                }
                Rule::Function(_) | Rule::Softmax { .. } => {
                    let mut passed = self.sloped(node, first);
                    if let Some(sum) = node.gated_sum {
                        self.grow_with_gate(node, sum, &mut passed);
                    }
                    let unit = self.workspace.slope_exponents[number];
                    self.receive(program.links[first].source, &passed, exponent + unit);
                }
                Rule::Product => self.product_back(node, exponent),
                Rule::Quotient => self.quotient_back(number, node, exponent),
                Rule::Maximum { .. } => {
                    for link in node.links.clone() {
                        let passed = self.sloped(node, link);
                        self.pass(link, &passed, exponent);
                    }
                }
                Rule::MaxPool { .. } => {
                    let passed = self.max_pool_back(node, true);
                    self.receive(program.links[first].source, &passed, exponent);
                }
                Rule::BatchNorm { affine, .. }
                | Rule::GroupNorm { affine, .. }
                | Rule::RmsNorm { affine, .. }
                | Rule::MeanNorm { affine, .. } => {
                    self.affine_gradient(node, *affine, mean, exponent);
                    let passed = self.sloped(node, first);
                    let unit = self.workspace.slope_exponents[number];
                    self.receive(program.links[first].source, &passed, exponent + unit);
                }
                Rule::Attention(scores) => {
                    // A change that is equal for all scores of a query changes no weight.
                    let [own, _, positions, _] = self.weight_products(scores);
                    let slope = own * (1.0 - own) / scores.keys;
                    let source = program.links[first].source;
                    let passed = mean.times(slope, positions / scores.keys);
                    self.receive_evenly(source, passed, exponent);
                }
                Rule::Mix { scores, width } => {
                    self.mix_back(node, scores, *width, mean, exponent);
                }
                Rule::Scores(scores) => self.scores_back(node, scores, mean, exponent),
                Rule::Route(_) => {
                    let (slope, pair) = self.workspace.slopes[program.links[first].slopes];
                    let passed = mean.times(slope, pair);
                    self.receive_evenly(program.links[first].source, passed, exponent);
                }
                Rule::Masked(masked) => self.masked_back(node, masked, mean, exponent),
                Rule::Matmul { scale, .. } => {
                    for (index, link) in node.links.clone().enumerate() {
                        let (other, unit) = self.source(first + 1 - index);
                        if let Operator::Contracted { from } = program.links[link].operator {
                            let gain = from * scale * scale;
                            let passed =
                                mean.times(gain * other.square, gain * other.pairs[POSITIONS]);
                            let source = program.links[link].source;
                            self.receive_evenly(source, passed, exponent + unit);
                        }
                    }
                }
            }
        }
        self.report_bypassed();
        Ok(())
    }

    /// Sets the derivatives by the values of those functions that were applied behind their pool.
    /// The arguments have received theirs already; these are for the reader of the results only.
    fn report_bypassed(&mut self) {
        for (number, node) in self.program.nodes.iter().enumerate() {
            let Rule::MaxPool { after: Some(bypassed) } = &node.rule else { continue };
            let passed = self.max_pool_back(node, false);
            self.receive(bypassed.node, &passed, self.workspace.gradient_exponents[number]);
        }
    }

    /// The derivatives of a node, multiplied by the slopes that the forward sweep stored for a
    /// link.
    fn sloped(&self, node: &Node, link: usize) -> Vec<Gradient> {
        let slopes = &self.workspace.slopes[self.program.links[link].slopes..];
        let own = &self.workspace.gradients[node.cells.clone()];
        own.iter().zip(slopes).map(|(one, slope)| one.times(slope.0, slope.1)).collect()
    }

    /// Adds the same derivative by all elements of a node.
    fn receive_evenly(&mut self, node: usize, gradient: Gradient, exponent: i64) {
        let cells = self.program.nodes[node].cells.len();
        if cells == 1 {
            self.receive(node, &[gradient], exponent);
        } else {
            self.receive(node, &vec![gradient; cells], exponent);
        }
    }

    /// Adds to the derivatives by the elements of a node.
    fn receive(&mut self, node: usize, given: &[Gradient], exponent: i64) {
        if given.iter().all(|one| one.square == 0.0) {
            return;
        }
        // Derivatives that add up to nothing may come to less than that by rounding.
        let given =
            given.iter().map(|one| if one.square < 0.0 { Gradient::default() } else { *one });
        let cells = &mut self.workspace.gradients[self.program.nodes[node].cells.clone()];
        let own = &mut self.workspace.gradient_exponents[node];
        let (mut here, mut there) = (0, 0);
        if cells.iter().all(|one| one.square == 0.0) {
            *own = exponent;
        } else if *own != exponent {
            let common = exponent.max(*own);
            (here, there) = (own.saturating_sub(common), exponent.saturating_sub(common));
            *own = common;
        }
        for (cell, one) in cells.iter_mut().zip(given) {
            let (before, more) = (cell.times_power_of_four(here), one.times_power_of_four(there));
            cell.square = before.square + more.square;
            cell.pair = before.pair + more.pair;
        }
        *own = own.saturating_add(moderate(cells));
    }

    /// Sends derivatives by the elements that a link gives to its target on to its source.
    fn pass(&mut self, link: usize, given: &[Gradient], exponent: i64) {
        let link = &self.program.links[link];
        let passed: Vec<Gradient> = match (&link.operator, &link.map) {
            (Operator::Fixed(fixed), Some(map)) => {
                let source = &self.program.nodes[link.source];
                map.scatter(fixed, given, &source.shares)
            }
            (Operator::Fixed(fixed), None) => given.iter().map(|one| fixed.backward(one)).collect(),
            _ => return self.receive(link.source, given, exponent),
        };
        self.receive(link.source, &passed, exponent);
    }

    fn combine_back(&mut self, node: &Node, number: usize, exponent: i64) {
        let program = self.program;
        let link = &program.links[number];
        let Operator::Weighted(weighted) = &link.operator else {
            let mut own = self.workspace.gradients[node.cells.clone()].to_vec();
            if let Some(gate) = node.own_gate.as_ref().filter(|gate| gate.elements == number) {
                // Elements and their product with a gate have the same derivatives, which add up.
                let factor = (1.0 + 2.0 * self.gate_of_sum(gate).0).max(0.0);
                own.iter_mut().for_each(|one| *one = one.times(factor, factor));
            }
            return self.pass(number, &own, exponent);
        };
        let source = &program.nodes[link.source];
        let unit = self.workspace.signal_exponents[link.source];
        let is_centred = match node.next {
            None => false,
            Some(NextNorm::Stored) => self.settings.batch_norm == BatchNormMode::Batch,
            Some(NextNorm::OfSamples) => true,
        };
        let Scaled { value: variance, exponent: weight_unit } = self.weight(number);
        let own = &self.workspace.gradients[node.cells.clone()];
        let signals = &self.workspace.signals[source.cells.clone()];
        // Batch norm takes off what all positions of all samples have in common.
        let common_of = |signal: &Signal| {
            if node.positions > 1.0 {
                signal.seen(weighted.sees_positions).pairs[BOTH]
            } else {
                signal.pairs[SAMPLES]
            }
        };
        let mut squares = signals
            .iter()
            .map(|signal| signal.square - if is_centred { common_of(signal) } else { 0.0 });
        // The gradient sums, over all edges, the mean square of the derivative at the target times
        // that of the element at the source. The source gets derivatives through the same edges.
        let (sum, passed) = match &link.map {
            None => {
                let square = squares.next_back().unwrap_or(0.0);
                let gain = variance * weighted.from;
                let passed = own.iter().map(|one| one.times(gain, gain)).collect();
                (weighted.edges * own[0].square * square, passed)
            }
            Some(map) => {
                let read = map.cells.forward(&squares.collect::<Vec<_>>());
                let terms = own.iter().zip(&read).enumerate();
                let shares = &node.shares;
                let sum: f64 = terms
                    .map(|(at, (one, read))| shares.get(at).unwrap_or(&1.0) * one.square * read)
                    .sum();
                let mut passed = map.cells.backward(own);
                for one in &mut passed {
                    *one = one.times(variance, variance);
                }
                (node.elements * sum, passed)
            }
        };
        let coherence = if weighted.sees_positions { weighted.coherence } else { 0.0 };
        let passed: Vec<Gradient> =
            passed.into_iter().map(|one: Gradient| one.times(1.0, coherence)).collect();
        let mean = node.mean(&self.workspace.gradients);
        let signal = source.mean(&self.workspace.signals);
        let common = if is_centred { common_of(&signal) } else { 0.0 };
        let seen = signal.seen(weighted.sees_positions).pairs[POSITIONS] - common;
        let sum = (sum + mean.pair * weighted.pairs * seen) * self.along_values(node.keys_of);
        self.add_to_parameter(weighted.kernel, sum, exponent + unit);
        self.receive(link.source, &passed, exponent + weight_unit);
    }

    /// How much the terms of a sum over keys agree. Derivatives by scores follow the values. If
    /// keys are computed from the same tensor as values, both depend on its `scores.common`
    /// channels, so that the terms are slightly correlated. This matters where there are many keys.
    fn agreement(&self, scores: &Scores) -> f64 {
        if scores.common == 0.0 {
            return 1.0;
        }
        let [own, ..] = self.weight_products(scores);
        1.0 + (1.0 / own - 1.0).max(0.0) / scores.common
    }

    /// The same agreement, for the gradient of the weights that keys are computed with.
    fn along_values(&self, attention: Option<usize>) -> f64 {
        match attention.map(|node| &self.program.nodes[node].rule) {
            Some(Rule::Attention(scores)) => self.agreement(scores),
            Some(Rule::Masked(masked)) => self.masked_agreement(masked, attention),
            _ => 1.0,
        }
    }

    /// The agreement of terms of a sum over the keys that a mask leaves.
    fn masked_agreement(&self, masked: &Masked, attention: Option<usize>) -> f64 {
        match attention {
            Some(node) if masked.common > 0.0 => {
                let products = self.masked_products(masked, &self.program.nodes[node]);
                1.0 + (1.0 / products.own - 1.0).max(0.0) / masked.common
            }
            _ => 1.0,
        }
    }

    fn bias_gradient(&mut self, bias: usize, node: &Node, mean: Gradient, exponent: i64) {
        let sum = node.elements * (mean.square + (node.positions - 1.0) * mean.pair);
        self.add_to_parameter(bias, sum, exponent);
    }

    /// Adds to the squared gradient of a parameter what is not below zero by rounding.
    fn add_to_parameter(&mut self, parameter: usize, sum: f64, exponent: i64) {
        let sum = if sum < 0.0 { 0.0 } else { sum };
        self.workspace.parameters[parameter].add(Scaled::new(sum, exponent));
    }

    fn affine_gradient(&mut self, node: &Node, affine: Affine, mean: Gradient, exponent: i64) {
        if let Some(shift) = affine.shift {
            self.bias_gradient(shift, node, mean, exponent);
        }
        let Some(scale) = affine.scale else { return };
        let standard = self.standardised(node);
        let own = &self.workspace.gradients[node.cells.clone()];
        let terms = own.iter().zip(&standard.cells).enumerate();
        let share = |at: usize| node.shares.get(at).copied().unwrap_or(1.0);
        let squares: f64 =
            terms.map(|(at, (one, signal))| share(at) * one.square * signal.square).sum();
        let cells = standard.cells.iter().enumerate();
        let pair: f64 = cells.map(|(at, signal)| share(at) * signal.pairs[POSITIONS]).sum();
        let sum = node.elements * (squares + (node.positions - 1.0) * mean.pair * pair);
        self.add_to_parameter(scale, sum, exponent + standard.exponent);
    }

    fn product_back(&mut self, node: &Node, exponent: i64) {
        let mut own = self.workspace.gradients[node.cells.clone()].to_vec();
        for (at, &scale) in node.scales.iter().enumerate() {
            self.scale_gradient(node, scale, at, exponent);
        }
        for &scale in &node.scales {
            let square = self.settings.parameters[scale].mean_square;
            own.iter_mut().for_each(|one| *one = one.times(square, square));
        }
        for link in node.links.clone() {
            let (mut passed, mut unit) = (own.clone(), exponent);
            for other in node.links.clone().filter(|&other| other != link) {
                let own = self.workspace.signal_exponents[self.program.links[other].source];
                for (one, factor) in passed.iter_mut().zip(self.operand(node, other)) {
                    *one = one.times(factor.square, factor.pairs[POSITIONS]);
                }
                unit = unit.saturating_add(own).saturating_add(moderate(&mut passed));
            }
            self.pass(link, &passed, unit);
        }
    }

    /// Where a gate is large because the values of a function are, so are the function's slopes: as
    /// for ReLU, which has none where it is zero. This matters as far as channels differ.
    fn grow_with_gate(&self, node: &Node, sum: usize, passed: &mut [Gradient]) {
        let Some(own) = &self.program.nodes[sum].own_gate else { return };
        let signal = node.mean(&self.workspace.signals);
        let link = &self.program.links[node.links.start];
        let slope = self.workspace.slopes[link.slopes].0;
        let variance = signal.square - signal.mean * signal.mean;
        if !(slope < 1.0 && slope > 0.0 && variance > 0.0) {
            return;
        }
        let common = (signal.pairs[POSITIONS] - signal.mean * signal.mean) / variance;
        let between = (common + (1.0 - common) / node.positions).clamp(0.0, 1.0);
        let grown = 1.0 + (1.0 / slope - 1.0) * between;
        let (once, twice) = (2.0 * self.gate_of_sum(own).0, self.squared_gate_of_sum(own));
        let factor = (1.0 + (once + twice) * grown) / (1.0 + once + twice);
        if factor.is_finite() && factor > 0.0 {
            passed.iter_mut().for_each(|one| *one = one.times(factor, factor));
        }
    }

    /// Adds the gradient of a parameter that multiplies a product: of everything else in it.
    fn scale_gradient(&mut self, node: &Node, scale: usize, at: usize, exponent: i64) {
        let mut factors = vec![Signal::ONE; node.cells.len()];
        let mut unit = exponent;
        for link in node.links.clone() {
            for (factor, operand) in factors.iter_mut().zip(self.operand(node, link)) {
                *factor = factor.times(&operand);
            }
            let own = self.workspace.signal_exponents[self.program.links[link].source];
            unit = unit.saturating_add(own);
        }
        for (_, &other) in node.scales.iter().enumerate().filter(|&(place, _)| place != at) {
            let square = self.settings.parameters[other].mean_square;
            factors.iter_mut().for_each(|one| *one = one.scaled(1.0, square));
        }
        let own = &self.workspace.gradients[node.cells.clone()];
        let others = (node.positions - 1.0).max(0.0);
        let terms = own.iter().zip(&factors).enumerate();
        let sum: f64 = terms
            .map(|(at, (one, factor))| {
                let share = node.shares.get(at).copied().unwrap_or(1.0);
                share * (one.square * factor.square + others * one.pair * factor.pairs[POSITIONS])
            })
            .sum();
        self.add_to_parameter(scale, node.elements * sum, unit);
    }

    /// The derivatives by the two tensors of a quotient: the first times one over the second.
    fn quotient_back(&mut self, number: usize, node: &Node, exponent: i64) {
        let (first, second) = (node.links.start, node.links.start + 1);
        let own = self.workspace.gradients[node.cells.clone()].to_vec();
        let dividend = self.operand(node, first);
        let unit = self.workspace.signal_exponents[self.program.links[first].source];
        let divisor = self.workspace.signal_exponents[self.program.links[second].source];
        let factors = &self.workspace.slopes[self.program.links[first].slopes..];
        let passed: Vec<Gradient> =
            own.iter().zip(factors).map(|(one, f)| one.times(f.0, f.1)).collect();
        let slopes = &self.workspace.slopes[self.program.links[second].slopes..];
        let mut changed: Vec<Gradient> = own
            .iter()
            .zip(slopes)
            .zip(&dividend)
            .map(|((one, slope), factor)| {
                one.times(slope.0 * factor.square, slope.1 * factor.pairs[POSITIONS])
            })
            .collect();
        let slope_unit = self.workspace.slope_exponents[number];
        self.pass(first, &passed, exponent.saturating_sub(divisor));
        let moved = moderate(&mut changed);
        let unit = exponent.saturating_add(unit).saturating_add(slope_unit).saturating_add(moved);
        self.pass(second, &changed, unit);
    }

    /// The derivatives by the source of a window; `with_slopes` includes a function in between.
    fn max_pool_back(&self, node: &Node, with_slopes: bool) -> Vec<Gradient> {
        let number = node.links.start;
        let link = &self.program.links[number];
        let mut passed = if with_slopes {
            self.sloped(node, number)
        } else {
            self.workspace.gradients[node.cells.clone()].to_vec()
        };
        let Operator::Window(window) = &link.operator else { return passed };
        let source = &self.program.nodes[link.source];
        let pair = match &node.shares[..] {
            [] => passed[0].pair,
            shares => passed.iter().zip(shares).map(|(one, share)| one.pair * share).sum(),
        };
        let pair = pair * window.apart;
        match &link.map {
            None => passed[0] = Gradient { square: passed[0].square * window.won, pair },
            Some(map) => {
                for (one, reads) in passed.iter_mut().zip(&map.reads) {
                    one.square /= reads.max(1.0);
                }
                let back = map.cells.backward(&passed);
                passed = spread(&back, pair, &source.shares);
            }
        }
        passed
    }

    fn mix_back(
        &mut self,
        node: &Node,
        scores: &Scores,
        width: f64,
        mean: Gradient,
        exponent: i64,
    ) {
        let (weights, values) = (node.links.start, node.links.start + 1);
        let (value, unit) = self.source(values);
        // A change that is equal for all scores of a query leaves its weights as they are. Only
        // differences between values count, therefore.
        let varies = width * (value.square - value.pairs[POSITIONS]);
        let source = self.program.links[weights].source;
        self.receive_evenly(source, mean.times(varies, varies), exponent + unit);
        let [own, _, positions, _] = self.weight_products(scores).map(|sum| sum / scores.keys);
        let Operator::Contracted { from } = self.program.links[values].operator else { return };
        let even = 1.0 / (scores.keys * scores.keys);
        let others = (scores.queries - 1.0).max(0.0) * mean.pair;
        // A value feeds all queries, whose derivatives add coherently as far as they are
        // correlated.
        let passed = Gradient {
            square: from * (own * mean.square + positions * others),
            pair: from * even * (mean.square + others),
        };
        self.receive_evenly(self.program.links[values].source, passed, exponent);
    }

    fn scores_back(&mut self, node: &Node, scores: &Scores, mean: Gradient, exponent: i64) {
        let signal = |number: usize| {
            let signal = self.program.nodes[number].mean(&self.workspace.signals);
            (signal, self.workspace.signal_exponents[number])
        };
        let ((query, query_unit), (key, key_unit)) = (signal(scores.query), signal(scores.key));
        let scale = scores.scale * scores.scale;
        for number in node.links.clone() {
            let link = &self.program.links[number];
            let Operator::Contracted { from } = link.operator else { continue };
            let is_query = link.source == scores.query
                && (link.source != scores.key || number == node.links.start);
            if is_query {
                // Derivatives by the scores of one query add up to zero: only what differs between
                // keys counts.
                let varies = from * scale * (key.square - key.pairs[POSITIONS]);
                let varies = varies * self.agreement(scores);
                let passed = mean.times(varies, varies);
                self.receive_evenly(link.source, passed, exponent + key_unit);
            } else {
                let others = (scores.queries - 1.0).max(0.0) * mean.pair;
                let own = query.square * mean.square;
                // Where queries are as alike as they can be, rounding is all that is left.
                let terms = (own + query.pairs[POSITIONS] * others).max(f64::EPSILON * own);
                let square = from * scale * terms;
                // Those by the keys of one query add up to zero. Keys are a part of all positions
                // where attention is within windows.
                let positions = self.program.nodes[link.source].positions.max(scores.keys);
                let pair = if positions > 1.0 { -square / (positions - 1.0) } else { 0.0 };
                let passed = Gradient { square, pair };
                self.receive_evenly(link.source, passed, exponent + query_unit);
            }
        }
    }
}

impl Sweep<'_> {
    /// Derivatives by queries, keys and values of an attention of which a mask hides keys.
    fn masked_back(&mut self, node: &Node, masked: &Masked, mean: Gradient, exponent: i64) {
        let [to_query, to_key, to_value] = [0, 1, 2].map(|at| node.links.start + at);
        let ((query, query_unit), (key, key_unit)) = (self.source(to_query), self.source(to_key));
        let (value, value_unit) = self.source(to_value);
        let products = self.masked_products(masked, node);
        let Masked { queries, keys, shared, repeats, .. } = *masked;
        let others = (queries - 1.0).max(0.0) * mean.pair;
        // By a score, for all keys of a query together: those of one query add up to zero, and only
        // what differs between values and between keys counts.
        let varies = masked.width * (value.square - value.pairs[POSITIONS]);
        let scale = masked.scale * masked.scale;
        let slope = Gradient {
            square: varies * products.slope * mean.square,
            pair: varies * products.between * mean.pair,
        };
        let agreement = self.masked_agreement(masked, self.program.node_of[node.tensor.0]);
        let of_keys = scale * repeats[0] * (key.square - key.pairs[POSITIONS]) * agreement;
        let source = |link: usize| self.program.links[link].source;
        let (query_node, key_node, value_node) =
            (source(to_query), source(to_key), source(to_value));
        if let Some(bias) = masked.bias {
            let sum = node.elements / masked.width * slope.square;
            self.add_to_parameter(bias, sum, exponent + value_unit);
        }
        let passed = slope.times(of_keys, of_keys);
        self.receive_evenly(query_node, passed, exponent + value_unit + key_unit);
        let own = query.square * slope.square;
        let terms = own + query.pairs[POSITIONS] * (queries - 1.0).max(0.0) * slope.pair;
        let square = scale * repeats[1] * queries / keys * terms.max(f64::EPSILON * own);
        let pair = if keys > 1.0 { -square / (keys - 1.0) } else { 0.0 };
        self.receive_evenly(
            key_node,
            Gradient { square, pair },
            exponent + value_unit + query_unit,
        );
        let gain = repeats[2] * queries / keys;
        let passed = Gradient {
            square: gain * (products.own * mean.square + products.between * others),
            pair: if keys > 1.0 {
                let apart = (1.0 - products.inverse) * mean.square + (1.0 - shared) * others;
                gain * apart / (keys - 1.0)
            } else {
                0.0
            },
        };
        self.receive_evenly(value_node, passed, exponent);
    }
}

/// Moves powers of four out of derivatives until they are of moderate size, and returns how many.
fn moderate(gradients: &mut [Gradient]) -> i64 {
    let shift = excess(gradients.iter().map(|one| one.square).fold(0.0, f64::max));
    if shift != 0 {
        for one in gradients {
            *one = one.times_power_of_four(-shift);
        }
    }
    shift
}

impl Gradient {
    fn times_power_of_four(self, exponent: i64) -> Self {
        Self {
            square: times_power_of_four(self.square, exponent),
            pair: times_power_of_four(self.pair, exponent),
        }
    }
}

/// The given mean squares, with mean products in proportion to them whose mean is `pair`.
fn spread(given: &[Gradient], pair: f64, shares: &[f64]) -> Vec<Gradient> {
    let terms = given.iter().enumerate();
    let mean: f64 =
        terms.map(|(at, one)| one.square * shares.get(at).copied().unwrap_or(1.0)).sum();
    let ratio = if mean > 0.0 { pair / mean } else { 0.0 };
    given.iter().map(|one| Gradient { square: one.square, pair: ratio * one.square }).collect()
}

impl LinkMap {
    /// The derivatives that every cell of the source gets through fixed weights.
    fn scatter(
        &self,
        fixed: &super::program::Fixed,
        given: &[Gradient],
        shares: &[f64],
    ) -> Vec<Gradient> {
        let weighed: Vec<Gradient> = given
            .iter()
            .zip(&self.reads)
            .map(|(one, &reads)| {
                let weight = fixed.coefficient / if fixed.averages { reads.max(1.0) } else { 1.0 };
                one.times(weight * weight, weight * weight)
            })
            .collect();
        let mut passed = match &self.copies {
            Some((squares, _)) => squares.backward(&weighed),
            None => self.squares.as_ref().unwrap_or(&self.cells).backward(&weighed),
        };
        if fixed.is_identity() {
            let kept = if fixed.flattens { 0.0 } else { 1.0 };
            return passed.into_iter().map(|one| one.times(1.0, kept)).collect();
        }
        for (one, &along) in passed.iter_mut().zip(&self.read_along_positions) {
            // Weights of both signs take from each other.
            let more = if fixed.is_weighted { along - 1.0 } else { (along - 1.0).max(0.0) };
            one.square += more * one.pair;
        }
        // The correlation of derivatives between positions is known on average only.
        let mean = mean_of(given, &self.target_shares);
        spread(&passed, fixed.backward(&mean).pair, shares)
    }
}

fn mean_of(given: &[Gradient], shares: &[f64]) -> Gradient {
    let mut mean = Gradient::default();
    for (at, one) in given.iter().enumerate() {
        let share = shares.get(at).copied().unwrap_or(1.0);
        mean.square += share * one.square;
        mean.pair += share * one.pair;
    }
    mean
}
