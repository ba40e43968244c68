//! The result of counting a network: the counts of every parameter, and the spectrum of distinct
//! counts.

use std::sync::Arc;

use num_bigint::BigUint;

use crate::error::{Error, Result};
use crate::machine::memory::{Purpose, check_free};
use crate::network::count_tensor::CountTensor;
use crate::network::maps::runs::Runs;
use crate::network::tensors::TensorId;
use crate::number::{CompensatedSum, Number, Value};

/// What memory is needed for, in messages.
const SORTING: Purpose = Purpose {
    what: "sorting the counts of all parameters",
    advice: "ask for those of one parameter after the other",
};

/// A distinct count, and how many scalar parameters have it.
#[derive(Debug, Clone, PartialEq)]
pub struct Level {
    /// The count.
    pub value: Value,
    /// How many scalar parameters have this count.
    pub degeneracy: u64,
}

/// The counts of the elements of one parameter tensor.
#[derive(Debug, Clone)]
pub struct ParameterCounts {
    /// The parameter tensor.
    pub tensor: TensorId,
    /// The runs of equal counts along each axis.
    axes: Arc<[Runs]>,
    /// The level of every cell, in row-major order over the runs of all axes.
    pub level_index: Vec<u32>,
    /// The distinct counts, rising; a count of zero is a level of its own.
    pub levels: Vec<Level>,
    /// How many elements have a context, counted once for every place in which the parameter is
    /// used.
    pub weight_nodes: u64,
}

/// The counts of a whole network, from [`count()`](crate::count()).
#[derive(Debug, Clone)]
pub struct Counts {
    /// One entry per counted parameter tensor, in the order of declaration.
    pub parameters: Vec<ParameterCounts>,
    /// The total number of contexts, `Z`.
    pub total: Value,
    /// The most bytes that counts took at once.
    pub peak_bytes: u64,
}

/// A level of the spectrum of a whole network.
#[derive(Debug, Clone)]
pub struct SpectrumLevel {
    /// The count and its degeneracy.
    pub level: Level,
    /// The parameter tensors that have it, and how many elements of each do.
    pub owners: Vec<(TensorId, u64)>,
}

impl ParameterCounts {
    /// The bytes that it may take to sort the cells of a count tensor into levels.
    pub(crate) fn bytes_of<N: Number>(counts: &CountTensor<N>) -> u64 {
        // A cell and the level that it may be, its place in the order and its level.
        let cell = 2 * size_of::<Level>() + size_of::<usize>() + size_of::<u32>();
        let digits = 2 * size_of_val(&counts.buffer.lanes[..]);
        (counts.cells() as u64).saturating_mul(cell as u64).saturating_add(digits as u64)
    }

    /// Sorts the cells of a count tensor into levels.
    pub(crate) fn collect<N: Number>(
        id: TensorId,
        counts: &CountTensor<N>,
        weight_nodes: u64,
    ) -> Self {
        let axes = counts.axes.clone();
        if counts.cells() == 1 {
            let level = Level { value: counts.value(0), degeneracy: counts.multiplicity(0) };
            return Self {
                tensor: id,
                axes,
                level_index: vec![0],
                levels: vec![level],
                weight_nodes,
            };
        }
        let mut cells: Vec<Value> = (0..counts.cells()).map(|cell| counts.value(cell)).collect();
        let mut order: Vec<usize> = (0..cells.len()).collect();
        order.sort_by(|&a, &b| cells[a].compare(&cells[b]));
        let mut level_index = vec![0; cells.len()];
        let mut levels: Vec<Level> = Vec::new();
        for cell in order {
            let degeneracy = counts.multiplicity(cell);
            match levels.last_mut() {
                Some(level) if level.value.compare(&cells[cell]).is_eq() => {
                    level.degeneracy += degeneracy
                }
                _ => levels.push(Level { value: std::mem::take(&mut cells[cell]), degeneracy }),
            }
            level_index[cell] = levels.len() as u32 - 1;
        }
        Self { tensor: id, axes, level_index, levels, weight_nodes }
    }

    /// The lengths of the runs of equal counts along each axis.
    pub fn runs(&self) -> impl Iterator<Item = &[u64]> {
        self.axes.iter().map(Runs::lengths)
    }

    /// The counts of a parameter of this shape that reaches no output.
    pub(crate) fn unreached(id: TensorId, shape: &[u64]) -> Self {
        let zero = Value { exact: Some(BigUint::ZERO), ..Value::scaled(0.0, 0) };
        Self {
            tensor: id,
            axes: shape.iter().map(|&n| Runs::single(n)).collect(),
            level_index: vec![0],
            levels: vec![Level { value: zero, degeneracy: shape.iter().product() }],
            weight_nodes: 0,
        }
    }
}

