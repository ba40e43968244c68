//! What is computed from parameters alone, such as learnt queries: it has a signal, and is on no
//! path from an input, so that no derivative is followed through it and no kernel of it counts.

use std::collections::HashSet;
use std::mem::{replace, take};
use std::sync::Arc;

use super::operators::Signal;
use super::plan::{Plan, Planner, Rule};
use super::sweep::Workspace;
use crate::error::Result;
use crate::network::TensorId;

impl Planner<'_> {
    /// The signal of a tensor that is computed from parameters alone, if these are independent
    /// standard normal numbers, and whether it has the weights of a softmax.
    pub(super) fn learnt_signal(&mut self, id: TensorId) -> Result<(Signal, bool)> {
        let mut members = HashSet::from([id]);
        let mut waiting = vec![id];
        while let Some(at) = waiting.pop() {
            for source in self.sources(at).collect::<Vec<_>>() {
                if members.insert(source) {
                    waiting.push(source);
                }
            }
        }
        let order: Vec<TensorId> =
            self.survey.order.iter().copied().filter(|id| members.contains(id)).collect();
        // A plan of their own is made, and forgotten.
        let plan = replace(&mut self.plan, Plan::empty());
        let tensors = take(&mut self.tensors);
        let operators = take(&mut self.operators);
        let gates = take(&mut self.gates);
        let functions = take(&mut self.function_of);
        let kernels = self.kernel_of.clone();
        let outer = replace(&mut self.among_parameters, true);
        for member in &order {
            self.reached[member.0] = true;
        }
        let made = order.iter().try_for_each(|&member| self.add(member, &[]));
        let node = self.node_of[id.0];
        for member in &order {
            self.reached[member.0] = false;
            self.node_of[member.0] = None;
        }
        self.among_parameters = outer;
        self.kernel_of = kernels;
        self.function_of = functions;
        self.gates = gates;
        let mut own = replace(&mut self.plan, plan);
        own.tensors = Arc::new(replace(&mut self.tensors, tensors));
        own.operators = Arc::new(replace(&mut self.operators, operators));
        made?;
        let Some(node) = node else { return Ok((Signal::STANDARD, false)) };
        let mut workspace = Workspace::new(&own);
        own.forwards(&mut workspace);
        let is_softmax = matches!(own.nodes[node].rule, Rule::Softmax { .. });
        Ok((*workspace.signal(node), is_softmax))
    }
}
