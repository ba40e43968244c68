//! Cheap bounds, before anything is counted.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::network::{Link, Network, TensorId};
use crate::number::{Exact, Number};
use crate::relation::{AxisRelation, Relation};

/// Bytes that all activations together would take with every element stored: more than any exact
/// count of the network holds at once.
pub(crate) fn most_bytes(network: &Network, order: &[TensorId]) -> u64 {
    let mut bits = vec![f64::NEG_INFINITY; network.tensors().len()];
    for &output in network.outputs() {
        bits[output.0] = 0.0;
    }
    let mut incoming: Vec<Vec<&Link>> = vec![Vec::new(); bits.len()];
    for link in network.links() {
        incoming[link.target.0].push(link);
    }
    let mut bytes = 0.0;
    for &id in order.iter().rev() {
        if bits[id.0] == f64::NEG_INFINITY {
            continue;
        }
        let planes = ((bits[id.0].max(0.0) + 2.0) / Exact::RADIX_BITS as f64).ceil();
        bytes += 8.0 * planes * network.tensors()[id.0].elements() as f64;
        for link in &incoming[id.0] {
            let edges: f64 = link.relations.iter().map(|r| most_readers(r, network, link).log2()).sum();
            let (a, b) = (bits[link.source.0], bits[id.0] + edges);
            bits[link.source.0] = a.max(b) + (-(a - b).abs()).exp2().ln_1p() / std::f64::consts::LN_2;
        }
    }
    bytes as u64
}

/// At most how many target indices read one source index.
fn most_readers(part: &AxisRelation, network: &Network, link: &Link) -> f64 {
    let shape = &network.tensors()[link.target.0].shape;
    let extent: u64 = part.target_axes.iter().map(|&axis| shape[axis]).product();
    let readers = match &part.relation {
        Relation::Same | Relation::Each | Relation::Reshape => 1,
        Relation::Window(window) | Relation::TransposedWindow(window) => window.size.min(extent),
        Relation::Slice { step, .. } if *step != 0 => 1,
        Relation::Blocks { groups } => extent / groups,
        Relation::Sparse(rows) => rows.multiplicities.iter().sum(),
        _ => extent,
    };
    readers as f64
}

/// Most of the memory that is free on this machine, in bytes; asked for again after a second.
pub(crate) fn available_memory() -> u64 {
    static LATEST: Mutex<Option<(Instant, u64)>> = Mutex::new(None);
    let mut latest = LATEST.lock().unwrap_or_else(PoisonError::into_inner);
    match *latest {
        Some((at, bytes)) if at.elapsed() < Duration::from_secs(1) => bytes,
        _ => {
            let bytes = free_memory() / 10 * 9;
            *latest = Some((Instant::now(), bytes));
            bytes
        }
    }
}

fn free_memory() -> u64 {
    let mut system = sysinfo::System::new();
    system.refresh_memory();
    match system.cgroup_limits() {
        Some(limits) => limits.free_memory.min(system.available_memory()),
        None => system.available_memory(),
    }
}
