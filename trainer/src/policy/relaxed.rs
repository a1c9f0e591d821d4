//! A policy that follows gradients: which operation, with which chance and at which strength, each relaxed so that the
//! gradient of a loss with respect to the augmented images moves it (Faster AutoAugment, Hataya et al. 2020, arXiv
//! 1911.06987; DADA, Li et al. 2020, arXiv 2003.03780).
//!
//! Each image gets one operation: its choice is a Gumbel-softmax (Jang 2017, arXiv 1611.01144) whose forward pass takes the
//! largest and whose backward pass is that of the softmax; whether it is done, a relaxed Bernoulli variable in the same way
//! (straight through). The papers chain two operations and let gradients pass through both; ours work on bytes, through
//! which none pass, so there is one. For the strength, where Faster AutoAugment takes the derivative as 1, we
//! take the difference quotient of the operation itself, which costs two more of it and knows what a rotation is.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::Move;
use crate::augment::{Around, Canvas, Size, apply_share};
use crate::batches::Scaling;
use crate::data::Images;
use crate::recipe::{Interpolation, Policy, PolicyOp, SubPolicy};

/// Strengths on both sides of the current one, as a share of the operation's range, between which the quotient is taken:
/// wide enough for bytes and pixels to differ.
const STEP: f64 = 0.1;
/// Sub-policies with less than this share of the even weight are left out of the policy.
const LEAST_WEIGHT: f64 = 0.5;

/// How a policy learns.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RelaxedSettings {
    /// Of the softmax and of the Bernoulli variables; DADA has 0.5.
    pub temperature: f64,
    /// Adam's rate; the papers have 0.001 to 0.005 over thousands of steps, which a CPU has not.
    pub lr: f64,
}

impl Default for RelaxedSettings {
    fn default() -> Self {
        Self { temperature: 0.5, lr: 0.05 }
    }
}

/// The policy as it stands: logits for each move.
#[derive(Clone, Debug)]
pub struct Relaxed {
    moves: Vec<Move>,
    settings: RelaxedSettings,
    /// Of the choice, of the chance, and of the strength as a share of the move's largest.
    logits: [Vec<f64>; 3],
    adam: [Vec<(f64, f64)>; 3],
    steps: i32,
}

/// What was drawn for a batch of images.
#[derive(Debug)]
pub struct Drawn {
    /// Normalized values, `[batch, channels, height, width]`.
    pub pixels: Vec<f32>,
    draws: Vec<Draw>,
}

#[derive(Debug)]
struct Draw {
    image: usize,
    /// Seeds what is random about the operation itself.
    seed: u64,
    /// Shares of the softmax.
    shares: Vec<f64>,
    chosen: usize,
    /// Of each move: whether it would be done, and the relaxed value of that.
    done: Vec<(bool, f64)>,
}

impl Relaxed {
    /// All moves alike, with even chances and at half of their strength.
    pub fn new(moves: Vec<Move>, settings: RelaxedSettings) -> Self {
        let zeros = || vec![0.0; moves.len()];
        let moments = || vec![(0.0, 0.0); moves.len()];
        Self { settings, logits: [zeros(), zeros(), zeros()], adam: [moments(), moments(), moments()], steps: 0, moves }
    }

    /// The chance that each move is chosen.
    pub fn weights(&self) -> Vec<f64> {
        softmax(&self.logits[0], 1.0)
    }

    /// Draws a view of each of the images at some indices.
    pub fn draw(&self, images: &Images, indices: &[usize], scaling: &Scaling, random: &mut ChaCha8Rng) -> Drawn {
        let size = Size::of(images);
        let temperature = self.settings.temperature;
        let mut canvas = Canvas::new(size);
        let mut pixels = vec![0.0; indices.len() * size.bytes()];
        let mut draws = Vec::with_capacity(indices.len());
        for (values, image) in pixels.chunks_exact_mut(size.bytes()).zip(indices) {
            let mut uniform = || random.random::<f64>().clamp(1e-12, 1.0 - 1e-12);
            let disturbed: Vec<f64> = self.logits[0].iter().map(|logit| logit - (-uniform().ln()).ln()).collect();
            let done = self.logits[1].iter().map(|logit| {
                let at = uniform();
                let place = logit + (at / (1.0 - at)).ln();
                (place > 0.0, sigmoid(place / temperature))
            });
            let done = done.collect();
            let shares = softmax(&disturbed, temperature);
            let chosen = (0..shares.len()).max_by(|a, b| shares[*a].total_cmp(&shares[*b])).expect("there are moves");
            let draw = Draw { image: *image, seed: random.random(), shares, chosen, done };
            canvas.pixels.copy_from_slice(images.image(*image));
            if draw.done[chosen].0 {
                self.apply(chosen, self.magnitude(chosen), &draw, images, &mut canvas);
            }
            scaling.apply(&canvas.pixels, values);
            draws.push(draw);
        }
        Drawn { pixels, draws }
    }

