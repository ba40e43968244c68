//! The counts of the parameters of a graph: their sum, and the distinct ones with how often they
//! occur.

use std::cmp::Ordering;

use num_bigint::BigUint;

use crate::error::{Error, Result};
use crate::graph::counts::GraphCounts;
use crate::graph::exact::digits::{DIGIT, DIGIT_BITS, integer};
use crate::graph::frame::Graph;
use crate::graph::options::Towards;
use crate::graph::purposes::SORTING;
use crate::graph::roles::Parameters;
use crate::machine::memory::{available_memory, filled, grow, listed};
use crate::machine::monitor::Monitor;
use crate::number::{Value, split_exponent};

/// The distinct counts of the parameters, rising, without zero: see [`GraphCounts::spectrum`].
///
/// A count is `mantissas[i] * 2^exponents[i]`, and `degeneracies[i]` parameters have it.
#[derive(Debug, Clone, Default)]
pub struct GraphSpectrum {
    /// The mantissa of every count, in [1, 2).
    pub mantissas: Vec<f64>,
    /// The exponent of every count, to base 2.
    pub exponents: Vec<i64>,
    /// How many parameters have each count.
    pub degeneracies: Vec<u64>,
    /// The number of all parameters, with a path or without one.
    pub parameters: u64,
    /// The number of nodes that are parameters and have a path; a tied parameter may have several.
    pub weight_nodes: u64,
    /// The sum of all counts.
    pub total: Value,
    integers: Integers,
}

/// Where the integers of a spectrum come from.
#[derive(Debug, Clone, Default)]
enum Integers {
    /// There are none: counts are in log space.
    #[default]
    None,
    /// They are the counts of these nodes.
    Nodes(Vec<u32>),
    /// They are these sums.
    Sums(Vec<BigUint>),
}

/// The counts of all parameters, one for each, in the order of the parameters.
struct Entries {
    nearest: Vec<(f64, i64)>,
    integers: Integers,
    weight_nodes: u64,
}

impl GraphCounts {
    /// The distinct counts of the parameters of `graph`, which must be the graph that was counted;
    /// if paths were counted from the inputs, the distinct counts of its outputs.
    ///
    /// ```
    /// use unrolled_core::{Graph, GraphCountOptions, Lists, Monitor, Roles, from_edges};
    ///
    /// // Node 0 has two paths to node 3, node 1 has one.
    /// let (sources, targets) = (vec![0u32, 0, 1, 2], vec![2u32, 3, 3, 3]);
    /// let monitor = Monitor::silent();
    /// let (lists, order) =
    ///     from_edges(&sources.into(), targets.into(), None, None, 1, &monitor)?;
    /// let graph = Graph::new(Lists::Memory(lists), Roles::default(), order, 1, &monitor)?;
    /// let counts = graph.count(&GraphCountOptions::default(), &monitor)?;
    /// let spectrum = counts.spectrum(&graph, &monitor)?;
    /// assert_eq!(spectrum.degeneracies, [1, 1]);
    /// assert_eq!(counts.level(&spectrum, 1), Some(2u32.into()));
    /// # Ok::<(), unrolled_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::GraphMemory`], [`Error::Interrupted`], and [`Error::GraphFile`] if a file cannot be
    /// read.
    pub fn spectrum(&self, graph: &Graph<'_>, monitor: &Monitor<'_>) -> Result<GraphSpectrum> {
        let outputs;
        let parameters = if self.towards() == Towards::Inputs {
            outputs = Parameters::untied(&self.frame.outputs)?;
            &outputs
        } else {
            graph.parameters(monitor)?
        };
        let entries = self.entries(parameters, monitor)?;
        monitor.breathe(parameters.nodes.len() as u64)?;
        let count = entries.nearest.len();
        let mut order: Vec<u32> = listed(SORTING, count, 0..count as u32)?;
        order.retain(|&entry| entries.nearest[entry as usize].0 > 0.0);
        order.sort_unstable_by(|&a, &b| self.compare(&entries, a, b));
        let mut spectrum = GraphSpectrum {
            parameters: entries.nearest.len() as u64,
            weight_nodes: entries.weight_nodes,
            total: self.total(parameters, &entries),
            ..GraphSpectrum::default()
        };
        let mut representatives = Vec::new();
        let mut latest = None;
        for entry in order {
            let same = |latest| self.compare(&entries, latest, entry) == Ordering::Equal;
            match spectrum.degeneracies.last_mut().filter(|_| latest.is_some_and(same)) {
                Some(degeneracy) => *degeneracy += 1,
                None => {
                    let (mantissa, exponent) = entries.nearest[entry as usize];
                    grow(SORTING, &mut spectrum.mantissas, 1)?;
                    grow(SORTING, &mut spectrum.exponents, 1)?;
                    grow(SORTING, &mut spectrum.degeneracies, 1)?;
                    grow(SORTING, &mut representatives, 1)?;
                    spectrum.mantissas.push(mantissa);
                    spectrum.exponents.push(exponent);
                    spectrum.degeneracies.push(1);
                    representatives.push(entry as usize);
                    latest = Some(entry);
                }
            }
        }
        let levels = representatives.len();
        spectrum.integers = match entries.integers {
            Integers::None => Integers::None,
            Integers::Nodes(nodes) => {
                let nodes = representatives.into_iter().map(|entry| nodes[entry]);
                Integers::Nodes(listed(SORTING, levels, nodes)?)
            }
            Integers::Sums(mut sums) => {
                let sums =
                    representatives.into_iter().map(|entry| std::mem::take(&mut sums[entry]));
                Integers::Sums(listed(SORTING, levels, sums)?)
            }
        };
        Ok(spectrum)
    }

