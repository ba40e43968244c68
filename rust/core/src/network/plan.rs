//! The plan of a sweep: the order of the tensors, the links that lead to counted parameters, and
//! the tensors whose counts may wait.
//!
//! A plan does not depend on the numbers that paths are counted in.

use crate::error::{Error, Result};
use crate::network::tensors::{Link, Network, Role, TensorId};

/// How a network is counted.
#[derive(Debug, Clone, Copy)]
pub struct CountOptions {
    /// Whether counts are integers of unlimited size; otherwise they are in log space.
    pub exact: bool,
    /// Whether parameters that training does not change are left out.
    pub trainable_only: bool,
    /// The most bytes that counts may take at once; by default most of what is free.
    pub memory_limit: Option<u64>,
}

impl Default for CountOptions {
    fn default() -> Self {
        Self { exact: true, trainable_only: false, memory_limit: None }
    }
}

/// What there is to do.
pub(crate) struct Plan<'n> {
    pub(super) network: &'n Network,
    /// All tensors that take part, in topological order.
    pub(crate) order: Vec<TensorId>,
    /// The outputs that take part.
    pub(super) outputs: Vec<TensorId>,
    /// The links into every tensor that come from counted parameters or depend on them. Those from
    /// parameters come first.
    pub(crate) incoming: Incoming<'n>,
    /// Whether a tensor is a counted parameter.
    pub(super) counted: Vec<bool>,
    /// Whether a tensor is, or depends on, a counted parameter.
    pub(super) matters: Vec<bool>,
    /// Whether only sums over the counts of a tensor are wanted, so that maps on the way to it may
    /// wait and become part of the sums.
    pub(super) summed: Vec<bool>,
}

/// Links, sorted by target.
pub(crate) struct Incoming<'n> {
    links: Vec<&'n Link>,
    /// The links of target `v` are `offsets[v]..offsets[v + 1]`.
    offsets: Vec<usize>,
}

impl<'n> Incoming<'n> {
    /// Takes links that are sorted by target already.
    fn new(links: Vec<&'n Link>, tensors: usize) -> Self {
        let mut offsets = Vec::with_capacity(tensors + 1);
        let mut at = 0;
        for target in 0..tensors {
            offsets.push(at);
            at += links[at..].iter().take_while(|link| link.target.0 == target).count();
        }
        offsets.push(at);
        Self { links, offsets }
    }

    /// The links into a tensor.
    pub(crate) fn of(&self, target: TensorId) -> &[&'n Link] {
        &self.links[self.offsets[target.0]..self.offsets[target.0 + 1]]
    }

    /// Drops all links but those for which `keep` is true.
    fn retain(&mut self, keep: impl Fn(&Link) -> bool) {
        self.links.retain(|link| keep(link));
        *self = Self::new(std::mem::take(&mut self.links), self.offsets.len() - 1);
    }
}

impl<'n> Plan<'n> {
    /// The outputs that take part.
    pub(crate) fn outputs(&self) -> &[TensorId] {
        &self.outputs
    }

    /// Whether a tensor is a counted parameter.
    pub(crate) fn is_counted(&self, tensor: usize) -> bool {
        self.counted[tensor]
    }

    /// Plans a sweep over a network.
    ///
    /// # Errors
    /// [`Error::Cycle`], [`Error::DisconnectedOutput`], and [`Error::NothingToCount`] without a
    /// parameter or an output.
    pub(crate) fn new(network: &'n Network, options: &CountOptions) -> Result<Self> {
        let order = network.topological_order()?;
        let counted: Vec<bool> = network
            .tensors()
            .iter()
            .map(|tensor| match tensor.role {
                Role::Parameter { trainable } => trainable || !options.trainable_only,
                _ => false,
            })
            .collect();
        if !counted.contains(&true) {
            let has_any =
                network.tensors().iter().any(|one| matches!(one.role, Role::Parameter { .. }));
            let reason = if has_any {
                "training changes no parameter of the network; count with trainable_only=False"
            } else {
                "the network has no parameters to count; add layers with parameters"
            };
            return Err(Error::NothingToCount { reason: reason.into() });
        }
        if network.outputs().is_empty() {
            let reason = "the network has no output; mark at least one tensor as output";
            return Err(Error::NothingToCount { reason: reason.into() });
        }
        for &output in network.outputs() {
            let tensor = network.tensor(output)?;
            if tensor.role == Role::Activation
                && !network.links().iter().any(|l| l.target == output)
            {
                return Err(Error::DisconnectedOutput { name: tensor.name.clone() });
            }
        }
        let mut links: Vec<&Link> = network.links().iter().collect();
        links.sort_by_key(|link| sorting_key(link, &counted));
        Ok(Self::of_parts(network, order, links, network.outputs().to_vec(), counted))
    }

    /// Plans a sweep over a part of a network: tensors in topological order, links among them in
    /// the order of [`sorting_key`], outputs, and which tensors are counted parameters.
    pub(crate) fn of_parts(
        network: &'n Network,
        order: Vec<TensorId>,
        links: Vec<&'n Link>,
        outputs: Vec<TensorId>,
        counted: Vec<bool>,
    ) -> Self {
        let mut matters = counted.clone();
        let mut readers = vec![0u32; counted.len()];
        for id in links.iter().map(|link| link.source).chain(outputs.iter().copied()) {
            readers[id.0] += 1;
        }
        let mut incoming = Incoming::new(links, network.tensors().len());
        for &id in &order {
            matters[id.0] |= incoming.of(id).iter().any(|link| matters[link.source.0]);
        }
        incoming.retain(|link| matters[link.source.0]);
        let summed = only_summed(&readers, &order, &incoming, &counted);
        Self { network, order, outputs, incoming, counted, matters, summed }
    }
}

/// Links in this order stand target by target. Those from counted parameters come first, and all
/// from one parameter stand together.
pub(crate) fn sorting_key(link: &Link, counted: &[bool]) -> (TensorId, bool, Option<TensorId>) {
    let is_counted = counted[link.source.0];
    (link.target, !is_counted, is_counted.then_some(link.source))
}

/// For every tensor, whether its counts come over a single link and go on to sums only. They do so
/// if they go to parameters, and over at most one link that mixes indices to tensors of which the
/// same is true. (Over several such links, applying one map after the other costs less than
/// applying their product.) `readers` are the links out of every tensor, and one more for outputs.
fn only_summed(
    readers: &[u32],
    order: &[TensorId],
    incoming: &Incoming<'_>,
    counted: &[bool],
) -> Vec<bool> {
    // How many mixing links the longest way to the last sums has; `None` if more than one.
    let mut mixing = vec![None; counted.len()];
    for &id in order.iter().filter(|id| readers[id.0] == 1) {
        let sources = incoming.of(id.to_owned()).iter().filter(|link| !counted[link.source.0]);
        let beyond = |link: &&Link| Some(mixing[link.source.0]? + usize::from(link.mixes()));
        let longest = sources.map(beyond).try_fold(0, |longest, length| Some(longest.max(length?)));
        mixing[id.0] = longest.filter(|&length| length <= 1);
    }
    mixing.iter().map(Option::is_some).collect()
}