impl Counts {
    /// Adds up the counts of all parameters.
    ///
    /// # Errors
    /// [`Error::SizeOverflow`] for more parameters than 64 bits can hold, and
    /// [`Error::NothingToCount`] if none of them has a context.
    pub(crate) fn new(
        parameters: Vec<ParameterCounts>,
        exact: bool,
        peak_bytes: u64,
    ) -> Result<Self> {
        let levels = || parameters.iter().flat_map(|parameter| &parameter.levels);
        let elements = levels().try_fold(0u64, |sum, level| sum.checked_add(level.degeneracy));
        let nodes = parameters.iter().try_fold(0u64, |sum, p| sum.checked_add(p.weight_nodes));
        if elements.is_none() || nodes.is_none() {
            return Err(Error::SizeOverflow { what: "the number of all parameters".into() });
        }
        let total = if exact { exact_total(levels()) } else { scaled_total(levels()) };
        if total.is_zero() {
            let reason = "no parameter leads to an output; mark the outputs that the parameters are used for";
            return Err(Error::NothingToCount { reason: reason.into() });
        }
        Ok(Self { parameters, total, peak_bytes })
    }

    /// The distinct counts of all parameters, rising, without the parameters that reach no output.
    ///
    /// ```
    /// use unrolled_core::{AxisRelation, CountOptions, Monitor, Network, Relation, Role, count};
    /// let mut network = Network::new();
    /// let w = network.add("w", &[2, 3], Role::Parameter { trainable: true })?;
    /// let y = network.add("y", &[3], Role::Activation)?;
    /// network.link(w, y, vec![AxisRelation::each(0), AxisRelation::new(Relation::Same, 1, 0)])?;
    /// network.mark_output(y)?;
    /// let spectrum = count(&network, &CountOptions::default(), &Monitor::silent())?.spectrum()?;
    /// // All six elements have one context.
    /// assert_eq!((spectrum.len(), spectrum[0].level.degeneracy), (1, 6));
    /// # Ok::<(), unrolled_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::GraphMemory`] if there is no memory for them.
    pub fn spectrum(&self) -> Result<Vec<SpectrumLevel>> {
        let levels: usize = self.parameters.iter().map(|parameter| parameter.levels.len()).sum();
        let exact = self.parameters.iter().flat_map(|parameter| &parameter.levels);
        let digits = exact.filter_map(|level| level.value.exact.as_ref()).map(BigUint::bits);
        let row = size_of::<SpectrumLevel>() + 2 * size_of::<(TensorId, &Level)>();
        let needed = (levels as u64).saturating_mul(row as u64);
        check_free(SORTING, needed.saturating_add(digits.sum::<u64>() / 8))?;
        let mut owned: Vec<(TensorId, &Level)> = self
            .parameters
            .iter()
            .flat_map(|parameter| parameter.levels.iter().map(|level| (parameter.tensor, level)))
            .filter(|(_, level)| !level.value.is_zero())
            .collect();
        owned.sort_unstable_by(|(a, x), (b, y)| x.value.compare(&y.value).then(a.cmp(b)));
        let mut spectrum: Vec<SpectrumLevel> = Vec::new();
        for (owner, level) in owned {
            match spectrum.last_mut() {
                Some(last) if last.level.value.compare(&level.value).is_eq() => {
                    last.level.degeneracy += level.degeneracy;
                    last.owners.push((owner, level.degeneracy));
                }
                _ => spectrum.push(SpectrumLevel {
                    level: level.clone(),
                    owners: vec![(owner, level.degeneracy)],
                }),
            }
        }
        Ok(spectrum)
    }
}

/// The sum of exact counts.
fn exact_total<'l>(levels: impl Iterator<Item = &'l Level>) -> Value {
    let term = |level: &Level| level.value.exact.as_ref().map(|count| count * level.degeneracy);
    Value::integer(levels.filter_map(term).sum())
}

/// The sum of counts in log space, relative to the largest.
fn scaled_total<'l>(levels: impl Iterator<Item = &'l Level> + Clone) -> Value {
    let reached = levels.filter(|level| !level.value.is_zero());
    let Some(top) = reached.clone().map(|level| level.value.exponent).max() else {
        return Value::scaled(0.0, 0);
    };
    let mut sum = CompensatedSum::default();
    for level in reached {
        let below = (top - level.value.exponent).min(1000) as i32;
        sum.add(level.value.mantissa * level.degeneracy as f64 * 2f64.powi(-below));
    }
    Value::scaled(sum.value(), top)
}