    /// The integer of a level of a spectrum of these counts; `None` in log space, or if there is no
    /// such level.
    #[must_use]
    pub fn level(&self, spectrum: &GraphSpectrum, level: usize) -> Option<BigUint> {
        match &spectrum.integers {
            Integers::None => None,
            Integers::Nodes(nodes) => nodes.get(level).map(|&node| self.integer(node as usize)),
            Integers::Sums(sums) => sums.get(level).cloned(),
        }
    }

    /// The count of the parameter with a label; the label of an untied parameter is the number of
    /// its node.
    ///
    /// # Errors
    /// [`Error::InvalidGraph`] if there is no such parameter, and the errors of
    /// [`GraphCounts::value`].
    pub fn group(&self, graph: &Graph<'_>, label: i64, monitor: &Monitor<'_>) -> Result<Value> {
        let parameters = graph.parameters(monitor)?;
        let Some(place) = parameters.place(label) else {
            let reason = format!("there is no parameter with the label {label}");
            return Err(Error::InvalidGraph { reason });
        };
        let Some(groups) = &parameters.groups else {
            return self.value(parameters.nodes[place] as usize);
        };
        let (mut integer, mut nearest) = (BigUint::ZERO, Sum::default());
        let tied =
            groups.iter().zip(&parameters.nodes).filter(|(group, _)| **group as usize == place);
        for (_, &node) in tied {
            let value = self.value(node as usize)?;
            match value.exact {
                Some(exact) => integer += exact,
                None => nearest = nearest.plus((value.mantissa, value.exponent)),
            }
        }
        if self.is_exact() {
            return Ok(Value::integer(integer));
        }
        let (mantissa, exponent) = nearest.value();
        Ok(Value { mantissa, exponent, exact: None })
    }

    /// The counts of all parameters.
    fn entries(&self, parameters: &Parameters, monitor: &Monitor<'_>) -> Result<Entries> {
        let mut nearest = filled(SORTING, parameters.len(), Sum::default())?;
        let mut weight_nodes = 0;
        // Sums and products are computed as integers; other counts are read from their nodes later.
        let computed = parameters.groups.is_some() || self.towards() == Towards::Both;
        let integers = if self.is_exact() && computed { nearest.len() } else { 0 };
        let mut sums = filled(SORTING, integers, BigUint::ZERO)?;
        let (mut held, most) = (0u64, available_memory());
        for (at, &node) in parameters.nodes.iter().enumerate() {
            let place = parameters.groups.as_ref().map_or(at, |groups| groups[at] as usize);
            let count = self.nearest(node as usize);
            weight_nodes += u64::from(count.0 > 0.0);
            match sums.get_mut(place) {
                Some(sum) => {
                    let before = sum.bits();
                    *sum += self.integer(node as usize);
                    held = held.saturating_add((sum.bits() - before).div_ceil(8));
                    if held > most {
                        return Err(SORTING.not_free(held));
                    }
                }
                None => nearest[place] = nearest[place].plus(count),
            }
            if at % 1024 == 0 {
                monitor.breathe(1024 * 64)?;
            }
        }
        let mut nearest: Vec<(f64, i64)> =
            listed(SORTING, nearest.len(), nearest.into_iter().map(Sum::value))?;
        for (nearest, sum) in nearest.iter_mut().zip(&sums) {
            let value = Value::integer(sum.clone());
            *nearest = (value.mantissa, value.exponent);
        }
        let integers = match (self.is_exact(), computed) {
            (false, _) => Integers::None,
            (true, false) => {
                let nodes = &parameters.nodes;
                Integers::Nodes(listed(SORTING, nodes.len(), nodes.iter().copied())?)
            }
            (true, true) => Integers::Sums(sums),
        };
        Ok(Entries { nearest, integers, weight_nodes })
    }

