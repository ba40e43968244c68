//! Signal propagation at initialisation: how large signals and derivatives are in a network that
//! nobody has trained yet.
//!
//! Over random weights the elements of each tensor have some mean square, and some correlation
//! between two samples and between two positions. The derivatives of the outputs with respect to
//! them have such numbers, too. A [`Program`] is compiled from a network once; [`propagate`] then
//! computes these numbers for given [`Settings`] in a sweep forwards and one backwards. Nothing is
//! drawn at random.
//!
//! Limits: weights are independent and have mean zero; behind a function elements are taken to be
//! normal, which holds for many channels; operands of a sum or product are taken to be independent.
//! [`Program::exactness`] says where none of this is an approximation.
//!
//! ```
//! use unrolled_core::propagation::{
//!     BatchNormMode, Elements, InputLaw, OwnFunctions, Program, Resolution, Settings, Workspace,
//!     propagate,
//! };
//! use unrolled_core::{AxisRelation, LinkRole, Network, Operation, OperationKind, Relation, Role};
//!
//! // y = x @ w, with four inputs and two outputs.
//! let mut network = Network::new();
//! let x = network.add("x", &[4], Role::Input)?;
//! let w = network.add("w", &[4, 2], Role::Parameter { trainable: true })?;
//! let y = network.add_computed("y", &[2], Operation::new(OperationKind::Affine))?;
//! network.link(x, y, vec![AxisRelation::new(Relation::All, 0, 0)])?;
//! let reads = vec![AxisRelation::each(0), AxisRelation::new(Relation::Same, 1, 0)];
//! network.link_as(w, y, reads, LinkRole::Kernel)?;
//! network.mark_output(y)?;
//!
//! let program = Program::compile(&network, &OwnFunctions::new(), Resolution::Mean)?;
//! let settings = Settings {
//!     parameters: vec![Elements { mean: 0.0, mean_square: 0.25 }],
//!     inputs: vec![InputLaw::default()],
//!     batch_norm: BatchNormMode::Batch,
//!     seeds: vec![1.0],
//! };
//! let mut workspace = Workspace::default();
//! propagate(&program, &settings, &mut workspace)?;
//! // A variance of one over the number of inputs keeps the signal as large as it is.
//! let square = workspace.tensor(&program, y).map(|reading| reading.square.to_f64());
//! assert_eq!(square, Some(1.0));
//! // Eight weights of this variance have the sum of squares 2.
//! assert_eq!(workspace.jacobian(&program).to_f64(), 2.0);
//! # Ok::<(), unrolled_core::Error>(())
//! ```

mod backward;
mod cell_map;
mod cells;
mod compile;
mod functions;
mod geometry;
mod moments;
mod normal;
mod piecewise;
mod power;
mod program;
mod routing;
mod sampled;
mod scaled;
mod scaling;
mod settings;
mod signal;
mod smooth;
mod sweep;

pub use compile::followed_functions;
pub use functions::{FUNCTION_NAMES, OwnFunction, OwnFunctions, own_function};
pub use program::{Exactness, ParameterUse, Program, Resolution};
pub use scaled::Scaled;
pub use settings::{BatchNormMode, Elements, InputLaw, Settings};
pub use sweep::{TensorReading, Workspace, propagate};

pub(crate) use compile::{
    KernelUse, MASKED_ATTENTION, PART_OF_ATTENTION, Survey, behind_mask, joins_positions,
    visible_share,
};
pub(crate) use functions::Function;
pub(crate) use geometry::{lengths, sums, weighted_sums};
pub(crate) use moments::Moments;
pub(crate) use normal::largest as largest_normal;
pub(crate) use routing::{Routing, WeightLaw, WeightMoments};
pub(crate) use scaled::{excess, times_power_of_four};
pub(crate) use scaling::scalings;

/// Moments of a function of two normal variables: see [`function_moments`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FunctionMoments {
    /// `E f(x)`.
    pub mean: f64,
    /// `E f(x)^2`.
    pub square: f64,
    /// `E f(x) f(y)`.
    pub pair: f64,
    /// `E f'(x)^2`.
    pub slope_square: f64,
    /// `E f'(x) f'(y)`.
    pub slope_pair: f64,
}

/// Moments of a function of normal variables `x` and `y` of equal mean and variance; `None` if no
/// function of this name is known.
///
/// ```
/// use unrolled_core::propagation::{OwnFunctions, function_moments};
///
/// // Half of all arguments are positive, where ReLU leaves them as they are.
/// let moments = function_moments("relu", &OwnFunctions::new(), 0.0, 1.0, 0.0);
/// let square = moments.map(|moments| moments.square).unwrap_or_default();
/// assert!((square - 0.5).abs() < 1e-15);
/// ```
#[must_use]
pub fn function_moments(
    name: &str,
    own: &OwnFunctions,
    mean: f64,
    variance: f64,
    correlation: f64,
) -> Option<FunctionMoments> {
    let function = match own.get(name) {
        Some(function) => Function::own(function),
        None => Function::from_name(name)?,
    };
    let moments = function.alone(mean, variance, correlation);
    Some(FunctionMoments {
        mean: moments.mean,
        square: moments.square,
        pair: moments.pairs[0],
        slope_square: moments.slope_square,
        slope_pair: moments.slope_pair,
    })
}
