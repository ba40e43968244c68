//! From a network to a plan: the rule of each tensor, and the geometry of each link.

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::sync::Arc;

use super::operators::{Average, Largest, Move, Operator, Weighted, overlap};
use crate::error::{Error, Result};
use crate::network::relation::{AxisRelation, Relation};
use crate::network::{Link, LinkRole, Network, Operation, OperationKind, Role, TensorId};
use crate::propagation::{
    Function, KernelUse, MASKED_ATTENTION, OwnFunctions, Routing, Survey, WeightLaw, WeightMoments,
    behind_mask, joins_positions, largest_normal, lengths, scalings, sums, visible_share,
    weighted_sums,
};

/// A compiled network. It depends on shapes, links and operations alone, and has only what lies
/// between an input and an output.
#[derive(Debug, Clone)]
pub struct Plan {
    pub(crate) nodes: Vec<Node>,
    /// All links; those that lead to one node stand next to each other.
    pub(crate) links: Vec<PlanLink>,
    /// What a part of the plan shares with the whole, so that little is copied.
    pub(super) tensors: Arc<Vec<NodeFacts>>,
    pub(super) operators: Arc<Vec<LinkFacts>>,
    pub(crate) functions: Vec<Function>,
    pub(crate) outputs: Vec<usize>,
    pub(crate) kernels: usize,
}

/// Plans of all variants of a network at once, of which [`GatedPlan::restrict`] takes parts.
#[derive(Debug, Clone)]
pub(crate) struct GatedPlan {
    /// All that may lie between an input and an output.
    pub(crate) all: Plan,
    /// The gate that opens each link, if it is not always open.
    pub(crate) gates: Vec<Option<u32>>,
}

/// A tensor, with the links into it from `first` to before `end`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Node {
    pub(crate) rule: Rule,
    first: u32,
    end: u32,
    /// The number of its facts.
    facts: u32,
}

impl Node {
    /// The numbers of the links into it.
    #[inline]
    pub(crate) fn links(&self) -> Range<usize> {
        self.first as usize..self.end as usize
    }
}

/// What is known of a tensor.
#[derive(Debug, Clone)]
pub(crate) struct NodeFacts {
    pub(crate) tensor: TensorId,
    /// Elements of one channel, and how many axes they have.
    pub(super) positions: f64,
    pub(super) dimensions: f64,
    /// Trainable elements of parameters that it reads as something else than a kernel.
    pub(super) parameters: f64,
    /// Multiplications of computed elements by each other.
    pub(super) products: f64,
}

/// A link with data.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PlanLink {
    source: u32,
    /// The number of its facts.
    facts: u32,
}

impl PlanLink {
    /// The node that it comes from.
    #[inline]
    pub(crate) fn source(self) -> usize {
        self.source as usize
    }
}

/// What is known of a link.
#[derive(Debug, Clone)]
pub(crate) struct LinkFacts {
    pub(crate) operator: Operator,
    /// The mean square distance, in positions of the source and along one axis, of what is read
    /// from the middle of its window.
    pub(crate) reach: f64,
}

/// How the signal of a tensor follows from those of its links.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Rule {
    Input,
    /// A sum of the signals that arrive; all but the first may be subtracted.
    Sum {
        subtracts: bool,
    },
    /// Parts next to each other: a mean of their signals, weighted by their shares.
    Concatenation,
    /// A choice of one among several: a mean of their signals.
    Choice,
    Function(usize),
    /// A function whose argument is so simple that it needs no moments.
    Relu,
    Norm,
    Product,
    /// The first signal divided by the second, which varies little.
    Quotient,
    /// A number that varies little and has no scale of its own: a root, a quotient, a mean.
    Steady,
    Softmax {
        length: f64,
    },
    /// A product of two computed matrices, with the terms of each sum and their scale squared.
    Matmul {
        terms: f64,
        scale: f64,
        is_score: bool,
    },
    /// Weights of the experts that a token chose.
    Route(Route),
    /// Values by weights of a softmax over so many keys; which of the links has the weights.
    Mix {
        keys: f64,
        weights: usize,
    },
}

/// Moments of the weights of experts, at numbers of a router of variance one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Route {
    pub(super) mean: f64,
    pub(super) square: f64,
    /// The mean product of the weights that two tokens give to one expert, if they are independent.
    pub(super) apart: f64,
    /// It rises to the mean square with this power of their correlation.
    pub(super) power: f64,
    /// The squared slope of a weight by all numbers together.
    pub(super) slope: f64,
}

