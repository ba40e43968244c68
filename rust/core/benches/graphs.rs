//! Explicit graphs: building them, counting in log space and counting exactly, on one thread.
//!
//! Benchmarks are named `<family>/<edges>/<what>`. Exact counts and those in log space must agree
//! on the total. Rates are in edges.

use std::hint::black_box;
use std::process::ExitCode;

use criterion::{BenchmarkId, Criterion, Throughput};
use unrolled_core::{
    Csr, Graph, GraphCountOptions, Indices, Lists, Monitor, NodeOrder, Result, Roles, from_edges,
};

/// About how many edges graphs have.
const SIZES: [usize; 2] = [100_000, 1_000_000];

/// Edges sorted by source, all of which lead to a larger node.
struct Edges {
    nodes: usize,
    sources: Vec<u32>,
    targets: Vec<u32>,
}

impl Edges {
    fn new(nodes: usize) -> Self {
        Self { nodes, sources: Vec::new(), targets: Vec::new() }
    }

    fn add(&mut self, source: usize, target: usize) {
        self.sources.push(source as u32);
        self.targets.push(target as u32);
    }

    /// The same edges in another order, and nodes with other numbers.
    fn shuffled(&self) -> Self {
        let mut number: Vec<u32> = (0..self.nodes as u32).collect();
        shuffle(&mut number);
        let mut edges: Vec<(u32, u32)> =
            self.sources.iter().copied().zip(self.targets.iter().copied()).collect();
        shuffle(&mut edges);
        let number = |node: u32| number[node as usize];
        let (sources, targets) = edges.into_iter().map(|(a, b)| (number(a), number(b))).unzip();
        Self { nodes: self.nodes, sources, targets }
    }

    fn lists(&self) -> Result<(Csr<'_>, NodeOrder)> {
        let (sources, targets) = (Indices::from(&self.sources[..]), (&self.targets[..]).into());
        from_edges(&sources, targets, None, Some(self.nodes as u64), 1, &Monitor::silent())
    }

    fn graph(&self) -> Result<Graph<'_>> {
        let (lists, order) = self.lists()?;
        Graph::new(Lists::Memory(lists), Roles::default(), order, 1, &Monitor::silent())
    }
}

/// A number that looks random (the mixing function of SplitMix64).
fn scattered(seed: u64) -> u64 {
    let mixed = (seed ^ (seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

fn shuffle<T>(values: &mut [T]) {
    for at in (1..values.len()).rev() {
        values.swap(at, (scattered(at as u64) % (at as u64 + 1)) as usize);
    }
}

/// 101 layers of equal width, each of which leads densely to the next one.
fn mlp(edges: usize) -> Edges {
    let width = (edges / 100).isqrt();
    let mut edges = Edges::new(101 * width);
    for source in 0..100 * width {
        let next = (source / width + 1) * width;
        (next..next + width).for_each(|target| edges.add(source, target));
    }
    edges
}

/// Every node has 8 successors, within the next 2% of all nodes.
fn random_local(edges: usize) -> Edges {
    let nodes = edges / 8;
    let window = (nodes * 12 / 625).max(2) as u64;
    let mut edges = Edges::new(nodes);
    for source in 0..nodes {
        for at in 0..8 {
            let step = 1 + scattered((8 * source + at) as u64) % window;
            let target = source + step as usize;
            if target < nodes {
                edges.add(source, target);
            }
        }
    }
    edges
}

/// 81 square layers: every node leads to 3 × 3 neighbours in the next layer, and skips over it
/// once.
fn grid(edges: usize) -> Edges {
    let side = (edges / 800).isqrt();
    let layer = side * side;
    let nodes = 81 * layer;
    let mut edges = Edges::new(nodes);
    for source in 0..nodes - layer {
        let (start, y, x) = (source / layer * layer, source % layer / side, source % side);
        for row in y.saturating_sub(1)..side.min(y + 2) {
            for column in x.saturating_sub(1)..side.min(x + 2) {
                edges.add(source, start + layer + row * side + column);
            }
        }
        if source + 2 * layer < nodes {
            edges.add(source, source + 2 * layer);
        }
    }
    edges
}

/// The base-2 logarithm of the number of all paths from nodes without a predecessor.
fn log2_total(graph: &Graph<'_>, exact: bool) -> Result<f64> {
    let options = GraphCountOptions { exact, threads: 1, ..GraphCountOptions::default() };
    let counts = graph.count(&options, &Monitor::silent())?;
    Ok(counts.spectrum(graph, &Monitor::silent())?.total.log2())
}

fn run(criterion: &mut Criterion) -> Result<()> {
    let monitor = Monitor::silent();
    let families = ["mlp", "random local", "grid"];
    for (family, make) in families.into_iter().zip([mlp, random_local, grid]) {
        let mut group = criterion.benchmark_group(family);
        group.sample_size(10);
        for size in SIZES {
            let edges = make(size);
            let shuffled = edges.shuffled();
            let graph = edges.graph()?;
            let (exact, log) = (log2_total(&graph, true)?, log2_total(&graph, false)?);
            assert!((exact / log - 1.0).abs() < 1e-13, "{exact} exactly, {log} in log space");
            group.throughput(Throughput::Elements(edges.sources.len() as u64));
            for (kind, exact) in [("log", false), ("exact", true)] {
                let options =
                    GraphCountOptions { exact, threads: 1, ..GraphCountOptions::default() };
                group.bench_function(BenchmarkId::new(size.to_string(), kind), |bencher| {
                    bencher.iter(|| black_box(&graph).count(&options, &monitor));
                });
            }
            for (kind, edges) in [("build", &edges), ("build shuffled", &shuffled)] {
                group.bench_function(BenchmarkId::new(size.to_string(), kind), |bencher| {
                    bencher.iter(|| black_box(edges).graph());
                });
            }
        }
        group.finish();
    }
    Ok(())
}

fn main() -> ExitCode {
    let mut criterion = Criterion::default().configure_from_args();
    match run(&mut criterion) {
        Ok(()) => {
            criterion.final_summary();
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
