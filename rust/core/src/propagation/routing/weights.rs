//! Moments of the weights that a token gives to the experts that it chose.
//!
//! At random weights the numbers of a router are normal and independent between experts, and those of
//! two tokens are correlated expert by expert. Which of them are largest has no simple law, so that
//! tokens are drawn: always the same ones, so that results repeat. Where two tokens share nothing, the
//! mean product of their weights is known exactly, and the draws only say how it changes.

/// How a number of a router becomes what is normalised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Gate {
    Identity,
    Sigmoid,
    Exponential,
}

/// What weights are divided by the sum of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Over {
    Nothing,
    All,
    Chosen,
}

/// How weights follow from the numbers of a router.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct WeightLaw {
    pub(crate) experts: usize,
    pub(crate) chosen: usize,
    pub(crate) gate: Gate,
    pub(crate) over: Over,
    /// What they are multiplied by at the end.
    pub(crate) scale: f64,
}

/// Moments of weights, as means over the slots of a token.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct WeightMoments {
    pub(crate) mean: f64,
    pub(crate) square: f64,
    /// Mean products with the weight that another token gives to the same expert, zero where it
    /// chose others.
    pub(crate) pairs: [f64; 3],
    /// Sums over slots and experts of the squared derivatives of weights by the router's numbers,
    /// divided by the number of experts; and of their products at another position.
    pub(crate) slope: f64,
    pub(crate) slope_pair: f64,
}

/// Draws of tokens, times experts.
const NUMBERS: usize = 1 << 18;
const FEWEST_DRAWS: usize = 1 << 10;
const MOST_DRAWS: usize = 1 << 14;

/// Correlations from here on are taken for one.
const EQUAL: f64 = 1.0 - 1e-12;

impl WeightLaw {
    /// Moments where the numbers have a mean, a variance, and correlations with those of other
    /// tokens, of which that with number `position` is taken for slopes.
    pub(crate) fn moments(
        &self,
        mean: f64,
        variance: f64,
        correlations: [f64; 3],
        position: usize,
    ) -> WeightMoments {
        let draws = (NUMBERS / self.experts.max(1)).clamp(FEWEST_DRAWS, MOST_DRAWS);
        let deviation = variance.max(0.0).sqrt();
        let mut normal = Normal::new();
        let mut token = vec![0.0; self.experts];
        let mut other = vec![0.0; self.experts];
        let mut mixed = vec![0.0; self.experts];
        let [mut one, mut apart, mut pair] = [(); 3].map(|()| Weighing::new(self));
        let mut found = WeightMoments::default();
        let (mut independent, mut moved) = (0.0, [0.0; 3]);
        for _ in 0..draws {
            token.fill_with(|| normal.next());
            other.fill_with(|| normal.next());
            one.weigh(token.iter().map(|z| mean + deviation * z));
            apart.weigh(other.iter().map(|z| mean + deviation * z));
            found.mean += one.weights.iter().sum::<f64>();
            found.square += one.product(&one);
            found.slope += one.slope(&one);
            independent += one.product(&apart);
            for (index, &r) in correlations.iter().enumerate() {
                if r >= EQUAL {
                    continue;
                }
                let rest = (1.0 - r * r).max(0.0).sqrt();
                for ((to, a), b) in mixed.iter_mut().zip(&token).zip(&other) {
                    *to = r * a + rest * b;
                }
                pair.weigh(mixed.iter().map(|z| mean + deviation * z));
                moved[index] += one.product(&pair);
                if index == position {
                    found.slope_pair += one.slope(&pair);
                }
            }
        }
        let (draws, chosen) = (draws as f64, self.chosen as f64);
        let experts = self.experts as f64;
        let total = if self.over == Over::Chosen { draws } else { found.mean };
        let mean = total / draws / chosen;
        let square = found.square / draws / chosen;
        let slope = found.slope / draws / experts;
        // Known exactly; the draws of independent tokens tell by how much draws are off there.
        let exact = mean * mean * chosen / experts;
        let off = independent / draws / chosen - exact;
        let pairs = std::array::from_fn(|index| {
            let r = correlations[index];
            if r >= EQUAL {
                return square;
            }
            moved[index] / draws / chosen - (1.0 - r * r).max(0.0) * off
        });
        let slope_pair = if correlations[position] >= EQUAL {
            slope
        } else {
            found.slope_pair / draws / experts
        };
        let squared = self.scale * self.scale;
        WeightMoments {
            mean: self.scale * mean,
            square: squared * square,
            pairs: pairs.map(|product: f64| squared * product),
            slope: squared * slope,
            slope_pair: squared * slope_pair,
        }
    }
}

/// The weights of one token.
struct Weighing {
    law: WeightLaw,
    numbers: Vec<f64>,
    order: Vec<usize>,
    is_chosen: Vec<bool>,
    /// By expert; zero where it was not chosen.
    weights: Vec<f64>,
    /// By expert, the derivatives of what is normalised, divided by what it is divided by.
    steps: Vec<f64>,
}