    /// Moves the policy against the gradient of a loss with respect to the drawn pixels, `[batch, channels, height, width]`.
    pub fn learn(&mut self, drawn: &Drawn, images: &Images, scaling: &Scaling, gradient: &[f32]) {
        let size = Size::of(images);
        let temperature = self.settings.temperature;
        let mut slopes = [vec![0.0; self.moves.len()], vec![0.0; self.moves.len()], vec![0.0; self.moves.len()]];
        let mut canvas = Canvas::new(size);
        let mut values = vec![0.0; size.bytes()];
        for (draw, gradient) in drawn.draws.iter().zip(gradient.chunks_exact(size.bytes())) {
            // The change of the loss, to first order, if the image were what the canvas is.
            let mut slope_of = |canvas: &Canvas| -> f64 {
                scaling.apply(&canvas.pixels, &mut values);
                values.iter().zip(gradient).map(|(value, slope)| f64::from(*value) * f64::from(*slope)).sum()
            };
            canvas.pixels.copy_from_slice(images.image(draw.image));
            let plain = slope_of(&canvas);
            let mut under = |place: usize, magnitude: f64| {
                canvas.pixels.copy_from_slice(images.image(draw.image));
                self.apply(place, magnitude, draw, images, &mut canvas);
                slope_of(&canvas)
            };
            let effects: Vec<f64> =
                (0..self.moves.len()).map(|place| under(place, self.magnitude(place)) - plain).collect();
            let gains: Vec<f64> =
                effects.iter().zip(&draw.done).map(|(effect, (done, _))| if *done { *effect } else { 0.0 }).collect();
            let mean: f64 = gains.iter().zip(&draw.shares).map(|(gain, share)| gain * share).sum();
            for (place, slope) in slopes[0].iter_mut().enumerate() {
                *slope += draw.shares[place] * (gains[place] - mean) / temperature;
            }
            let chosen = draw.chosen;
            let (is_done, relaxed) = draw.done[chosen];
            slopes[1][chosen] += effects[chosen] * relaxed * (1.0 - relaxed) / temperature;
            if let (true, Some(most)) = (is_done, self.moves[chosen].most) {
                let magnitude = self.magnitude(chosen);
                let (low, high) = ((magnitude - STEP).max(0.0), (magnitude + STEP).min(1.0));
                let quotient = (under(chosen, high) - under(chosen, low)) / (high - low);
                let share = sigmoid(self.logits[2][chosen]);
                slopes[2][chosen] += quotient * most * share * (1.0 - share);
            }
        }
        self.step(&slopes, drawn.draws.len());
    }

    /// Adam (Kingma 2015, arXiv 1412.6980) with its own defaults but the rate.
    fn step(&mut self, slopes: &[Vec<f64>; 3], count: usize) {
        self.steps += 1;
        for ((logits, adam), slopes) in self.logits.iter_mut().zip(&mut self.adam).zip(slopes) {
            for ((logit, (first, second)), slope) in logits.iter_mut().zip(adam).zip(slopes) {
                let slope = slope / count.max(1) as f64;
                *first = 0.9 * *first + 0.1 * slope;
                *second = 0.999 * *second + 0.001 * slope * slope;
                let (first, second) =
                    (*first / (1.0 - 0.9f64.powi(self.steps)), *second / (1.0 - 0.999f64.powi(self.steps)));
                // Where no gradient came, there is none to scale.
                *logit -= self.settings.lr * first / (second.sqrt() + 1e-8);
            }
        }
    }

