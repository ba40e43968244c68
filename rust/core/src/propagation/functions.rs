//! Functions of single elements by their names, and the moments of their values.

use std::collections::HashMap;

use super::moments::{Law, Moments};
use super::piecewise::PiecewiseLinear;
use super::power::Power;
use super::sampled::Sampled;
use super::smooth::{Expansion, Smooth};

/// A function whose moments are known.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Function {
    /// Linear between kinks.
    Piecewise(PiecewiseLinear),
    /// A power of positive numbers that vary little.
    Power(Power),
    /// Any other.
    Smooth(Smooth),
}

/// Functions of a caller's own, by name.
pub type OwnFunctions = HashMap<String, OwnFunction>;

/// A function of a caller's own; see [`own_function`].
#[derive(Debug, Clone, PartialEq)]
pub struct OwnFunction(pub(crate) Sampled);

/// A function by its values: polynomials on the pieces between breaks, which continue as straight
/// lines beyond the first and the last.
///
/// # Errors
/// Breaks that do not ascend, other than 16 Chebyshev coefficients a piece, or numbers that are not
/// finite.
pub fn own_function(
    breaks: Vec<f64>,
    coefficients: &[f64],
    kinks: Vec<f64>,
    is_monotone: bool,
) -> crate::error::Result<OwnFunction> {
    Sampled::new(breaks, coefficients, kinks, is_monotone).map(OwnFunction)
}

/// Names of the functions that are known.
pub const FUNCTION_NAMES: [&str; 33] = [
    "abs",
    "atan",
    "celu",
    "clip",
    "cos",
    "elu",
    "erf",
    "exp",
    "gelu",
    "gelu_tanh",
    "hard_sigmoid",
    "hard_swish",
    "hard_tanh",
    "identity",
    "leaky_relu",
    "linear",
    "log_sigmoid",
    "mish",
    "negative",
    "prelu",
    "quick_gelu",
    "relu",
    "relu6",
    "selu",
    "sigmoid",
    "silu",
    "sin",
    "softplus",
    "softshrink",
    "softsign",
    "square",
    "swish",
    "tanh",
];