    /// Orders two parameters by their counts.
    fn compare(&self, entries: &Entries, a: u32, b: u32) -> Ordering {
        let (a, b) = (a as usize, b as usize);
        let key = |entry: usize| (entries.nearest[entry].1, entries.nearest[entry].0);
        let ((e, m), (f, n)) = (key(a), key(b));
        e.cmp(&f).then(m.total_cmp(&n)).then_with(|| match &entries.integers {
            Integers::None => Ordering::Equal,
            Integers::Sums(sums) => sums[a].cmp(&sums[b]),
            Integers::Nodes(nodes) => {
                let rows = (self.row(nodes[a] as usize), self.row(nodes[b] as usize));
                // Counts that have no rows are below 2^53, and their nearest numbers are exact.
                let (Some(x), Some(y)) = rows else { return Ordering::Equal };
                x.len().cmp(&y.len()).then_with(|| x.iter().rev().cmp(y.iter().rev()))
            }
        })
    }

    /// The sum of the counts of all parameters.
    fn total(&self, parameters: &Parameters, entries: &Entries) -> Value {
        match &entries.integers {
            Integers::Sums(sums) => Value::integer(sums.iter().sum()),
            Integers::Nodes(nodes) => Value::integer(self.sum(nodes)),
            Integers::None => {
                let nodes = parameters.nodes.iter();
                let (mantissa, exponent) = nodes
                    .fold(Sum::default(), |sum, &node| sum.plus(self.nearest(node as usize)))
                    .value();
                Value { mantissa, exponent, exact: None }
            }
        }
    }

    /// The sum of the counts of some nodes, added up digit by digit.
    fn sum(&self, nodes: &[u32]) -> BigUint {
        let mut wide: Vec<u128> = Vec::new();
        let mut sum = BigUint::ZERO;
        for &node in nodes {
            match self.row(node as usize) {
                None => sum += self.integer(node as usize),
                Some(row) => {
                    wide.resize(wide.len().max(row.len()), 0);
                    for (wide, &digit) in wide.iter_mut().zip(row) {
                        *wide += u128::from(digit);
                    }
                }
            }
        }
        let mut carry = 0;
        let mut digits = Vec::with_capacity(wide.len() + 2);
        for wide in wide.into_iter().chain([0, 0]) {
            let with_carry = wide + carry;
            digits.push(with_carry as u64 & DIGIT);
            carry = with_carry >> DIGIT_BITS;
        }
        sum + integer(&digits)
    }
}

/// A compensated sum of scaled numbers: `low` is what rounding took away from `high`.
#[derive(Clone, Copy, Default)]
struct Sum {
    high: (f64, i64),
    low: f64,
}

impl Sum {
    /// Adds a term.
    fn plus(mut self, term: (f64, i64)) -> Self {
        let before = self.high;
        self.high = plus(before, term);
        if term.0 == 0.0 || before.0 == 0.0 {
            self.low *= power(before.1 - self.high.1);
            return self;
        }
        // What the rounding took away, at the scale of the sum.
        let scale = self.high.1;
        let (a, b) = (before.0 * power(before.1 - scale), term.0 * power(term.1 - scale));
        let (large, small) = if a >= b { (a, b) } else { (b, a) };
        self.low = self.low * power(before.1 - scale) + ((large - self.high.0) + small);
        self
    }

    /// The sum, normalised.
    fn value(self) -> (f64, i64) {
        let (mantissa, shift) = split_exponent(self.high.0 + self.low);
        (mantissa, if mantissa == 0.0 { 0 } else { self.high.1 + shift })
    }
}

/// The sum of two scaled numbers, normalised.
fn plus(a: (f64, i64), b: (f64, i64)) -> (f64, i64) {
    if a.0 == 0.0 || b.0 == 0.0 {
        return if a.0 == 0.0 { b } else { a };
    }
    let top = a.1.max(b.1);
    let (mantissa, shift) = split_exponent(a.0 * power(a.1 - top) + b.0 * power(b.1 - top));
    (mantissa, top + shift)
}

/// `2^exponent` for exponents up to 0; 0 where that is too small to matter.
fn power(exponent: i64) -> f64 {
    if exponent < -1000 { 0.0 } else { 2f64.powi(exponent as i32) }
}
