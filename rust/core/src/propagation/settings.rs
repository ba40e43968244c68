//! What may change between two sweeps over one program: weights, inputs, and modes.

/// Mean and mean square of the elements of a parameter.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Elements {
    /// The mean.
    pub mean: f64,
    /// The mean square: of a kernel, the variance that it has at initialisation.
    pub mean_square: f64,
}

/// The law of an input: its elements have mean zero.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct InputLaw {
    /// Mean of the squares.
    pub mean_square: f64,
    /// Correlation with the same element of another sample.
    pub samples: f64,
    /// Correlation with the element of the same channel at another position.
    pub positions: f64,
    /// Correlation with an element of another sample at another position.
    pub both: f64,
    /// Whether it is the law behind the scaling that a model begins with, if it does with one, such
    /// as a division by 255; see [`Program::entries`](super::Program::entries).
    pub is_scaled: bool,
}

impl Default for InputLaw {
    fn default() -> Self {
        Self { mean_square: 1.0, samples: 0.0, positions: 0.0, both: 0.0, is_scaled: true }
    }
}

/// Where a batch norm has its mean and variance from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum BatchNormMode {
    /// From the samples, as in training.
    #[default]
    Batch,
    /// From its parameters, as in inference.
    Stored,
}

/// All that a sweep needs besides a program.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// The elements of every parameter, in the order of
    /// [`Program::parameters`](super::Program::parameters).
    pub parameters: Vec<Elements>,
    /// The law of each input, in the order of declaration; of all, if there is only one.
    pub inputs: Vec<InputLaw>,
    /// How batch norms normalise.
    pub batch_norm: BatchNormMode,
    /// Mean square of the derivative that each element of each output starts with, in the order of
    /// the outputs; of all, if there is only one.
    pub seeds: Vec<f64>,
}
