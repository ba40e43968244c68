//! Counting takes the memory that was announced, and no more.

use unrolled_core::{
    Csr, Error, Graph, GraphCountOptions, Kinds, Lists, Monitor, NodeOrder, ParameterNodes, Roles,
};

/// Layers of equal width, in which every node has three successors in the next layer.
fn bands(width: u32, layers: u32) -> Graph<'static> {
    let inner = width * (layers - 1);
    let next = |node: u32, step: u32| (node / width + 1) * width + (node + step) % width;
    let targets: Vec<u32> =
        (0..inner).flat_map(|node| [1, 2, 3].map(|step| next(node, step))).collect();
    let offsets: Vec<u32> = (0..=width * layers).map(|node| 3 * node.min(inner)).collect();
    let lists = Csr::new(offsets.into(), targets.into(), None).unwrap();
    let roles = Roles { parameters: ParameterNodes::Nodes(vec![0]), ..Roles::default() };
    Graph::new(Lists::Memory(lists), roles, NodeOrder::default(), 1, &Monitor::silent()).unwrap()
}

#[test]
fn rows_that_are_let_go_keep_memory_below_the_limit() {
    let silent = Monitor::silent();
    for (width, layers) in [(30_000, 45), (300, 200)] {
        let graph = bands(width, layers);
        let all = graph.count(&GraphCountOptions::default(), &silent).unwrap();
        for threads in [1, 3] {
            let options = |limit| GraphCountOptions {
                kinds: Kinds::Parameters,
                threads,
                memory_limit: Some(limit),
                ..GraphCountOptions::default()
            };
            // The limit is lowered until counting is refused.
            let mut limit = u64::MAX;
            while let Ok(counts) = graph.count(&options(limit), &silent) {
                // The digits of the one parameter that is kept come on top.
                let peak = counts.peak_bytes() - 1000;
                assert!(peak < limit && peak < all.peak_bytes() / 4, "{peak} for {limit}");
                assert_eq!(counts.value(0).unwrap().exact, all.value(0).unwrap().exact);
                limit = limit.min(peak) / 4 * 3;
            }
            let refused = graph.count(&options(limit), &silent);
            let Err(Error::GraphMemory { needed, .. }) = refused else { panic!("not refused") };
            let counts = graph.count(&options(needed), &silent).unwrap();
            assert!(counts.peak_bytes() <= needed + 1000);
        }
    }
}
