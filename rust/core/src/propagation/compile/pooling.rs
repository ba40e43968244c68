//! Windows of which the largest element is taken.

use std::collections::HashMap;

use super::compiler::Compiler;
use crate::error::Result;
use crate::network::{Link, Relation};
use crate::propagation::geometry::{Sums, degrees, lengths};
use crate::propagation::normal::largest;
use crate::propagation::program::{Bypassed, DataLink, Operator, PoolWindow, Rule};

impl<'a> Compiler<'a> {
    pub(super) fn max_pool(&mut self, links: &[&'a Link]) -> Result<Rule> {
        let link = links[0];
        // The largest value of an increasing function is its value at the largest argument.
        let node = self.program.node_of[link.source.0].unwrap_or_default();
        let before = &self.program.nodes[node];
        let (source, after) = match before.rule {
            Rule::Function(function) if self.program.functions[function].rises() => {
                let argument = self.program.links[before.links.start].source;
                (argument, Some(Bypassed { function, node }))
            }
            _ => (node, None),
        };
        let operator = self.pool_window(link)?;
        let operator = Operator::Window(operator);
        self.program.links.push(DataLink { source, operator, map: None, slopes: 0 });
        self.originals.push(link);
        Ok(Rule::MaxPool { after })
    }

    fn pool_window(&self, link: &Link) -> Result<PoolWindow> {
        let (source, target) = (self.shape(link.source), self.shape(link.target));
        let positions = &self.positions[link.source.0];
        // How many windows have each number of elements.
        let mut sizes: HashMap<u64, f64> = HashMap::from([(1, 1.0)]);
        let mut sums = Sums::ONE;
        let (mut extent, mut stops) = (1.0, 1.0);
        let mut sees_positions = false;
        for part in link.relations.iter() {
            if part.relation == Relation::Same {
                continue;
            }
            let lengths = lengths(part, source, target);
            let found = degrees(&part.relation, lengths).ok_or_else(|| self.too_long(link))?;
            let mut longer: HashMap<u64, f64> = HashMap::new();
            for &reads in &found.reads {
                *longer.entry(reads as u64).or_default() += 1.0 / found.reads.len() as f64;
            }
            sizes = sizes
                .iter()
                .flat_map(|(&n, &w)| longer.iter().map(move |(&m, &v)| (n * m, w * v)))
                .fold(HashMap::new(), |mut all, (size, weight)| {
                    *all.entry(size).or_default() += weight;
                    all
                });
            sums = sums.times(self.sums_of(link, part, false)?);
            extent *= lengths.source as f64;
            stops *= lengths.target as f64;
            sees_positions |=
                part.source_axes.iter().any(|&axis| positions[axis] && source[axis] > 1);
        }
        let mut window = PoolWindow {
            largest: (0.0, 0.0),
            inverse: 0.0,
            won: stops / extent,
            apart: 0.0,
            sees_positions,
        };
        let mut ordered: Vec<(u64, f64)> = sizes.into_iter().filter(|&(n, _)| n > 0).collect();
        ordered.sort_unstable_by_key(|&(n, _)| n);
        for (n, weight) in ordered {
            let n = n as f64;
            let (mean, square) = largest(n);
            window.largest.0 += weight * mean;
            window.largest.1 += weight * square;
            window.inverse += weight / n;
        }
        // Pairs of elements in different windows: each is the largest of its own window of n
        // elements with probability 1/n.
        let pairs = sums.total * sums.total - sums.from - (sums.into - sums.total);
        if extent > 1.0 {
            let likely = window.inverse * window.inverse;
            window.apart = pairs * likely / (extent * (extent - 1.0));
        }
        Ok(window)
    }
}
