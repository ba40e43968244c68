//! Softmaxes, products of matrices, and the attention that they make up together.

use super::{Exponent, Sweep};
use crate::propagation::program::{Masked, Node, Scores};
use crate::propagation::scaled::times_power_of_four;
use crate::propagation::signal::{BOTH, POSITIONS, SAMPLES, Signal};

impl Sweep<'_> {
    /// The variance of the scores of one query between its keys, and its covariances with those in
    /// another sample, of another query, and both.
    fn score_variances(&self, scores: &Scores) -> [f64; 4] {
        let signal = |number: usize| {
            let Signal { square, pairs, .. } =
                self.program.nodes[number].mean(&self.workspace.signals);
            [square, pairs[SAMPLES], pairs[POSITIONS], pairs[BOTH]]
        };
        let (query, key) = (signal(scores.query), signal(scores.key));
        let exponents = &self.workspace.signal_exponents;
        let unit = exponents[scores.query] + exponents[scores.key];
        let scale = scores.scale * scores.scale_after;
        let gain = scores.features * scale * scale;
        let bias = self.elements(scores.bias, 0.0).mean_square;
        let within = |query: f64, same: f64, apart: f64| {
            times_power_of_four(gain * query * (same - apart).max(0.0), unit)
        };
        [
            within(query[0], key[0], key[2]) + bias,
            within(query[1], key[1], key[3]) + bias,
            within(query[2], key[0], key[2]),
            within(query[3], key[1], key[3]),
        ]
    }

    /// Sums over keys of mean products of weights.
    pub(crate) fn weight_products(&self, scores: &Scores) -> [f64; 4] {
        self.score_variances(scores).map(|t| concentration(t, scores.keys))
    }

    pub(super) fn attention(&self, scores: &Scores) -> Signal {
        let [square, samples, positions, both] =
            self.weight_products(scores).map(|sum| sum / scores.keys);
        Signal { mean: 1.0 / scores.keys, square, pairs: [samples, positions, both] }
    }

    pub(super) fn scores(&mut self, node: &Node, scores: &Scores) -> Exponent {
        let mean = |number: usize| self.program.nodes[number].mean(&self.workspace.signals);
        let (query, key) = (mean(scores.query), mean(scores.key));
        let gain = scores.features * scores.scale * scores.scale;
        let exponent = self.workspace.signal_exponents[scores.query]
            + self.workspace.signal_exponents[scores.key];
        // Positions of scores are those of the query.
        let signal = Signal {
            mean: scores.features * scores.scale * query.mean * key.mean,
            square: gain * query.square * key.square,
            pairs: [
                gain * query.pairs[SAMPLES] * key.pairs[SAMPLES],
                gain * query.pairs[POSITIONS] * key.square,
                gain * query.pairs[BOTH] * key.pairs[SAMPLES],
            ],
        };
        self.fill(node, signal);
        exponent
    }

    pub(super) fn mix(&mut self, node: &Node, scores: &Scores) -> Exponent {
        let (value, exponent) = self.source(node.links.start + 1);
        let [own, samples, positions, both] = self.weight_products(scores);
        let [of_samples, apart, of_both] = value.pairs;
        let (varies, sampled) = (value.square - apart, of_samples - of_both);
        let signal = Signal {
            mean: value.mean,
            square: own * varies + apart,
            pairs: [
                samples * sampled + of_both,
                positions * varies + apart,
                both * sampled + of_both,
            ],
        };
        self.fill(node, signal);
        exponent
    }

    /// Sums over keys of mean products of weights behind a mask, as means over queries.
    pub(crate) fn masked_products(&self, masked: &Masked, node: &Node) -> MaskedProducts {
        let (query, query_unit) = self.source(node.links.start);
        let (key, key_unit) = self.source(node.links.start + 1);
        let unit = query_unit + key_unit;
        let gain = masked.features * masked.scale * masked.scale;
        let variance = |query: f64, same: f64, apart: f64| {
            times_power_of_four(gain * query * (same - apart).max(0.0), unit)
        };
        let over_queries =
            |of: &dyn Fn(f64) -> f64| masked.seen.iter().map(|&(n, share)| share * of(n)).sum();
        let bias = self.elements(masked.bias, 0.0).mean_square;
        let own = bias + variance(query.square, key.square, key.pairs[POSITIONS]);
        let sampled = bias + variance(query.pairs[SAMPLES], key.pairs[SAMPLES], key.pairs[BOTH]);
        let between = variance(query.pairs[POSITIONS], key.square, key.pairs[POSITIONS]);
        let both = variance(query.pairs[BOTH], key.pairs[SAMPLES], key.pairs[BOTH]);
        let inverse: f64 = over_queries(&|n| 1.0 / n);
        // Two queries have the keys in common that both see.
        let typical = 1.0 / inverse;
        let apart = |t: f64| (masked.shared * typical * concentration(t, typical)).min(1.0);
        MaskedProducts {
            own: over_queries(&|n| concentration(own, n)),
            samples: over_queries(&|n| concentration(sampled, n)),
            between: apart(between),
            both: apart(both),
            slope: over_queries(&|n| concentration(own, n) * (1.0 - concentration(own, n))),
            inverse,
        }
    }

    pub(super) fn masked(&mut self, node: &Node, masked: &Masked) -> Exponent {
        let (value, exponent) = self.source(node.links.start + 2);
        let products = self.masked_products(masked, node);
        let [of_samples, apart, of_both] = value.pairs;
        let (varies, sampled) = (value.square - apart, of_samples - of_both);
        let signal = Signal {
            mean: value.mean,
            square: products.own * varies + apart,
            pairs: [
                products.samples * sampled + of_both,
                products.between * varies + apart,
                products.both * sampled + of_both,
            ],
        };
        self.fill(node, signal);
        exponent
    }

    pub(super) fn softmax(&mut self, node: &Node, length: f64) -> Exponent {
        let number = node.links.start;
        let unit = self.exponent(number);
        let link = &self.program.links[number];
        let (from, to) = self.ends(node, link);
        let mut slopes = Vec::with_capacity(to.len());
        for (to, from) in to.iter_mut().zip(from) {
            let mean = from.mean * from.mean;
            let product =
                |pair: f64| concentration(times_power_of_four(pair - mean, unit), length) / length;
            let square = product(from.square);
            *to = Signal { mean: 1.0 / length, square, pairs: from.pairs.map(product) };
            slopes.push((square * (1.0 - square * length), to.pairs[POSITIONS]));
        }
        self.workspace.slopes[link.slopes..link.slopes + slopes.len()].copy_from_slice(&slopes);
        0
    }

    pub(super) fn matmul(
        &mut self,
        node: &Node,
        features: f64,
        scale: f64,
        along_positions: [bool; 2],
    ) -> Exponent {
        let (first, one) = self.source(node.links.start);
        let (second, other) = self.source(node.links.start + 1);
        let square = scale * scale;
        // Terms of a sum are products at other positions, or in other channels.
        let apart = |signal: &Signal, along: bool, both: bool| match (along, both) {
            (true, false) => signal.pairs[POSITIONS],
            (true, true) => signal.pairs[BOTH],
            (false, _) => signal.mean * signal.mean,
        };
        let others = features * (features - 1.0);
        let product = |a: f64, b: f64, both: bool| {
            let terms =
                apart(&first, along_positions[0], both) * apart(&second, along_positions[1], both);
            square * (features * a * b + others * terms)
        };
        let signal = Signal {
            mean: scale * features * first.mean * second.mean,
            square: product(first.square, second.square, false),
            pairs: [
                product(first.pairs[SAMPLES], second.pairs[SAMPLES], true),
                product(first.pairs[POSITIONS], second.pairs[POSITIONS], false),
                product(first.pairs[BOTH], second.pairs[BOTH], true),
            ],
        };
        self.fill(node, signal);
        one + other
    }
}

/// The sum of squared weights of a softmax over `n` normal scores of variance `t`, or that of
/// products of the weights of two softmaxes whose scores have the covariance `t`:
/// `e^t / (n - 1 + e^t)`. This is right for one score, for many scores, and to first order in `t` for
/// any number of them.
pub(crate) fn concentration(t: f64, n: f64) -> f64 {
    // In this form an exponential that overflows does no harm.
    1.0 / (1.0 + (n - 1.0) * (-t).exp())
}

/// Sums over keys of mean products of the weights of attention, as means over queries.
pub(crate) struct MaskedProducts {
    /// Of each weight with itself, and with that of the same query in another sample.
    pub(crate) own: f64,
    samples: f64,
    /// Of the weights of two queries, in one sample and in two.
    pub(crate) between: f64,
    both: f64,
    /// The squared slope of the weights by the scores, for all keys of a query together.
    pub(crate) slope: f64,
    /// One over the number of keys that a query sees.
    pub(crate) inverse: f64,
}
