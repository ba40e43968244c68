//! Functions of single elements, whose arguments are taken to be normal.

use super::{Exponent, Sweep, Workspace, not_steady, out_of_domain};
use crate::error::Result;
use crate::propagation::functions::Function;
use crate::propagation::moments::{Law, Moments};
use crate::propagation::power::Power;
use crate::propagation::program::Node;
use crate::propagation::signal::Signal;
use crate::propagation::smooth::Expansions;

/// With this many cells or more, moments of smooth functions are interpolated.
const MANY_CELLS: usize = 24;

impl Sweep<'_> {
    pub(super) fn function(
        &mut self,
        number: usize,
        node: &Node,
        function: usize,
    ) -> Result<Exponent> {
        let first = node.links.start;
        let exponent = self.exponent(first);
        let link = &self.program.links[first];
        let (from, to) = self.ends(node, link);
        to.copy_from_slice(from);
        if let Function::Power(power) = self.program.functions[function] {
            return self.power(number, node, power, exponent);
        }
        self.apply(node, function, exponent)
    }

    /// Raises the cells of a node to a power, which has a unit of its own.
    fn power(
        &mut self,
        number: usize,
        node: &Node,
        power: Power,
        exponent: Exponent,
    ) -> Result<Exponent> {
        let (power, unit) = power.in_units_of(exponent);
        let slopes = self.program.links[node.links.start].slopes;
        let Workspace { signals, slopes: all, slope_exponents, .. } = &mut *self.workspace;
        let cells = &mut signals[node.cells.clone()];
        for (cell, slope) in cells.iter_mut().zip(&mut all[slopes..]) {
            let law = cell.law();
            if !power.holds(&law) {
                return Err(not_steady(node, "a root or a quotient", &law));
            }
            (*cell, *slope) = power.moments(&law).parts();
        }
        slope_exponents[number] = unit.saturating_sub(exponent);
        Ok(unit)
    }

    /// Applies a function to the cells of a node; slopes are kept with its first link.
    pub(super) fn apply(
        &mut self,
        node: &Node,
        function: usize,
        exponent: Exponent,
    ) -> Result<Exponent> {
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
}

impl Moments {
    /// The signal of the values, and the slopes.
    pub(super) fn parts(&self) -> (Signal, (f64, f64)) {
        let signal = Signal { mean: self.mean, square: self.square, pairs: self.pairs };
        (signal, (self.slope_square, self.slope_pair))
    }
}
