//! From a network to a program: which rule each tensor follows, and the numbers that it takes.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};

use super::cells::{CellMap, Grid, Join, refine};
use super::functions::{Function, OwnFunctions};
use super::geometry::{LARGEST_AXIS, Lengths, Sums, degrees, fans, lengths, sums};
use super::normal::largest;
use super::program::{
    Affine, Bypassed, Cross, DataLink, Exactness, Fixed, LinkMap, Node, Operator, ParameterUse,
    PoolWindow, Program, Resolution, Rule, Scores, Weighted,
};
use crate::error::{Error, Result};
use crate::network::{
    AxisRelation, Link, LinkRole, Network, Operation, OperationKind, Relation, Role, TensorId,
};

/// How many programs were compiled.
static COMPILED: AtomicU64 = AtomicU64::new(1);

/// A tensor's roots are those it is computed from without weights in between. So many are
/// remembered at most.
const MOST_ROOTS: usize = 64;

impl Program {
    /// Compiles a network.
    ///
    /// # Errors
    /// [`Error::UnknownOperation`] with all tensors on a path from an input to an output whose
    /// operation is not known; a network without outputs, a cycle, and links that do not fit the
    /// operations of their targets.
    pub fn compile(network: &Network, own: &OwnFunctions, resolution: Resolution) -> Result<Self> {
        Compiler::new(network, own)?.run(resolution)
    }
}

/// What is known of a network before any rule is looked at.
pub(crate) struct Survey {
    /// Tensors in an order in which every link goes forwards.
    pub(crate) order: Vec<TensorId>,
    /// Where derivatives start: the outputs, or what a softmax at the end is taken of.
    pub(crate) ends: Vec<TensorId>,
    /// Whether a tensor lies between an input, or a parameter that is data, and an output.
    pub(crate) lives: Vec<bool>,
    /// For every tensor, the axes along which weights are shared.
    pub(crate) positions: Vec<Vec<bool>>,
    /// The kernel of every link with data, by number of the link.
    pub(crate) kernels: Vec<Option<KernelUse>>,
}

/// A kernel at one place of use.
pub(crate) struct KernelUse {
    /// The parameter, or what is computed from it.
    pub(crate) tensor: TensorId,
    /// Whether it is a table whose rows are chosen.
    pub(crate) is_table: bool,
    /// Axes of the target along which the same weights are used again.
    pub(crate) shared: Vec<bool>,
}

impl Survey {
    /// Surveys a network.
    ///
    /// # Errors
    /// A network without outputs, or a cycle.
    pub(crate) fn new(network: &Network) -> Result<Self> {
        let own = OwnFunctions::new();
        let mut compiler = Compiler::new(network, &own)?;
        let ends = compiler.ends()?;
        compiler.mark_living(&ends);
        compiler.find_wanted_positions();
        for id in compiler.order.clone() {
            if !compiler.lives[id.0] {
                continue;
            }
            if network.tensors()[id.0].role == Role::Activation {
                compiler.find_positions(id);
            } else {
                compiler.positions[id.0] = compiler.wanted[id.0].clone();
            }
        }
        let kernel_of = |link: &Link| {
            let kernel = compiler.kernel_of(link).filter(|_| link.role == LinkRole::Data)?;
            Some(KernelUse {
                tensor: kernel.source,
                is_table: kernel.role == LinkRole::Table,
                shared: compiler.shared_axes(kernel),
            })
        };
        let kernels = network.links().iter().map(kernel_of).collect();
        let Compiler { order, lives, positions, .. } = compiler;
        Ok(Self { order, ends, lives, positions, kernels })
    }
}

/// Cells of all tensors together.
const MOST_CELLS: usize = 1 << 25;

/// As many take some tenths of a second.
const AFFORDABLE_CELLS: usize = 1 << 18;

/// So many links may be looked at to find out how many cells there are.
const AFFORDABLE_CUTS: usize = 1 << 18;

