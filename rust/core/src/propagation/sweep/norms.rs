//! Normalisers, in closed form for many channels.

use super::{Exponent, Sweep, not_steady};
use crate::error::Result;
use crate::propagation::moments::Law;
use crate::propagation::piecewise::PiecewiseLinear;
use crate::propagation::power::Power;
use crate::propagation::program::{Node, Rule};
use crate::propagation::scaled::{Scaled, times_power_of_four, times_power_of_two};
use crate::propagation::settings::BatchNormMode;
use crate::propagation::signal::{BOTH, POSITIONS, SAMPLES, Signal};

impl Sweep<'_> {
    /// Batch, layer, group and RMS norm, their scale and their shift.
    pub(super) fn normalise(&mut self, number: usize, node: &Node) -> Result<Exponent> {
        if let Rule::MeanNorm { .. } = node.rule {
            let (_, divisor) = self.divided_by_means(node);
            if !Power::RECIPROCAL.holds(&divisor) {
                return Err(not_steady(node, "a division by a mean", &divisor));
            }
        }
        let (affine, factor) = match &node.rule {
            Rule::BatchNorm { affine, .. } => (*affine, 1.0),
            Rule::GroupNorm { affine, channels, positions, .. } => {
                (*affine, slope_of_norm(channels * positions, 1.0))
            }
            Rule::RmsNorm { affine, group, .. } => (*affine, slope_of_norm(*group, 0.0)),
            Rule::MeanNorm { affine, .. } => (*affine, 1.0),
            _ => return Ok(0),
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
        Ok(exponent)
    }

    /// Elements divided by the mean of their group, or of the sizes of its elements, and the law of
    /// that mean. It varies little; what it varies by is taken off the elements, as their mean is
    /// one whatever it is.
    fn divided_by_means(&self, node: &Node) -> (Standardised, Law) {
        let number = node.links.start;
        let source = &self.program.nodes[self.program.links[number].source];
        let unit = self.exponent(number);
        let own = &self.workspace.signals[source.cells.clone()];
        let &Rule::MeanNorm { epsilon, channels, positions, of_sizes, .. } = &node.rule else {
            return (
                Standardised { cells: own.to_vec(), exponent: unit, inverses: Vec::new(), unit },
                Signal::ONE.law(),
            );
        };
        let size = |from: &Signal| {
            if of_sizes {
                PiecewiseLinear::rays(-1.0, 1.0).moments(&from.law()).parts().0
            } else {
                *from
            }
        };
        let sizes: Vec<Signal> = own.iter().map(size).collect();
        let whole = size(&source.mean(&self.workspace.signals));
        let means = node.means_over_groups(&sizes, |one| one.mean);
        let epsilon = times_power_of_two(epsilon, unit.saturating_neg());
        let elements = channels * positions;
        let law = Law {
            mean: whole.mean + epsilon,
            variance: whole.variance_of_mean(channels, positions),
            correlations: [1.0; 3],
        };
        let spread = Power::RECIPROCAL.moments(&law).parts().0.square * law.mean * law.mean;
        let (mut cells, mut inverses) =
            (Vec::with_capacity(own.len()), Vec::with_capacity(own.len()));
        for (from, &mean) in own.iter().zip(&means) {
            let divisor = mean + epsilon;
            let cell = if of_sizes {
                from.scaled(1.0 / divisor, 1.0 / (divisor * divisor))
            } else {
                let rest = from.without_group(&whole, channels, positions);
                let rest = rest.scaled(0.0, 1.0 / (divisor * divisor));
                let (share, excess) = (mean / divisor, (from.mean - mean) / divisor);
                let moved = share * share + 2.0 * share * excess;
                rest.less(share + excess, [-moved; 4])
            };
            // The derivative of a quotient by its own mean has no component along that mean.
            let along = (cell.square - 2.0) / elements;
            inverses.push(spread * (1.0 + along).max(0.0) / (divisor * divisor));
            cells.push(cell);
        }
        (Standardised { cells, exponent: 0, inverses, unit }, law)
    }

    /// What a normaliser makes of its argument before its scale and shift. Which mean is subtracted
    /// depends on the norm; the variance that it divides by is the mean over a group of the squares
    /// that are left.
    pub(crate) fn standardised(&self, node: &Node) -> Standardised {
        if let Rule::MeanNorm { .. } = node.rule {
            return self.divided_by_means(node).0;
        }
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
            None => (node.means_over_groups(&cells, |one| one.square), unit),
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
}

/// An argument of a normaliser, divided by its deviation.
pub(crate) struct Standardised {
    pub(crate) cells: Vec<Signal>,
    /// The power of four of the cells.
    pub(crate) exponent: Exponent,
    /// For every cell, one over the variance that it was divided by.
    inverses: Vec<f64>,
    /// The power of four of these variances.
    unit: Exponent,
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

impl Signal {
    /// The variance of the mean over a group of channels and positions.
    fn variance_of_mean(&self, channels: f64, positions: f64) -> f64 {
        let within = (self.square - self.pairs[POSITIONS]) / positions + self.pairs[POSITIONS];
        (within - self.mean * self.mean) / channels
    }

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
    /// For every cell the mean of a moment over its group.
    fn means_over_groups(&self, cells: &[Signal], moment: fn(&Signal) -> f64) -> Vec<f64> {
        if let [only] = cells {
            return vec![moment(only)];
        }
        let groups = self.groups.iter().max().map_or(0, |&last| last as usize + 1);
        let (mut sums, mut shares) = (vec![0.0; groups], vec![0.0; groups]);
        for ((cell, &share), &group) in cells.iter().zip(&self.shares).zip(&self.groups) {
            sums[group as usize] += share * moment(cell);
            shares[group as usize] += share;
        }
        self.groups.iter().map(|&group| sums[group as usize] / shares[group as usize]).collect()
    }
}
