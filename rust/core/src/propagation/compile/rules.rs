//! The rule of each tensor, by the kind of its operation.

use std::collections::HashMap;

use super::compiler::Compiler;
use super::factors::is_mixed;
use super::masked::{MASKED_ATTENTION, PART_OF_ATTENTION};
use super::survey::joins_positions;
use crate::error::Result;
use crate::network::{Link, LinkRole, Operation, OperationKind, Relation, TensorId};
use crate::propagation::functions::Function;
use crate::propagation::geometry::{Lengths, Sums, lengths, weighted_sums};
use crate::propagation::program::{Affine, Cross, Fixed, Operator, Rule, Weighted};

impl<'a> Compiler<'a> {
    /// The rule of a tensor, whose links are added to the program; `None` if it is not known.
    pub(super) fn rule(&mut self, id: TensorId, operation: &Operation) -> Result<Option<Rule>> {
        let mut links = self.data_links(id);
        if self.indices[id.0] {
            for link in links {
                self.push(link, Operator::Same);
            }
            return Ok(Some(Rule::OneHot));
        }
        match (operation.kind, operation.function.as_deref()) {
            (OperationKind::Other, Some(MASKED_ATTENTION)) => {
                return self.masked_attention(id, operation);
            }
            // It is followed where its attention is.
            (OperationKind::Other, Some(PART_OF_ATTENTION)) => return Ok(None),
            _ => {}
        }
        if links.iter().any(|link| self.program.node_of[link.source.0].is_none()) {
            return Ok(None);
        }
        if operation.kind == OperationKind::Matmul
            && let Some(rule) = self.masked_product(id)?
        {
            return Ok(Some(rule));
        }
        if operation.kind == OperationKind::Function {
            // A function such as max(x, a x) may read one tensor in several places.
            links.dedup_by(|one, other| {
                one.source == other.source && one.relations == other.relations
            });
        }
        let expected = match operation.kind {
            OperationKind::Affine
            | OperationKind::Sum
            | OperationKind::Product
            | OperationKind::Maximum
            | OperationKind::Move
            | OperationKind::Other => None,
            OperationKind::Matmul => Some(2),
            _ => Some(1),
        };
        if let Some(expected) = expected.filter(|&n| n != links.len()) {
            let reason = format!(
                "'{}' takes {expected} tensors, but {} are linked to it as data",
                operation.kind.name(),
                links.len()
            );
            self.refuse(id, reason);
            return Ok(None);
        }
        match operation.kind {
            OperationKind::Affine
            | OperationKind::Sum
            | OperationKind::Move
            | OperationKind::Average => self.combine(operation, &links).map(Some),
            OperationKind::Embedding => self.embedding(operation, &links),
            OperationKind::Function => self.function(id, operation, &links),
            OperationKind::Product => {
                if let [one, other] = links[..]
                    && one.source == other.source
                    && one.relations == other.relations
                    && self.shape(one.source) == self.shape(id)
                {
                    let square = Operation {
                        function: Some("square".into()),
                        ..Operation::new(OperationKind::Function)
                    };
                    return self.function(id, &square, &links[..1]);
                }
                self.factors(&links).map(|()| Some(Rule::Product))
            }
            OperationKind::Maximum => {
                self.factors(&links)?;
                let is_minimum = operation.function.as_deref() == Some("minimum");
                Ok(Some(Rule::Maximum { sign: if is_minimum { -1.0 } else { 1.0 } }))
            }
            OperationKind::MaxPool => self.max_pool(&links).map(Some),
            OperationKind::BatchNorm
            | OperationKind::LayerNorm
            | OperationKind::RmsNorm
            | OperationKind::GroupNorm => Ok(Some(self.norm(id, operation, &links))),
            OperationKind::Softmax => Ok(Some(self.softmax(id, operation, &links))),
            OperationKind::Matmul => self.matmul(id, operation, &links).map(Some),
            OperationKind::Other if operation.function.as_deref() == Some("divide") => {
                if links.len() != 2 {
                    let reason = format!("a quotient takes two tensors, got {}", links.len());
                    self.refuse(id, reason);
                    return Ok(None);
                }
                self.factors(&links).map(|()| Some(Rule::Quotient))
            }
            OperationKind::Other => {
                if let Some(rule) = self.route(id, &links) {
                    return Ok(Some(rule));
                }
                let reason = self.routing.and_then(|routing| routing.reasons.get(&id)).cloned();
                let reason = reason.unwrap_or_else(|| match operation.function.as_deref() {
                    Some(function) => format!("'{function}' has no rule"),
                    None => "it was made without an operation".to_owned(),
                });
                self.refuse(id, reason);
                Ok(None)
            }
        }
    }

