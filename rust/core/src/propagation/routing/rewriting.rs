//! A network with slots, from what was found about one with experts.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use super::finding::{Class, Found, find};
use super::{Routing, TOP_K, is_other};
use crate::error::Result;
use crate::network::{Network, Role, TensorId};
use crate::propagation::Survey;

/// Of more choices than this that are not understood, the rest is not looked at: each takes a pass.
const MOST_REFUSALS: usize = 64;

/// Rewrites a network that has a choice of the largest numbers somewhere.
pub(super) fn rewrite(network: &Network) -> Result<Routing<'_>> {
    let survey = Survey::new(network)?;
    let (mut left_out, mut reasons) = (HashSet::new(), HashMap::new());
    // What is not understood is left as it is, and all else is looked at again.
    let found = loop {
        if left_out.len() > MOST_REFUSALS {
            let all = (0..network.tensors().len()).map(TensorId);
            left_out.extend(all.filter(|&id| is_other(network, id, TOP_K)));
        }
        match find(network, &survey, &left_out) {
            Ok(found) => break found,
            Err(failure) => {
                left_out.insert(failure.router);
                let name = &network.tensors()[failure.at.0].name;
                reasons.insert(
                    failure.router,
                    format!(
                        "what is computed at '{name}' of the elements that it chooses is no \
                         mixture of experts that is known"
                    ),
                );
            }
        }
    };
    let Found { classes, sides, links, operations, routes, experts, readers } = &found;
    let mut rewritten = Network::new();
    for (number, tensor) in network.tensors().iter().enumerate() {
        let id = TensorId(number);
        let shape = sides.get(&id).map_or(&tensor.shape[..], |side| &side.shape);
        rewritten.add(&tensor.name, shape, tensor.role)?;
        if tensor.role == Role::Activation {
            let operation = operations.get(&id).unwrap_or(network.operation(id)?);
            rewritten.set_operation(id, operation.clone())?;
        }
    }
    let is_plain = |id: TensorId| matches!(classes[id.0], Class::Plain | Class::Choice { .. });
    for link in network.links() {
        // Nothing that lives is left unlinked: all readers of rows and of slots were rewritten.
        if !links.contains_key(&link.target) && is_plain(link.source) && is_plain(link.target) {
            let relations = link.relations.to_vec();
            rewritten.link_as(link.source, link.target, relations, link.role)?;
        }
    }
    for number in 0..network.tensors().len() {
        for new in links.get(&TensorId(number)).into_iter().flatten() {
            rewritten.link_as(new.source, TensorId(number), new.relations.clone(), new.role)?;
        }
    }
    for &output in network.outputs() {
        rewritten.mark_output(output)?;
    }
    Ok(Routing {
        network: Cow::Owned(rewritten),
        routes: routes.clone(),
        experts: experts.clone(),
        readers: readers.clone(),
        reasons,
    })
}
