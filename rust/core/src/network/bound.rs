//! A cheap bound on the memory of a count, before anything is counted.

use crate::network::plan::Incoming;
use crate::network::relation::{AxisRelation, Relation};
use crate::network::tensors::{Network, TensorId};
use crate::number::{Exact, Number};

/// The bytes that all activations together would take if every element were stored. This is more
/// than any exact count of the network takes at once.
pub(crate) fn most_bytes(network: &Network, order: &[TensorId], incoming: &Incoming<'_>) -> u64 {
    // A count of a tensor has at most so many bits; 0 where nothing leads to an output.
    let mut bits = vec![0u64; network.tensors().len()];
    for &output in network.outputs() {
        bits[output.0] = 1;
    }
    let mut bytes = 0u64;
    for &id in order.iter().rev() {
        if bits[id.0] == 0 {
            continue;
        }
        let tensor = &network.tensors()[id.0];
        let planes = bits[id.0].div_ceil(Exact::RADIX_BITS);
        bytes = bytes.saturating_add(tensor.elements().saturating_mul(8 * planes));
        for link in incoming.of(id) {
            let readers = link.relations.iter().map(|part| most_readers(part, &tensor.shape));
            let passed = bits[id.0] + readers.map(bit_length).sum::<u64>();
            let known = &mut bits[link.source.0];
            *known = if *known == 0 { passed } else { (*known).max(passed) + 1 };
        }
    }
    bytes
}

/// A count that is multiplied by `factor` grows by at most so many bits.
fn bit_length(factor: u64) -> u64 {
    u64::from(u64::BITS - factor.saturating_sub(1).leading_zeros())
}

/// At most so many target indices read one source index.
fn most_readers(part: &AxisRelation, shape: &[u64]) -> u64 {
    let extent: u64 = part.target_axes.iter().map(|&axis| shape[axis]).product();
    match &part.relation {
        Relation::Same | Relation::Each | Relation::Reshape => 1,
        Relation::Window(window) | Relation::TransposedWindow(window) => window.size.min(extent),
        Relation::Slice { step, .. } if *step != 0 => 1,
        Relation::Blocks { groups } => extent / groups,
        Relation::Sparse(rows) => rows.multiplicities.iter().sum(),
        _ => extent,
    }
}
