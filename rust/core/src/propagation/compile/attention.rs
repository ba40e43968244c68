//! Softmaxes and products of matrices, and the attention that they make up together.

use std::collections::HashMap;

use super::compiler::Compiler;
use crate::error::Result;
use crate::network::{Link, Operation, Relation, TensorId};
use crate::propagation::cells::edges;
use crate::propagation::functions::Function;
use crate::propagation::geometry::{LARGEST_AXIS, Lengths, lengths};
use crate::propagation::program::{Masked, Node, Operator, Rule, Scores};

/// The function of an operation of the kind `other` that stands for attention of which a mask hides
/// keys: a tensor that is linked to its values and to the weights of its queries.
pub(crate) const MASKED_ATTENTION: &str = "masked_attention";

/// That of the tensors behind it that stand for its scores and weights, and are no tensors of either.
pub(crate) const PART_OF_ATTENTION: &str = "part_of_attention";

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
        Rule::Softmax { length }
    }

    /// The product of queries and keys that a softmax along `axis` is taken of, with scalings and
    /// parameters added on the way.
    fn scores_behind(&mut self, from: TensorId, axis: usize) -> Option<Scores> {
        let (mut at, mut scale, mut bias) = (from, 1.0, None);
        let product = loop {
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
                    for link in links {
                        match self.program.nodes[link.source].rule {
                            Rule::Parameter(number) if bias.is_none() => bias = Some(number),
                            _ if computed.is_none() => computed = Some(link),
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
    fn made_of(&self, mut node: usize) -> Option<(usize, usize)> {
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

    /// The rule of attention of which a mask hides keys.
    pub(super) fn masked_attention(
        &mut self,
        id: TensorId,
        operation: &Operation,
    ) -> Result<Option<Rule>> {
        let links = self.data_links(id);
        let is_part = |link: &&Link| {
            let operation = self.network.operation(link.source);
            operation.is_ok_and(|one| one.function.as_deref() == Some(PART_OF_ATTENTION))
        };
        let (weights, values): (Vec<&Link>, Vec<&Link>) = links.into_iter().partition(is_part);
        // Behind the weights stand the totals of a query and those of a key, each of one tensor.
        let behind = |link: &&'a Link| self.data_links(link.source);
        let totals: Vec<&Link> = weights.first().map(behind).unwrap_or_default();
        let tensors: Vec<&Link> =
            totals.iter().take(2).filter_map(|total| behind(total).first().copied()).collect();
        let ([query, key], Some(&value)) = (&tensors[..], values.first()) else {
            self.refuse(id, "attention behind a mask reads queries, keys and values");
            return Ok(None);
        };
        let ends = [*query, *key, value];
        if ends.iter().any(|link| self.program.node_of[link.source.0].is_none()) {
            return Ok(None);
        }
        let shape = self.shape(id);
        let (Some(&width), Some(at)) = (shape.last(), shape.len().checked_sub(2)) else {
            self.refuse(id, "attention has axes of tokens and of features");
            return Ok(None);
        };
        let leading: u64 = shape[..at].iter().product();
        let queries = shape[at];
        let (mut seen, mut shared, mut keys) = (HashMap::new(), 0.0, 1);
        for link in &values {
            let mut share = 1.0 / leading as f64;
            let mut tokens = None;
            for part in link.relations.iter() {
                if part.target_axes == [at] {
                    tokens = Some(part);
                } else if part.target_axes != [at + 1] {
                    share *= self.sums_of(link, part, false)?.total;
                }
            }
            let Some(part) = tokens else { continue };
            let Lengths { source, target } =
                lengths(part, self.shape(link.source), self.shape(link.target));
            if source.max(target) > LARGEST_AXIS {
                return Err(self.too_long(link));
            }
            keys = source;
            let mut numbers = vec![0u64; target as usize];
            edges(&part.relation, source, target, |_, query, _| numbers[query] += 1);
            let mut weight_of = vec![0.0; source as usize];
            edges(&part.relation, source, target, |key, query, _| {
                weight_of[key] += 1.0 / numbers[query] as f64;
            });
            for &number in numbers.iter().filter(|&&number| number > 0) {
                *seen.entry(number).or_insert(0.0) += share / target as f64;
            }
            let own: f64 = numbers.iter().filter(|&&n| n > 0).map(|&n| 1.0 / n as f64).sum();
            let all: f64 = weight_of.iter().map(|weight| weight * weight).sum();
            let pairs = target as f64 * (target as f64 - 1.0);
            shared += if pairs > 0.0 { share * (all - own) / pairs } else { 0.0 };
        }
        let mut seen: Vec<(f64, f64)> =
            seen.into_iter().map(|(number, share): (u64, f64)| (number as f64, share)).collect();
        seen.sort_unstable_by(|one, other| one.0.total_cmp(&other.0));
        let repeats = ends.map(|link| {
            let own = self.shape(link.source);
            let tokens: u64 = own.iter().rev().take(2).product();
            (leading * tokens) as f64 / self.network.tensors()[link.source.0].elements() as f64
        });
        let features = self.shape(query.source).last().copied().unwrap_or(1) as f64;
        let mut common = 0.0;
        let [_, of_key, of_value] =
            ends.map(|link| self.program.node_of[link.source.0].and_then(|at| self.made_of(at)));
        if let (Some((made, one)), Some((_, other))) = (of_key, of_value)
            && one == other
        {
            let source = &self.program.nodes[one];
            common = source.elements / source.positions;
            // The attention will be the next node.
            self.program.nodes[made].keys_of = Some(self.program.nodes.len());
        }
        for link in ends {
            self.push(link, Operator::Contracted { from: 1.0 });
        }
        Ok(Some(Rule::Masked(Masked {
            features,
            width: width as f64,
            scale: 1.0 / operation.divisor.unwrap_or(1.0),
            queries: queries as f64,
            keys: keys as f64,
            seen,
            shared,
            repeats,
            common,
        })))
    }
}
