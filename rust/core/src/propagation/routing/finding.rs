//! What is a row of a token and an expert, and what becomes of it.

use std::collections::{HashMap, HashSet};

use super::links::{Meeting, Side, added_up, joined, related};
use super::weights::{Gate, Over, WeightLaw};
use super::{GROUPED_MATMUL, ROUTE, TOP_K, is_other};
use crate::network::{
    AxisRelation, Link, LinkRole, Network, Operation, OperationKind, Relation, Role, TensorId,
};
use crate::propagation::Survey;
use crate::propagation::functions::Function;

/// Models have hundreds. Moments are drawn, and draws of many more would take minutes.
const MOST_EXPERTS: u64 = 1 << 12;

/// What a tensor is to a router, by its number.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Class {
    /// It has nothing to do with experts.
    Plain,
    /// One-hot rows that say what was chosen.
    Choice { router: usize },
    /// Weights of all experts, or of those that were chosen, which become those of slots.
    Slots { router: usize, axes: Vec<usize> },
    /// Some axes, together, are a row for every token and expert that it chose.
    Rows { router: usize, axes: Vec<usize> },
}

/// A link into a tensor that was rewritten.
#[derive(Debug, Clone)]
pub(super) struct NewLink {
    pub(super) source: TensorId,
    pub(super) relations: Vec<AxisRelation>,
    pub(super) role: LinkRole,
}

/// Everything that changes.
pub(super) struct Found {
    pub(super) classes: Vec<Class>,
    pub(super) sides: HashMap<TensorId, Side>,
    pub(super) links: HashMap<TensorId, Vec<NewLink>>,
    pub(super) operations: HashMap<TensorId, Operation>,
    pub(super) routes: HashMap<TensorId, WeightLaw>,
    pub(super) experts: HashMap<TensorId, f64>,
    pub(super) readers: HashMap<TensorId, f64>,
}

/// A choice that is not understood, and the tensor where.
pub(super) struct Failure {
    pub(super) router: TensorId,
    pub(super) at: TensorId,
}

/// A choice of the largest of a token's numbers.
struct Router {
    choice: TensorId,
    tokens: u64,
    experts: u64,
    chosen: u64,
}

struct Finder<'a> {
    network: &'a Network,
    survey: &'a Survey,
    into: Vec<Vec<&'a Link>>,
    routers: Vec<Router>,
    /// Their numbers by the tensor that chooses.
    router_of: HashMap<TensorId, usize>,
    /// The law of weights, and of moved ones, and the router's numbers that they follow from.
    laws: HashMap<TensorId, (WeightLaw, TensorId)>,
    /// Results of the only expert of each token, one row a token and weighed.
    weighed: HashSet<TensorId>,
    found: Found,
}

/// A tensor that another one is made of by moves alone, and where its axes are there.
struct Trace {
    base: TensorId,
    /// The axes of the base that became rows.
    rows: Vec<usize>,
    /// For every axis of the other tensor the axis of the base, if it is one and no row.
    axes: Vec<Option<usize>>,
    is_plain: bool,
}

/// Finds out what is computed of choices other than those that are left out.
pub(super) fn find(
    network: &Network,
    survey: &Survey,
    left_out: &HashSet<TensorId>,
) -> std::result::Result<Found, Failure> {
    let tensors = network.tensors().len();
    let mut into = vec![Vec::new(); tensors];
    for link in network.links() {
        into[link.target.0].push(link);
    }
    let found = Found {
        classes: vec![Class::Plain; tensors],
        sides: HashMap::new(),
        links: HashMap::new(),
        operations: HashMap::new(),
        routes: HashMap::new(),
        experts: HashMap::new(),
        readers: HashMap::new(),
    };
    let mut finder = Finder {
        network,
        survey,
        into,
        routers: Vec::new(),
        router_of: HashMap::new(),
        laws: HashMap::new(),
        weighed: HashSet::new(),
        found,
    };
    finder.find_routers(left_out);
    for &id in &survey.order {
        let is_computed = network.tensors()[id.0].role == Role::Activation;
        if is_computed && survey.lives[id.0] && !survey.indices[id.0] {
            finder.classify(id).map_err(|router| finder.failure(router, id))?;
        }
    }
    finder.check_readers()?;
    Ok(finder.found)
}

/// The number of a router where something is not understood.
type Classified = Result<(), usize>;

impl<'a> Finder<'a> {
    fn failure(&self, router: usize, at: TensorId) -> Failure {
        Failure { router: self.routers[router].choice, at }
    }