impl Route {
    fn new(law: &WeightLaw) -> Self {
        let found = law.moments(0.0, 1.0, [0.0, 0.5, 1.0], 1);
        let WeightMoments { mean, square, pairs: [apart, halfway, _], slope, .. } = found;
        let ratio = (halfway - apart) / (square - apart);
        // One expert has nothing to choose from.
        let power = if ratio > 0.0 && ratio < 1.0 { -ratio.log2() } else { 1.0 };
        let slope = slope * law.experts as f64 / law.chosen as f64;
        Self { mean, square, apart, power, slope }
    }
}

impl Plan {
    /// Compiles a network.
    ///
    /// # Errors
    /// [`Error::UnknownOperation`] with all tensors on a path from an input to an output whose
    /// operation is not known; a network without outputs, or a cycle.
    pub fn compile(network: &Network, own: &OwnFunctions) -> Result<Self> {
        let gated = GatedPlan::compile(network, own, &[])?;
        let mut between = vec![0; gated.all.nodes.len()];
        gated.find_between(&[], |_| 1, &mut between);
        if between.iter().all(|&here| here != 0) {
            return Ok(gated.all);
        }
        let members: Vec<u32> =
            (0u32..).zip(&between).filter(|(_, here)| **here != 0).map(|(at, _)| at).collect();
        let mut part = gated.all.clone();
        gated.restrict(&members, 0, &[], &between, &mut vec![0; between.len()], &mut part);
        Ok(part)
    }

    /// A plan of nothing.
    pub(crate) fn empty() -> Self {
        Self {
            nodes: Vec::new(),
            links: Vec::new(),
            tensors: Arc::default(),
            operators: Arc::default(),
            functions: Vec::new(),
            outputs: Vec::new(),
            kernels: 0,
        }
    }

    /// What a link does.
    #[inline]
    pub(crate) fn operator(&self, link: &PlanLink) -> &Operator {
        &self.operators[link.facts as usize].operator
    }

    /// How far a link reaches; see [`LinkFacts`].
    pub(super) fn reach(&self, link: &PlanLink) -> f64 {
        self.operators[link.facts as usize].reach
    }

    /// What is known of a tensor.
    pub(crate) fn facts(&self, node: &Node) -> &NodeFacts {
        &self.tensors[node.facts as usize]
    }

    /// The links into a node.
    #[inline]
    pub(crate) fn into(&self, node: &Node) -> &[PlanLink] {
        &self.links[node.links()]
    }
}

impl GatedPlan {
    /// Compiles a network. `gates` has, for every link of the network, the gate that opens it if
    /// it is not always open; it may be empty.
    ///
    /// # Errors
    /// As for [`Plan::compile`], and gates that do not fit.
    pub(crate) fn compile(
        network: &Network,
        own: &OwnFunctions,
        gates: &[Option<usize>],
    ) -> Result<Self> {
        if !gates.is_empty() && gates.len() != network.links().len() {
            return Err(Error::InvalidSetting {
                reason: format!(
                    "expected a gate or none for each of {} links, got {}",
                    network.links().len(),
                    gates.len()
                ),
            });
        }
        // Variants of a network are told by its links, which are others once experts are slots.
        let routing = if gates.is_empty() { Routing::of(network)? } else { Routing::none(network) };
        let mut planner = Planner::new(&routing, own)?;
        planner.run(gates)?;
        if planner.unknown.is_empty() {
            let mut plan = planner.plan;
            plan.tensors = Arc::new(planner.tensors);
            plan.operators = Arc::new(planner.operators);
            Ok(Self { all: plan, gates: planner.gates })
        } else {
            Err(Error::UnknownOperation { tensors: planner.unknown })
        }
    }

    /// Finds where each node lies between an input and an output, one bit for each of up to 64
    /// architectures. `open` has the words of the gates, and `live` that of a node.
    pub(crate) fn find_between(
        &self,
        open: &[u64],
        live: impl Fn(usize) -> u64,
        between: &mut [u64],
    ) {
        let Plan { nodes, links, outputs, .. } = &self.all;
        for (at, node) in nodes.iter().enumerate() {
            let mut begins = if node.rule == Rule::Input { u64::MAX } else { 0 };
            for link in node.links() {
                begins |= between[links[link].source()] & self.is_open(link, open);
            }
            between[at] = begins & live(at);
        }
        let mut ends = vec![0u64; nodes.len()];
        for &output in outputs {
            ends[output] = u64::MAX;
        }
        for (at, node) in nodes.iter().enumerate().rev() {
            between[at] &= ends[at];
            if between[at] != 0 {
                for link in node.links() {
                    ends[links[link].source()] |= between[at] & self.is_open(link, open);
                }
            }
        }
    }

