//! Programs: a network as the sweeps see it, an ordered list of rules and of the links between
//! them.
//!
//! A program depends on shapes, links and operations alone. Variances of weights, inputs and all
//! other numbers that one may want to change between two sweeps are in the settings.

use std::collections::HashMap;
use std::ops::Range;

use super::cell_map::CellMap;
use super::functions::Function;
use super::geometry::Sums;
use super::routing::WeightLaw;
use super::scaling::Scaling;
use crate::network::{LinkRole, TensorId};

/// A network, compiled for [`propagate`](super::propagate).
#[derive(Debug, Clone)]
pub struct Program {
    /// Which program it is, among all that were compiled.
    pub(super) number: u64,
    pub(super) nodes: Vec<Node>,
    /// Links with data, those into each node next to each other.
    pub(super) links: Vec<DataLink>,
    /// All parameters, in the order of declaration.
    pub(super) parameters: Vec<ParameterUse>,
    pub(super) functions: Vec<Function>,
    /// How weights of experts follow from a router's numbers, each law once.
    pub(super) routes: Vec<WeightLaw>,
    /// The node of every tensor that is not a parameter used as a weight.
    pub(super) node_of: Vec<Option<usize>>,
    /// Where the derivatives start.
    pub(super) outputs: Vec<usize>,
    /// Softmaxes at the end that were left out.
    pub(super) cut: Vec<TensorId>,
    /// Kernels that are computed from parameters.
    pub(super) computed: Vec<TensorId>,
    /// The scaling that each input begins with, by its node.
    pub(super) scalings: HashMap<usize, Scaling>,
    /// Which elements have cells of their own.
    pub(super) resolution: Resolution,
    /// Cells of all nodes.
    pub(super) cells: usize,
    /// Slopes of all links, one for every cell of their targets.
    pub(super) slopes: usize,
}

/// Which elements of a tensor are told from each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Resolution {
    /// None: one number a tensor, with the mean number of taps in bounds.
    Mean,
    /// Channels that are made in different ways, as behind a concatenation.
    Channels,
    /// All that differ: near borders, too.
    Exact,
    /// As [`Resolution::Exact`] unless that takes many numbers, then as [`Resolution::Channels`],
    /// and if need be as [`Resolution::Mean`].
    #[default]
    Affordable,
}

/// How far the law of a tensor's elements can be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Exactness {
    /// Exact at every width.
    Exact,
    /// Exact for infinitely many channels.
    MeanField,
    /// An approximation.
    Approximate,
}

impl Exactness {
    /// The name used in bindings.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::MeanField => "mean-field",
            Self::Approximate => "approximate",
        }
    }
}

/// A parameter and how it is used.
#[derive(Debug, Clone)]
pub struct ParameterUse {
    /// The tensor.
    pub tensor: TensorId,
    /// The role that it has where it is used first; `None` if it is not used.
    pub role: Option<LinkRole>,
    /// The tensor that is computed with it there.
    pub target: Option<TensorId>,
    /// The tensor that a kernel is applied to there.
    pub source: Option<TensorId>,
    /// How many edges lead to one target element where all taps are in bounds, at the first place
    /// of use. A bias has that of its layer, or 0 if it belongs to none.
    pub fan_in: f64,
    /// How many edges lead from one source element, under the same conditions.
    pub fan_out: f64,
    /// Number of elements.
    pub elements: f64,
    /// In how many places it is used.
    pub uses: usize,
}

