//! From a network to a program: which rule each tensor follows, and the numbers that it takes.
//!
//! `survey` finds what lives, in which order, and along which axes weights are shared. Then each
//! tensor becomes a node in `mod`: its rule comes from `rules`, `pooling` and `attention`, what it
//! takes from parameters from `parameters`, and `exactness` says how far it holds. `division` tells
//! elements from each other where borders and unequal parts make them differ. All of them are
//! methods of the one `Compiler`, which is defined in `compiler`.

mod attention;
mod compiler;
mod division;
mod exactness;
mod factors;
mod gates;
mod masked;
mod parameters;
mod pooling;
mod rules;
mod survey;

use crate::error::{Error, Result};
use crate::network::{Network, Role, TensorId};
use crate::propagation::functions::OwnFunctions;
use crate::propagation::program::{Exactness, Node, Program, Resolution, Rule};
use crate::propagation::routing::Routing;
use compiler::Compiler;

pub(crate) use masked::{MASKED_ATTENTION, PART_OF_ATTENTION, behind_mask, visible_share};
pub use survey::followed_functions;
pub(crate) use survey::{KernelUse, Survey, joins_positions};

impl Program {
    /// Compiles a network.
    ///
    /// # Errors
    /// [`Error::UnknownOperation`] with all tensors on a path from an input to an output whose
    /// operation is not known; a network without outputs, a cycle, and links that do not fit the
    /// operations of their targets.
    pub fn compile(network: &Network, own: &OwnFunctions, resolution: Resolution) -> Result<Self> {
        let routing = Routing::of(network)?;
        let mut compiler = Compiler::new(&routing.network, own)?;
        compiler.routing = Some(&routing);
        let mut program = compiler.run(resolution)?;
        for parameter in &mut program.parameters {
            parameter.elements *= routing.experts.get(&parameter.tensor).unwrap_or(&1.0);
            let readers = parameter.target.and_then(|target| routing.readers.get(&target));
            parameter.fan_out /= readers.unwrap_or(&1.0);
        }
        Ok(program)
    }
}

impl Compiler<'_> {
    fn run(mut self, resolution: Resolution) -> Result<Program> {
        let ends = self.ends()?;
        self.mark_living(&ends);
        self.mark_indices(&ends);
        self.find_wanted_positions();
        for id in self.order.clone() {
            if self.lives[id.0] {
                self.add_node(id)?;
            }
        }
        if !self.unknown.is_empty() {
            return Err(Error::UnknownOperation { tensors: self.unknown });
        }
        for end in ends {
            if let Some(node) = self.program.node_of[end.0] {
                self.program.outputs.push(node);
            }
        }
        if self.program.outputs.is_empty() {
            return Err(Error::NothingToCount {
                reason: "no output of the network is computed from an input".into(),
            });
        }
        self.find_centred();
        self.find_gated();
        self.find_scalings()?;
        self.divide_into_cells(resolution)?;
        for node in &self.program.nodes {
            for link in &mut self.program.links[node.links.clone()] {
                link.slopes = self.program.slopes;
                self.program.slopes += node.cells.len();
            }
        }
        Ok(self.program)
    }

    fn add_node(&mut self, id: TensorId) -> Result<()> {
        let tensor = &self.network.tensors()[id.0];
        let first = self.program.links.len();
        let (rule, exactness) = match tensor.role {
            Role::Input => {
                self.positions[id.0] = self.wanted[id.0].clone();
                self.roots[id.0] = vec![id.0];
                (Rule::Input, Exactness::Exact)
            }
            Role::Parameter { .. } => {
                self.positions[id.0] = self.wanted[id.0].clone();
                self.roots[id.0] = vec![id.0];
                let number = self.parameter_of[&id.0];
                let role = self.role_as_data(id);
                let parameter = &mut self.program.parameters[number];
                parameter.uses += 1;
                parameter.role.get_or_insert(role);
                (Rule::Parameter(number), Exactness::Exact)
            }
            Role::Activation => {
                let operation = self.network.operation(id)?.clone();
                self.find_positions(id);
                let Some(rule) = self.rule(id, &operation)? else {
                    // The error that follows names this tensor; nothing behind it is compiled.
                    self.program.links.truncate(first);
                    self.originals.truncate(first);
                    return Ok(());
                };
                let exactness = self.exactness(id, &rule, first);
                (rule, exactness)
            }
        };
        let biases = self.biases(id);
        let scales = if matches!(rule, Rule::Product) { self.scales(id) } else { Vec::new() };
        let own_gate = self.own_gate(&rule, first);
        let positions = self.count_positions(id);
        self.program.node_of[id.0] = Some(self.program.nodes.len());
        let cell = self.program.cells;
        self.program.cells += 1;
        self.program.nodes.push(Node {
            tensor: id,
            rule,
            links: first..self.program.links.len(),
            biases,
            scales,
            own_gate,
            gated_sum: None,
            elements: tensor.elements() as f64,
            cells: cell..cell + 1,
            shares: Vec::new(),
            groups: Vec::new(),
            positions,
            exactness,
            next: None,
            keys_of: None,
        });
        Ok(())
    }
}