    /// Where a link is open.
    #[inline]
    pub(crate) fn is_open(&self, link: usize, open: &[u64]) -> u64 {
        self.gates[link].map_or(u64::MAX, |gate| open[gate as usize])
    }

    /// The plan of one architecture alone, with what lies between an input and an output of it:
    /// `members` are its nodes, `lane` is its bit in `open` and `between`. A part that has been a
    /// copy of the whole has room for every architecture, so that nothing is allocated. `numbers`
    /// is for the numbers that nodes have in the part.
    pub(crate) fn restrict(
        &self,
        members: &[u32],
        lane: usize,
        open: &[u64],
        between: &[u64],
        numbers: &mut [u32],
        part: &mut Plan,
    ) {
        part.nodes.clear();
        part.links.clear();
        part.outputs.clear();
        for &member in members {
            let node = &self.all.nodes[member as usize];
            let first = part.links.len() as u32;
            for number in node.links() {
                let link = self.all.links[number];
                if (between[link.source()] & self.is_open(number, open)) >> lane & 1 != 0 {
                    part.links.push(PlanLink { source: numbers[link.source()], ..link });
                }
            }
            numbers[member as usize] = part.nodes.len() as u32;
            part.nodes.push(Node { first, end: part.links.len() as u32, ..*node });
        }
        for &output in &self.all.outputs {
            if between[output] >> lane & 1 != 0 {
                part.outputs.push(numbers[output] as usize);
            }
        }
    }
}

/// A number of a tensor, a link or a gate, as plans keep it.
fn short(number: usize) -> Result<u32> {
    u32::try_from(number)
        .map_err(|_| Error::SizeOverflow { what: "the number of tensors, links or options".into() })
}

/// A plan that is being made.
pub(super) struct Planner<'a> {
    pub(super) network: &'a Network,
    routing: &'a Routing<'a>,
    own: &'a OwnFunctions,
    pub(super) survey: Survey,
    /// Functions that only scale an input, before anything else is done to it.
    scalings: HashSet<TensorId>,
    /// Numbers of the links with data into every tensor.
    pub(super) into: Vec<Vec<usize>>,
    /// The source of the first link into every tensor.
    origins: Vec<Option<TensorId>>,
    /// Whether a tensor is computed from an input.
    pub(super) reached: Vec<bool>,
    /// Whether what is added to the plan is computed from parameters alone.
    pub(super) among_parameters: bool,
    /// Whether a softmax is taken of a tensor, apart from functions and sums in between.
    pub(super) is_score: Vec<bool>,
    pub(super) node_of: Vec<Option<usize>>,
    /// Trainable elements of parameters that every tensor reads as something else than a kernel.
    other_parameters: Vec<f64>,
    pub(super) function_of: HashMap<String, usize>,
    pub(super) kernel_of: HashMap<usize, usize>,
    pub(super) plan: Plan,
    pub(super) gates: Vec<Option<u32>>,
    pub(super) tensors: Vec<NodeFacts>,
    pub(super) operators: Vec<LinkFacts>,
    unknown: Vec<(String, String)>,
}

