//! Attention of which a mask hides keys: as one operation, or written out as products.

use std::collections::HashMap;

use super::compiler::Compiler;
use crate::error::Result;
use crate::network::{AxisRelation, Link, Network, Operation, OperationKind, Relation, TensorId};
use crate::propagation::cells::edges;
use crate::propagation::geometry::{LARGEST_AXIS, Lengths, lengths};
use crate::propagation::program::{Masked, Operator, Rule};

/// The function of an operation of the kind `other` that stands for attention of which a mask hides
/// keys: a tensor that is linked to its values and to the weights of its queries.
pub(crate) const MASKED_ATTENTION: &str = "masked_attention";

/// That of the tensors behind it that stand for its scores and weights, and are no tensors of either.
pub(crate) const PART_OF_ATTENTION: &str = "part_of_attention";

/// The function of a move that leaves what a mask does not hide.
const VISIBLE: &str = "visible";

/// The share of a tensor's elements that masks leave, through moves from a single tensor each.
/// Behind a mask whose scores are no plain product, a softmax is taken to be one over this share of
/// its elements.
pub(crate) fn visible_share<'n>(
    network: &Network,
    from: TensorId,
    links_into: impl Fn(TensorId) -> Vec<&'n Link>,
    edges: impl Fn(&Link) -> f64,
) -> f64 {
    let (mut at, mut share) = (from, 1.0);
    loop {
        let links = links_into(at);
        let (Ok(operation), Some(first)) = (network.operation(at), links.first()) else { break };
        let is_single = links.iter().all(|link| link.source == first.source);
        if operation.kind != OperationKind::Move || !is_single {
            break;
        }
        if operation.function.as_deref() == Some(VISIBLE) {
            let total: f64 = links.iter().map(|link| edges(link)).sum();
            share *= total / network.tensors()[at.0].elements() as f64;
        }
        at = first.source;
    }
    share
}

/// What a tensor was before a mask hid some of its elements, if one did and all others are where
/// they were.
pub(crate) fn behind_mask<'n>(
    network: &Network,
    from: TensorId,
    links_into: impl Fn(TensorId) -> Vec<&'n Link>,
) -> Option<TensorId> {
    let (mut at, mut is_masked) = (from, false);
    while network.operation(at).is_ok_and(|operation| operation.kind == OperationKind::Move) {
        let links = links_into(at);
        let first = links.first()?;
        if links.iter().any(|link| link.source != first.source) {
            break;
        }
        let is_visible = network.operation(at).ok()?.function.as_deref() == Some(VISIBLE);
        if !is_visible && !links.iter().all(|link| only_regroups(network, link)) {
            break;
        }
        is_masked |= is_visible;
        at = first.source;
    }
    let shape = |id: TensorId| &network.tensors()[id.0].shape;
    (is_masked && shape(at) == shape(from)).then_some(at)
}

/// Whether all elements stay in their row-major order.
fn only_regroups(network: &Network, link: &Link) -> bool {
    let shape = |id: TensorId| &network.tensors()[id.0].shape;
    let (source, target) = (shape(link.source), shape(link.target));
    let mut places = Vec::new();
    for part in link.relations.iter() {
        let is_long = part.source_axes.iter().any(|&axis| source[axis] > 1)
            || part.target_axes.iter().any(|&axis| target[axis] > 1);
        if !is_long {
            continue;
        }
        match (&part.relation, part.source_axes.first(), part.target_axes.first()) {
            (Relation::Same | Relation::Reshape, Some(&from), Some(&to)) => {
                places.push((to, from));
            }
            _ => return false,
        }
    }
    places.sort_unstable();
    places.is_sorted_by(|one, other| one.1 < other.1)
}

/// Queries, keys and values of an attention behind a mask, and how they meet.
struct MaskedParts<'a> {
    query: &'a Link,
    key: &'a Link,
    /// The first of the links with values, of which there is one for each kind of slice.
    value: &'a Link,
    values: Vec<&'a Link>,
    features: f64,
    width: f64,
    scale: f64,
    bias: Option<usize>,
    /// The axis of the result along which there is a row for each query.
    row: usize,
}

impl<'a> Compiler<'a> {
    pub(super) fn behind_mask(&self, from: TensorId) -> Option<TensorId> {
        behind_mask(self.network, from, |id| self.data_links(id))
    }

