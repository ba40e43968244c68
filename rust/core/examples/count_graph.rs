//! Counts the paths of every node of an explicit graph, and the distinct counts of its parameters.
//!
//! Run it with `cargo run --example count_graph`.

use unrolled_core::{
    Graph, GraphCountOptions, Lists, Monitor, ParameterNodes, Result, Roles, Towards, from_edges,
};

/// Edges of three layers of 3, 4 and 2 nodes, each of which leads to all nodes of the next layer.
fn edges() -> (Vec<u32>, Vec<u32>) {
    let layers = [0..3, 3..7, 7..9];
    let pairs = layers.windows(2).flat_map(|pair| {
        pair[0].clone().flat_map(|source| pair[1].clone().map(move |target| (source, target)))
    });
    pairs.unzip()
}

fn main() -> Result<()> {
    let monitor = Monitor::silent();
    let (sources, targets) = edges();
    let (lists, order) = from_edges(&sources.into(), targets.into(), None, None, 0, &monitor)?;

    // Outputs are the nodes without a successor. Nodes 0 and 1 are one tied parameter, node 2 is
    // another one.
    let labels = vec![0, 0, 1, -1, -1, -1, -1, -1, -1];
    let roles = Roles { parameters: ParameterNodes::Labels(labels), ..Roles::default() };
    let graph = Graph::new(Lists::Memory(lists), roles, order, 0, &monitor)?;

    let counts = graph.count(&GraphCountOptions::default(), &monitor)?;
    for node in 0..graph.nodes() {
        let paths = counts.value(node)?.exact.unwrap_or_default();
        println!("node {node}: {paths} paths to outputs");
    }
    let spectrum = counts.spectrum(&graph, &monitor)?;
    for (level, degeneracy) in spectrum.degeneracies.iter().enumerate() {
        let contexts = counts.level(&spectrum, level).unwrap_or_default();
        println!("{degeneracy} parameters with {contexts} contexts");
    }

    // How many paths lead from the nodes without a predecessor to the outputs through each node?
    let options = GraphCountOptions { towards: Towards::Both, ..GraphCountOptions::default() };
    let through = graph.count(&options, &monitor)?;
    println!("node 3: {} paths through it", through.value(3)?.exact.unwrap_or_default());
    Ok(())
}