impl<'a> Planner<'a> {
    fn new(routing: &'a Routing<'a>, own: &'a OwnFunctions) -> Result<Self> {
        let network = &*routing.network;
        let survey = Survey::new(network)?;
        let found = scalings(network, own)?.into_values();
        let scalings = found.flat_map(|scaling| scaling.functions).collect();
        let tensors = network.tensors().len();
        let mut into = vec![Vec::new(); tensors];
        let mut origins = vec![None; tensors];
        let mut other_parameters = vec![0.0; tensors];
        for (number, link) in network.links().iter().enumerate() {
            origins[link.target.0].get_or_insert(link.source);
            if link.role == LinkRole::Data {
                into[link.target.0].push(number);
            }
            let source = &network.tensors()[link.source.0];
            let is_kernel = matches!(link.role, LinkRole::Kernel | LinkRole::Table);
            if source.role == (Role::Parameter { trainable: true }) && !is_kernel {
                other_parameters[link.target.0] += source.elements() as f64;
            }
        }
        let links = network.links();
        let mut reached = vec![false; tensors];
        for &id in &survey.order {
            reached[id.0] = survey.lives[id.0]
                && (network.tensors()[id.0].role == Role::Input
                    || into[id.0].iter().any(|&number: &usize| reached[links[number].source.0]));
        }
        let mut is_score = vec![false; tensors];
        for &id in survey.order.iter().rev() {
            let through = match network.operation(id)?.kind {
                OperationKind::Softmax => true,
                OperationKind::Function
                | OperationKind::Sum
                | OperationKind::Product
                | OperationKind::Move => is_score[id.0],
                _ => false,
            };
            for &number in &into[id.0] {
                is_score[links[number].source.0] |= through;
            }
        }
        Ok(Self {
            network,
            routing,
            own,
            survey,
            scalings,
            into,
            origins,
            reached,
            among_parameters: false,
            is_score,
            node_of: vec![None; tensors],
            other_parameters,
            function_of: HashMap::new(),
            kernel_of: HashMap::new(),
            plan: Plan::empty(),
            gates: Vec::new(),
            tensors: Vec::new(),
            operators: Vec::new(),
            unknown: Vec::new(),
        })
    }

    fn run(&mut self, gates: &[Option<usize>]) -> Result<()> {
        for id in self.survey.order.clone() {
            if self.reached[id.0] {
                self.add(id, gates)?;
            }
        }
        for end in self.survey.ends.clone() {
            self.plan.outputs.extend(self.node_of[end.0]);
        }
        Ok(())
    }

    /// Adds a tensor to the plan, if it needs a node of its own.
    pub(super) fn add(&mut self, id: TensorId, gates: &[Option<usize>]) -> Result<()> {
        if self.is_part_of_attention(id) {
            return self.part_of_attention(id);
        }
        // A mask leaves the signal of scores and weights as it is; products count what it hides.
        let whole = behind_mask(self.network, id, |id| self.links_into(id));
        if let Some(node) = whole.and_then(|whole| self.node_of[whole.0]) {
            self.node_of[id.0] = Some(node);
            return Ok(());
        }
        let first = self.plan.links.len();
        let rule = match self.network.tensors()[id.0].role {
            Role::Activation => self.rule(id, gates)?,
            _ => Some(Rule::Input),
        };
        let Some(rule) = rule else {
            self.drop_links(first);
            // Compilation goes on, so that the error names all tensors that are not known.
            return self.push_node(id, Rule::Choice, first);
        };
        self.push_node(id, rule, first)
    }

    pub(super) fn push_node(&mut self, id: TensorId, rule: Rule, first: usize) -> Result<()> {
        self.node_of[id.0] = Some(self.plan.nodes.len());
        let products = match rule {
            Rule::Matmul { terms, .. } | Rule::Mix { keys: terms, .. } => {
                terms * self.network.tensors()[id.0].elements() as f64
            }
            _ => 0.0,
        };
        let facts = short(self.tensors.len())?;
        let (first, end) = (short(first)?, short(self.plan.links.len())?);
        self.plan.nodes.push(Node { rule, first, end, facts });
        self.tensors.push(NodeFacts {
            tensor: id,
            positions: self.positions(id),
            dimensions: self.dimensions(id),
            parameters: self.other_parameters[id.0],
            products,
        });
        Ok(())
    }

    pub(super) fn refuse(&mut self, id: TensorId, reason: String) -> Option<Rule> {
        self.unknown.push((self.network.tensors()[id.0].name.clone(), reason));
        None
    }