impl Function {
    /// The function of this name, such as `relu` or `leaky_relu(0.2)`.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        let (base, arguments) = match name.split_once('(') {
            Some((base, rest)) => (base, rest.strip_suffix(')')?),
            None => (name, ""),
        };
        let numbers: Vec<f64> = if arguments.trim().is_empty() {
            Vec::new()
        } else {
            arguments.split(',').map(|text| text.trim().parse().ok()).collect::<Option<_>>()?
        };
        if numbers.len() > 3 || numbers.iter().any(|x| x.is_nan()) {
            return None;
        }
        let number = |index: usize, default: f64| numbers.get(index).copied().unwrap_or(default);
        let plain: String = base.trim().to_ascii_lowercase().replace(['_', '-', ' '], "");
        let most = match plain.as_str() {
            "power" => 3,
            "clip" | "hardtanh" | "linear" | "hardsigmoid" => 2,
            "leakyrelu" | "prelu" | "erf" | "silu" | "swish" | "softplus" | "elu" | "celu"
            | "softshrink" => 1,
            _ => 0,
        };
        if numbers.len() > most {
            return None;
        }
        let rays = |left, right| Some(Self::Piecewise(PiecewiseLinear::rays(left, right)));
        let clipped = |slope: f64, offset: f64, low: f64, high: f64| {
            (low < high && slope > 0.0).then(|| {
                let ends = [((low - offset) / slope, slope), ((high - offset) / slope, -slope)];
                let kinks: Vec<_> = ends.into_iter().filter(|end| end.0.is_finite()).collect();
                let is_bounded = low.is_finite();
                let (left, at) = if is_bounded { (0.0, low) } else { (slope, offset) };
                Self::Piecewise(PiecewiseLinear::new(left, at, &kinks))
            })
        };
        let smooth = |function| Some(Self::Smooth(function));
        let positive = |value: f64| (value > 0.0 && value.is_finite()).then_some(value);
        let finite = |value: f64| value.is_finite().then_some(value);
        match plain.as_str() {
            "relu" => rays(0.0, 1.0),
            "leakyrelu" => rays(finite(number(0, 0.01))?, 1.0),
            "prelu" => rays(finite(number(0, 0.25))?, 1.0),
            "abs" => rays(-1.0, 1.0),
            "identity" => rays(1.0, 1.0),
            "negative" => rays(-1.0, -1.0),
            "linear" => {
                let (slope, offset) = (finite(number(0, 1.0))?, finite(number(1, 0.0))?);
                Some(Self::Piecewise(PiecewiseLinear::new(slope, offset, &[])))
            }
            "relu6" => clipped(1.0, 0.0, 0.0, 6.0),
            "clip" => clipped(1.0, 0.0, number(0, f64::NEG_INFINITY), number(1, f64::INFINITY)),
            "hardtanh" => clipped(1.0, 0.0, number(0, -1.0), number(1, 1.0)),
            "hardsigmoid" => clipped(number(0, 1.0 / 6.0), number(1, 0.5), 0.0, 1.0),
            "softshrink" => {
                let width = positive(number(0, 0.5))?;
                let kinks = [(-width, -1.0), (width, 1.0)];
                Some(Self::Piecewise(PiecewiseLinear::new(1.0, width, &kinks)))
            }
            "gelu" => smooth(Smooth::Gelu),
            "gelutanh" => smooth(Smooth::GeluTanh),
            "quickgelu" => smooth(Smooth::Silu(1.702)),
            "silu" | "swish" => smooth(Smooth::Silu(finite(number(0, 1.0))?)),
            "sigmoid" => smooth(Smooth::Sigmoid),
            "tanh" => smooth(Smooth::Tanh),
            "softplus" => smooth(Smooth::Softplus(positive(number(0, 1.0))?)),
            "mish" => smooth(Smooth::Mish),
            "exp" => smooth(Smooth::Exp),
            "erf" => {
                let slope = finite(number(0, std::f64::consts::PI.sqrt() / 2.0))?;
                smooth(Smooth::Erf(slope))
            }
            "elu" => {
                let alpha = finite(number(0, 1.0))?;
                smooth(Smooth::Elu { scale: 1.0, alpha, width: 1.0 })
            }
            "celu" => {
                let alpha = positive(number(0, 1.0))?;
                smooth(Smooth::Elu { scale: 1.0, alpha, width: alpha })
            }
            "selu" => smooth(Smooth::selu()),
            "hardswish" => smooth(Smooth::HardSwish),
            "softsign" => smooth(Smooth::Softsign),
            "logsigmoid" => smooth(Smooth::LogSigmoid),
            "square" => smooth(Smooth::Square),
            "sin" => smooth(Smooth::Sin),
            "cos" => smooth(Smooth::Cos),
            "atan" => smooth(Smooth::Atan),
            "sqrt" => Some(Self::Power(Power { exponent: 0.5, shift: 0.0, scale: 1.0 })),
            "reciprocal" => Some(Self::Power(Power::RECIPROCAL)),
            "power" => {
                let [exponent, shift, scale] =
                    [number(0, 1.0), number(1, 0.0), number(2, 1.0)].map(finite);
                let (exponent, shift, scale) = (exponent?, shift?, scale?);
                Some(Self::Power(Power { exponent, shift, scale }))
            }
            _ => None,
        }
    }

    /// A function of a caller's own.
    pub(crate) fn own(function: &OwnFunction) -> Self {
        Self::Smooth(Smooth::Sampled(function.0.clone()))
    }

    /// Whether `f(a x) = a f(x)` for every positive `a`.
    pub(crate) fn is_homogeneous(&self) -> bool {
        matches!(self, Self::Piecewise(function) if function.is_homogeneous())
    }

    /// Slope and offset of a straight line.
    pub(crate) fn line(&self) -> Option<(f64, f64)> {
        match self {
            Self::Piecewise(function) if function.is_straight() => {
                Some((function.far_slopes().0, function.value(0.0)))
            }
            _ => None,
        }
    }

    /// Whether the largest value is that of the largest argument: always, or, as for GELU and its
    /// like, unless all arguments are negative, where values hardly differ.
    pub(crate) fn rises(&self) -> bool {
        match self {
            Self::Piecewise(function) => function.is_monotone(),
            Self::Power(_) => false,
            Self::Smooth(function) => function.rises(),
        }
    }

    /// What the function comes near to for arguments that are all close to zero, or all so large
    /// that only its far slopes matter: a line on either side of zero, and a value at zero. `None`
    /// if the function is bounded or grows faster than any line.
    pub(crate) fn limit(&self, is_small: bool) -> Option<(Self, f64)> {
        let ((left, right), value) = match (self, is_small) {
            (Self::Piecewise(function), false) => (function.far_slopes(), 0.0),
            (Self::Piecewise(function), true) => {
                let value = function.value(0.0);
                let side = |x: f64| (function.value(x) - value) / x;
                // Arguments are nearer to zero than any kink that is not at zero.
                ((side(-1e-9), side(1e-9)), value)
            }
            (Self::Power(_), _) => return None,
            (Self::Smooth(function), true) => {
                let (left, right, value) = function.tangents();
                ((left, right), value)
            }
            (Self::Smooth(function), false) => (function.far_slopes()?, 0.0),
        };
        Some((Self::Piecewise(PiecewiseLinear::rays(left, right)), value))
    }

    /// Moments for two normal variables of the given correlation.
    pub(crate) fn alone(&self, mean: f64, variance: f64, correlation: f64) -> Moments {
        let law = Law { mean, variance, correlations: [correlation; 3] };
        self.moments(&law, &mut None)
    }

    /// Moments of the values.
    pub(crate) fn moments(&self, law: &Law, kept: &mut Option<Expansion>) -> Moments {
        match self {
            Self::Piecewise(function) => function.moments(law),
            Self::Power(power) => power.moments(law),
            Self::Smooth(function) => function.moments(law, kept),
        }
    }
}