impl Weighing {
    fn new(law: &WeightLaw) -> Self {
        let experts = law.experts;
        Self {
            law: *law,
            numbers: Vec::with_capacity(experts),
            order: (0..experts).collect(),
            is_chosen: vec![false; experts],
            weights: vec![0.0; experts],
            steps: vec![0.0; experts],
        }
    }

    fn weigh(&mut self, numbers: impl Iterator<Item = f64>) {
        let WeightLaw { experts, chosen, gate, over, .. } = self.law;
        self.numbers.clear();
        self.numbers.extend(numbers);
        let given = &self.numbers;
        if chosen < experts {
            self.order.select_nth_unstable_by(chosen - 1, |&a, &b| given[b].total_cmp(&given[a]));
        }
        self.is_chosen.fill(false);
        for &expert in &self.order[..chosen] {
            self.is_chosen[expert] = true;
        }
        let largest = given.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let mut sum = 0.0;
        for (at, &z) in given.iter().enumerate() {
            let is_counted = over == Over::All || self.is_chosen[at];
            let (value, step) = match gate {
                _ if !is_counted => (0.0, 0.0),
                Gate::Identity => (z, 1.0),
                Gate::Sigmoid => {
                    let value = 1.0 / (1.0 + (-z).exp());
                    (value, value * (1.0 - value))
                }
                Gate::Exponential => {
                    let value = (z - largest).exp();
                    (value, value)
                }
            };
            sum += value;
            self.weights[at] = if self.is_chosen[at] { value } else { 0.0 };
            self.steps[at] = step;
        }
        if over != Over::Nothing && sum != 0.0 {
            self.weights.iter_mut().chain(&mut self.steps).for_each(|one| *one /= sum);
        }
    }

    /// The sum over experts of products of the weights of two tokens.
    fn product(&self, other: &Self) -> f64 {
        self.weights.iter().zip(&other.weights).map(|(a, b)| a * b).sum()
    }

    /// The sum over experts that both chose, and over the router's numbers, of products of
    /// derivatives.
    fn slope(&self, other: &Self) -> f64 {
        let products = || self.steps.iter().zip(&other.steps).map(|(a, b)| a * b);
        let all: f64 = products().sum();
        let mut sum = 0.0;
        for (at, own) in products().enumerate() {
            if !(self.is_chosen[at] && other.is_chosen[at]) {
                continue;
            }
            if self.law.over == Over::Nothing {
                sum += own;
                continue;
            }
            let (a, b) = (self.weights[at], other.weights[at]);
            sum += (1.0 - a) * (1.0 - b) * own + a * b * (all - own);
        }
        sum
    }
}

/// Normal numbers, always the same ones.
struct Normal {
    state: u64,
    waiting: Option<f64>,
}

impl Normal {
    fn new() -> Self {
        Self { state: 0x5eed_0fe4_be47_1500, waiting: None }
    }

    /// A number above 0 and up to 1, by SplitMix64.
    fn uniform(&mut self) -> f64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        ((mixed >> 11) + 1) as f64 / (1u64 << 53) as f64
    }

    /// By the method of Box and Muller, which makes two at once.
    fn next(&mut self) -> f64 {
        if let Some(waiting) = self.waiting.take() {
            return waiting;
        }
        let radius = (-2.0 * self.uniform().ln()).sqrt();
        let (sine, cosine) = (std::f64::consts::TAU * self.uniform()).sin_cos();
        self.waiting = Some(radius * sine);
        radius * cosine
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn law(experts: usize, chosen: usize, over: Over) -> WeightLaw {
        WeightLaw { experts, chosen, gate: Gate::Exponential, over, scale: 1.0 }
    }

    #[test]
    fn one_expert_is_a_dense_part() {
        let found = law(1, 1, Over::Chosen).moments(0.0, 2.0, [0.3, 0.1, 0.0], 1);
        assert_eq!((found.mean, found.square, found.pairs), (1.0, 1.0, [1.0; 3]));
        assert_eq!((found.slope, found.slope_pair), (0.0, 0.0));
    }

    #[test]
    fn of_two_experts_tokens_choose_the_same_as_often_as_differences_have_one_sign() {
        let correlations = [0.9f64, 0.5, -0.4];
        let found = law(2, 1, Over::Chosen).moments(0.0, 1.0, correlations, 1);
        for (pair, r) in found.pairs.iter().zip(correlations) {
            let expected = 0.5 + r.asin() / std::f64::consts::PI;
            assert!((pair - expected).abs() < 4.0 * 0.5 / 128.0, "{pair} {expected}");
        }
        assert_eq!(found.square, 1.0);
    }

    #[test]
    fn small_numbers_give_equal_weights() {
        let found = law(8, 2, Over::Chosen).moments(0.0, 1e-16, [0.0, 1.0, 1.0], 1);
        assert!((found.square - 0.25).abs() < 1e-6);
        // Of 8 experts two independent tokens both choose one in a quarter of their slots.
        assert!((found.pairs[0] - 0.25 * 0.25).abs() < 1e-12);
        // The squared derivatives of two weights of a half are a sixteenth each, four of them.
        assert!((found.slope - 0.25 / 8.0).abs() < 1e-6);
    }
}
