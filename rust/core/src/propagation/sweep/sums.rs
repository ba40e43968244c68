//! Sums over links with weights of their own: affine layers, sums, moves and averages.

use smallvec::SmallVec;

use super::{Exponent, Sweep};
use crate::propagation::cell_map::Linear;
use crate::propagation::program::{Cross, Fixed, LinkMap, Node, Operator};
use crate::propagation::scaled::Scaled;
use crate::propagation::signal::{BOTH, POSITIONS, SAMPLES, Signal};

impl Sweep<'_> {
    /// The mean square of the weights of a link and the power of four it comes with; 1 where there
    /// are none.
    pub(crate) fn weight(&self, link: usize) -> Scaled {
        match &self.program.links[link].operator {
            Operator::Weighted(weighted) => {
                Scaled::new(self.settings.parameters[weighted.kernel].mean_square, 0)
            }
            _ => Scaled::new(1.0, 0),
        }
    }

    pub(super) fn combine(&mut self, node: &Node, cross: Cross) -> Exponent {
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
        if let Some(own) = &node.own_gate {
            self.add_gated(node, own, exponent);
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

impl Fixed {
    /// The signal of a window whose taps have weights, from the sum of means, and the sum of
    /// products with squared weights, whose sum is `weight`. `along` is the square of the sum of
    /// weights in proportion to that.
    fn weighed(&self, mean: f64, squares: &Signal, weight: f64, along: f64) -> Signal {
        if weight == 0.0 {
            return Signal::default();
        }
        let (a, square) = (self.coefficient, self.coefficient * self.coefficient);
        let [samples, apart, both] = squares.pairs;
        let own = square * (squares.square + (along - 1.0) * apart);
        let sampled = square * (samples + (along - 1.0) * both);
        let local = squares.scaled(1.0 / weight, 1.0 / weight);
        let between = |same: f64, apart: f64| {
            self.between(&local, same, apart).map(|product| product / self.coverage)
        };
        Signal {
            mean: a * mean,
            square: own,
            pairs: [
                sampled,
                between(local.square, local.pairs[POSITIONS]).unwrap_or(own),
                between(local.pairs[SAMPLES], local.pairs[BOTH]).unwrap_or(sampled),
            ],
        }
    }
}

impl LinkMap {
    /// The signal that every cell of the target gets through fixed weights.
    pub(super) fn gather(&self, fixed: &Fixed, given: &[Signal]) -> Vec<Signal> {
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
        let weighed = self.squares.as_ref().map(|map| (map.forward(given), map.reads(false)));
        sums.iter()
            .enumerate()
            .map(|(at, sum)| {
                let (reads, along) = (self.reads[at], self.reads_of_positions[at]);
                if let Some((squares, reads)) = &weighed {
                    return fixed.weighed(sum.mean, &squares[at], reads[at], along);
                }
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
                    fixed.between(&local, same, apart).map(|product| product / fixed.coverage)
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
