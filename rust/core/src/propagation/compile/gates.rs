//! Gates by a norm of the very elements that they multiply, as in global response normalisation.

use super::compiler::Compiler;
use crate::propagation::functions::Function;
use crate::propagation::program::{Cross, DataLink, Node, Operator, OwnGate, Rule};

impl Compiler<'_> {
    /// What a product or a sum, whose links begin at `first`, owes to such a gate.
    pub(super) fn own_gate(&self, rule: &Rule, first: usize) -> Option<OwnGate> {
        let links = &self.program.links[first..];
        let [one, other] = links else { return None };
        let sides = [(first, one, first + 1, other), (first + 1, other, first, one)];
        sides.into_iter().find_map(|(elements, of_elements, gate, of_gate)| match rule {
            Rule::Product => {
                let total = self.total_behind(of_gate)?;
                self.sums_squares_of(total, of_elements.source).then_some(OwnGate {
                    total,
                    elements,
                    gate,
                    product: None,
                })
            }
            Rule::Combine { cross: Cross::All } if is_plain(of_elements) && is_plain(of_gate) => {
                let (product, scales) = self.gated_behind(of_gate)?;
                let own = self.node(product).own_gate.as_ref()?;
                let gated = self.program.links[own.elements].source;
                (gated == of_elements.source).then_some(OwnGate {
                    total: own.total,
                    elements,
                    gate: own.gate,
                    product: Some((product, scales)),
                })
            }
            _ => None,
        })
    }

    /// Marks the values of functions that sums add to their own product with a gate.
    pub(super) fn find_gated(&mut self) {
        for number in 0..self.program.nodes.len() {
            if let Some(OwnGate { elements, product: Some(_), .. }) = self.node(number).own_gate {
                let source = self.program.links[elements].source;
                self.program.nodes[source].gated_sum = Some(number);
            }
        }
    }

    fn node(&self, number: usize) -> &Node {
        &self.program.nodes[number]
    }

    /// The only link of a node with something computed.
    fn computed(&self, number: usize) -> Option<&DataLink> {
        let links = &self.program.links[self.node(number).links.clone()];
        let is_computed =
            |link: &&DataLink| !matches!(self.node(link.source).rule, Rule::Parameter(_));
        let mut computed = links.iter().filter(is_computed);
        let only = computed.next()?;
        computed.next().is_none().then_some(only)
    }

    /// The sum that a gate is the root of, before it is divided by its mean, moved and scaled.
    fn total_behind(&self, gate: &DataLink) -> Option<usize> {
        let mut at = gate.source;
        loop {
            let node = self.node(at);
            match node.rule {
                Rule::Function(number) => match self.program.functions[number] {
                    Function::Power(power) if power.exponent == 0.5 => {
                        return Some(self.computed(at)?.source);
                    }
                    _ => return None,
                },
                Rule::Combine { .. } | Rule::MeanNorm { of_sizes: false, .. } | Rule::Product => {
                    let link = self.computed(at)?;
                    if matches!(link.operator, Operator::Weighted(_)) {
                        return None;
                    }
                    at = link.source;
                }
                Rule::Quotient => at = self.program.links[node.links.start].source,
                _ => return None,
            }
        }
    }

    /// Whether a node sums the squares of another one over its positions.
    fn sums_squares_of(&self, total: usize, elements: usize) -> bool {
        let node = self.node(total);
        let (Rule::Combine { .. }, Some(link)) = (&node.rule, self.computed(total)) else {
            return false;
        };
        let Operator::Fixed(fixed) = &link.operator else { return false };
        let is_along_positions =
            fixed.target_positions == 1.0 && fixed.channels.from == fixed.source_channels;
        let squares = self.node(link.source);
        let Rule::Function(_) = squares.rule else { return false };
        let argument = self.program.links[squares.links.start].source;
        let is_function = matches!(self.node(elements).rule, Rule::Function(_));
        let same = self.node(elements).links.clone().next();
        let of_elements = same.filter(|_| is_function).map(|link| self.program.links[link].source);
        is_along_positions && (argument == elements || of_elements == Some(argument))
    }

    /// The product behind a chain of scales and shifts, and the scales.
    fn gated_behind(&self, chain: &DataLink) -> Option<(usize, Vec<usize>)> {
        let (mut at, mut scales) = (chain.source, Vec::new());
        loop {
            let node = self.node(at);
            if node.own_gate.is_some() && matches!(node.rule, Rule::Product) {
                scales.extend(&node.scales);
                return Some((at, scales));
            }
            let link = self.computed(at)?;
            match (&node.rule, &link.operator) {
                (Rule::Product, _) => {
                    scales.extend(&node.scales);
                    for other in &self.program.links[node.links.clone()] {
                        if let Rule::Parameter(number) = self.node(other.source).rule {
                            scales.push(number);
                        }
                    }
                }
                (Rule::Combine { .. }, Operator::Fixed(_)) if is_plain(link) => {}
                _ => return None,
            }
            at = link.source;
        }
    }
}

/// Whether a link reads every element once, as it is.
fn is_plain(link: &DataLink) -> bool {
    matches!(&link.operator, Operator::Fixed(fixed) if fixed.is_identity() && fixed.coefficient == 1.0)
}