/// Whether a relation joins positions, along which weights are shared, and not channels.
pub(crate) fn joins_positions(
    part: &AxisRelation,
    (source, target): (&[u64], &[u64]),
    (from, to): (&[bool], &[bool]),
) -> bool {
    let long: Vec<usize> =
        part.source_axes.iter().copied().filter(|&axis| source[axis] > 1).collect();
    if long.is_empty() {
        part.target_axes.iter().any(|&axis| to[axis] && target[axis] > 1)
    } else {
        long.iter().all(|&axis| from[axis])
    }
}

/// The axes along which a node is normalised with the same mean and variance.
fn normalised_axes(network: &Network, node: &Node) -> Result<Vec<usize>> {
    let operation = network.operation(node.tensor)?;
    let all = 0..network.tensor(node.tensor)?.shape.len();
    Ok(match &node.rule {
        Rule::BatchNorm { .. } => all.filter(|axis| !operation.axes.contains(axis)).collect(),
        Rule::GroupNorm { channels, .. } if operation.kind == OperationKind::GroupNorm => {
            let apart = *channels == 1.0;
            all.filter(|axis| !(apart && operation.axes.contains(axis))).collect()
        }
        _ => operation.axes.clone(),
    })
}

struct Compiler<'a> {
    network: &'a Network,
    own: &'a OwnFunctions,
    order: Vec<TensorId>,
    /// The links that lead to every tensor, and those that lead from it.
    into: Vec<Vec<&'a Link>>,
    from: Vec<Vec<&'a Link>>,
    /// Whether a tensor has a place in the program.
    lives: Vec<bool>,
    /// For every tensor, the axes along which its readers share weights, and the axes along which
    /// it was itself computed with shared weights.
    wanted: Vec<Vec<bool>>,
    positions: Vec<Vec<bool>>,
    roots: Vec<Vec<usize>>,
    parameter_of: HashMap<usize, usize>,
    function_of: HashMap<String, usize>,
    program: Program,
    unknown: Vec<(String, String)>,
    /// The link of the network behind each one of the program.
    originals: Vec<&'a Link>,
}

impl<'a> Compiler<'a> {
    fn new(network: &'a Network, own: &'a OwnFunctions) -> Result<Self> {
        let tensors = network.tensors().len();
        let mut into = vec![Vec::new(); tensors];
        let mut from = vec![Vec::new(); tensors];
        for link in network.links() {
            into[link.target.0].push(link);
            from[link.source.0].push(link);
        }
        let mut parameters = Vec::new();
        let mut parameter_of = HashMap::new();
        for (id, tensor) in network.tensors().iter().enumerate() {
            if matches!(tensor.role, Role::Parameter { .. }) {
                parameter_of.insert(id, parameters.len());
                parameters.push(ParameterUse {
                    tensor: TensorId(id),
                    role: None,
                    target: None,
                    source: None,
                    fan_in: 1.0,
                    fan_out: 1.0,
                    elements: tensor.elements() as f64,
                    uses: 0,
                });
            }
        }
        Ok(Self {
            network,
            own,
            order: network.topological_order()?,
            into,
            from,
            lives: vec![false; tensors],
            wanted: vec![Vec::new(); tensors],
            positions: vec![Vec::new(); tensors],
            roots: vec![Vec::new(); tensors],
            parameter_of,
            function_of: HashMap::new(),
            program: Program {
                number: COMPILED.fetch_add(1, Ordering::Relaxed),
                nodes: Vec::new(),
                links: Vec::new(),
                parameters,
                functions: Vec::new(),
                node_of: vec![None; tensors],
                outputs: Vec::new(),
                cut: Vec::new(),
                computed: Vec::new(),
                resolution: Resolution::Mean,
                cells: 0,
                slopes: 0,
            },
            unknown: Vec::new(),
            originals: Vec::new(),
        })
    }

    fn run(mut self, resolution: Resolution) -> Result<Program> {
        let ends = self.ends()?;
        self.mark_living(&ends);
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
        self.divide_into_cells(resolution)?;
        for node in &self.program.nodes {
            for link in &mut self.program.links[node.links.clone()] {
                link.slopes = self.program.slopes;
                self.program.slopes += node.cells.len();
            }
        }
        Ok(self.program)
    }

