//! Parameters: what each is used as, and how many edges its layer has into and from an element.

use std::collections::HashSet;

use super::compiler::Compiler;
use crate::network::{Link, LinkRole, OperationKind, Relation, Role, TensorId};
use crate::propagation::geometry::{fans, lengths};

impl Compiler<'_> {
    /// The role of a parameter that is combined with data: it is added, multiplied, or read.
    pub(super) fn role_as_data(&self, id: TensorId) -> LinkRole {
        let mut at = id;
        loop {
            let Some(link) = self.from[at.0].iter().find(|link| self.lives[link.target.0]) else {
                return LinkRole::Table;
            };
            match self.network.operation(link.target).map(|operation| operation.kind) {
                Ok(OperationKind::Move) if self.into[link.target.0].len() == 1 => at = link.target,
                Ok(OperationKind::Sum | OperationKind::Affine) => return LinkRole::Bias,
                Ok(OperationKind::Product) => return LinkRole::Scale,
                _ => return LinkRole::Table,
            }
        }
    }

    pub(super) fn biases(&mut self, id: TensorId) -> Vec<usize> {
        let links: Vec<&Link> =
            self.into[id.0].iter().copied().filter(|link| link.role == LinkRole::Bias).collect();
        links.into_iter().map(|link| self.use_parameter(link)).collect()
    }

    /// Parameters that multiply a product.
    pub(super) fn scales(&mut self, id: TensorId) -> Vec<usize> {
        let links: Vec<&Link> =
            self.into[id.0].iter().copied().filter(|link| link.role == LinkRole::Scale).collect();
        links.into_iter().map(|link| self.use_parameter(link)).collect()
    }

    /// Records a use of a parameter, and returns the parameter's number.
    pub(super) fn use_parameter(&mut self, link: &Link) -> usize {
        let (mut fan_in, mut fan_out, mut source) = (1.0, 1.0, None);
        if link.role == LinkRole::Kernel {
            (fan_in, fan_out, source) = self.fans_of(link);
        } else if link.role == LinkRole::Bias {
            fan_in = self.fan_of_bias(link);
        }
        let number = self.parameter_behind(link);
        // There is none where a kernel is computed from an input, which was refused.
        let Some(parameter) = self.program.parameters.get_mut(number) else { return number };
        if parameter.role.is_none() {
            parameter.role = Some(link.role);
            (parameter.fan_in, parameter.fan_out) = (fan_in, fan_out);
            (parameter.target, parameter.source) = (Some(link.target), source);
        }
        parameter.uses += 1;
        number
    }

    /// Edges into an element of the output of a kernel, edges from one of its input, and the input.
    fn fans_of(&self, kernel: &Link) -> (f64, f64, Option<TensorId>) {
        let into = &self.into[kernel.target.0];
        let data = into.iter().find(|data| {
            data.role == LinkRole::Data
                && self.kernel_of(data).is_some_and(|own| std::ptr::eq(own, kernel))
        });
        let Some(data) = data else { return (1.0, 1.0, None) };
        let (mut fan_in, mut fan_out) = (1.0, 1.0);
        for part in data.relations.iter() {
            let lengths = lengths(part, self.shape(data.source), self.shape(data.target));
            let (into, from) = fans(&part.relation, lengths);
            fan_in *= into;
            // Repeated weights are read by more outputs, but each output reads its own copies.
            fan_out *= match part.relation {
                Relation::Window(window) => window.size as f64,
                _ => from,
            };
        }
        (fan_in, fan_out, Some(data.source))
    }

    /// The fan-in of the layer that a bias belongs to: what it is added to may have been given
    /// another shape in between.
    fn fan_of_bias(&self, bias: &Link) -> f64 {
        let mut at = bias.target;
        loop {
            let into = &self.into[at.0];
            if let Some(kernel) = into.iter().find(|link| link.role == LinkRole::Kernel) {
                return self.fans_of(kernel).0;
            }
            match into.iter().find(|link| link.role == LinkRole::Data) {
                Some(link) => at = link.source,
                None => return 0.0,
            }
        }
    }

    /// The number of the parameter that a link leads from, or of the largest of those that its
    /// source is computed from.
    fn parameter_behind(&mut self, link: &Link) -> usize {
        if let Some(&number) = self.parameter_of.get(&link.source.0) {
            return number;
        }
        let mut seen = HashSet::new();
        let (mut waiting, mut found, mut most) = (vec![link.source], None, 0);
        let mut is_moved = true;
        while let Some(at) = waiting.pop() {
            if !seen.insert(at.0) {
                continue;
            }
            let tensor = &self.network.tensors()[at.0];
            if tensor.role == Role::Input {
                found = None;
                break;
            }
            let size = tensor.elements();
            if let Some(&number) = self.parameter_of.get(&at.0)
                && size > most
            {
                (found, most) = (Some(number), size);
            }
            is_moved &= tensor.role != Role::Activation
                || self.network.operation(at).is_ok_and(|one| one.kind == OperationKind::Move);
            waiting.extend(self.into[at.0].iter().map(|link| link.source));
        }
        if link.role == LinkRole::Kernel
            && !is_moved
            && !self.program.computed.contains(&link.source)
        {
            self.program.computed.push(link.source);
        }
        found.unwrap_or_else(|| {
            let role = link.role.name();
            self.refuse(link.target, format!("its {role} is computed from an input"));
            0
        })
    }
}
