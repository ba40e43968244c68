//! Products of computed matrices in a plan, and the attention that they make up.

use super::operators::{Move, Operator};
use super::plan::{Planner, Rule};
use crate::error::Result;
use crate::network::{Link, TensorId};
use crate::propagation::PART_OF_ATTENTION;

impl<'a> Planner<'a> {
    pub(super) fn matmul(&mut self, id: TensorId, links: &[(usize, &Link)]) -> Option<Rule> {
        let &[(_, one), (_, other)] = links else {
            return self.refuse(id, "a product of matrices needs two that are computed".into());
        };
        let elements = self.network.tensors()[id.0].elements() as f64;
        let is_softmax = |&(_, link): &(usize, &Link)| {
            let node = self.node_of[link.source.0].map(|node| &self.plan.nodes[node].rule);
            matches!(node, Some(Rule::Softmax { .. }))
        };
        let weights = links.iter().position(is_softmax);
        // A mask may hide some of the keys: values are read as far as it does not.
        let terms = self.edges(if weights == Some(0) { other } else { one }) / elements;
        if let Some(weights) = weights {
            return Some(Rule::Mix { keys: terms, weights });
        }
        let divisor = self.network.operation(id).ok()?.divisor.unwrap_or(1.0);
        let scale = 1.0 / (divisor * divisor);
        Some(Rule::Matmul { terms, scale, is_score: self.is_score[id.0] })
    }

    /// Whether a tensor stands for scores or weights behind a mask, and is no tensor of either.
    pub(super) fn is_part_of_attention(&self, id: TensorId) -> bool {
        let operation = self.network.operation(id);
        operation.is_ok_and(|one| one.function.as_deref() == Some(PART_OF_ATTENTION))
    }

    /// Adds the scores of an attention with a mask, and the softmax of them, once for the tensor
    /// that stands for its weights; nothing for those that stand for queries and keys.
    pub(super) fn part_of_attention(&mut self, id: TensorId) -> Result<()> {
        let totals: Vec<TensorId> = self.sources(id).take(2).collect();
        let &[by_query, by_key] = &totals[..] else { return Ok(()) };
        if !self.is_part_of_attention(by_query) {
            return Ok(());
        }
        let factors: Vec<&'a Link> =
            [by_query, by_key].into_iter().filter_map(|total| self.first_link(total)).collect();
        let Some((mixed, pairs)) = self.pairs(id) else { return Ok(()) };
        let &[query, key] = &factors[..] else { return Ok(()) };
        let features = self.length_of_rows(query.source);
        let divisor = self.network.operation(mixed)?.divisor.unwrap_or(1.0);
        let first = self.plan.links.len();
        for link in [query, key] {
            let products = pairs * features / self.elements(link.source);
            self.push_link(link, Operator::Contracted { products }, None)?;
        }
        let scale = 1.0 / (divisor * divisor);
        let rule = if self.plan.links.len() == first + 2 {
            Rule::Matmul { terms: features, scale, is_score: true }
        } else {
            self.drop_links(first);
            self.refuse(mixed, "a product of matrices needs two that are computed".into());
            Rule::Choice
        };
        self.push_node(by_key, rule, first)?;
        if let Some(facts) = self.tensors.last_mut() {
            facts.products = pairs * features;
        }
        let first = self.plan.links.len();
        if let Some(link) = self.links_from(id, by_key) {
            self.push_link(link, Operator::Move(Move::SAME), None)?;
        }
        let length = pairs / self.elements(id);
        self.push_node(id, Rule::Softmax { length }, first)
    }

    /// The rule of attention of which a mask hides keys: that of attention over as many keys as a
    /// query sees on average.
    pub(super) fn masked_attention(
        &mut self,
        id: TensorId,
        links: &[(usize, &'a Link)],
        gates: &[Option<usize>],
    ) -> Result<Option<Rule>> {
        let is_part = |&&(_, link): &&(usize, &'a Link)| self.is_part_of_attention(link.source);
        let weights = links.iter().find(is_part).copied();
        let value = links.iter().find(|one| !is_part(one)).copied();
        let (Some(weights), Some(value)) = (weights, value) else {
            return Ok(self.refuse(id, "a product of matrices needs two that are computed".into()));
        };
        let Some((_, pairs)) = self.pairs(weights.1.source) else {
            return Ok(self.refuse(id, "nothing is linked to it but weights".into()));
        };
        let width = self.length_of_rows(id);
        let of_value = pairs * width / self.elements(value.1.source);
        for ((number, link), products) in [(weights, width), (value, of_value)] {
            let gate = gates.get(number).copied().flatten();
            self.push_link(link, Operator::Contracted { products }, gate)?;
        }
        Ok(Some(Rule::Mix { keys: pairs * width / self.elements(id), weights: 0 }))
    }

    /// The attention that reads weights, and how many pairs of a query and a key it sees.
    fn pairs(&self, weights: TensorId) -> Option<(TensorId, f64)> {
        let mixed = self.network.links().iter().find(|link| link.source == weights)?.target;
        let values = self.into[mixed.0].iter().map(|&number| &self.network.links()[number]);
        let values = values.filter(|link| !self.is_part_of_attention(link.source));
        let edges: f64 = values.map(|link| self.edges(link)).sum();
        Some((mixed, edges / self.length_of_rows(mixed)))
    }

    fn sources(&self, id: TensorId) -> impl Iterator<Item = TensorId> {
        self.into[id.0].iter().map(|&number| self.network.links()[number].source)
    }

    fn first_link(&self, id: TensorId) -> Option<&'a Link> {
        self.into[id.0].first().map(|&number| &self.network.links()[number])
    }

    fn links_from(&self, id: TensorId, source: TensorId) -> Option<&'a Link> {
        let numbers = self.into[id.0].iter();
        numbers.map(|&number| &self.network.links()[number]).find(|link| link.source == source)
    }

    fn elements(&self, id: TensorId) -> f64 {
        self.network.tensors()[id.0].elements() as f64
    }

    fn length_of_rows(&self, id: TensorId) -> f64 {
        self.network.tensors()[id.0].shape.last().map_or(1.0, |&length| length as f64)
    }
}
