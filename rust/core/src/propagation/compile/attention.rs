//! Softmaxes and products of matrices, and the attention that they make up together.

use super::compiler::Compiler;
use super::masked::visible_share;
use crate::error::Result;
use crate::network::{Link, Operation, Relation, TensorId};
use crate::propagation::functions::Function;
use crate::propagation::program::{Node, Operator, Rule, Scores};

impl<'a> Compiler<'a> {
    pub(super) fn softmax(
        &mut self,
        id: TensorId,
        operation: &Operation,
        links: &[&'a Link],
    ) -> Rule {
        let link = links[0];
        let length: f64 = operation.axes.iter().map(|&axis| self.shape(id)[axis] as f64).product();
        self.push(link, Operator::Same);
        if let [axis] = operation.axes[..]
            && let Some(scores) = self.scores_behind(link.source, axis)
        {
            return Rule::Attention(scores);
        }
        let edges = |link: &Link| self.product(link, false).map_or(0.0, |sums| sums.total);
        let share = visible_share(self.network, link.source, |id| self.data_links(id), edges);
        Rule::Softmax { length: (length * share).max(1.0) }
    }

    /// The product of queries and keys that a softmax along `axis` is taken of, with scalings and
    /// parameters added on the way.
    fn scores_behind(&mut self, from: TensorId, axis: usize) -> Option<Scores> {
        let (mut at, mut scale, mut bias) = (from, 1.0, None);
        let product = loop {
            if let Some(whole) = self.behind_mask(at) {
                at = whole;
            }
            let node = self.program.node_of[at.0]?;
            let node = &self.program.nodes[node];
            let links = &self.program.links[node.links.clone()];
            match &node.rule {
                Rule::Matmul { .. } => break at,
                Rule::Function(number) => {
                    let (left, right) = match &self.program.functions[*number] {
                        Function::Piecewise(line) => line.far_slopes(),
                        Function::Power(_) | Function::Smooth(_) => return None,
                    };
                    if left != right {
                        return None;
                    }
                    scale *= left;
                    at = self.program.nodes[links.first()?.source].tensor;
                }
                Rule::Combine { .. } => {
                    let mut computed = None;
                    for &added in &node.biases {
                        if bias.replace(added).is_some() {
                            return None;
                        }
                    }
                    for link in links {
                        match self.parameter_moved(link.source) {
                            Some(number) if bias.is_none() => bias = Some(number),
                            None if computed.is_none() => computed = Some(link),
                            _ => return None,
                        }
                    }
                    let link = computed?;
                    let source = self.program.nodes[link.source].tensor;
                    if self.shape(source) != self.shape(at) {
                        return None;
                    }
                    if let Operator::Fixed(fixed) = &link.operator {
                        scale *= fixed.coefficient;
                    }
                    at = source;
                }
                _ => return None,
            }
        };
        let number = self.program.node_of[product.0]?;
        let Rule::Matmul { features, scale: own, .. } = self.program.nodes[number].rule else {
            return None;
        };
        let links = self.data_links(product);
        let reads = |link: &Link| -> Vec<usize> {
            let parts = link.relations.iter().filter(|part| {
                !part.source_axes.is_empty()
                    && !matches!(part.relation, Relation::All | Relation::Each)
            });
            parts.flat_map(|part| part.target_axes.iter().copied()).collect()
        };
        let (first, second) = (links.first()?, links.get(1)?);
        let (key, query) =
            if reads(second).contains(&axis) { (second, first) } else { (first, second) };
        if !reads(key).contains(&axis) || reads(query).contains(&axis) {
            return None;
        }
        let shape = self.shape(product);
        let rows = reads(query).into_iter().filter(|axis| !reads(key).contains(axis));
        let scores = Scores {
            query: self.program.node_of[query.source.0]?,
            key: self.program.node_of[key.source.0]?,
            features,
            scale: own,
            scale_after: scale,
            keys: shape[axis] as f64,
            queries: rows.map(|axis| shape[axis] as f64).product(),
            bias,
            common: 0.0,
        };
        self.program.nodes[number].rule = Rule::Scores(scores);
        Some(scores)
    }

    /// The parameter that a node is, or of whose elements it is made by moves.
    fn parameter_moved(&self, mut node: usize) -> Option<usize> {
        loop {
            let Node { rule, links, .. } = &self.program.nodes[node];
            match (rule, &self.program.links[links.clone()]) {
                (Rule::Parameter(number), _) => return Some(*number),
                (Rule::Combine { .. }, [only]) if matches!(only.operator, Operator::Fixed(_)) => {
                    node = only.source;
                }
                _ => return None,
            }
        }
    }

    pub(super) fn matmul(
        &mut self,
        id: TensorId,
        operation: &Operation,
        links: &[&'a Link],
    ) -> Result<Rule> {
        let scale = 1.0 / operation.divisor.unwrap_or(1.0);
        let elements = |id: TensorId| self.network.tensors()[id.0].elements() as f64;
        let mut totals = [0.0; 2];
        for (total, link) in totals.iter_mut().zip(links) {
            *total = self.product(link, false)?.total;
        }
        let fans: Vec<f64> =
            totals.iter().zip(links).map(|(total, link)| total / elements(link.source)).collect();
        let features = totals[0] / elements(id);
        let weights = links.iter().position(|link| {
            let node = self.program.node_of[link.source.0];
            node.is_some_and(|node| matches!(self.program.nodes[node].rule, Rule::Attention(_)))
        });
        for (&link, &from) in links.iter().zip(&fans) {
            self.push(link, Operator::Contracted { from });
        }
        if let Some(weights) = weights {
            let node = self.program.node_of[links[weights].source.0].unwrap_or_default();
            if let Rule::Attention(scores) = self.program.nodes[node].rule
                && features == scores.keys
            {
                if weights == 1 {
                    let end = self.program.links.len();
                    self.program.links.swap(end - 2, end - 1);
                    self.originals.swap(end - 2, end - 1);
                }
                let values = self.program.node_of[links[1 - weights].source.0];
                let scores = self.with_common_source(scores, node, values);
                return Ok(Rule::Mix { scores, width: fans[weights] });
            }
        }
        let along = |link: &Link| {
            let positions = &self.positions[link.source.0];
            link.relations.iter().any(|part| {
                matches!(part.relation, Relation::All | Relation::Each)
                    && part.source_axes.iter().any(|&axis| positions[axis])
            })
        };
        Ok(Rule::Matmul { features, scale, along_positions: [along(links[0]), along(links[1])] })
    }

    /// The node whose weights a tensor is computed with, but for moves, and what they are applied to.
    pub(super) fn made_of(&self, mut node: usize) -> Option<(usize, usize)> {
        loop {
            let links = &self.program.links[self.program.nodes[node].links.clone()];
            match (&self.program.nodes[node].rule, links) {
                (Rule::Combine { .. }, [only]) => match only.operator {
                    Operator::Weighted(_) => return Some((node, only.source)),
                    _ => node = only.source,
                },
                _ => return None,
            }
        }
    }

    /// Adds how many channels the common source of keys and values has, if there is one.
    fn with_common_source(
        &mut self,
        scores: Scores,
        attention: usize,
        values: Option<usize>,
    ) -> Scores {
        let made_of = |node: usize| self.made_of(node);
        let (Some((keys, one)), Some((_, other))) = (made_of(scores.key), values.and_then(made_of))
        else {
            return scores;
        };
        if one != other {
            return scores;
        }
        let source = &self.program.nodes[one];
        let scores = Scores { common: source.elements / source.positions, ..scores };
        self.program.nodes[keys].keys_of = Some(attention);
        self.program.nodes[attention].rule = Rule::Attention(scores);
        let product = self.program.nodes.iter_mut().find(|node| {
            matches!(node.rule, Rule::Scores(own) if (own.query, own.key) == (scores.query, scores.key))
        });
        if let Some(Node { rule: Rule::Scores(own), .. }) = product {
            own.common = scores.common;
        }
        scores
    }
}
