//! Mixtures of experts: tokens that are computed by a few of many alike parts each.
//!
//! A router gives each token a number for every expert. The experts with the `k` largest numbers
//! compute the token, and their results are added with weights that depend on these numbers.
//! Frameworks write this with rows that are sorted, gathered and put back by numbers known only at
//! run time. To a signal it is simpler: every token is computed by `k` dense parts, its *slots*, and
//! weighed. Two tokens meet the same weights where they chose the same expert, so that slots of
//! equal experts are compared; that others share nothing is a matter of the weights, whose mean
//! products are those of tokens that chose the same ([`weights`]). [`rewriting`] makes a network of
//! such slots of one with experts, tensor by tensor, and counts nothing.

mod finding;
mod links;
mod rewriting;
mod weights;

use std::borrow::Cow;
use std::collections::HashMap;

use crate::error::Result;
use crate::network::{Network, TensorId};

pub(crate) use weights::{WeightLaw, WeightMoments};

/// The function of an operation of the kind `other` that takes the largest numbers along its last
/// axis, or says where they are.
pub(crate) const TOP_K: &str = "top_k";

/// That of the product of rows with the matrices of their groups.
const GROUPED_MATMUL: &str = "grouped_matmul";

/// That of the weights of the experts that a token chose, in a network that was rewritten.
pub(crate) const ROUTE: &str = "route";

/// A network whose experts are slots.
#[derive(Debug)]
pub(crate) struct Routing<'a> {
    /// The network, which is the given one if it has no experts.
    pub(crate) network: Cow<'a, Network>,
    /// How the weights of experts follow from what their tensor is linked to.
    pub(crate) routes: HashMap<TensorId, WeightLaw>,
    /// How many experts there are for each slot of a parameter.
    pub(crate) experts: HashMap<TensorId, f64>,
    /// How many slots read each token, by the tensor that they compute.
    pub(crate) readers: HashMap<TensorId, f64>,
    /// Why what a tensor chooses is not followed.
    pub(crate) reasons: HashMap<TensorId, String>,
}

impl<'a> Routing<'a> {
    /// Rewrites a network as far as its experts are understood.
    ///
    /// # Errors
    /// A network without outputs, or a cycle.
    pub(crate) fn of(network: &'a Network) -> Result<Self> {
        let ids = (0..network.tensors().len()).map(TensorId);
        let mut chooses = ids.map(|id| is_other(network, id, TOP_K));
        if chooses.any(|one| one) { rewriting::rewrite(network) } else { Ok(Self::none(network)) }
    }

    /// The network as it is.
    pub(crate) fn none(network: &'a Network) -> Self {
        Self {
            network: Cow::Borrowed(network),
            routes: HashMap::new(),
            experts: HashMap::new(),
            readers: HashMap::new(),
            reasons: HashMap::new(),
        }
    }
}

/// Whether a tensor has an operation of the kind `other` with this function.
fn is_other(network: &Network, id: TensorId, function: &str) -> bool {
    use crate::network::OperationKind::Other;
    network
        .operation(id)
        .is_ok_and(|one| one.kind == Other && one.function.as_deref() == Some(function))
}