    /// Gives nodes and links the cells that borders and unequal parts make.
    fn divide_into_cells(&mut self, resolution: Resolution) -> Result<()> {
        let (choices, most): (&[Resolution], usize) = match resolution {
            Resolution::Mean => return Ok(()),
            Resolution::Affordable => {
                (&[Resolution::Exact, Resolution::Channels], AFFORDABLE_CELLS)
            }
            Resolution::Channels => (&[Resolution::Channels], MOST_CELLS),
            Resolution::Exact => (&[Resolution::Exact], MOST_CELLS),
        };
        for &choice in choices {
            if self.try_cells(choice, most)? {
                self.program.resolution = choice;
                return Ok(());
            }
        }
        if resolution == Resolution::Affordable { Ok(()) } else { Err(Error::MapTooLarge) }
    }

    /// Cells of this resolution, unless they are more than `most`.
    fn try_cells(&mut self, resolution: Resolution, most: usize) -> Result<bool> {
        let nodes = &self.program.nodes;
        let shape = |node: usize| self.shape(nodes[node].tensor);
        if (0..nodes.len()).any(|node| shape(node).iter().any(|&n| n > LARGEST_AXIS)) {
            return Ok(false);
        }
        let even = self.even_relations(resolution);
        let mut joins = Vec::new();
        for (target, node) in nodes.iter().enumerate() {
            for number in node.links.clone() {
                let link = &self.program.links[number];
                let join = match link.operator {
                    Operator::Weighted(_) | Operator::Fixed(_) | Operator::Window(_) => {
                        Join::Link(self.originals[number], &even[number])
                    }
                    Operator::Same if shape(link.source) == shape(target) => Join::Same,
                    _ => Join::Apart,
                };
                joins.push((link.source, target, join));
            }
        }
        let mut grids: Vec<Grid> = (0..nodes.len()).map(|node| Grid::whole(shape(node))).collect();
        let rounds =
            if most == MOST_CELLS { usize::MAX } else { AFFORDABLE_CUTS / joins.len().max(1) };
        if !refine(&mut grids, &joins, most, rounds) {
            return Ok(false);
        }
        let mut cells = 0usize;
        for (node, grid) in self.program.nodes.iter_mut().zip(&grids) {
            let own = grid.cells().unwrap_or(usize::MAX);
            node.cells = cells..cells + own;
            cells += own;
            if own > 1 {
                node.shares = grid.shares();
                let together = normalised_axes(self.network, node)?;
                node.groups = grid.groups(|axis| together.contains(&axis)).0;
            }
        }
        self.program.cells = cells;
        let joined: Vec<_> = joins
            .iter()
            .enumerate()
            .filter_map(|(number, &(source, target, join))| match join {
                Join::Link(link, _) => Some((number, source, target, link)),
                _ => None,
            })
            .collect();
        for (number, source, target, link) in joined {
            let nodes = &self.program.nodes;
            if nodes[source].cells.len() > 1 || nodes[target].cells.len() > 1 {
                let map = self.link_map(number, link, &even[number], (source, target), &grids)?;
                self.program.links[number].map = Some(map);
            }
        }
        Ok(true)
    }

    /// Which relations of each link join positions that are not told from each other.
    fn even_relations(&self, resolution: Resolution) -> Vec<Vec<bool>> {
        let even = |link: &&Link| {
            let part_is_even = |part: &AxisRelation| {
                resolution == Resolution::Channels && self.joins_positions(link, part)
            };
            link.relations.iter().map(part_is_even).collect()
        };
        self.originals.iter().map(even).collect()
    }

    fn joins_positions(&self, link: &Link, part: &AxisRelation) -> bool {
        joins_positions(
            part,
            (self.shape(link.source), self.shape(link.target)),
            (&self.positions[link.source.0], &self.positions[link.target.0]),
        )
    }

