//! Operations: what is computed from the elements that the links of a tensor name.
//!
//! Counts of paths do not depend on operations. Whatever follows a signal does: to it a maximum is
//! not an average, and ReLU is not GELU.

use super::relation::AxisRelation;

/// What kind of computation makes a tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum OperationKind {
    /// A weighted sum with the elements of kernels as weights: dense, convolution, projection.
    Affine,
    /// A function of single elements.
    Function,
    /// A sum of tensors, element by element.
    Sum,
    /// A product of tensors, element by element.
    Product,
    /// The largest of several tensors, element by element.
    Maximum,
    /// The mean of a window, or over whole axes.
    Average,
    /// The largest element of a window, or along whole axes.
    MaxPool,
    /// Normalisation of every channel by its mean and variance over samples and positions.
    BatchNorm,
    /// Normalisation by mean and variance along axes.
    LayerNorm,
    /// Normalisation by the root mean square along axes.
    RmsNorm,
    /// Normalisation by mean and variance of groups of channels over all positions.
    GroupNorm,
    /// Exponentials divided by their sum along axes.
    Softmax,
    /// The product of two computed matrices.
    Matmul,
    /// Rows of a table, chosen at run time.
    Embedding,
    /// Elements read from other places: reshape, transpose, slice, concatenate, pad, repeat.
    Move,
    /// Not known.
    Other,
}

impl OperationKind {
    /// All kinds.
    pub const ALL: [Self; 16] = [
        Self::Affine,
        Self::Function,
        Self::Sum,
        Self::Product,
        Self::Maximum,
        Self::Average,
        Self::MaxPool,
        Self::BatchNorm,
        Self::LayerNorm,
        Self::RmsNorm,
        Self::GroupNorm,
        Self::Softmax,
        Self::Matmul,
        Self::Embedding,
        Self::Move,
        Self::Other,
    ];

    /// The name used in bindings and messages.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Affine => "affine",
            Self::Function => "function",
            Self::Sum => "sum",
            Self::Product => "product",
            Self::Maximum => "maximum",
            Self::Average => "average",
            Self::MaxPool => "max_pool",
            Self::BatchNorm => "batch_norm",
            Self::LayerNorm => "layer_norm",
            Self::RmsNorm => "rms_norm",
            Self::GroupNorm => "group_norm",
            Self::Softmax => "softmax",
            Self::Matmul => "matmul",
            Self::Embedding => "embedding",
            Self::Move => "move",
            Self::Other => "other",
        }
    }

    /// The kind of this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// How a tensor is computed from those that are linked to it.
#[derive(Debug, Clone, PartialEq)]
pub struct Operation {
    /// What kind of computation it is.
    pub kind: OperationKind,
    /// The name of a function of single elements, with its arguments if it has any:
    /// `"relu"`, `"leaky_relu(0.2)"`. Of a sum, `"subtract"` says that all operands but the first
    /// are subtracted; of an RMS norm, `"mean"` and `"mean_abs"` that it divides by the mean of its
    /// elements, or of their sizes, and not by their root mean square.
    pub function: Option<String>,
    /// Axes of the target along which it normalises or contracts.
    pub axes: Vec<usize>,
    /// Of an average that does not weigh all elements of a window alike, as blurring does: for each
    /// of its axes, the weights of the window's taps. What it takes is a sum with their products.
    /// Along an axis with a sparse relation, as interpolation has, the weights are those of the
    /// relation's entries.
    pub weights: Vec<Vec<f64>>,
    /// What a sum of terms is divided by: the elements of an average's window if padding counts
    /// as well, the square root of the head size of attention scores.
    pub divisor: Option<f64>,
    /// Into how many groups the channels of a group norm fall.
    pub groups: u64,
    /// Added to the variance by a normaliser.
    pub epsilon: f64,
}

impl Operation {
    /// An operation of this kind, with nothing else to say about it.
    #[must_use]
    pub fn new(kind: OperationKind) -> Self {
        Self {
            kind,
            function: None,
            axes: Vec::new(),
            weights: Vec::new(),
            divisor: None,
            groups: 1,
            epsilon: 0.0,
        }
    }

    /// Refuses numbers that no operation has, whatever tensor it is of.
    ///
    /// # Errors
    /// What is wrong: a divisor or a number of groups that is not positive, a negative epsilon, or
    /// one of them that is not finite.
    pub fn check(&self) -> Result<(), String> {
        if let Some(divisor) =
            self.divisor.filter(|&divisor| !(divisor > 0.0 && divisor.is_finite()))
        {
            return Err(format!("a divisor must be a positive number, got {divisor:?}"));
        }
        if !(self.epsilon >= 0.0 && self.epsilon.is_finite()) {
            let epsilon = self.epsilon;
            return Err(format!("epsilon must be a number of at least 0, got {epsilon:?}"));
        }
        if !self.weights.is_empty() {
            let (axes, taps) = (self.axes.len(), self.weights.len());
            if self.kind != OperationKind::Average || axes != taps {
                return Err(format!(
                    "weights belong to an average, one list for each of its axes; got {taps} for \
                     {axes} axes of '{}'",
                    self.kind.name()
                ));
            }
            if self.weights.iter().any(|taps| taps.is_empty()) {
                return Err("a window has at least one tap".into());
            }
            if let Some(weight) = self.weights.iter().flatten().find(|weight| !weight.is_finite()) {
                return Err(format!("weights must be finite numbers, got {weight:?}"));
            }
        }
        if self.groups == 0 {
            return Err("there must be at least one group, got 0".into());
        }
        Ok(())
    }
}

impl Operation {
    /// The weights of the taps of a relation of a link into the tensor, if they are not all alike.
    pub(crate) fn taps_of(&self, part: &AxisRelation) -> Option<&[f64]> {
        let place = self.axes.iter().position(|axis| part.target_axes.contains(axis))?;
        self.weights.get(place).map(Vec::as_slice)
    }
}

impl Default for Operation {
    fn default() -> Self {
        Self::new(OperationKind::Other)
    }
}

/// What the source of a link is to its target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub enum LinkRole {
    /// What is computed with.
    #[default]
    Data,
    /// Weights of an affine operation. They belong to the data link before, or else after them.
    Kernel,
    /// Added.
    Bias,
    /// Multiplies what was normalised.
    Scale,
    /// Added to what was normalised.
    Shift,
    /// A running mean.
    Mean,
    /// A running variance.
    Variance,
    /// Rows that an embedding chooses from.
    Table,
}

impl LinkRole {
    /// All roles.
    pub const ALL: [Self; 8] = [
        Self::Data,
        Self::Kernel,
        Self::Bias,
        Self::Scale,
        Self::Shift,
        Self::Mean,
        Self::Variance,
        Self::Table,
    ];

    /// The name used in bindings and messages.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Data => "data",
            Self::Kernel => "kernel",
            Self::Bias => "bias",
            Self::Scale => "scale",
            Self::Shift => "shift",
            Self::Mean => "mean",
            Self::Variance => "variance",
            Self::Table => "table",
        }
    }

    /// The role of this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.name() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_names_one_kind_and_one_role() {
        for kind in OperationKind::ALL {
            assert_eq!(OperationKind::from_name(kind.name()), Some(kind));
        }
        for role in LinkRole::ALL {
            assert_eq!(LinkRole::from_name(role.name()), Some(role));
        }
        assert_eq!(OperationKind::from_name("relu"), None);
        assert_eq!(LinkRole::from_name("weight"), None);
    }
}