    /// What was learned: a sub-policy for each move that is chosen often enough, weighted.
    pub fn policy(&self) -> Policy {
        let weights = self.weights();
        let even = 1.0 / self.moves.len() as f64;
        let most = weights.iter().copied().fold(0.0, f64::max);
        let sub_policy = |place: usize| SubPolicy {
            weight: digits(weights[place] / even),
            from: 0.0,
            until: 1.0,
            ops: vec![PolicyOp {
                magnitude: digits(self.moves[place].step(1.0, self.magnitude(place)).magnitude),
                ..self.moves[place].step(digits(sigmoid(self.logits[1][place])), 0.0)
            }],
        };
        let kept = (0..self.moves.len()).filter(|place| weights[*place] >= (LEAST_WEIGHT * even).min(most));
        Policy::new(kept.map(sub_policy).collect())
    }

    fn magnitude(&self, place: usize) -> f64 {
        self.moves[place].most.map_or(0.0, |most| most * sigmoid(self.logits[2][place]))
    }

    fn apply(&self, place: usize, magnitude: f64, draw: &Draw, images: &Images, canvas: &mut Canvas) {
        let Move { op, direction, .. } = self.moves[place];
        // The same direction and noise each time that one image is looked at.
        let mut random = ChaCha8Rng::seed_from_u64(draw.seed);
        let around = &mut Around { images, interpolation: Interpolation::Nearest, fill: 0, random: &mut random };
        apply_share(op, direction, magnitude, canvas, around);
    }
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

fn softmax(logits: &[f64], temperature: f64) -> Vec<f64> {
    let most = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let powers: Vec<f64> = logits.iter().map(|logit| ((logit - most) / temperature).exp()).collect();
    let sum: f64 = powers.iter().sum();
    powers.into_iter().map(|power| power / sum).collect()
}

/// As many as a policy's file shows.
fn digits(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe::{Direction, Normalize, Op};

    fn one(op: Op) -> Move {
        Move { op, direction: Direction::Positive, most: op.has_strength().then_some(1.0) }
    }

    /// Learns from a loss that is the mean of all values times a sign: bright images are worse, or better.
    fn learned(sign: f32) -> Relaxed {
        let pixels = (0..8 * 64).map(|i| 150 + (i % 7) as u8).collect();
        let images = Images { pixels, labels: vec![0; 8], height: 8, width: 8, channels: 1 };
        let scaling = Scaling::new(Normalize::Unit, &images);
        let moves = [Op::Invert, Op::Flip, Op::Brightness, Op::Posterize].map(one).to_vec();
        let mut relaxed = Relaxed::new(moves, RelaxedSettings::default());
        let mut random = ChaCha8Rng::seed_from_u64(1);
        let indices: Vec<usize> = (0..32).map(|i| i % 8).collect();
        for _ in 0..60 {
            let drawn = relaxed.draw(&images, &indices, &scaling, &mut random);
            let gradient = vec![sign / 64.0; drawn.pixels.len()];
            relaxed.learn(&drawn, &images, &scaling, &gradient);
        }
        relaxed
    }

    #[test]
    fn the_policy_goes_where_the_loss_falls() {
        // Darker is better: inversion takes 153 to 102, brightness only adds to it.
        let dark = learned(1.0);
        let weights = dark.weights();
        assert!(weights[0] > 0.6 && weights[0] > 4.0 * weights[2], "{weights:?}");
        // Brighter is better: brightness, and more of it.
        let bright = learned(-1.0);
        let weights = bright.weights();
        assert!(weights[2] > 0.6 && weights[2] > 4.0 * weights[0], "{weights:?}");
        let policy = bright.policy();
        let op = &policy.sub_policies.iter().find(|sub| sub.ops[0].op == Op::Brightness).unwrap().ops[0];
        assert!(op.probability > 0.6 && op.magnitude > 0.6, "{op:?}");
        assert!(policy.sub_policies.iter().all(|sub| sub.ops[0].op != Op::Invert));
    }

    #[test]
    fn a_gradient_of_nothing_moves_nothing() {
        let still = learned(0.0);
        assert_eq!(still.weights(), [0.25; 4]);
        assert_eq!(still.policy().sub_policies.len(), 4);
    }
}
