//! Products of computed matrices in a plan, and the attention that they make up.

use super::operators::{Move, Operator};
use super::plan::{Planner, Rule};
use crate::error::Result;
use crate::network::{Link, TensorId};
use crate::propagation::PART_OF_ATTENTION;

/// One of the two matrices of a product.
struct Factor<'a> {
    link: &'a Link,
    /// Whether it has the weights of a softmax.
    is_softmax: bool,
}

impl<'a> Planner<'a> {
    pub(super) fn matmul(&mut self, id: TensorId, gates: &[Option<usize>]) -> Result<Option<Rule>> {
        let numbers = self.into[id.0].clone();
        let links: Vec<&'a Link> =
            numbers.iter().map(|&number| &self.network.links()[number]).collect();
        let &[one, other] = &links[..] else {
            return Ok(self.refuse(id, "a product of matrices needs two factors".into()));
        };
        let gate = |at: usize| gates.get(numbers[at]).copied().flatten();
        let gates = [gate(0), gate(1)];
        let products = [one, other].map(|link| self.edges(link) / self.elements(link.source));
        let Some(factors) = self.push_factors([one, other], products, gates)? else {
            return Ok(self.refuse(id, "neither factor is computed from an input".into()));
        };
        // A mask may hide some of the keys: values are read as far as it does not.
        let values = if factors[0].is_softmax { factors[1].link } else { factors[0].link };
        let terms = self.edges(values) / self.elements(id);
        if let Some(weights) = factors.iter().position(|factor| factor.is_softmax) {
            return Ok(Some(Rule::Mix { keys: terms, weights }));
        }
        let divisor = self.network.operation(id)?.divisor.unwrap_or(1.0);
        let scale = 1.0 / (divisor * divisor);
        let is_score = self.is_score[id.0];
        // A layer may be written as a product of two parameters: it keeps the variance.
        let is_layer = self.among_parameters && !is_score;
        let scale = if is_layer { 1.0 / terms } else { scale };
        Ok(Some(Rule::Matmul { terms, scale, is_score }))
    }

    /// Adds the links of a product of two matrices. If one of them is computed from parameters
    /// alone, the link of the other has its signal, and comes first. `None` if both are.
    fn push_factors(
        &mut self,
        links: [&'a Link; 2],
        products: [f64; 2],
        gates: [Option<usize>; 2],
    ) -> Result<Option<[Factor<'a>; 2]>> {
        let reached = links.map(|link| self.reached[link.source.0]);
        let is_softmax = |planner: &Self, link: &Link| {
            let node = planner.node_of[link.source.0].map(|node| &planner.plan.nodes[node].rule);
            matches!(node, Some(Rule::Softmax { .. }))
        };
        let computed = match reached {
            [true, true] => {
                for (at, link) in links.into_iter().enumerate() {
                    let operator = Operator::Contracted { products: products[at] };
                    self.push_link(link, operator, gates[at])?;
                }
                return Ok(Some(
                    links.map(|link| Factor { link, is_softmax: is_softmax(self, link) }),
                ));
            }
            [true, false] => 0,
            [false, true] => 1,
            [false, false] => return Ok(None),
        };
        let (link, other) = (links[computed], links[1 - computed]);
        let (factor, of_weights) = self.learnt_signal(other.source)?;
        let operator = Operator::ByLearnt { products: products[computed], factor };
        self.push_link(link, operator, gates[computed])?;
        Ok(Some([
            Factor { link, is_softmax: is_softmax(self, link) },
            Factor { link: other, is_softmax: of_weights },
        ]))
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
        let products = [query, key].map(|link| pairs * features / self.elements(link.source));
        let scale = 1.0 / (divisor * divisor);
        let rule = match self.push_factors([query, key], products, [None; 2])? {
            Some(_) => Rule::Matmul { terms: features, scale, is_score: true },
            None => {
                self.refuse(mixed, "neither queries nor keys are computed from an input".into());
                Rule::Choice
            }
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
        gates: &[Option<usize>],
    ) -> Result<Option<Rule>> {
        let numbers = self.into[id.0].clone();
        let find = |is_part: bool| {
            let links = numbers.iter().map(|&number| (number, &self.network.links()[number]));
            links.into_iter().find(|(_, link)| self.is_part_of_attention(link.source) == is_part)
        };
        let (Some(weights), Some(value)) = (find(true), find(false)) else {
            return Ok(self.refuse(id, "a product of matrices needs two factors".into()));
        };
        let Some((_, pairs)) = self.pairs(weights.1.source) else {
            return Ok(self.refuse(id, "nothing is linked to it but weights".into()));
        };
        let width = self.length_of_rows(id);
        let products = [width, pairs * width / self.elements(value.1.source)];
        let gates = [weights, value].map(|(number, _)| gates.get(number).copied().flatten());
        let Some(factors) = self.push_factors([weights.1, value.1], products, gates)? else {
            return Ok(self.refuse(id, "neither factor is computed from an input".into()));
        };
        let keys = pairs * width / self.elements(id);
        Ok(Some(Rule::Mix { keys, weights: usize::from(!factors[0].is_softmax) }))
    }

    /// The attention that reads weights, and how many pairs of a query and a key it sees.
    fn pairs(&self, weights: TensorId) -> Option<(TensorId, f64)> {
        let mixed = self.network.links().iter().find(|link| link.source == weights)?.target;
        let values = self.into[mixed.0].iter().map(|&number| &self.network.links()[number]);
        let values = values.filter(|link| !self.is_part_of_attention(link.source));
        let edges: f64 = values.map(|link| self.edges(link)).sum();
        Some((mixed, edges / self.length_of_rows(mixed)))
    }

    pub(super) fn sources(&self, id: TensorId) -> impl Iterator<Item = TensorId> {
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