    /// The rule of a tensor, whose links are added to the plan; `None` if it is not known.
    fn rule(&mut self, id: TensorId, gates: &[Option<usize>]) -> Result<Option<Rule>> {
        let operation = self.network.operation(id)?;
        if operation.function.as_deref() == Some(MASKED_ATTENTION) {
            return self.masked_attention(id, gates);
        }
        if operation.kind == OperationKind::Matmul && !self.survey.indices[id.0] {
            return self.matmul(id, gates);
        }
        let numbers = self.into[id.0].clone();
        let links: Vec<(usize, &'a Link)> = numbers
            .into_iter()
            .map(|number| (number, &self.network.links()[number]))
            .filter(|(_, link)| self.reached[link.source.0])
            .collect();
        if self.survey.indices[id.0] {
            for &(number, link) in &links {
                self.push_link(link, Operator::Blocked, gates.get(number).copied().flatten())?;
            }
            return Ok(Some(Rule::Sum { subtracts: false }));
        }
        let is_square = operation.kind == OperationKind::Product
            && matches!(links[..], [(_, one), (_, other)]
                if one.source == other.source && one.relations == other.relations);
        for &(number, link) in &links[..if is_square { 1 } else { links.len() }] {
            let operator = self.operator(number, link, operation);
            self.push_link(link, operator, gates.get(number).copied().flatten())?;
        }
        Ok(match operation.kind {
            _ if is_square => self.function(id, "square"),
            OperationKind::Affine | OperationKind::Sum => {
                Some(Rule::Sum { subtracts: operation.function.as_deref() == Some("subtract") })
            }
            OperationKind::Move | OperationKind::Average | OperationKind::MaxPool => {
                Some(Rule::Concatenation)
            }
            OperationKind::Embedding => Some(Rule::Sum { subtracts: false }),
            OperationKind::Function => match operation.function.as_deref() {
                // Inputs have a variance of one behind the scaling that a model begins with.
                Some(name) if self.is_power(name) => Some(Rule::Steady),
                Some(_) if self.scalings.contains(&id) => Some(Rule::Concatenation),
                Some(name) => self.function(id, name),
                None => self.refuse(id, "its function has no name".into()),
            },
            OperationKind::Product => Some(Rule::Product),
            OperationKind::Maximum => Some(Rule::Choice),
            OperationKind::RmsNorm if operation.function.as_deref() == Some("mean") => {
                Some(Rule::Steady)
            }
            OperationKind::Other
                if operation.function.as_deref() == Some("divide") && links.len() == 2 =>
            {
                Some(Rule::Quotient)
            }
            OperationKind::BatchNorm
            | OperationKind::LayerNorm
            | OperationKind::RmsNorm
            | OperationKind::GroupNorm => Some(Rule::Norm),
            OperationKind::Softmax => {
                let shape = &self.network.tensors()[id.0].shape;
                let along = operation.axes.iter().filter_map(|&axis| shape.get(axis));
                let length: f64 = along.map(|&length| length as f64).product();
                let share = links.first().map_or(1.0, |(_, link)| self.visible_share(link.source));
                Some(Rule::Softmax { length: (length * share).max(1.0) })
            }
            // Products of matrices were left to `matmul`.
            OperationKind::Matmul | OperationKind::Other => {
                if let Some(law) = self.routing.routes.get(&id) {
                    return Ok(Some(Rule::Route(Route::new(law))));
                }
                let reason = self.routing.reasons.get(&id).cloned();
                let reason = reason.unwrap_or_else(|| match operation.function.as_deref() {
                    Some(name) => format!("'{name}' has no rule"),
                    None => "it was made without an operation".to_owned(),
                });
                self.refuse(id, reason)
            }
        })
    }

    /// Whether a function is known of positive numbers only.
    fn is_power(&self, name: &str) -> bool {
        !self.own.contains_key(name)
            && matches!(Function::from_name(name), Some(Function::Power(_)))
    }

    pub(super) fn push_link(
        &mut self,
        link: &Link,
        operator: Operator,
        gate: Option<usize>,
    ) -> Result<()> {
        if let Some(source) = self.node_of[link.source.0] {
            let reach = self.reach(link);
            let facts = short(self.operators.len())?;
            self.plan.links.push(PlanLink { source: short(source)?, facts });
            self.gates.push(gate.map(short).transpose()?);
            self.operators.push(LinkFacts { operator, reach });
        }
        Ok(())
    }

    /// Takes back the links from this number on.
    pub(super) fn drop_links(&mut self, first: usize) {
        self.plan.links.truncate(first);
        self.gates.truncate(first);
    }

    fn function(&mut self, id: TensorId, name: &str) -> Option<Rule> {
        if name == "relu" {
            return Some(Rule::Relu);
        }
        if let Some(&number) = self.function_of.get(name) {
            return Some(Rule::Function(number));
        }
        let own = self.own.get(name).map(Function::own);
        let Some(function) = own.or_else(|| Function::from_name(name)) else {
            return self.refuse(id, format!("the function '{name}' is not known"));
        };
        let number = self.plan.functions.len();
        self.plan.functions.push(function);
        self.function_of.insert(name.to_owned(), number);
        Some(Rule::Function(number))
    }

    /// The parameter that a kernel is computed from; the first, if there are several.
    fn root(&self, kernel: TensorId) -> TensorId {
        let mut at = kernel;
        while let Some(source) = self.origins[at.0] {
            at = source;
        }
        at
    }

    fn shape(&self, id: TensorId) -> &'a [u64] {
        &self.network.tensors()[id.0].shape
    }