/// A tensor and the rule that it is computed by.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) tensor: TensorId,
    pub(super) rule: Rule,
    pub(super) links: Range<usize>,
    /// Parameters that are added, and those that multiply a product.
    pub(super) biases: Vec<usize>,
    pub(super) scales: Vec<usize>,
    /// What a product, or a sum, owes to a gate that is a norm of what it multiplies.
    pub(super) own_gate: Option<OwnGate>,
    /// Of the elements that such a sum adds: its number.
    pub(super) gated_sum: Option<usize>,
    pub(super) elements: f64,
    /// The range of the node's cells, and the share of the node's elements in each of them.
    pub(super) cells: Range<usize>,
    pub(super) shares: Vec<f64>,
    /// For a normaliser, the number of the group that each cell is normalised with.
    pub(super) groups: Vec<u32>,
    /// How many positions share weights; elements over positions are channels.
    pub(super) positions: f64,
    pub(super) exactness: Exactness,
    /// The attention whose keys this node computes. Derivatives by keys are correlated with the
    /// tensor that the keys are computed from if values are computed from it, too.
    pub(super) keys_of: Option<usize>,
    /// Whether a normaliser over samples follows directly, which subtracts what samples have in
    /// common.
    pub(super) next: Option<NextNorm>,
}

/// How the signal of a tensor follows from those it is computed from.
#[derive(Debug, Clone)]
pub(super) enum Rule {
    Input,
    /// Elements of a parameter that are data.
    Parameter(usize),
    /// A sum over links with weights of their own: affine, sum, move, average.
    Combine {
        cross: Cross,
    },
    /// A function of single elements, by its number.
    Function(usize),
    Product,
    /// The first tensor divided by the second, which is positive and varies little.
    Quotient,
    /// The largest of several tensors, or the smallest.
    Maximum {
        sign: f64,
    },
    /// The largest in a window; a function may come between it and the source of its link.
    MaxPool {
        after: Option<Bypassed>,
    },
    BatchNorm {
        epsilon: f64,
        affine: Affine,
        stored: Option<(usize, usize)>,
    },
    /// Layer norm, group norm and instance norm, with the channels and positions of a group.
    GroupNorm {
        epsilon: f64,
        affine: Affine,
        channels: f64,
        positions: f64,
    },
    RmsNorm {
        epsilon: f64,
        affine: Affine,
        group: f64,
    },
    /// Division by a mean over a group of positive elements, or of their sizes.
    MeanNorm {
        epsilon: f64,
        affine: Affine,
        channels: f64,
        positions: f64,
        of_sizes: bool,
    },
    /// Attention weights over `keys` keys; scores are `scale` times the product of a query and a
    /// key of `features` features.
    Attention(Scores),
    /// The product of attention weights and values.
    Mix {
        scores: Scores,
        width: f64,
    },
    /// The scores themselves.
    Scores(Scores),
    /// Attention of which a mask hides keys, from queries, keys and values.
    Masked(Masked),
    Softmax {
        length: f64,
    },
    /// A product of two computed matrices, with the terms of each sum, and whether they run along
    /// positions of the factors.
    Matmul {
        features: f64,
        scale: f64,
        along_positions: [bool; 2],
    },
    /// Rows of a table.
    Embedding {
        table: usize,
    },
    /// Weights of the experts that a token chose, by the number of their law.
    Route(usize),
    /// Indices of an embedding and what they are computed from, through which nothing flows.
    OneHot,
}

/// A normaliser over samples that follows a tensor directly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NextNorm {
    /// It has stored statistics, which it may use instead of those of the samples.
    Stored,
    /// It has none but those of the samples.
    OfSamples,
}

/// A gate by a statistic of the very elements that it multiplies, channel by channel: the root of
/// their sum of squares, perhaps divided by its mean over channels. What it multiplies is large where
/// it is large itself.
#[derive(Debug, Clone)]
pub(super) struct OwnGate {
    /// The node of the sum of squares.
    pub(super) total: usize,
    /// The link with the elements.
    pub(super) elements: usize,
    /// Of a product: the link with the gate.
    pub(super) gate: usize,
    /// Of a sum that adds the elements to their product with the gate: the node of that product,
    /// and the parameters that multiply it on the way.
    pub(super) product: Option<(usize, Vec<usize>)>,
}

/// A function that is taken of the largest of its arguments instead of all of them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bypassed {
    /// The function's number, and the node that applies it to all arguments.
    pub(super) function: usize,
    pub(super) node: usize,
}

