//! Products, the largest of several, and the largest in a window.

use super::{Exponent, Sweep};
use crate::error::Result;
use crate::propagation::program::{Bypassed, Node, Operator};
use crate::propagation::scaled::excess;
use crate::propagation::signal::Signal;

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
