//! Counts the contexts of a small convolutional network, exactly and in log space.
//!
//! Run it with `cargo run --example count_network`.

use unrolled_core::{
    AxisRelation, CountOptions, Monitor, Network, Relation, Result, Role, Window, count,
};

/// An image of 32 x 32 pixels with 3 channels, a convolution with 16 kernels of 3 x 3, and a dense
/// layer to 10 outputs.
fn network() -> Result<Network> {
    let mut network = Network::new();
    let weights = Role::Parameter { trainable: true };
    let image = network.add("image", &[3, 32, 32], Role::Input)?;
    let kernel = network.add("convolution/kernel", &[16, 3, 3, 3], weights)?;
    let features = network.add("convolution", &[16, 32, 32], Role::Activation)?;
    let matrix = network.add("dense/kernel", &[16, 32, 32, 10], weights)?;
    let classes = network.add("dense", &[10], Role::Activation)?;

    // Every channel of the convolution reads all channels of the image, under a window along both
    // axes of the image. Every tap of the kernel is used at all positions where it is in bounds.
    let window = Window { size: 3, stride: 1, dilation: 1, padding: 1 };
    let slide = |axis| AxisRelation::new(Relation::Window(window), axis, axis);
    let tap = |axis| AxisRelation::new(Relation::Taps { window, extent: 32 }, axis, axis - 1);
    network.link(
        image,
        features,
        vec![AxisRelation::new(Relation::All, 0, 0), slide(1), slide(2)],
    )?;
    network.link(
        kernel,
        features,
        vec![AxisRelation::new(Relation::Same, 0, 0), AxisRelation::each(1), tap(2), tap(3)],
    )?;

    // Every class reads all features, each by a weight of its own.
    let mut dense: Vec<_> = (0..3).map(AxisRelation::each).collect();
    network.link(features, classes, [dense.clone(), vec![AxisRelation::sum(0)]].concat())?;
    dense.push(AxisRelation::new(Relation::Same, 3, 0));
    network.link(matrix, classes, dense)?;
    network.mark_output(classes)?;
    Ok(network)
}

fn main() -> Result<()> {
    let network = network()?;
    let monitor = Monitor::silent();
    let exact = count(&network, &CountOptions::default(), &monitor)?;
    for parameter in &exact.parameters {
        let name = &network.tensor(parameter.tensor)?.name;
        println!("{name}: {} weight nodes", parameter.weight_nodes);
        for level in &parameter.levels {
            let contexts = level.value.exact.clone().unwrap_or_default();
            println!("    {} parameters with {contexts} contexts", level.degeneracy);
        }
    }
    println!("all contexts: {}", exact.total.exact.clone().unwrap_or_default());

    let options = CountOptions { exact: false, ..CountOptions::default() };
    let log = count(&network, &options, &monitor)?;
    println!("base-2 logarithm, counted in log space: {}", log.total.log2());
    Ok(())
}