/// Which means of operands multiply in the mean square of their sum.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Cross {
    /// Operands meet in the same element.
    All,
    /// Operands are at different positions of the same channel.
    Positions,
    /// Operands never meet.
    None,
}

/// Scale and shift of a normaliser.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Affine {
    pub(super) scale: Option<usize>,
    pub(super) shift: Option<usize>,
}

/// How attention scores follow from queries and keys.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scores {
    pub(super) query: usize,
    pub(super) key: usize,
    pub(super) features: f64,
    pub(super) scale: f64,
    /// What the scores are multiplied by on the way to the softmax.
    pub(super) scale_after: f64,
    pub(super) keys: f64,
    pub(super) queries: f64,
    /// A parameter that is added to the scores.
    pub(super) bias: Option<usize>,
    /// Channels of the tensor that keys and values are both made of; 0 if there is none.
    pub(super) common: f64,
}

/// Attention in which each query sees some of the keys.
#[derive(Debug, Clone)]
pub(super) struct Masked {
    /// Features of queries and keys, and of values.
    pub(super) features: f64,
    pub(super) width: f64,
    /// What products of a query and a key are multiplied by.
    pub(super) scale: f64,
    /// A parameter that is added to the scores.
    pub(super) bias: Option<usize>,
    pub(super) queries: f64,
    pub(super) keys: f64,
    /// Numbers of keys that queries see, and the share of queries that see as many.
    pub(super) seen: Vec<(f64, f64)>,
    /// The mean over pairs of queries of the number of keys that both see, divided by the numbers
    /// that each sees.
    pub(super) shared: f64,
    /// How often each element of queries, keys and values is used, along axes in front.
    pub(super) repeats: [f64; 3],
    /// Channels of the tensor that keys and values are both made of; 0 if there is none.
    pub(super) common: f64,
}

/// A link between two nodes.
#[derive(Debug, Clone)]
pub(super) struct DataLink {
    pub(super) source: usize,
    pub(super) operator: Operator,
    /// How its ends join cell by cell, if either has several.
    pub(super) map: Option<LinkMap>,
    /// Where the slopes of the cells of its target begin.
    pub(super) slopes: usize,
}

/// How the cells of two tensors join, and how many elements those of the target read.
#[derive(Debug, Clone)]
pub(super) struct LinkMap {
    pub(super) cells: CellMap,
    /// The same with the squares of multiplicities, if some copies of an element are added
    /// together; and whether these are copies of one position.
    pub(super) copies: Option<(CellMap, bool)>,
    /// The same with the squares of the weights of a window's taps, if these have weights of their
    /// own.
    pub(super) squares: Option<CellMap>,
    pub(super) reads: Vec<f64>,
    pub(super) reads_of_positions: Vec<f64>,
    pub(super) read_along_positions: Vec<f64>,
    /// The share of the target's elements that each of its cells has.
    pub(super) target_shares: Vec<f64>,
    /// For a window, the moments of the largest element, for every cell of the target.
    pub(super) largest: Vec<(f64, f64)>,
}

/// What a link does to the signal of its source.
#[derive(Debug, Clone)]
pub(super) enum Operator {
    Weighted(Weighted),
    Fixed(Fixed),
    Window(PoolWindow),
    /// One factor of a product of matrices, each element of which is in so many products.
    Contracted {
        from: f64,
    },
    /// Both ends have the same elements.
    Same,
}

/// Independent weights, shared between positions.
#[derive(Debug, Clone)]
pub(super) struct Weighted {
    pub(super) kernel: usize,
    /// Edges between elements.
    pub(super) edges: f64,
    /// Edges into one target element, on average, and from one source element.
    pub(super) into: f64,
    pub(super) from: f64,
    /// The share of weights that two positions of the target have in common.
    pub(super) share: f64,
    /// Covariance of derivatives between positions of the source, in proportion to the target.
    pub(super) coherence: f64,
    /// The sum over weights of `n^2 - n` where `n` is the number of positions a weight is used at.
    pub(super) pairs: f64,
    /// Whether positions of the source, as the weights see them, are those of its own.
    pub(super) sees_positions: bool,
}