    /// The rule of the product of values with weights that a mask left of a softmax; `None` if it
    /// is no such product.
    pub(super) fn masked_product(&mut self, id: TensorId) -> Result<Option<Rule>> {
        let links = self.data_links(id);
        let mut found = None;
        for &link in &links {
            let Some(weights) = self.behind_mask(link.source) else { continue };
            let node = self.program.node_of[weights.0];
            if let Some(Rule::Attention(scores)) = node.map(|at| &self.program.nodes[at].rule) {
                found = Some((link, *scores));
            }
        }
        let Some((weights, scores)) = found else { return Ok(None) };
        let values: Vec<&Link> =
            links.into_iter().filter(|link| link.source != weights.source).collect();
        let of = |node: usize| self.program.nodes[node].tensor;
        let (query, key) = (of(scores.query), of(scores.key));
        let mut factors = [None, None];
        for link in self.program_product(query, key) {
            let at = usize::from(link.source == key && factors[0].is_some());
            factors[at].get_or_insert(link);
        }
        let ([Some(query), Some(key)], Some(&value)) = (factors, values.first()) else {
            return Ok(None);
        };
        let shape = self.shape(id);
        let width: u64 = weights
            .relations
            .iter()
            .filter(|part| part.source_axes.is_empty())
            .flat_map(|part| part.target_axes.iter().map(|&axis| shape[axis]))
            .product();
        // Where the mask is, keys of the values are related with queries, one to several.
        let is_mask = |part: &&AxisRelation| {
            matches!((&part.source_axes[..], &part.target_axes[..]), ([_], [_]))
                && !matches!(part.relation, Relation::Same | Relation::All)
        };
        let Some(part) = value.relations.iter().find(is_mask) else { return Ok(None) };
        let parts = MaskedParts {
            query,
            key,
            value,
            row: part.target_axes[0],
            values,
            features: scores.features,
            width: width as f64,
            scale: scores.scale * scores.scale_after,
            bias: scores.bias,
        };
        self.masked(id, &parts).map(Some)
    }

    /// The links of the product of queries and keys.
    fn program_product(&self, query: TensorId, key: TensorId) -> Vec<&'a Link> {
        let mut readers = self.from[query.0].iter().map(|link| link.target);
        let product = readers.find(|&reader| {
            let node = self.program.node_of[reader.0].map(|at| &self.program.nodes[at].rule);
            matches!(node, Some(Rule::Scores(_)))
                && self.into[reader.0].iter().any(|link| link.source == key)
        });
        let mut links = product.map_or_else(Vec::new, |product| self.data_links(product));
        links.sort_by_key(|link| link.source != query);
        links
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
        let (query, key) = (*query, *key);
        if [query, key, value].iter().any(|link| self.program.node_of[link.source.0].is_none()) {
            return Ok(None);
        }
        let shape = self.shape(id);
        let (Some(&width), Some(row)) = (shape.last(), shape.len().checked_sub(2)) else {
            self.refuse(id, "attention has axes of tokens and of features");
            return Ok(None);
        };
        let parts = MaskedParts {
            query,
            key,
            value,
            values,
            features: self.shape(query.source).last().copied().unwrap_or(1) as f64,
            width: width as f64,
            scale: 1.0 / operation.divisor.unwrap_or(1.0),
            bias: None,
            row,
        };
        self.masked(id, &parts).map(Some)
    }

    fn masked(&mut self, id: TensorId, parts: &MaskedParts<'a>) -> Result<Rule> {
        let &MaskedParts { query, key, value, features, width, scale, bias, row, .. } = parts;
        let shape = self.shape(id);
        let queries = shape[row];
        let leading = self.network.tensors()[id.0].elements() as f64 / queries as f64 / width;
        let (mut seen, mut shared, mut keys) = (HashMap::new(), 0.0, 1);
        for link in &parts.values {
            let mut share = 1.0 / (leading * width);
            let mut tokens = None;
            for part in link.relations.iter() {
                if part.target_axes == [row] {
                    tokens = Some(part);
                } else {
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
        let ends = [query, key, value];
        let sizes = [queries as f64 * features, keys as f64 * features, keys as f64 * width];
        let mut repeats = [1.0; 3];
        for ((repeated, link), size) in repeats.iter_mut().zip(ends).zip(sizes) {
            *repeated = leading * size / self.network.tensors()[link.source.0].elements() as f64;
        }
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
        Ok(Rule::Masked(Masked {
            features,
            width,
            scale,
            bias,
            queries: queries as f64,
            keys: keys as f64,
            seen,
            shared,
            repeats,
            common,
        }))
    }
}
