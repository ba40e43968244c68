//! Products, the largest of several, and the largest in a window.

use super::{Exponent, Sweep, not_steady};
use crate::error::Result;
use crate::propagation::power::Power;
use crate::propagation::program::{Bypassed, Node, Operator, OwnGate};
use crate::propagation::scaled::{excess, times_power_of_four, times_power_of_two};
use crate::propagation::settings::Elements;
use crate::propagation::signal::{BOTH, POSITIONS, SAMPLES, Signal};

impl Sweep<'_> {
    /// The signal of a factor as it is after broadcasting, for every cell of the product.
    pub(crate) fn operand(&self, node: &Node, number: usize) -> Vec<Signal> {
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

    pub(super) fn product(&mut self, node: &Node) -> Exponent {
        let exponent = self.product_of_factors(node);
        if let Some(own) = &node.own_gate {
            self.gate_by_norm(node, own);
        }
        for &scale in &node.scales {
            let Elements { mean, mean_square } = self.settings.parameters[scale];
            for cell in &mut self.workspace.signals[node.cells.clone()] {
                *cell = cell.scaled(mean, mean_square);
            }
        }
        exponent
    }

    /// What a product owes to a gate that is a norm of what it multiplies: where elements are
    /// large, so is the gate. With the sum `S` of their squares, which is near to a gamma variable,
    /// their mean square behind the gate is in proportion to `E S^2` and not to `(E S)^2`.
    fn gate_by_norm(&mut self, node: &Node, own: &OwnGate) {
        let spread = self.spread_of(own.total);
        let (elements, gates) = (self.operand(node, own.elements), self.operand(node, own.gate));
        let cells = &mut self.workspace.signals[node.cells.clone()];
        for ((cell, of), gate) in cells.iter_mut().zip(&elements).zip(&gates) {
            let square = cell.square * (1.0 + spread);
            // The mean of a channel follows its norm as far as elements have one sign.
            let between = of.pairs[POSITIONS] + (of.square - of.pairs[POSITIONS]) / node.positions;
            let between = (between - of.mean * of.mean).max(0.0);
            let sided = (2.0 * of.mean / of.square.sqrt()).clamp(-1.0, 1.0);
            let spread_of_gate = (gate.square - gate.mean * gate.mean).max(0.0);
            let mean = of.mean * gate.mean + sided * (between * spread_of_gate).sqrt();
            let mean = if mean * mean < square { mean } else { cell.mean };
            let alike = of.law().correlations;
            let paired = |index: usize| mean * mean + alike[index] * (square - mean * mean);
            let positions = cell.pairs[POSITIONS] * (1.0 + spread);
            *cell = Signal { mean, square, pairs: [paired(SAMPLES), positions, paired(BOTH)] };
        }
    }

    /// The variance of a node in proportion to its squared mean.
    fn spread_of(&self, number: usize) -> f64 {
        let total = self.program.nodes[number].mean(&self.workspace.signals);
        let mean = total.mean * total.mean;
        if mean > 0.0 { (total.square / mean - 1.0).max(0.0) } else { 0.0 }
    }

    /// The mean of the gate that a sum owes something to, times those of the scales behind it; and
    /// by how much the variance of the sum of squares makes the product with it larger.
    pub(crate) fn gate_of_sum(&self, own: &OwnGate) -> (f64, f64) {
        let Some((_, scales)) = &own.product else { return (0.0, 1.0) };
        let (gate, unit) = self.source(own.gate);
        let scale: f64 = scales.iter().map(|&one| self.settings.parameters[one].mean).product();
        // With a gamma variable S of shape a, E S^(3/2) is (1 + 1/(2 a)) E S E S^(1/2).
        let grown = 1.0 + 0.5 * self.spread_of(own.total);
        (scale * times_power_of_two(gate.mean, unit), grown)
    }

    /// The mean square of the gate, times those of the scales behind it.
    pub(crate) fn squared_gate_of_sum(&self, own: &OwnGate) -> f64 {
        let Some((_, scales)) = &own.product else { return 0.0 };
        let (gate, unit) = self.source(own.gate);
        let scale: f64 =
            scales.iter().map(|&one| self.settings.parameters[one].mean_square).product();
        scale * times_power_of_four(gate.square, unit)
    }

    /// What a sum of elements and of their product with a gate owes to it: the product of the two
    /// operands is not that of their means.
    pub(super) fn add_gated(&mut self, node: &Node, own: &OwnGate, exponent: Exponent) {
        let Some((product, scales)) = &own.product else { return };
        let (gate, grown) = self.gate_of_sum(own);
        let scale: f64 = scales.iter().map(|&one| self.settings.parameters[one].mean).product();
        let from = self.program.nodes[*product].mean(&self.workspace.signals);
        let from = from.in_units_of(exponent - self.workspace.signal_exponents[*product]);
        let shift = exponent - self.exponent(own.elements);
        let elements = self.operand(node, own.elements);
        let own_scales: f64 = self.program.nodes[*product]
            .scales
            .iter()
            .map(|&one| self.settings.parameters[one].mean)
            .product();
        let behind = if own_scales == 0.0 { 0.0 } else { scale / own_scales };
        let cells = &mut self.workspace.signals[node.cells.clone()];
        for (cell, of) in cells.iter_mut().zip(&elements) {
            let of = of.in_units_of(shift);
            let means = of.mean * from.mean * behind;
            let square = of.square * gate * grown - means;
            let positions = of.pairs[POSITIONS] * gate * grown - means;
            let alike = of.law().correlations;
            cell.square += 2.0 * square;
            cell.pairs[SAMPLES] += 2.0 * alike[SAMPLES] * square;
            cell.pairs[POSITIONS] += 2.0 * positions;
            cell.pairs[BOTH] += 2.0 * alike[BOTH] * square;
        }
    }

    fn product_of_factors(&mut self, node: &Node) -> Exponent {
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

    /// The first tensor times one over the second. The slopes kept for the first link are those
    /// factors, for the second those of one over it.
    pub(super) fn quotient(&mut self, number: usize, node: &Node) -> Result<Exponent> {
        let (first, second) = (node.links.start, node.links.start + 1);
        let (dividends, divisors) = (self.operand(node, first), self.operand(node, second));
        let (unit, below) = (self.exponent(first), self.exponent(second));
        let slopes = [first, second].map(|link| self.program.links[link].slopes);
        for (at, (dividend, divisor)) in dividends.iter().zip(&divisors).enumerate() {
            let law = divisor.law();
            if !Power::RECIPROCAL.holds(&law) {
                return Err(not_steady(node, "a quotient", &law));
            }
            let (inverse, slope) = Power::RECIPROCAL.moments(&law).parts();
            self.workspace.signals[node.cells.start + at] = dividend.times(&inverse);
            self.workspace.slopes[slopes[0] + at] = (inverse.square, inverse.pairs[POSITIONS]);
            self.workspace.slopes[slopes[1] + at] = slope;
        }
        // One over a number of unit `2^e` has the unit `2^-e`, and its slope `4^-e`.
        self.workspace.slope_exponents[number] = below.saturating_mul(-2);
        Ok(unit.saturating_sub(below))
    }

    /// The largest of several, two at a time.
    pub(super) fn maximum(&mut self, node: &Node, sign: f64) -> Exponent {
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

    pub(super) fn max_pool(&mut self, node: &Node, after: Option<Bypassed>) -> Result<Exponent> {
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
}