    fn shape(&self, id: TensorId) -> &'a [u64] {
        &self.network.tensors()[id.0].shape
    }

    fn elements(&self, id: TensorId) -> u64 {
        self.network.tensors()[id.0].elements()
    }

    fn operation(&self, id: TensorId) -> Option<&'a Operation> {
        self.network.operation(id).ok()
    }

    fn kind(&self, id: TensorId) -> Option<OperationKind> {
        self.operation(id).map(|operation| operation.kind)
    }

    fn data(&self, id: TensorId) -> Vec<&'a Link> {
        self.into[id.0].iter().copied().filter(|link| link.role == LinkRole::Data).collect()
    }

    fn class(&self, id: TensorId) -> &Class {
        &self.found.classes[id.0]
    }

    fn side(&self, id: TensorId) -> Side {
        self.found.sides.get(&id).cloned().unwrap_or_else(|| Side::plain(self.shape(id)))
    }

    /// Every choice of the largest along a last axis, and the one-hot rows that are made of each.
    fn find_routers(&mut self, left_out: &HashSet<TensorId>) {
        for &id in &self.survey.order {
            let reads = self.data(id);
            let (&[link], Some((&chosen, tokens))) = (&reads[..], self.shape(id).split_last())
            else {
                continue;
            };
            let source = self.shape(link.source);
            let is_choice = is_other(self.network, id, TOP_K)
                && !left_out.contains(&id)
                && source.len() == tokens.len() + 1
                && &source[..tokens.len()] == tokens;
            if let (true, Some(&experts)) = (is_choice, source.last())
                && experts <= MOST_EXPERTS
                && (1..=experts).contains(&chosen)
            {
                self.router_of.insert(id, self.routers.len());
                let tokens = tokens.iter().product();
                self.routers.push(Router { choice: id, tokens, experts, chosen });
            }
        }
        for &id in &self.survey.order {
            let operation = self.operation(id);
            let is_one_hot = operation.is_some_and(|one| {
                one.kind == OperationKind::Embedding && one.function.as_deref() == Some("one_hot")
            });
            if is_one_hot && let Some(router) = self.router_behind(id) {
                self.found.classes[id.0] = Class::Choice { router };
            }
        }
    }

    /// The only choice that indices are computed from.
    fn router_behind(&self, id: TensorId) -> Option<usize> {
        let (mut waiting, mut seen, mut found) = (vec![id], HashSet::new(), None);
        while let Some(at) = waiting.pop() {
            for link in self.data(at) {
                if let Some(&router) = self.router_of.get(&link.source) {
                    if found.is_some_and(|other| other != router) {
                        return None;
                    }
                    found = Some(router);
                } else if !self.survey.indices[link.source.0] {
                    return None;
                } else if seen.insert(link.source) {
                    waiting.push(link.source);
                }
            }
        }
        found
    }

    /// Finds out what a tensor is, from those that it is computed from.
    fn classify(&mut self, id: TensorId) -> Classified {
        if matches!(self.class(id), Class::Choice { .. }) {
            return Ok(());
        }
        if let Some(&router) = self.router_of.get(&id) {
            return self.chosen_numbers(id, router);
        }
        let links = self.data(id);
        let choice = links.iter().copied().find_map(|link| match self.class(link.source) {
            Class::Choice { router } => Some((link, *router)),
            _ => None,
        });
        let operation = self.operation(id).cloned().unwrap_or_default();
        if let Some((choice, router)) = choice {
            let others: Vec<&Link> =
                links.iter().copied().filter(|link| !std::ptr::eq(*link, choice)).collect();
            let is_done = match (operation.kind, &others[..]) {
                (OperationKind::Embedding, []) => self.chosen_weights(id, router, choice),
                (OperationKind::Matmul, &[other]) => self.chosen_rows(id, router, choice, other),
                (OperationKind::Move, []) => {
                    self.found.classes[id.0] = Class::Choice { router };
                    Some(())
                }
                (OperationKind::Other, &[one, other])
                    if is_other(self.network, id, GROUPED_MATMUL) =>
                {
                    let is_weight = |link: &Link| self.is_weight(link.source);
                    let (x, weights) = if is_weight(one) { (other, one) } else { (one, other) };
                    self.grouped_product(id, router, x, weights)
                }
                _ => None,
            };
            return is_done.ok_or(router);
        }
        let of_experts = links.iter().find_map(|link| match self.class(link.source) {
            Class::Rows { router, .. } | Class::Slots { router, .. } => Some(*router),
            _ => None,
        });
        match of_experts {
            None => Ok(()),
            Some(router) => self.of_rows(id, router, &operation, &links).ok_or(router),
        }
    }

    /// Whether a tensor is a parameter, or moved elements of one.
    fn is_weight(&self, mut id: TensorId) -> bool {
        while !self.is_parameter(id) {
            match self.data(id)[..] {
                [only] if self.kind(id) == Some(OperationKind::Move) => id = only.source,
                _ => return false,
            }
        }
        true
    }

    fn is_parameter(&self, id: TensorId) -> bool {
        matches!(self.network.tensors()[id.0].role, Role::Parameter { .. })
    }

    /// Whether a tensor has so many times as many elements as another.
    fn is_multiple(&self, id: TensorId, of: TensorId, times: u64) -> bool {
        self.elements(of).checked_mul(times) == Some(self.elements(id))
    }

    fn set_rows(&mut self, id: TensorId, router: usize, axes: Vec<usize>) -> Option<()> {
        let Router { tokens, chosen, .. } = self.routers[router];
        let side = Side::of_rows(self.shape(id), &axes, Some(tokens), chosen);
        if side.size(&axes) != tokens * chosen || !axes.is_sorted() {
            return None;
        }
        self.found.sides.insert(id, side);
        self.found.classes[id.0] = Class::Rows { router, axes };
        Some(())
    }

    fn set_slots(&mut self, id: TensorId, router: usize, axes: Vec<usize>) -> Option<()> {
        let slots = self.routers[router].chosen;
        if let Class::Slots { router: other, axes: known } = self.class(id) {
            return (*known == axes && self.routers[*other].chosen == slots).then_some(());
        }
        let side = Side::of_rows(self.shape(id), &axes, None, slots);
        self.found.sides.insert(id, side);
        self.found.classes[id.0] = Class::Slots { router, axes };
        Some(())
    }

    fn link(
        &mut self,
        target: TensorId,
        source: TensorId,
        relations: Vec<AxisRelation>,
        role: LinkRole,
    ) {
        self.found.links.entry(target).or_default().push(NewLink { source, relations, role });
    }

    /// The largest numbers themselves, as weights of the experts that they belong to.
    fn chosen_numbers(&mut self, id: TensorId, router: usize) -> Classified {
        let source = self.data(id).first().map(|link| link.source);
        source.and_then(|scores| self.weights(id, router, scores)).ok_or(router)
    }

    /// Weights that are some of the scores of all experts.
    fn weights(&mut self, id: TensorId, router: usize, scores: TensorId) -> Option<()> {
        let last = self.shape(scores).len().checked_sub(1)?;
        let operation = self.operation(scores);
        let function = operation.and_then(|one| one.function.as_deref());
        let (gate, over) = match operation.map(|one| (one.kind, &one.axes[..])) {
            Some((OperationKind::Softmax, axes)) if axes == [last] => {
                (Gate::Exponential, Over::All)
            }
            Some((OperationKind::Function, _)) if function == Some("sigmoid") => {
                (Gate::Sigmoid, Over::Nothing)
            }
            _ => (Gate::Identity, Over::Nothing),
        };
        let numbers = match gate {
            Gate::Identity => scores,
            _ => self.data(scores).first()?.source,
        };
        let Router { experts, chosen, .. } = self.routers[router];
        let (experts, chosen) = (usize::try_from(experts).ok()?, usize::try_from(chosen).ok()?);
        let law = WeightLaw { experts, chosen, gate, over, scale: 1.0 };
        let rows = (0..self.shape(id).len()).collect();
        self.route(id, (router, rows), numbers, law)
    }

    /// Makes a tensor one of weights that follow a law.
    fn route(
        &mut self,
        id: TensorId,
        (router, rows): (usize, Vec<usize>),
        numbers: TensorId,
        law: WeightLaw,
    ) -> Option<()> {
        let (last, tokens) = self.shape(numbers).split_last()?;
        if tokens.iter().product::<u64>() != self.routers[router].tokens
            || *last != self.routers[router].experts
        {
            return None;
        }
        self.set_rows(id, router, rows)?;
        let (side, last) = (self.side(id), tokens.len());
        if side.shape.iter().skip(2).any(|&length| length > 1) {
            return None;
        }
        let mut relations =
            vec![joined((0..last).collect(), vec![0]), AxisRelation::new(Relation::All, last, 1)];
        relations.extend((2..side.shape.len()).map(AxisRelation::sum));
        self.laws.insert(id, (law, numbers));
        self.link(id, numbers, relations, LinkRole::Data);
        let operation =
            Operation { function: Some(ROUTE.into()), ..Operation::new(OperationKind::Other) };
        self.found.operations.insert(id, operation);
        self.found.routes.insert(id, law);
        Some(())
    }

    /// Weights of the experts that were chosen, picked from those of all.
    fn chosen_weights(&mut self, id: TensorId, router: usize, choice: &Link) -> Option<()> {
        let table = self.into[id.0].iter().copied().find(|link| link.role == LinkRole::Table)?;
        let experts = self.routers[router].experts;
        let mut along = table.relations.iter().filter(|part| part.relation == Relation::Each);
        let &[axis] = &along.next()?.source_axes[..] else { return None };
        if along.next().is_some() || self.shape(choice.source).last() != Some(&experts) {
            return None;
        }
        self.experts_of(table.source, axis, router)?;
        let rows = self.rows_of_choice(choice)?;
        let Router { tokens, chosen, .. } = self.routers[router];
        if Side::plain(self.shape(id)).size(&rows) != tokens * chosen {
            return None;
        }
        self.set_slots(id, router, rows)?;
        let relations = related(table, &self.side(table.source), &self.side(id), Meeting::Chosen)?;
        self.link(id, table.source, relations, LinkRole::Data);
        self.found.operations.insert(id, Operation::new(OperationKind::Move));
        Some(())
    }

    /// The axes of a target along which one-hot rows are, but for their last axis.
    fn rows_of_choice(&self, choice: &Link) -> Option<Vec<usize>> {
        let last = self.shape(choice.source).len().checked_sub(1)?;
        let of_rows = choice
            .relations
            .iter()
            .filter(|part| !part.source_axes.is_empty() && !part.source_axes.contains(&last));
        let mut rows: Vec<usize> =
            of_rows.flat_map(|part| part.target_axes.iter().copied()).collect();
        rows.sort_unstable();
        Some(rows)
    }

    /// Makes the axis of experts one of slots, for a parameter and all that lies on the way to it.
    fn experts_of(&mut self, weights: TensorId, axis: usize, router: usize) -> Option<()> {
        let Router { experts, chosen, .. } = self.routers[router];
        if !self.is_weight(weights) {
            return None;
        }
        let (mut at, mut axis, mut moves) = (weights, axis, Vec::new());
        loop {
            if self.shape(at).get(axis) != Some(&experts) {
                return None;
            }
            let is_known = matches!(self.class(at), Class::Slots { .. });
            self.set_slots(at, router, vec![axis])?;
            if self.is_parameter(at) {
                break;
            }
            let &[link] = &self.data(at)[..] else { return None };
            let part = link.relations.iter().find(|part| part.target_axes == [axis])?;
            let (Relation::Same, &[before]) = (&part.relation, &part.source_axes[..]) else {
                return None;
            };
            if !is_known {
                moves.push(link);
            }
            (at, axis) = (link.source, before);
        }
        self.found.experts.insert(at, experts as f64 / chosen as f64);
        for link in moves {
            let (from, to) = (self.side(link.source), self.side(link.target));
            let relations = related(link, &from, &to, Meeting::Same)?;
            self.link(link.target, link.source, relations, LinkRole::Data);
        }
        Some(())
    }

    /// A product with one-hot rows: tokens given to experts, rows in another order, rows put back
    /// and added up, or weights picked from scores.
    fn chosen_rows(
        &mut self,
        id: TensorId,
        router: usize,
        choice: &Link,
        x: &'a Link,
    ) -> Option<()> {
        let Router { tokens, experts, chosen, choice: numbers } = self.routers[router];
        let (made, read) = (self.elements(id), self.elements(x.source));
        let contracted: Vec<usize> = x
            .relations
            .iter()
            .filter(|part| part.target_axes.is_empty())
            .flat_map(|part| part.source_axes.iter().copied())
            .filter(|&axis| self.shape(x.source)[axis] > 1)
            .collect();
        let rows = self.rows_of_choice(choice)?;
        match self.class(x.source) {
            Class::Plain => {
                let is_pick = read == tokens * experts
                    && made == tokens * chosen
                    && self.leads_to(x.source, numbers);
                if is_pick {
                    return self.weights(id, router, x.source);
                }
                if self.weighed.contains(&x.source) && made == read {
                    return self.weighed_rows_in_order(id, &contracted, &rows, x);
                }
                let side = Side::plain(self.shape(x.source));
                if !self.is_multiple(id, x.source, chosen) || side.size(&contracted) != tokens {
                    return None;
                }
                self.set_rows(id, router, rows)?;
                let (from, to) = (side, self.side(id));
                let mut relations = vec![joined(contracted.clone(), vec![0]), AxisRelation::sum(1)];
                for part in x.relations.iter() {
                    let is_token = part.source_axes.iter().any(|axis| contracted.contains(axis));
                    let is_row = part.target_axes.iter().any(|axis| to.rows.contains(axis));
                    if !is_token && !is_row {
                        relations.push(AxisRelation {
                            target_axes: part.target_axes.iter().map(|&a| to.place(a)).collect(),
                            ..part.clone()
                        });
                    } else if !is_token {
                        relations.extend(part.source_axes.iter().map(|&a| AxisRelation::each(a)));
                    }
                }
                if from.was.len() < contracted.len() {
                    return None;
                }
                self.link(id, x.source, relations, LinkRole::Data);
                self.found.operations.insert(id, Operation::new(OperationKind::Move));
                Some(())
            }
            Class::Rows { router: other, .. } if *other == router => {
                let from = self.side(x.source);
                if made == read {
                    self.set_rows(id, router, rows)?;
                    let relations = related(x, &from, &self.side(id), Meeting::Chosen)?;
                    self.link(id, x.source, relations, LinkRole::Data);
                    self.found.operations.insert(id, Operation::new(OperationKind::Move));
                    return Some(());
                }
                if made == tokens * experts && read == tokens * chosen {
                    return self.weights_of_all(id, router, choice, x);
                }
                self.rows_put_back(id, router, choice, x)
            }
            _ => None,
        }
    }

    /// Results of the only expert of each token, put back into the order of tokens.
    fn weighed_rows_in_order(
        &mut self,
        id: TensorId,
        before: &[usize],
        after: &[usize],
        x: &Link,
    ) -> Option<()> {
        let mut relations = vec![joined(before.to_vec(), after.to_vec())];
        for part in x.relations.iter() {
            let is_read = part.source_axes.iter().any(|axis| before.contains(axis));
            let is_made = part.target_axes.iter().any(|axis| after.contains(axis));
            if !is_read && !is_made {
                relations.push(part.clone());
            }
        }
        self.link(id, x.source, relations, LinkRole::Data);
        self.found.operations.insert(id, Operation::new(OperationKind::Move));
        self.weighed.insert(id);
        Some(())
    }

    /// Weights of chosen experts, put among zeros for all others.
    fn weights_of_all(
        &mut self,
        id: TensorId,
        router: usize,
        choice: &Link,
        x: &Link,
    ) -> Option<()> {
        let Router { tokens, experts, chosen, .. } = self.routers[router];
        let last = self.shape(choice.source).len().checked_sub(1)?;
        let part = choice.relations.iter().find(|part| part.source_axes == [last])?;
        let &[at] = &part.target_axes[..] else { return None };
        let (from, to) = (self.side(x.source), self.side(id));
        let others: Vec<usize> = (0..to.was.len()).filter(|&axis| axis != at).collect();
        if to.was[at] != experts || to.size(&others) != tokens || from.shape.len() > 2 {
            return None;
        }
        // Which of them are chosen makes no difference on average.
        let indices = (0..experts).map(|expert| (expert < chosen).then_some(expert)).collect();
        let relations = vec![
            joined(vec![from.tokens?], others),
            AxisRelation::new(Relation::Select { indices }, from.slots?, at),
        ];
        self.link(id, x.source, relations, LinkRole::Data);
        self.found.operations.insert(id, Operation::new(OperationKind::Move));
        Some(())
    }

    /// Rows that are added up where their token is.
    fn rows_put_back(
        &mut self,
        id: TensorId,
        router: usize,
        choice: &Link,
        x: &'a Link,
    ) -> Option<()> {
        let Router { tokens, chosen, .. } = self.routers[router];
        let last = self.shape(choice.source).len().checked_sub(1)?;
        let part = choice.relations.iter().find(|part| part.source_axes == [last])?;
        let &[at] = &part.target_axes[..] else { return None };
        if !self.is_multiple(x.source, id, chosen) || self.shape(id)[at] != tokens {
            return None;
        }
        let (from, to) = (self.side(x.source), self.side(id));
        let mut relations = vec![
            AxisRelation::new(Relation::Same, from.tokens?, at),
            AxisRelation::each(from.slots?),
        ];
        for part in x.relations.iter() {
            if part.source_axes.iter().any(|axis| from.rows.contains(axis)) {
                continue;
            }
            let targets: Vec<usize> =
                part.target_axes.iter().copied().filter(|&axis| axis != at).collect();
            if targets.is_empty() && part.source_axes.is_empty() {
                continue;
            }
            relations.push(AxisRelation {
                relation: part.relation.clone(),
                source_axes: part.source_axes.iter().map(|&axis| from.place(axis)).collect(),
                target_axes: targets.into_iter().map(|axis| to.place(axis)).collect(),
            });
        }
        self.link(id, x.source, relations, LinkRole::Data);
        let sum = Operation { divisor: Some(1.0), ..Operation::new(OperationKind::Average) };
        self.found.operations.insert(id, sum);
        Some(())
    }

    /// Whether one tensor is computed from another, not far behind it.
    fn leads_to(&self, from: TensorId, to: TensorId) -> bool {
        let (mut waiting, mut seen) = (vec![to], HashSet::new());
        while let Some(at) = waiting.pop() {
            if at == from {
                return true;
            }
            for link in self.data(at) {
                let is_behind = self.survey.indices[link.target.0] || link.target == to;
                if is_behind && seen.insert(link.source) {
                    waiting.push(link.source);
                }
            }
        }
        false
    }

    /// Rows times the matrix of their expert, where groups of rows belong to one.
    fn grouped_product(
        &mut self,
        id: TensorId,
        router: usize,
        x: &'a Link,
        weights: &'a Link,
    ) -> Option<()> {
        self.experts_of(weights.source, 0, router)?;
        let &[rows, _] = self.shape(id) else { return None };
        let Router { tokens, chosen, .. } = self.routers[router];
        if rows != tokens * chosen {
            return None;
        }
        self.set_rows(id, router, vec![0])?;
        self.product(id, router, x, weights, Meeting::Chosen)
    }

    /// What becomes of a product of rows with the weights of their expert: a layer of slots.
    fn product(
        &mut self,
        id: TensorId,
        router: usize,
        x: &'a Link,
        weights: &'a Link,
        meeting: Meeting,
    ) -> Option<()> {
        let to = self.side(id);
        let kernel = related(weights, &self.side(weights.source), &to, meeting)?;
        let rows: Vec<usize> = x
            .relations
            .iter()
            .filter(|part| part.target_axes.iter().any(|axis| to.rows.contains(axis)))
            .flat_map(|part| part.source_axes.iter().copied())
            .collect();
        let trace = self.base_of(x.source, rows, router)?;
        let from = self.side(trace.base);
        let mut relations = Vec::new();
        if trace.is_plain {
            relations.push(joined(trace.rows.clone(), vec![0]));
            relations.push(AxisRelation::sum(1));
            let slots = self.routers[router].chosen as f64;
            self.found.readers.insert(id, slots);
        } else {
            relations.push(AxisRelation::new(Relation::Same, from.tokens?, 0));
            relations.push(AxisRelation::new(Relation::Same, from.slots?, 1));
        }
        let mut used = trace.rows.clone();
        for part in x.relations.iter() {
            if part.target_axes.iter().any(|axis| to.rows.contains(axis)) {
                continue;
            }
            let sources: Vec<Option<usize>> =
                part.source_axes.iter().map(|&axis| trace.axes[axis]).collect();
            let targets: Vec<usize> = part.target_axes.iter().map(|&a| to.place(a)).collect();
            match sources.iter().copied().collect::<Option<Vec<usize>>>() {
                Some(known) => {
                    used.extend(&known);
                    relations.push(AxisRelation {
                        relation: part.relation.clone(),
                        source_axes: known.into_iter().map(|axis| from.place(axis)).collect(),
                        target_axes: targets,
                    });
                }
                None => relations.extend(targets.into_iter().map(AxisRelation::sum)),
            }
        }
        for axis in (0..from.was.len()).filter(|axis| !used.contains(axis)) {
            if from.was[axis] > 1 {
                return None;
            }
            relations.push(AxisRelation::each(from.place(axis)));
        }
        self.link(id, trace.base, relations, LinkRole::Data);
        self.link(id, weights.source, kernel, LinkRole::Kernel);
        self.found.operations.insert(id, Operation::new(OperationKind::Affine));
        Some(())
    }

    /// The tensor of tokens that rows are copies of; else the rows themselves, before they were
    /// repeated for every expert.
    fn base_of(&self, x: TensorId, rows: Vec<usize>, router: usize) -> Option<Trace> {
        let Router { tokens, chosen, experts, .. } = self.routers[router];
        let axes = (0..self.shape(x).len()).map(|axis| (!rows.contains(&axis)).then_some(axis));
        let axes = axes.collect();
        let mut at = Trace { base: x, rows, axes, is_plain: false };
        let mut found = None;
        loop {
            let size = Side::plain(self.shape(at.base)).size(&at.rows);
            match self.class(at.base) {
                Class::Plain if size == tokens => return Some(Trace { is_plain: true, ..at }),
                Class::Rows { router: other, .. }
                    if *other == router && size == tokens * chosen =>
                {
                    // What is repeated for every expert has an axis that its source has not.
                    let is_repeated = found.is_none() && self.repeats(at.base, experts);
                    if !is_repeated && found.is_none() {
                        let Trace { base, rows, axes, .. } = &at;
                        found = Some(Trace {
                            base: *base,
                            rows: rows.clone(),
                            axes: axes.clone(),
                            is_plain: false,
                        });
                    }
                }
                _ => {}
            }
            match self.step(&at) {
                Some(next) => at = next,
                None => return found,
            }
        }
    }

    /// Whether a move repeats its source for every expert.
    fn repeats(&self, id: TensorId, experts: u64) -> bool {
        let is_move = self.kind(id) == Some(OperationKind::Move);
        let links = self.data(id);
        is_move
            && matches!(links[..], [only] if experts > 1
                && self.is_multiple(id, only.source, experts))
    }

    /// One move back.
    fn step(&self, at: &Trace) -> Option<Trace> {
        let links = self.data(at.base);
        let is_choice = |link: &&&Link| matches!(self.class(link.source), Class::Choice { .. });
        let (link, contracts) = match (self.kind(at.base)?, &links[..]) {
            (OperationKind::Move, &[only]) => (only, false),
            (OperationKind::Matmul, [one, other]) => match (is_choice(&one), is_choice(&other)) {
                (true, false) => (*other, true),
                (false, true) => (*one, true),
                _ => return None,
            },
            _ => return None,
        };
        let shape = self.shape(link.source);
        let mut rows = Vec::new();
        let mut before: Vec<Option<usize>> = vec![None; self.shape(at.base).len()];
        for part in link.relations.iter() {
            let is_row = part.target_axes.iter().any(|axis| at.rows.contains(axis));
            if is_row || (part.target_axes.is_empty() && contracts) {
                rows.extend(part.source_axes.iter().copied());
            } else if let (Relation::Same, &[source], &[target]) =
                (&part.relation, &part.source_axes[..], &part.target_axes[..])
            {
                before[target] = Some(source);
            } else if part.source_axes.iter().any(|&axis| shape[axis] > 1) {
                return None;
            }
        }
        rows.sort_unstable();
        let axes = at.axes.iter().map(|axis| axis.and_then(|axis| before[axis])).collect();
        Some(Trace { base: link.source, rows, axes, is_plain: false })
    }

    /// Anything else that is computed of rows.
    fn of_rows(
        &mut self,
        id: TensorId,
        router: usize,
        operation: &Operation,
        links: &[&'a Link],
    ) -> Option<()> {
        if let Some(weights) = self.weights_of_weights(id, router, operation, links) {
            return weights;
        }
        let is_slots = |link: &&&Link| matches!(self.class(link.source), Class::Slots { .. });
        if operation.kind == OperationKind::Matmul
            && let Some(weights) = links.iter().find(is_slots).copied()
            && let &[one, other] = links
        {
            let x = if std::ptr::eq(one, weights) { other } else { one };
            let Class::Slots { axes, .. } = self.class(weights.source) else { return None };
            let rows = targets_of(weights, axes);
            self.set_rows(id, router, rows)?;
            return self.product(id, router, x, weights, Meeting::Same);
        }
        // Moved weights of experts are followed from what reads them.
        if links.iter().all(|link| is_slots(&link)) && operation.kind == OperationKind::Move {
            let &[only] = links else { return None };
            let Class::Slots { axes, .. } = self.class(only.source) else { return None };
            self.set_slots(id, router, targets_of(only, axes))?;
            let relations = related(only, &self.side(only.source), &self.side(id), Meeting::Same)?;
            self.link(id, only.source, relations, LinkRole::Data);
            return Some(());
        }
        let first = links.iter().find_map(|link| match self.class(link.source) {
            Class::Rows { axes, .. } => Some((*link, axes.clone())),
            _ => None,
        });
        let (first, axes) = first?;
        let rows = targets_of(first, &axes);
        if self.routers[router].chosen == 1
            && operation.kind == OperationKind::Product
            && links.iter().any(|link| self.laws.contains_key(&link.source))
        {
            return self.weighed_rows(id, links);
        }
        if let Some(sums) = self.sums_of_slots(id, operation, links) {
            for (source, relations) in sums {
                self.link(id, source, relations, LinkRole::Data);
            }
            return Some(());
        }
        self.set_rows(id, router, rows.clone())?;
        let to = self.side(id);
        if operation.axes.iter().any(|axis| rows.contains(axis)) {
            return None;
        }
        for link in self.into[id.0].clone() {
            let of_others = match self.class(link.source) {
                Class::Choice { .. } => return None,
                Class::Plain => false,
                Class::Rows { router: other, .. } | Class::Slots { router: other, .. } => {
                    *other != router
                }
            };
            if of_others {
                return None;
            }
            let relations = related(link, &self.side(link.source), &to, Meeting::Same)?;
            let role = match (self.class(link.source), operation.kind) {
                (Class::Slots { .. }, OperationKind::Sum | OperationKind::Affine) => LinkRole::Bias,
                (Class::Slots { .. }, _) => return None,
                _ => link.role,
            };
            self.link(id, link.source, relations, role);
        }
        let mut changed = operation.clone();
        changed.axes = operation.axes.iter().map(|&axis| to.place(axis)).collect();
        self.found.operations.insert(id, changed);
        Some(())
    }

    /// Results of the only expert of each token, which need not be added up.
    fn weighed_rows(&mut self, id: TensorId, links: &[&'a Link]) -> Option<()> {
        let mut found = Vec::new();
        for link in links {
            let Class::Rows { axes, .. } = self.class(link.source) else { return None };
            let (from, rows) = (self.side(link.source), targets_of(link, axes));
            let mut relations =
                vec![joined(vec![from.tokens?], rows.clone()), AxisRelation::each(from.slots?)];
            for part in link.relations.iter() {
                if part.source_axes.iter().any(|axis| axes.contains(axis)) {
                    let stays = matches!(part.relation, Relation::Same | Relation::Reshape)
                        && part.source_axes.iter().all(|axis| axes.contains(axis));
                    if !stays && from.size(&part.source_axes) > 1 {
                        return None;
                    }
                    continue;
                }
                relations.push(AxisRelation {
                    source_axes: part.source_axes.iter().map(|&axis| from.place(axis)).collect(),
                    ..part.clone()
                });
            }
            found.push((link.source, relations));
        }
        for (source, relations) in found {
            self.link(id, source, relations, LinkRole::Data);
        }
        self.weighed.insert(id);
        Some(())
    }

    /// The relations of all links into a tensor that adds up the slots of tokens.
    fn sums_of_slots(
        &self,
        id: TensorId,
        operation: &Operation,
        links: &[&'a Link],
    ) -> Option<Vec<(TensorId, Vec<AxisRelation>)>> {
        let is_sum = operation.kind == OperationKind::Average
            && operation.divisor == Some(1.0)
            && operation.weights.is_empty();
        if !(is_sum || operation.kind == OperationKind::Matmul) {
            return None;
        }
        let to = Side::plain(self.shape(id));
        let one = |link: &&Link| {
            let is_rows = matches!(self.class(link.source), Class::Rows { .. });
            let relations = added_up(link, &self.side(link.source), &to).filter(|_| is_rows)?;
            Some((link.source, relations))
        };
        links.iter().map(one).collect()
    }

    /// Weights that are normalised or multiplied, or a gate of chosen numbers; the inner `None` if
    /// they are not known, the outer if these are no such weights.
    fn weights_of_weights(
        &mut self,
        id: TensorId,
        router: usize,
        operation: &Operation,
        links: &[&'a Link],
    ) -> Option<Option<()>> {
        let &[only] = links else { return None };
        let (law, numbers) = *self.laws.get(&only.source)?;
        let Class::Rows { axes, .. } = self.class(only.source) else { return None };
        let rows = targets_of(only, axes);
        let slot = rows
            .last()
            .copied()
            .filter(|&axis| rows.len() > 1 && self.shape(id)[axis] == self.routers[router].chosen);
        let is_along = slot.is_some_and(|axis| operation.axes == [axis]);
        let WeightLaw { gate, over, scale, chosen, .. } = law;
        let is_plain = gate == Gate::Identity && over == Over::Nothing && scale == 1.0;
        let function = operation.function.as_deref();
        let law = match operation.kind {
            OperationKind::Softmax if is_along && is_plain => {
                Some(WeightLaw { gate: Gate::Exponential, over: Over::Chosen, ..law })
            }
            OperationKind::RmsNorm if is_along && function == Some("mean") => {
                let is_positive = gate != Gate::Identity && over != Over::Chosen;
                let scale = chosen as f64;
                is_positive.then_some(WeightLaw { over: Over::Chosen, scale, ..law })
            }
            OperationKind::Function if function == Some("sigmoid") && is_plain => {
                Some(WeightLaw { gate: Gate::Sigmoid, ..law })
            }
            OperationKind::Function => {
                let line = function.and_then(Function::from_name).and_then(|one| one.line());
                let slope = line.filter(|&(_, offset)| offset == 0.0).map(|(slope, _)| slope);
                slope.map(|slope| WeightLaw { scale: scale * slope, ..law })
            }
            OperationKind::Softmax | OperationKind::RmsNorm => None,
            OperationKind::Move => {
                if self.elements(id) == self.elements(only.source) {
                    self.laws.insert(id, (law, numbers));
                }
                return None;
            }
            _ => return None,
        };
        Some(law.and_then(|law| self.route(id, (router, rows), numbers, law)))
    }

    /// Refuses what reads rows, or weights of experts, without being rewritten itself.
    fn check_readers(&self) -> std::result::Result<(), Failure> {
        for link in self.network.links() {
            let (Class::Rows { router, .. } | Class::Slots { router, .. }) =
                self.class(link.source)
            else {
                continue;
            };
            let id = link.target;
            let lives = self.survey.lives[id.0] && !self.survey.indices[id.0];
            if lives && !self.found.links.contains_key(&id) {
                return Err(self.failure(*router, id));
            }
        }
        for output in &self.survey.ends {
            if let Class::Rows { router, .. } = self.class(*output) {
                return Err(self.failure(*router, *output));
            }
        }
        Ok(())
    }
}

/// The axes of a target that read some axes of a source.
fn targets_of(link: &Link, axes: &[usize]) -> Vec<usize> {
    let reads = link
        .relations
        .iter()
        .filter(|part| part.source_axes.iter().any(|axis| axes.contains(axis)));
    let mut targets: Vec<usize> = reads.flat_map(|part| part.target_axes.iter().copied()).collect();
    targets.sort_unstable();
    targets
}
