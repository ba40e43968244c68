//! A file of any bytes is read as if it held the lists of a graph.
#![no_main]

use std::path::PathBuf;
use std::sync::OnceLock;

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use unrolled_core::{
    FileLists, FilePlace, Graph, GraphCountOptions, Lists, Monitor, NodeOrder, Roles, Towards,
};

#[derive(Arbitrary, Debug)]
struct Input {
    bytes: Vec<u8>,
    /// The length of every list.
    lengths: Vec<u8>,
    targets: u64,
    wide: bool,
    multiplicity: Option<u64>,
    threads: bool,
}

/// The file, one for every process.
fn path() -> &'static PathBuf {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| std::env::temp_dir().join(format!("unrolled-{}", std::process::id())))
}

fuzz_target!(|input: Input| {
    let silent = Monitor::silent();
    std::fs::write(path(), &input.bytes).expect("there is room for it");
    let place = FilePlace::open(path(), input.targets, input.wide, input.multiplicity)
        .expect("it was just written");
    let mut offsets = vec![0u32];
    let mut edges = 0;
    for &length in &input.lengths {
        edges += u32::from(length);
        offsets.push(edges);
    }
    let Ok(lists) = FileLists::new(place, offsets.into(), edges as usize) else { return };
    let threads = if input.threads { 2 } else { 1 };
    let lists = Lists::File(lists);
    let Ok(graph) = Graph::new(lists, Roles::default(), NodeOrder::default(), threads, &silent) else { return };
    for exact in [true, false] {
        for towards in [Towards::Outputs, Towards::Inputs, Towards::Both] {
            let options = GraphCountOptions {
                exact,
                towards,
                threads,
                memory_limit: Some(1 << 28),
                ..GraphCountOptions::default()
            };
            if let Ok(counts) = graph.count(&options, &silent) {
                counts.log2(1, &silent).expect("nothing interrupts");
            }
        }
    }
});