    fn link_map(
        &self,
        number: usize,
        link: &Link,
        even: &[bool],
        (source, target): (usize, usize),
        grids: &[Grid],
    ) -> Result<LinkMap> {
        let mut means = Vec::with_capacity(even.len());
        for (part, &is_even) in link.relations.iter().zip(even) {
            means.push(if is_even { Some(self.sums_of(link, part, false)?.total) } else { None });
        }
        let new_map = |weigh: fn(u64) -> f64| {
            let of_positions = |part: &AxisRelation| self.joins_positions(link, part);
            CellMap::new(link, &grids[source], &grids[target], &means, of_positions, weigh)
        };
        let cells = new_map(|times| times as f64);
        let copied = link.relations.iter().find(|part| match &part.relation {
            Relation::Sparse(rows) => rows.multiplicities.iter().any(|&times| times > 1),
            _ => false,
        });
        let is_fixed = matches!(self.program.links[number].operator, Operator::Fixed(_));
        let copies = copied.filter(|_| is_fixed).map(|part| {
            let squares = new_map(|times| times as f64 * times as f64);
            (squares, self.joins_positions(link, part))
        });
        let reads = cells.reads(false);
        let mut known: HashMap<u64, (f64, f64)> = HashMap::new();
        let largest = match &self.program.links[number].operator {
            Operator::Window(window) if even.contains(&true) => vec![window.largest; reads.len()],
            Operator::Window(_) => {
                let of_window = |n: &f64| *known.entry(n.to_bits()).or_insert_with(|| largest(*n));
                reads.iter().map(of_window).collect()
            }
            _ => Vec::new(),
        };
        Ok(LinkMap {
            largest,
            reads_of_positions: cells.reads(true),
            read_along_positions: cells.read_positions(),
            target_shares: self.program.nodes[target].shares.clone(),
            reads,
            cells,
            copies,
        })
    }

    /// Where derivatives start: the outputs, or the argument of a softmax that is an output.
    fn ends(&mut self) -> Result<Vec<TensorId>> {
        if self.network.outputs().is_empty() {
            return Err(Error::NothingToCount {
                reason: "the network has no output; mark one with output()".into(),
            });
        }
        let mut ends = Vec::new();
        for &output in self.network.outputs() {
            let mut end = output;
            while self.network.operation(end)?.kind == OperationKind::Softmax {
                let Some(link) = self.into[end.0].first() else { break };
                self.program.cut.push(end);
                end = link.source;
            }
            if !ends.contains(&end) {
                ends.push(end);
            }
        }
        Ok(ends)
    }

    /// Marks what lies between an input, or a parameter that is data, and an output.
    fn mark_living(&mut self, ends: &[TensorId]) {
        let mut reaches = vec![false; self.lives.len()];
        for end in ends {
            reaches[end.0] = true;
        }
        for &id in self.order.iter().rev() {
            if reaches[id.0] {
                for link in &self.into[id.0] {
                    reaches[link.source.0] |= link.role == LinkRole::Data;
                }
            }
        }
        for &id in &self.order {
            self.lives[id.0] = reaches[id.0]
                && match self.network.tensors()[id.0].role {
                    Role::Input | Role::Parameter { .. } => true,
                    Role::Activation => {
                        self.into[id.0].iter().any(|link| self.lives[link.source.0])
                    }
                };
        }
    }

    /// Axes of every tensor along which those that read it share their weights.
    fn find_wanted_positions(&mut self) {
        for &id in self.order.iter().rev() {
            let mut wanted = vec![false; self.shape(id).len()];
            for link in &self.from[id.0] {
                if link.role != LinkRole::Data || !self.lives[link.target.0] {
                    continue;
                }
                let seen = match self.kernel_of(link) {
                    Some(kernel) => self.shared_axes(kernel),
                    None => self.wanted[link.target.0].clone(),
                };
                let pools = self.network.operation(link.target).is_ok_and(|operation| {
                    matches!(operation.kind, OperationKind::Average | OperationKind::MaxPool)
                });
                for part in &link.relations {
                    let is_window = !matches!(part.relation, Relation::Same | Relation::Reshape);
                    let all = !part.target_axes.is_empty()
                        && part.target_axes.iter().all(|&axis| {
                            seen.get(axis).copied().unwrap_or(false)
                                || self.shape(link.target)[axis] == 1
                        });
                    for &axis in &part.source_axes {
                        wanted[axis] |= (pools && is_window) || all;
                    }
                }
            }
            self.wanted[id.0] = wanted;
        }
    }