/// Weights that are fixed, such as those of a mean; all are 1 where elements are only moved.
#[derive(Debug, Clone)]
pub(super) struct Fixed {
    /// How often the source is added; negative if it is subtracted.
    pub(super) coefficient: f64,
    /// Whether what an element reads is divided by the number of elements read.
    pub(super) averages: bool,
    /// Sums over the relations between positions, and over those between channels.
    pub(super) positions: Sums,
    pub(super) channels: Sums,
    pub(super) source_positions: f64,
    pub(super) target_positions: f64,
    pub(super) source_channels: f64,
    pub(super) target_channels: f64,
    /// Whether positions of the source become channels of the target.
    pub(super) flattens: bool,
    /// The share of the target's elements that read any of the source.
    pub(super) coverage: f64,
    /// Whether the taps of a window have weights of their own.
    pub(super) is_weighted: bool,
}

/// A window of which the largest element is taken.
#[derive(Debug, Clone)]
pub(super) struct PoolWindow {
    /// Means over windows of the mean and the mean square of the largest of as many standard
    /// normal variables as a window has elements.
    pub(super) largest: (f64, f64),
    /// The mean over windows of one over the number of their elements.
    pub(super) inverse: f64,
    /// Windows for every element of the source: how often each is the largest, on average.
    pub(super) won: f64,
    /// Pairs of positions of the source in different windows, and their mean probability of being
    /// largest both, in proportion to all pairs.
    pub(super) apart: f64,
    pub(super) sees_positions: bool,
}

impl Program {
    /// All parameters, in the order of declaration.
    #[must_use]
    pub fn parameters(&self) -> &[ParameterUse] {
        &self.parameters
    }

    /// Where what enters a model enters it: for every input, the last tensor of the scaling that it
    /// begins with, such as a division by 255, or the input itself.
    pub fn entries(&self) -> impl Iterator<Item = TensorId> {
        let inputs = self.nodes.iter().enumerate();
        let inputs = inputs.filter(|(_, node)| matches!(node.rule, Rule::Input));
        inputs.map(|(number, node)| {
            let scaling = self.scalings.get(&number);
            scaling.and_then(|one| one.functions.last()).copied().unwrap_or(node.tensor)
        })
    }

    /// Which elements are told from each other: what was asked for, or could be afforded.
    #[must_use]
    pub fn resolution(&self) -> Resolution {
        self.resolution
    }

    /// Softmaxes behind the last layer. They are left out, and derivatives start before them.
    #[must_use]
    pub fn cut(&self) -> &[TensorId] {
        &self.cut
    }

    /// Kernels that are computed from parameters, as standardised ones are. The parameter that each
    /// is made of stands for it.
    #[must_use]
    pub fn computed_kernels(&self) -> &[TensorId] {
        &self.computed
    }

    /// Where derivatives start: the outputs, or what a softmax there is taken of.
    pub fn outputs(&self) -> impl Iterator<Item = TensorId> {
        self.outputs.iter().map(|&node| self.nodes[node].tensor)
    }

    /// Tensors with signals, in the order in which they are computed.
    pub fn tensors(&self) -> impl Iterator<Item = TensorId> {
        self.nodes.iter().map(|node| node.tensor)
    }

    /// How far the signal of a tensor can be trusted.
    #[must_use]
    pub fn exactness(&self, tensor: TensorId) -> Option<Exactness> {
        let node = self.node_of.get(tensor.0).copied().flatten()?;
        self.nodes.get(node).map(|node| node.exactness)
    }

    /// How many positions of a tensor share weights.
    #[must_use]
    pub fn positions(&self, tensor: TensorId) -> Option<f64> {
        let node = self.node_of.get(tensor.0).copied().flatten()?;
        self.nodes.get(node).map(|node| node.positions)
    }
}