    /// Lengths of the two sides of a relation, and the edges between them.
    fn measure(&self, link: &Link, part: &AxisRelation) -> (f64, f64, f64) {
        let both = lengths(part, self.shape(link.source), self.shape(link.target));
        // An axis too long to be followed index by index is taken to be read once.
        let edges = sums(&part.relation, both, false).map_or(both.target as f64, |s| s.total);
        (both.source as f64, both.target as f64, edges)
    }

    fn visible_share(&self, from: TensorId) -> f64 {
        visible_share(self.network, from, |id| self.links_into(id), |link| self.edges(link))
    }

    fn links_into(&self, id: TensorId) -> Vec<&'a Link> {
        self.into[id.0].iter().map(|&number| &self.network.links()[number]).collect()
    }

    pub(super) fn edges(&self, link: &Link) -> f64 {
        link.relations.iter().map(|part| self.measure(link, part).2).product()
    }

    fn joins_positions(&self, link: &Link, part: &AxisRelation) -> bool {
        joins_positions(
            part,
            (self.shape(link.source), self.shape(link.target)),
            (&self.survey.positions[link.source.0], &self.survey.positions[link.target.0]),
        )
    }

    fn positions(&self, id: TensorId) -> f64 {
        let axes = self.shape(id).iter().zip(&self.survey.positions[id.0]);
        axes.map(|(&length, &is_position)| if is_position { length as f64 } else { 1.0 }).product()
    }

    /// The axes of positions, but for those of length 1, such as that of the batch.
    fn dimensions(&self, id: TensorId) -> f64 {
        let axes = self.shape(id).iter().zip(&self.survey.positions[id.0]);
        axes.filter(|&(&length, &is_position)| is_position && length > 1).count() as f64
    }

    fn reach(&self, link: &Link) -> f64 {
        let along = link.relations.iter().map(|part| match &part.relation {
            Relation::Window(window) if self.joins_positions(link, part) => {
                let (size, step) = (window.size as f64, window.dilation as f64);
                (size * size - 1.0) / 12.0 * step * step
            }
            _ => 0.0,
        });
        along.sum::<f64>() / self.dimensions(link.source).max(1.0)
    }

    fn operator(&mut self, number: usize, link: &Link, operation: &Operation) -> Operator {
        if let Some(kernel) = &self.survey.kernels[number] {
            let kernels = self.kernel_of.len();
            let known = self.kernel_of.entry(self.root(kernel.tensor).0);
            let kernel_number = *known.or_insert(kernels);
            self.plan.kernels = self.kernel_of.len();
            let kernel = self.survey.kernels[number].as_ref();
            return kernel.map_or(Operator::Blocked, |kernel| {
                Operator::Weighted(self.weighted(kernel_number, kernel, link))
            });
        }
        match operation.kind {
            OperationKind::Embedding => Operator::Blocked,
            OperationKind::Average | OperationKind::MaxPool => self.pool(link, operation),
            _ => Operator::Move(self.moved(link)),
        }
    }

    fn moved(&self, link: &Link) -> Move {
        let mut moved = Move::SAME;
        let mut edges = 1.0;
        for part in link.relations.iter() {
            if part.relation == Relation::Same {
                edges *= self.measure(link, part).2;
                continue;
            }
            let (source, _, found) = self.measure(link, part);
            edges *= found;
            if self.joins_positions(link, part) {
                moved.positions *= found / source;
            } else {
                moved.channels *= found / source;
            }
        }
        moved.share = edges / self.network.tensors()[link.target.0].elements() as f64;
        moved.is_repeated = moved.positions > 1.0 && self.positions(link.source) == 1.0;
        moved
    }

    fn pool(&self, link: &Link, operation: &Operation) -> Operator {
        let mut windows: Vec<(u64, f64, Option<&[f64]>)> = Vec::new();
        let (mut taps, mut stride, mut channels) = (1.0, 1.0, 1.0);
        let (mut common, mut own) = (1.0, 1.0);
        for part in link.relations.iter() {
            let (source, target, edges) = self.measure(link, part);
            let (size, step) = match &part.relation {
                Relation::Same | Relation::Reshape => continue,
                Relation::Window(window) => (window.size, window.stride as f64),
                _ => ((edges / target).round().max(1.0) as u64, source / target),
            };
            if self.joins_positions(link, part) {
                let weights = operation.taps_of(part);
                let is_window = matches!(part.relation, Relation::Window(_));
                windows.push((size, step, weights.filter(|_| is_window)));
                taps *= size as f64;
                if let Some(weights) = weights.filter(|_| !is_window) {
                    let ends = lengths(part, self.shape(link.source), self.shape(link.target));
                    let sums = weighted_sums(&part.relation, ends, weights);
                    let means = sums.map_or((1.0, 1.0), |s| (s.into / target, s.single / target));
                    common *= means.0;
                    own *= means.1;
                } else if let Some(weights) = weights {
                    let sum: f64 = weights.iter().sum();
                    common *= sum * sum;
                    own *= weights.iter().map(|weight| weight * weight).sum::<f64>();
                } else {
                    own /= size as f64;
                }
                stride *= step;
            } else {
                channels *= size as f64;
            }
        }
        let positions = self.positions(link.source);
        let is_average = operation.kind == OperationKind::Average;
        let is_plain = operation.weights.is_empty();
        if !windows.is_empty() && is_plain && self.positions(link.target) == 1.0 {
            return Operator::Global { positions, is_average };
        }
        if !is_average {
            let (mean, square) = largest_normal(taps);
            return Operator::Largest(Largest {
                stride,
                variance: square - mean * mean,
                overlap: overlap(windows.iter().copied()),
            });
        }
        let dense = windows.iter().map(|&(size, _, weights)| (size, 1.0, weights));
        Operator::Average(Average {
            common,
            own,
            stride,
            dense_overlap: overlap(dense),
            overlap: overlap(windows.iter().copied()),
            channels,
        })
    }

    fn weighted(&self, number: usize, kernel: &KernelUse, link: &Link) -> Weighted {
        let (mut fan, mut taps, mut stride) = (1.0, 1.0, 1.0);
        let (mut source_positions, mut read) = (1.0, 1.0);
        for part in link.relations.iter() {
            let (source, target, edges) = self.measure(link, part);
            let is_position = !part.source_axes.is_empty()
                && !part.target_axes.is_empty()
                && part.target_axes.iter().all(|&axis| kernel.shared[axis]);
            let (size, step) = match &part.relation {
                Relation::All | Relation::Each => {
                    fan *= source;
                    continue;
                }
                Relation::Blocks { groups } => {
                    fan *= source / *groups as f64;
                    continue;
                }
                Relation::Sum => continue,
                Relation::Same | Relation::Reshape => (1.0, 1.0),
                Relation::Window(window) => (window.size as f64, window.stride as f64),
                Relation::TransposedWindow(window) => {
                    let step = window.stride as f64;
                    ((window.size as f64 / step).max(1.0), 1.0 / step)
                }
                _ => ((edges / target).max(1.0), source / target),
            };
            if is_position {
                source_positions *= source;
                // Windows that share no position are read as a dense layer reads its source.
                read *= if size > step { source } else { target };
                stride *= step;
            }
            taps *= size;
        }
        let elements = |id: TensorId| self.network.tensors()[id.0].elements() as f64;
        let along = self.shape(link.target).iter().zip(&kernel.shared);
        let target_positions: f64 =
            along.map(|(&length, &shared)| if shared { length as f64 } else { 1.0 }).product();
        let source_channels =
            if kernel.is_table { 1.0 } else { elements(link.source) / source_positions };
        let positions_read = if kernel.is_table { target_positions } else { read };
        Weighted {
            kernel: number,
            fan: if kernel.is_table { 1.0 } else { fan },
            source_channels,
            target_channels: elements(link.target) / target_positions,
            target_positions,
            taps,
            stride,
            positions_read,
            copies: self.routing.experts.get(&self.root(kernel.tensor)).copied().unwrap_or(1.0),
            is_table: kernel.is_table,
        }
    }
}
