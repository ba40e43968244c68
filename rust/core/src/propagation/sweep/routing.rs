//! The weights that tokens give to the experts that they chose.

use super::{Exponent, Sweep};
use crate::propagation::program::Node;
use crate::propagation::scaled::{times_power_of_four, times_power_of_two};
use crate::propagation::signal::{POSITIONS, Signal};

impl Sweep<'_> {
    pub(super) fn route(&mut self, node: &Node, law: usize) -> Exponent {
        let number = node.links.start;
        let (signal, unit) = self.source(number);
        let numbers = signal.law();
        let mean = times_power_of_two(numbers.mean, unit);
        let variance = times_power_of_four(numbers.variance, unit);
        let [samples, positions, both] = numbers.correlations;
        let key = [mean, variance, samples, positions, both].map(f64::to_bits);
        let route = &self.program.routes[law];
        let compute = || route.moments(mean, variance, numbers.correlations, POSITIONS);
        let found = *self.workspace.routes.entry((law, key)).or_insert_with(compute);
        let slopes = self.program.links[number].slopes;
        let cells = node.cells.len();
        self.workspace.slopes[slopes..slopes + cells].fill((found.slope, found.slope_pair));
        self.fill(node, Signal { mean: found.mean, square: found.square, pairs: found.pairs })
    }
}
