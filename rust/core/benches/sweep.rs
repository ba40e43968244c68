//! Counting a tower of residual convolutions, exactly and in log space.
//!
//! Benchmarks are named `tower/<case>/<number>`; both kinds of numbers must agree on the total
//! number of contexts. Cases differ only in the size of kernels. Sliding a window costs the same at
//! any size; but with a larger kernel counts are longer, and there are more taps, each with a count
//! of its own.

use std::hint::black_box;
use std::process::ExitCode;

use criterion::Criterion;
use unrolled_core::{
    AxisRelation, CountOptions, Monitor, Network, Relation, Result, Role, TensorId, Window, count,
};

const CHANNELS: u64 = 64;
const SIDE: u64 = 56;
const BLOCKS: usize = 16;

/// Adds a convolution with a bias and a kernel of odd size; gives its output, which has the shape
/// of `x`.
fn convolution(network: &mut Network, x: TensorId, name: &str, kernel: u64) -> Result<TensorId> {
    let image = [CHANNELS, SIDE, SIDE];
    let parameter = Role::Parameter { trainable: true };
    let y = network.add(name, &image, Role::Activation)?;
    let weight =
        network.add(&format!("{name}/kernel"), &[CHANNELS, CHANNELS, kernel, kernel], parameter)?;
    let bias = network.add(&format!("{name}/bias"), &[CHANNELS], parameter)?;
    let window = Window { size: kernel, stride: 1, dilation: 1, padding: (kernel / 2) as i64 };
    let slides = |axis| AxisRelation::new(Relation::Window(window), axis, axis);
    let tap = |axis| AxisRelation::new(Relation::Taps { window, extent: SIDE }, axis, axis - 1);
    let same = || AxisRelation::new(Relation::Same, 0, 0);
    network.link(x, y, vec![AxisRelation::new(Relation::All, 0, 0), slides(1), slides(2)])?;
    network.link(weight, y, vec![same(), AxisRelation::each(1), tap(2), tap(3)])?;
    network.link(bias, y, vec![same(), AxisRelation::sum(1), AxisRelation::sum(2)])?;
    Ok(y)
}

/// `x = x + convolution(convolution(x))`, [`BLOCKS`] times.
fn tower(kernel: u64) -> Result<Network> {
    let image = [CHANNELS, SIDE, SIDE];
    let mut network = Network::new();
    let mut x = network.add("image", &image, Role::Input)?;
    for block in 1..=BLOCKS {
        let first = convolution(&mut network, x, &format!("block{block}/first"), kernel)?;
        let second = convolution(&mut network, first, &format!("block{block}/second"), kernel)?;
        let sum = network.add(&format!("block{block}"), &image, Role::Activation)?;
        for term in [x, second] {
            let same = (0..3).map(|axis| AxisRelation::new(Relation::Same, axis, axis)).collect();
            network.link(term, sum, same)?;
        }
        x = sum;
    }
    network.mark_output(x)?;
    Ok(network)
}

/// The base-2 logarithm of the total number of contexts.
fn log2_total(network: &Network, exact: bool) -> Result<f64> {
    let options = CountOptions { exact, ..CountOptions::default() };
    Ok(count(network, &options, &Monitor::silent())?.total.log2())
}

fn run(criterion: &mut Criterion) -> Result<()> {
    for kernel in [3, 31] {
        let network = tower(kernel)?;
        let (exact, log) = (log2_total(&network, true)?, log2_total(&network, false)?);
        assert!((exact / log - 1.0).abs() < 1e-12, "log2 Z is {exact} exactly, {log} in log space");
        for (number, exact) in [("exact", true), ("log", false)] {
            criterion.bench_function(&format!("tower/{kernel}x{kernel}/{number}"), |bencher| {
                bencher.iter(|| log2_total(black_box(&network), exact));
            });
        }
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