    fn combine(&mut self, operation: &Operation, links: &[&'a Link]) -> Result<Rule> {
        let subtracts = operation.function.as_deref() == Some("subtract");
        let average = operation.kind == OperationKind::Average;
        let mut seen: Vec<(&Link, usize)> = Vec::new();
        let mut along_positions = false;
        for (number, &link) in links.iter().enumerate() {
            if let Some(kernel) = self.kernel_of(link) {
                let operator = self.weighted(link, kernel)?;
                self.push(link, Operator::Weighted(operator));
                continue;
            }
            let sign = if subtracts && number > 0 { -1.0 } else { 1.0 };
            let alike = seen.iter().find(|(other, _)| {
                other.source == link.source && other.relations == link.relations
            });
            if let Some(&(_, at)) = alike {
                // Several edges between the same elements add coherently.
                if let Operator::Fixed(fixed) = &mut self.program.links[at].operator {
                    fixed.coefficient += sign;
                }
                continue;
            }
            let averages = average && operation.divisor.is_none() && operation.weights.is_empty();
            let mut fixed = self.fixed(link, averages, operation)?;
            fixed.coefficient = sign / operation.divisor.unwrap_or(1.0);
            along_positions |= fixed.positions.total < fixed.target_positions;
            seen.push((link, self.program.links.len()));
            self.push(link, Operator::Fixed(fixed));
        }
        let cross = match operation.kind {
            OperationKind::Move if along_positions && links.len() > 1 => Cross::Positions,
            OperationKind::Move => Cross::None,
            _ => Cross::All,
        };
        Ok(Rule::Combine { cross })
    }

    fn weighted(&mut self, data: &'a Link, kernel: &'a Link) -> Result<Weighted> {
        let number = self.use_parameter(kernel);
        let edges = self.product(data, false)?.total;
        let uses = self.product(kernel, false)?;
        let shared = self.shared_axes(kernel);
        let source = self.shape(data.source);
        // The weights may take other axes of the source for positions than the source itself has.
        let mut seen = vec![false; source.len()];
        for part in data.relations.iter() {
            let is_shared = part.target_axes.iter().any(|&axis| shared[axis]);
            for &axis in &part.source_axes {
                seen[axis] = is_shared && !part.target_axes.is_empty();
            }
        }
        let own = &self.positions[data.source.0];
        let long = |axis: &usize| source[*axis] > 1;
        let sees_positions = (0..source.len()).filter(long).all(|a| !seen[a] || own[a])
            && (0..source.len()).filter(long).any(|a| seen[a]);
        let count = |flags: &[bool], shape: &[u64]| -> f64 {
            flags.iter().zip(shape).map(|(&f, &n)| if f { n as f64 } else { 1.0 }).product()
        };
        let source_positions = count(&seen, source);
        let target_positions = count(&shared, self.shape(data.target));
        let pairs = uses.from - uses.total;
        let coherence = if source_positions > 1.0 && uses.total > 0.0 {
            pairs / (uses.total * (source_positions - 1.0))
        } else {
            0.0
        };
        Ok(Weighted {
            kernel: number,
            edges,
            into: edges / self.network.tensors()[data.target.0].elements() as f64,
            from: edges / self.network.tensors()[data.source.0].elements() as f64,
            share: self.share(kernel, &shared, target_positions)?,
            coherence,
            pairs,
            sees_positions,
        })
    }

    /// The share of weights that two positions of the target both use. It is all of them unless
    /// the weights are those of a transposed convolution, where strides keep positions apart.
    fn share(&self, kernel: &Link, shared: &[bool], positions: f64) -> Result<f64> {
        let (mut squares, mut total) = (1.0, 1.0);
        for part in kernel.relations.iter() {
            if !part.target_axes.iter().any(|&axis| shared[axis]) {
                continue;
            }
            let found = self.sums_of(kernel, part, false)?;
            let length: f64 = part
                .target_axes
                .iter()
                .map(|&axis| self.shape(kernel.target)[axis] as f64)
                .product();
            total *= found.total;
            squares *= match part.relation {
                Relation::TransposedTaps { .. } => found.from,
                _ => found.total * length,
            };
        }
        Ok(if positions > 1.0 && total > 0.0 {
            (squares - total) / (total * (positions - 1.0))
        } else {
            1.0
        })
    }

    fn fixed(&self, link: &Link, average: bool, operation: &Operation) -> Result<Fixed> {
        let (source, target) = (self.shape(link.source), self.shape(link.target));
        let (from, to) = (&self.positions[link.source.0], &self.positions[link.target.0]);
        let mut fixed = Fixed {
            coefficient: 1.0,
            averages: average,
            positions: Sums::ONE,
            channels: Sums::ONE,
            source_positions: 1.0,
            target_positions: 1.0,
            source_channels: 1.0,
            target_channels: 1.0,
            flattens: false,
            coverage: 1.0,
            is_weighted: !operation.weights.is_empty(),
        };
        let (mut of_positions, mut of_channels) = (1.0, 1.0);
        for part in link.relations.iter() {
            let ends = lengths(part, source, target);
            let plain = self.sums_of(link, part, average)?;
            let sums = match operation.taps_of(part) {
                Some(taps) => {
                    weighted_sums(&part.relation, ends, taps).ok_or_else(|| self.too_long(link))?
                }
                None => plain,
            };
            let Lengths { source: reads, target: stops } = ends;
            let some = |axes: &[usize], shape: &[u64], flags: &[bool]| {
                axes.iter().any(|&axis| flags[axis] && shape[axis] > 1)
            };
            // What is behind may take an axis of positions and channels apart again.
            let behind = &self.wanted_mixtures[link.target.0];
            let of_target = some(&part.target_axes, target, to)
                || part
                    .target_axes
                    .iter()
                    .any(|&axis| behind.get(axis).is_some_and(|one| is_mixed(one)));
            fixed.flattens |= !of_target && stops > 1 && some(&part.source_axes, source, from);
            if joins_positions(part, (source, target), (from, to)) {
                fixed.positions = fixed.positions.times(sums);
                of_positions *= plain.total / stops as f64;
                fixed.source_positions *= reads as f64;
                fixed.target_positions *= stops as f64;
            } else {
                fixed.channels = fixed.channels.times(sums);
                of_channels *= plain.total / stops as f64;
                fixed.source_channels *= reads as f64;
                fixed.target_channels *= stops as f64;
            }
        }
        fixed.coverage = f64::min(of_positions, 1.0) * f64::min(of_channels, 1.0);
        Ok(fixed)
    }

    fn factors(&mut self, links: &[&'a Link]) -> Result<()> {
        for &link in links {
            let operator = if link.relations.iter().all(|p| p.relation == Relation::Same) {
                Operator::Same
            } else {
                Operator::Fixed(self.fixed(link, false, &Operation::default())?)
            };
            self.push(link, operator);
        }
        Ok(())
    }

    /// The rule of the weights of experts, if a tensor has such.
    fn route(&mut self, id: TensorId, links: &[&'a Link]) -> Option<Rule> {
        let law = *self.routing?.routes.get(&id)?;
        self.push(links.first()?, Operator::Contracted { from: 1.0 });
        let routes = &mut self.program.routes;
        let number = routes.iter().position(|known| *known == law).unwrap_or_else(|| {
            routes.push(law);
            routes.len() - 1
        });
        Some(Rule::Route(number))
    }

    fn embedding(&mut self, operation: &Operation, links: &[&'a Link]) -> Result<Option<Rule>> {
        for &link in links {
            self.push(link, Operator::Same);
        }
        if operation.function.as_deref() == Some("one_hot") {
            return Ok(Some(Rule::OneHot));
        }
        let target = links[0].target;
        let table = self.into[target.0].iter().copied().find(|link| link.role == LinkRole::Table);
        Ok(match table {
            Some(table) => Some(Rule::Embedding { table: self.use_parameter(table) }),
            None => {
                self.refuse(target, "an embedding needs a link of the role 'table'");
                None
            }
        })
    }

    fn function(
        &mut self,
        id: TensorId,
        operation: &Operation,
        links: &[&'a Link],
    ) -> Result<Option<Rule>> {
        let Some(name) = operation.function.clone() else {
            self.refuse(id, "its function has no name");
            return Ok(None);
        };
        let number = match self.function_of.get(&name) {
            Some(&number) => number,
            None => {
                let own = self.own.get(&name).map(Function::own);
                let Some(function) = own.or_else(|| Function::from_name(&name)) else {
                    self.refuse(id, format!("the function '{name}' is not known"));
                    return Ok(None);
                };
                let number = self.program.functions.len();
                self.program.functions.push(function);
                self.function_of.insert(name, number);
                number
            }
        };
        let link = links[0];
        if self.shape(link.source) != self.shape(id) {
            self.refuse(id, "a function has the shape of its argument");
            return Ok(None);
        }
        self.push(link, Operator::Same);
        Ok(Some(Rule::Function(number)))
    }

    fn norm(&mut self, id: TensorId, operation: &Operation, links: &[&'a Link]) -> Rule {
        self.push(links[0], Operator::Same);
        let mut of_role = HashMap::new();
        for link in self.into[id.0].clone() {
            if !matches!(link.role, LinkRole::Data | LinkRole::Bias) {
                let number = self.use_parameter(link);
                of_role.insert(link.role, number);
            }
        }
        let role = |role: LinkRole| of_role.get(&role).copied();
        let affine = Affine { scale: role(LinkRole::Scale), shift: role(LinkRole::Shift) };
        let epsilon = operation.epsilon;
        let (shape, positions) = (self.shape(id), &self.positions[id.0]);
        let group: Vec<usize> = match operation.kind {
            OperationKind::GroupNorm => (0..shape.len()).collect(),
            _ => operation.axes.clone(),
        };
        let along = |wanted: bool| -> f64 {
            let axes = group.iter().filter(|&&axis| positions[axis] == wanted);
            axes.map(|&axis| shape[axis] as f64).product()
        };
        match operation.kind {
            OperationKind::BatchNorm => Rule::BatchNorm {
                epsilon,
                affine,
                stored: role(LinkRole::Mean).zip(role(LinkRole::Variance)),
            },
            OperationKind::RmsNorm => match operation.function.as_deref() {
                Some(divisor @ ("mean" | "mean_abs")) => Rule::MeanNorm {
                    epsilon,
                    affine,
                    channels: along(false),
                    positions: along(true),
                    of_sizes: divisor == "mean_abs",
                },
                _ => Rule::RmsNorm { epsilon, affine, group: along(true) * along(false) },
            },
            _ => Rule::GroupNorm {
                epsilon,
                affine,
                channels: along(false) / operation.groups as f64,
                positions: along(true),
            },
        }
    }
}
