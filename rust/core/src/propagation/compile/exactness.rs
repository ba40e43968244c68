//! How far each rule can be trusted.

use super::compiler::Compiler;
use crate::error::Result;
use crate::network::TensorId;
use crate::propagation::program::{Cross, DataLink, Exactness, NextNorm, Operator, Rule};
use crate::propagation::scaling::scalings;

/// A tensor's roots are those it is computed from without weights in between. So many are
/// remembered at most.
const MOST_ROOTS: usize = 64;

impl Compiler<'_> {
    pub(super) fn exactness(&mut self, id: TensorId, rule: &Rule, first: usize) -> Exactness {
        let links = &self.program.links[first..];
        let source = |link: &DataLink| self.program.nodes[link.source].tensor.0;
        let weighted = |link: &DataLink| matches!(link.operator, Operator::Weighted(_));
        let mut roots: Vec<usize> = Vec::new();
        let mut overlap = false;
        for link in links.iter().filter(|link| !weighted(link)) {
            for &root in &self.roots[source(link)] {
                match roots.binary_search(&root) {
                    Ok(_) => overlap = true,
                    Err(place) => roots.insert(place, root),
                }
            }
        }
        if links.iter().any(weighted) {
            roots.push(id.0);
        }
        roots.sort_unstable();
        if roots.len() > MOST_ROOTS {
            roots.drain(..roots.len() - MOST_ROOTS);
        }
        let is_affine = |link: &DataLink| {
            let mut node = &self.program.nodes[link.source];
            loop {
                let behind = &self.program.links[node.links.clone()];
                match (&node.rule, behind) {
                    (Rule::Combine { .. }, links) if links.iter().any(weighted) => {
                        return links.iter().all(weighted);
                    }
                    (Rule::Combine { cross: Cross::None }, [only]) => {
                        node = &self.program.nodes[only.source];
                    }
                    _ => return false,
                }
            }
        };
        let found = match rule {
            Rule::Combine { .. } => {
                let fixed: Vec<_> = links.iter().filter(|link| !weighted(link)).collect();
                let averages = fixed.iter().any(|link| match &link.operator {
                    Operator::Fixed(fixed) => {
                        fixed.is_weighted || fixed.positions.into > fixed.target_positions
                    }
                    _ => false,
                });
                let others = fixed.iter().filter(|link| !is_affine(link)).count();
                let tied = links.iter().any(|link| match &link.operator {
                    Operator::Weighted(weighted) => {
                        self.program.parameters.get(weighted.kernel).is_some_and(|one| one.uses > 1)
                    }
                    _ => false,
                });
                if (overlap && fixed.len() > 1) || tied {
                    Exactness::Approximate
                } else if averages || others > 1 {
                    Exactness::MeanField
                } else {
                    Exactness::Exact
                }
            }
            Rule::Function(number) => {
                let reads_affine = links.first().is_some_and(is_affine);
                if self.program.functions[*number].is_homogeneous() && reads_affine {
                    Exactness::Exact
                } else {
                    Exactness::MeanField
                }
            }
            Rule::Product | Rule::Quotient | Rule::Maximum { .. } if overlap => {
                Exactness::Approximate
            }
            Rule::Attention(_)
            | Rule::Mix { .. }
            | Rule::Masked(_)
            | Rule::Softmax { .. }
            | Rule::Route(_) => Exactness::Approximate,
            Rule::Embedding { .. } | Rule::OneHot => Exactness::Exact,
            _ => Exactness::MeanField,
        };
        self.roots[id.0] = roots;
        found
    }

    /// Finds the scaling that each input begins with.
    pub(super) fn find_scalings(&mut self) -> Result<()> {
        for (input, scaling) in scalings(self.network, self.own)? {
            if let Some(node) = self.program.node_of[input.0] {
                self.program.scalings.insert(node, scaling);
            }
        }
        Ok(())
    }

    /// Marks the nodes that are directly followed by a normaliser over samples. It subtracts what
    /// samples have in common, so that the gradients of their weights do not depend on that.
    pub(super) fn find_centred(&mut self) {
        let mut readers = vec![0usize; self.program.nodes.len()];
        for link in &self.program.links {
            readers[link.source] += 1;
        }
        for at in 0..self.program.nodes.len() {
            let node = &self.program.nodes[at];
            if let (Rule::BatchNorm { stored, .. }, [link]) =
                (&node.rule, &self.program.links[node.links.clone()])
                && readers[link.source] == 1
            {
                let next = if stored.is_some() { NextNorm::Stored } else { NextNorm::OfSamples };
                let source = link.source;
                self.program.nodes[source].next = Some(next);
            }
        }
    }
}