    fn shape(&self, id: TensorId) -> &'a [u64] {
        &self.network.tensors()[id.0].shape
    }

    fn name(&self, id: TensorId) -> &'a str {
        &self.network.tensors()[id.0].name
    }

    /// The kernel that belongs to a link with data. Each belongs to the latest data before it that
    /// has none, or to the first after it.
    fn kernel_of(&self, data: &Link) -> Option<&'a Link> {
        let mut waiting: Option<&'a Link> = None;
        let mut last: Option<&'a Link> = None;
        for &link in &self.into[data.target.0] {
            match link.role {
                LinkRole::Kernel | LinkRole::Table => {
                    if let Some(owner) = last.take() {
                        if std::ptr::eq(owner, data) {
                            return Some(link);
                        }
                    } else {
                        waiting = Some(link);
                    }
                }
                LinkRole::Data => {
                    if let Some(kernel) = waiting.take() {
                        if std::ptr::eq(link, data) {
                            return Some(kernel);
                        }
                        last = None;
                    } else {
                        last = Some(link);
                    }
                }
                _ => {}
            }
        }
        None
    }

    /// Axes of the target of a kernel along which the same weights are used again.
    fn shared_axes(&self, kernel: &Link) -> Vec<bool> {
        let mut shared = vec![false; self.shape(kernel.target).len()];
        for part in &kernel.relations {
            let is_shared = match part.relation {
                Relation::Sum | Relation::Taps { .. } | Relation::TransposedTaps { .. } => true,
                Relation::All => self.shape(kernel.source)[part.source_axes[0]] == 1,
                _ => false,
            };
            for &axis in &part.target_axes {
                shared[axis] = is_shared;
            }
        }
        shared
    }

    fn sums_of(&self, link: &Link, part: &AxisRelation, average: bool) -> Result<Sums> {
        let lengths = lengths(part, self.shape(link.source), self.shape(link.target));
        sums(&part.relation, lengths, average).ok_or_else(|| self.too_long(link))
    }

    fn too_long(&self, link: &Link) -> Error {
        Error::SizeOverflow {
            what: format!(
                "an axis between '{}' and '{}', which would be followed index by index,",
                self.name(link.source),
                self.name(link.target)
            ),
        }
    }

    fn product(&self, link: &Link, average: bool) -> Result<Sums> {
        let mut product = Sums::ONE;
        for part in &link.relations {
            product = product.times(self.sums_of(link, part, average)?);
        }
        Ok(product)
    }

    fn refuse(&mut self, id: TensorId, reason: impl Into<String>) {
        self.unknown.push((self.name(id).into(), reason.into()));
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
        let positions = self.count_positions(id);
        self.program.node_of[id.0] = Some(self.program.nodes.len());
        let cell = self.program.cells;
        self.program.cells += 1;
        self.program.nodes.push(Node {
            tensor: id,
            rule,
            links: first..self.program.links.len(),
            biases,
            elements: tensor.elements() as f64,
            cells: cell..cell + 1,
            shares: Vec::new(),
            groups: Vec::new(),
            positions,
            exactness,
            is_centred_next: false,
            keys_of: None,
        });
        Ok(())
    }

    fn count_positions(&self, id: TensorId) -> f64 {
        let axes = self.shape(id).iter().zip(&self.positions[id.0]);
        axes.map(|(&length, &is_position)| if is_position { length as f64 } else { 1.0 }).product()
    }

    /// The role of a parameter that is combined with data: it is added, multiplied, or read.
    fn role_as_data(&self, id: TensorId) -> LinkRole {
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

    fn biases(&mut self, id: TensorId) -> Vec<usize> {
        let links: Vec<&Link> =
            self.into[id.0].iter().copied().filter(|link| link.role == LinkRole::Bias).collect();
        links.into_iter().map(|link| self.use_parameter(link)).collect()
    }

    /// Records a use of a parameter, and returns the parameter's number.
    fn use_parameter(&mut self, link: &Link) -> usize {
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
        for part in &data.relations {
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

    /// Axes of a computed tensor along which weights are shared, from those of its sources.
    fn find_positions(&mut self, id: TensorId) {
        let shape = self.shape(id);
        let mut known = vec![false; shape.len()];
        let mut positions = vec![false; shape.len()];
        let is_product = self
            .network
            .operation(id)
            .is_ok_and(|operation| operation.kind == OperationKind::Matmul);
        for link in &self.into[id.0] {
            if link.role != LinkRole::Data || !self.lives[link.source.0] {
                continue;
            }
            if let Some(kernel) = self.kernel_of(link) {
                for (axis, shared) in self.shared_axes(kernel).into_iter().enumerate() {
                    known[axis] = true;
                    positions[axis] |= shared;
                }
                continue;
            }
            let (of_source, lengths) = (&self.positions[link.source.0], self.shape(link.source));
            if of_source.len() != lengths.len() {
                continue; // Its operation is not known, which will be an error.
            }
            for part in &link.relations {
                // An axis that a product of matrices sums over says nothing of the result's axes.
                let is_summed = is_product && part.relation == Relation::All;
                if is_summed && part.source_axes.iter().any(|&axis| lengths[axis] > 1) {
                    continue;
                }
                let long = part.source_axes.iter().filter(|&&axis| lengths[axis] > 1);
                let flags: Vec<bool> = long.map(|&axis| of_source[axis]).collect();
                let narrow = flags.is_empty();
                if narrow && part.target_axes.iter().any(|&axis| shape[axis] > 1) {
                    continue;
                }
                let is_position = if narrow {
                    part.source_axes.iter().any(|&axis| of_source[axis])
                } else {
                    flags.iter().all(|&flag| flag)
                };
                for &axis in &part.target_axes {
                    known[axis] = true;
                    positions[axis] |= is_position;
                }
            }
        }
        for axis in 0..shape.len() {
            if !known[axis] {
                // The axis is new: an element repeated along it is at as many positions.
                positions[axis] = true;
            }
        }
        self.positions[id.0] = positions;
    }

    fn data_links(&self, id: TensorId) -> Vec<&'a Link> {
        self.into[id.0]
            .iter()
            .copied()
            .filter(|link| link.role == LinkRole::Data && self.lives[link.source.0])
            .collect()
    }

    /// The rule of a tensor, whose links are added to the program; `None` if it is not known.
    fn rule(&mut self, id: TensorId, operation: &Operation) -> Result<Option<Rule>> {
        let mut links = self.data_links(id);
        if links.iter().any(|link| self.program.node_of[link.source.0].is_none()) {
            return Ok(None);
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
            OperationKind::Other => {
                self.refuse(
                    id,
                    match operation.function.as_deref() {
                        Some("divide") => "quotients of two tensors have no rule".to_owned(),
                        Some(function) => format!("'{function}' has no rule"),
                        None => "it was made without an operation".to_owned(),
                    },
                );
                Ok(None)
            }
        }
    }

    fn push(&mut self, link: &'a Link, operator: Operator) {
        if let Some(source) = self.program.node_of[link.source.0] {
            self.program.links.push(DataLink { source, operator, map: None, slopes: 0 });
            self.originals.push(link);
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
            let mut fixed = self.fixed(link, average && operation.divisor.is_none())?;
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
        for part in &data.relations {
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
        for part in &kernel.relations {
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

    fn fixed(&self, link: &Link, average: bool) -> Result<Fixed> {
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
        };
        for part in &link.relations {
            let sums = self.sums_of(link, part, average)?;
            let Lengths { source: reads, target: stops } = lengths(part, source, target);
            let some = |axes: &[usize], shape: &[u64], flags: &[bool]| {
                axes.iter().any(|&axis| flags[axis] && shape[axis] > 1)
            };
            let of_target = some(&part.target_axes, target, to);
            fixed.flattens |= !of_target && stops > 1 && some(&part.source_axes, source, from);
            if joins_positions(part, (source, target), (from, to)) {
                fixed.positions = fixed.positions.times(sums);
                fixed.source_positions *= reads as f64;
                fixed.target_positions *= stops as f64;
            } else {
                fixed.channels = fixed.channels.times(sums);
                fixed.source_channels *= reads as f64;
                fixed.target_channels *= stops as f64;
            }
        }
        Ok(fixed)
    }

    fn factors(&mut self, links: &[&'a Link]) -> Result<()> {
        for &link in links {
            let operator = if link.relations.iter().all(|p| p.relation == Relation::Same) {
                Operator::Same
            } else {
                Operator::Fixed(self.fixed(link, false)?)
            };
            self.push(link, operator);
        }
        Ok(())
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

    fn max_pool(&mut self, links: &[&'a Link]) -> Result<Rule> {
        let link = links[0];
        // The largest value of an increasing function is its value at the largest argument.
        let node = self.program.node_of[link.source.0].unwrap_or_default();
        let before = &self.program.nodes[node];
        let (source, after) = match before.rule {
            Rule::Function(function) if self.program.functions[function].rises() => {
                let argument = self.program.links[before.links.start].source;
                (argument, Some(Bypassed { function, node }))
            }
            _ => (node, None),
        };
        let operator = self.pool_window(link)?;
        let operator = Operator::Window(operator);
        self.program.links.push(DataLink { source, operator, map: None, slopes: 0 });
        self.originals.push(link);
        Ok(Rule::MaxPool { after })
    }

    fn pool_window(&self, link: &Link) -> Result<PoolWindow> {
        let (source, target) = (self.shape(link.source), self.shape(link.target));
        let positions = &self.positions[link.source.0];
        // How many windows have each number of elements.
        let mut sizes: HashMap<u64, f64> = HashMap::from([(1, 1.0)]);
        let mut sums = Sums::ONE;
        let (mut extent, mut stops) = (1.0, 1.0);
        let mut sees_positions = false;
        for part in &link.relations {
            if part.relation == Relation::Same {
                continue;
            }
            let lengths = lengths(part, source, target);
            let found = degrees(&part.relation, lengths).ok_or_else(|| self.too_long(link))?;
            let mut longer: HashMap<u64, f64> = HashMap::new();
            for &reads in &found.reads {
                *longer.entry(reads as u64).or_default() += 1.0 / found.reads.len() as f64;
            }
            sizes = sizes
                .iter()
                .flat_map(|(&n, &w)| longer.iter().map(move |(&m, &v)| (n * m, w * v)))
                .fold(HashMap::new(), |mut all, (size, weight)| {
                    *all.entry(size).or_default() += weight;
                    all
                });
            sums = sums.times(self.sums_of(link, part, false)?);
            extent *= lengths.source as f64;
            stops *= lengths.target as f64;
            sees_positions |=
                part.source_axes.iter().any(|&axis| positions[axis] && source[axis] > 1);
        }
        let mut window = PoolWindow {
            largest: (0.0, 0.0),
            inverse: 0.0,
            won: stops / extent,
            apart: 0.0,
            sees_positions,
        };
        let mut ordered: Vec<(u64, f64)> = sizes.into_iter().filter(|&(n, _)| n > 0).collect();
        ordered.sort_unstable_by_key(|&(n, _)| n);
        for (n, weight) in ordered {
            let n = n as f64;
            let (mean, square) = largest(n);
            window.largest.0 += weight * mean;
            window.largest.1 += weight * square;
            window.inverse += weight / n;
        }
        // Pairs of elements in different windows: each is the largest of its own window of n
        // elements with probability 1/n.
        let pairs = sums.total * sums.total - sums.from - (sums.into - sums.total);
        if extent > 1.0 {
            let likely = window.inverse * window.inverse;
            window.apart = pairs * likely / (extent * (extent - 1.0));
        }
        Ok(window)
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
            OperationKind::RmsNorm => {
                Rule::RmsNorm { epsilon, affine, group: along(true) * along(false) }
            }
            _ => Rule::GroupNorm {
                epsilon,
                affine,
                channels: along(false) / operation.groups as f64,
                positions: along(true),
            },
        }
    }

    fn softmax(&mut self, id: TensorId, operation: &Operation, links: &[&'a Link]) -> Rule {
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
                        Function::Smooth(_) => return None,
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
            scale: own * scale,
            keys: shape[axis] as f64,
            queries: rows.map(|axis| shape[axis] as f64).product(),
            bias,
            common: 0.0,
        };
        self.program.nodes[number].rule = Rule::Scores(Scores { scale: own, ..scores });
        Some(scores)
    }

    fn matmul(&mut self, id: TensorId, operation: &Operation, links: &[&'a Link]) -> Result<Rule> {
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

    /// Adds how many channels the common source of keys and values has, if there is one.
    fn with_common_source(
        &mut self,
        scores: Scores,
        attention: usize,
        values: Option<usize>,
    ) -> Scores {
        let made_of = |mut node: usize| -> Option<(usize, usize)> {
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
        };
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

    fn exactness(&mut self, id: TensorId, rule: &Rule, first: usize) -> Exactness {
        let links = &self.program.links[first..];
        let source = |link: &DataLink| self.program.nodes[link.source].tensor.0;
        let weighted = |link: &DataLink| matches!(link.operator, Operator::Weighted(_));
        let mut roots: Vec<usize> = Vec::new();
        let mut overlap = false;
        for link in links.iter().filter(|link| !weighted(link)) {
            for &root in &self.roots[source(link)] {
                match roots.binary_search(&root) {
                    Ok(_) => overlap = true,
                    Err(place) => roots.insert(place, root),
                }
            }
        }
        if links.iter().any(weighted) {
            roots.push(id.0);
        }
        roots.sort_unstable();
        if roots.len() > MOST_ROOTS {
            roots.drain(..roots.len() - MOST_ROOTS);
        }
        let is_affine = |link: &DataLink| {
            let mut node = &self.program.nodes[link.source];
            loop {
                let behind = &self.program.links[node.links.clone()];
                match (&node.rule, behind) {
                    (Rule::Combine { .. }, links) if links.iter().any(weighted) => {
                        return links.iter().all(weighted);
                    }
                    (Rule::Combine { cross: Cross::None }, [only]) => {
                        node = &self.program.nodes[only.source];
                    }
                    _ => return false,
                }
            }
        };
        let found = match rule {
            Rule::Combine { .. } => {
                let fixed: Vec<_> = links.iter().filter(|link| !weighted(link)).collect();
                let averages = fixed.iter().any(|link| match &link.operator {
                    Operator::Fixed(fixed) => fixed.positions.into > fixed.target_positions,
                    _ => false,
                });
                let others = fixed.iter().filter(|link| !is_affine(link)).count();
                let tied = links.iter().any(|link| match &link.operator {
                    Operator::Weighted(weighted) => {
                        self.program.parameters.get(weighted.kernel).is_some_and(|one| one.uses > 1)
                    }
                    _ => false,
                });
                if (overlap && fixed.len() > 1) || tied {
                    Exactness::Approximate
                } else if averages || others > 1 {
                    Exactness::MeanField
                } else {
                    Exactness::Exact
                }
            }
            Rule::Function(number) => {
                let reads_affine = links.first().is_some_and(is_affine);
                if self.program.functions[*number].is_homogeneous() && reads_affine {
                    Exactness::Exact
                } else {
                    Exactness::MeanField
                }
            }
            Rule::Product | Rule::Maximum { .. } if overlap => Exactness::Approximate,
            Rule::Attention(_) | Rule::Mix { .. } | Rule::Softmax { .. } => Exactness::Approximate,
            Rule::Embedding { .. } | Rule::OneHot => Exactness::Exact,
            _ => Exactness::MeanField,
        };
        self.roots[id.0] = roots;
        found
    }

    /// Marks the nodes that are directly followed by a normaliser over samples. It subtracts what
    /// samples have in common, so that the gradients of their weights do not depend on that.
    fn find_centred(&mut self) {
        let mut readers = vec![0usize; self.program.nodes.len()];
        for link in &self.program.links {
            readers[link.source] += 1;
        }
        for at in 0..self.program.nodes.len() {
            let node = &self.program.nodes[at];
            if let (Rule::BatchNorm { .. }, [link]) =
                (&node.rule, &self.program.links[node.links.clone()])
                && readers[link.source] == 1
            {
                let source = link.source;
                self.program.nodes[source].is_centred_next = true;
            }
        }
    }
}
