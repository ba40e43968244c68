//! Edges with any identifiers either are refused or become a graph, of which all counts are asked
//! for.
#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use unrolled_core::{
    Graph, GraphCountOptions, Indices, Kinds, Lists, Monitor, ParameterNodes, Roles, Towards,
    from_edges,
};

#[derive(Arbitrary, Debug)]
struct Input {
    /// Identifiers are small, so that most edges lead to nodes.
    edges: Vec<(u8, u8, Option<u64>)>,
    odd: Option<(u64, u64)>,
    nodes: Option<u16>,
    multiplicity: bool,
    outputs: Option<Vec<u8>>,
    inputs: Option<Vec<u8>>,
    labels: Option<Vec<i8>>,
}

fuzz_target!(|input: Input| {
    let silent = Monitor::silent();
    let ids = |side: fn(&(u8, u8, Option<u64>)) -> u8| -> Vec<u64> {
        input.edges.iter().map(|edge| u64::from(side(edge))).collect()
    };
    let (mut sources, mut targets) = (ids(|edge| edge.0), ids(|edge| edge.1));
    let mut times: Vec<u64> = input.edges.iter().map(|edge| edge.2.unwrap_or(1)).collect();
    let mut nodes = input.nodes.map(u64::from);
    if let Some((source, target)) = input.odd {
        // Without a number of nodes there could be billions, which would only take time.
        nodes = nodes.or(Some(300));
        sources.push(source);
        targets.push(target);
        times.push(1);
    }
    let (sources, targets): (Indices<'_>, Indices<'_>) = (sources.into(), targets.into());
    let times = input.multiplicity.then(|| times.into());
    let Ok((lists, order)) = from_edges(&sources, targets, times, nodes, 1, &silent) else { return };
    let wide = |ids: Vec<u8>| ids.into_iter().map(u32::from).collect();
    let labels = input.labels.map(|labels| labels.into_iter().map(i64::from).collect());
    let roles = Roles {
        outputs: input.outputs.map(wide),
        inputs: input.inputs.map(wide),
        parameters: labels.map_or(ParameterNodes::Sources, ParameterNodes::Labels),
    };
    let Ok(graph) = Graph::new(Lists::Memory(lists), roles, order, 1, &silent) else { return };
    for towards in [Towards::Outputs, Towards::Inputs, Towards::Both] {
        for (exact, kinds) in [(false, Kinds::All), (true, Kinds::All), (true, Kinds::Parameters)] {
            let options = GraphCountOptions {
                exact,
                towards,
                kinds,
                threads: 1,
                memory_limit: Some(1 << 28),
            };
            if let Ok(counts) = graph.count(&options, &silent) {
                counts.log2(1, &silent).expect("nothing interrupts");
                counts.spectrum(&graph, &silent).expect("it was counted");
            }
        }
    }
});
