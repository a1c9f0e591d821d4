//! AutoAugment's controller (Cubuk et al. 2019, arXiv 1805.09501, section 3): a recurrent network that writes a policy one
//! decision after the other, and learns by proximal policy optimization (Schulman 2017, arXiv 1707.06347) which policies
//! make children good. What a decision means is not known here: each is a choice of so many.

use burn::module::Module;
use burn::nn::Linear;
use burn::optim::GradientsParams;
use burn::tensor::{Device, Int, Tensor, TensorData, activation};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use crate::metric::one_hot;
use crate::model::{Scheme, initialize, linear};
use crate::optimizer::{Gradients, Optimizer, Rates};
use crate::recipe::{Adam, OptimizerSpec, Recipe};
use crate::seed::TrialSeed;

/// How the controller is built and learns.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ControllerSettings {
    /// Hidden units; AutoAugment's has 100.
    pub width: usize,
    /// Adam's rate. AutoAugment's 0.00035 is for 15,000 policies; a machine that tries a hundred needs a larger one.
    pub lr: f64,
    /// Weight of the entropy; AutoAugment's is 0.00001, ours keeps a short search from settling on its first luck.
    pub entropy: f64,
    /// Weight of the older rewards in the baseline; AutoAugment's.
    pub baseline: f64,
    /// Updates from one batch of policies.
    pub updates: usize,
    /// How far the chance of a decision may move in them, as a ratio; PPO's.
    pub clip: f64,
}

impl Default for ControllerSettings {
    fn default() -> Self {
        Self { width: 32, lr: 0.01, entropy: 0.01, baseline: 0.95, updates: 4, clip: 0.2 }
    }
}

/// The recurrent network and what it learned so far.
#[derive(Debug)]
pub struct Controller {
    net: Net,
    optimizer: Optimizer,
    settings: ControllerSettings,
    /// The layer of each decision, and its choices.
    decisions: Vec<(usize, usize)>,
    /// Mean of the rewards, the older ones less.
    baseline: Option<f64>,
    device: Device,
}

/// A cell of a long short-term memory (Hochreiter 1997), fed with the choice before, and a layer for each place in a
/// sub-policy and for each decision about the whole.
#[derive(Module, Debug)]
struct Net {
    input: Linear,
    hidden: Linear,
    heads: Vec<Linear>,
}

impl Controller {
    /// `choices` are those of the decisions about one sub-policy, which come so many times; those of `once` come after all of
    /// them.
    pub fn new(
        choices: &[usize],
        repeats: usize,
        once: &[usize],
        settings: ControllerSettings,
        seed: TrialSeed,
        device: &Device,
    ) -> Self {
        let device = device.clone().autodiff();
        let layers: Vec<usize> = choices.iter().chain(once).copied().collect();
        let most = layers.iter().copied().max().unwrap_or(1);
        let net = Net {
            input: linear(most, 4 * settings.width, &device),
            hidden: linear(settings.width, 4 * settings.width, &device),
            heads: layers.iter().map(|count| linear(settings.width, *count, &device)).collect(),
        };
        let adam = OptimizerSpec::Adam(Adam { lr: settings.lr, ..Default::default() });
        let recipe = Recipe { optimizer: adam, ..Default::default() };
        let repeated = (0..choices.len()).cycle().take(choices.len() * repeats);
        let decisions = repeated.chain(choices.len()..layers.len()).map(|layer| (layer, layers[layer])).collect();
        Self {
            net: initialize(net, Scheme::Resnet, seed),
            optimizer: Optimizer::new(&recipe),
            settings,
            decisions,
            baseline: None,
            device,
        }
    }

    /// Writes some policies, each as its choices in order. Waits for the device.
    pub fn write(&self, count: usize, random: &mut ChaCha8Rng) -> Vec<Vec<usize>> {
        let mut draw = |chances: &[f32]| {
            let mut place = random.random::<f32>() * chances.iter().sum::<f32>();
            let drawn = chances.iter().position(|chance| {
                place -= chance;
                place < 0.0
            });
            drawn.unwrap_or(chances.len() - 1)
        };
        self.unroll(count, &mut draw)
    }

    /// The policy with the likeliest choice at each decision. Waits for the device.
    pub fn likeliest(&self) -> Vec<usize> {
        let mut best = |chances: &[f32]| {
            (0..chances.len()).max_by(|a, b| chances[*a].total_cmp(&chances[*b])).expect("a decision has choices")
        };
        self.unroll(1, &mut best).remove(0)
    }

    fn unroll(&self, count: usize, choose: &mut dyn FnMut(&[f32]) -> usize) -> Vec<Vec<usize>> {
        let mut written: Vec<Vec<usize>> = vec![Vec::new(); count];
        let mut memory = Memory::empty(count, self.settings.width, &self.device);
        for place in 0..self.decisions.len() {
            let logits = self.step(&mut memory, place, &written);
            // Waits for the device.
            let chances: Vec<f32> = activation::softmax(logits, 1).into_data().iter::<f32>().collect();
            for (policy, chances) in written.iter_mut().zip(chances.chunks_exact(self.decisions[place].1)) {
                policy.push(choose(chances));
            }
        }
        written
    }

    /// Makes what earned more than others before it likelier. Rewards that are no numbers are left out.
    pub fn learn(&mut self, policies: &[Vec<usize>], rewards: &[f64]) {
        let finite = policies.iter().zip(rewards).filter(|(_, reward)| reward.is_finite());
        let (policies, rewards): (Vec<Vec<usize>>, Vec<f64>) =
            finite.map(|(policy, reward)| (policy.clone(), *reward)).unzip();
        if policies.is_empty() {
            return;
        }
        let mean = rewards.iter().sum::<f64>() / rewards.len() as f64;
        let weight = self.settings.baseline;
        let baseline = self.baseline.map_or(mean, |old| weight * old + (1.0 - weight) * mean);
        self.baseline = Some(baseline);
        // To a common scale: accuracies of children differ by little.
        let deviation =
            (rewards.iter().map(|reward| (reward - mean).powi(2)).sum::<f64>() / rewards.len() as f64).sqrt();
        let advantages: Vec<f32> =
            rewards.iter().map(|reward| ((reward - baseline) / (deviation + 1e-8)) as f32).collect();
        let advantages = Tensor::<1>::from_data(TensorData::new(advantages, [policies.len()]), &self.device);
        let (old, _) = self.log_chances(&policies);
        let old = old.detach();
        for _ in 0..self.settings.updates {
            let (new, entropy) = self.log_chances(&policies);
            let ratio = (new - old.clone()).exp();
            let clip = self.settings.clip;
            let advantages: Tensor<2> = advantages.clone().unsqueeze_dim(1);
            let clipped = ratio.clone().clamp(1.0 - clip, 1.0 + clip) * advantages.clone();
            let gain = (ratio * advantages).min_pair(clipped).mean() + entropy.mul_scalar(self.settings.entropy);
            let gradients = GradientsParams::from_grads(gain.neg().backward(), &self.net);
            let gradients = Gradients::of(&self.net, gradients);
            let rates = Rates { epoch: 0, lr: self.settings.lr, momentum: None };
            self.net = self.optimizer.step(self.net.clone(), gradients, rates);
        }
    }

    /// The log chances of the choices made, `[policies, decisions]`, and the mean entropy of a decision.
    fn log_chances(&self, policies: &[Vec<usize>]) -> (Tensor<2>, Tensor<1>) {
        let mut memory = Memory::empty(policies.len(), self.settings.width, &self.device);
        let (mut chosen, mut entropies) = (Vec::new(), Vec::new());
        for place in 0..self.decisions.len() {
            let logits = self.step(&mut memory, place, policies);
            let logs = activation::log_softmax(logits, 1);
            entropies.push((logs.clone().exp() * logs.clone()).sum_dim(1).neg().mean());
            chosen.push(logs.gather(1, self.column(policies, place)));
        }
        (Tensor::cat(chosen, 1), Tensor::cat(entropies, 0).mean())
    }

    /// One step of the memory, fed with the choices at the place before; gives the logits of the decision.
    fn step(&self, memory: &mut Memory, place: usize, policies: &[Vec<usize>]) -> Tensor<2> {
        let [inputs, _] = self.net.input.weight.dims();
        let input = match place {
            0 => Tensor::zeros([policies.len(), inputs], &self.device),
            _ => one_hot(self.column(policies, place - 1), inputs),
        };
        let gates = self.net.input.forward(input) + self.net.hidden.forward(memory.hidden.clone());
        let gates: [Tensor<2>; 4] = gates.chunk(4, 1).try_into().expect("there are four gates");
        let [enter, forget, value, leave] = gates;
        memory.cell = activation::sigmoid(forget) * memory.cell.clone() + activation::sigmoid(enter) * value.tanh();
        memory.hidden = activation::sigmoid(leave) * memory.cell.clone().tanh();
        self.net.heads[self.decisions[place].0].forward(memory.hidden.clone())
    }

    /// The choices at a place, `[policies, 1]`.
    fn column(&self, policies: &[Vec<usize>], place: usize) -> Tensor<2, Int> {
        let column: Vec<i64> = policies.iter().map(|policy| policy[place] as i64).collect();
        Tensor::from_data(TensorData::new(column, [policies.len(), 1]), &self.device)
    }
}

/// What the network remembers of the policies that it writes, `[policies, width]` each.
struct Memory {
    hidden: Tensor<2>,
    cell: Tensor<2>,
}

impl Memory {
    fn empty(count: usize, width: usize, device: &Device) -> Self {
        Self { hidden: Tensor::zeros([count, width], device), cell: Tensor::zeros([count, width], device) }
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    const CHOICES: [usize; 3] = [4, 3, 5];
    const ONCE: [usize; 1] = [5];
    /// The best policy, of two sub-policies.
    const BEST: [usize; 6] = [2, 0, 4, 1, 2, 3];

    fn reward(policy: &[usize]) -> f64 {
        policy.iter().zip(BEST).filter(|(choice, best)| *choice == best).count() as f64 / 6.0
    }

    fn search(once: &[usize], seed: u64, rounds: usize) -> Controller {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let seed = TrialSeed { study: seed, trial: 0 };
        let mut controller = Controller::new(&CHOICES, 2, once, ControllerSettings::default(), seed, &Device::flex());
        for _ in 0..rounds {
            let policies = controller.write(8, &mut random);
            let rewards: Vec<f64> = policies.iter().map(|policy| reward(policy)).collect();
            controller.learn(&policies, &rewards);
        }
        controller
    }

    #[test]
    fn the_known_best_policy_is_learned() {
        for seed in 0..3 {
            // Of 3,600 policies, at most 400 are looked at; a random one earns 0.26.
            assert_eq!(search(&[], seed, 50).likeliest(), BEST, "seed {seed}");
        }
    }

    #[test]
    fn what_it_writes_are_choices_that_there_are() {
        let controller = search(&ONCE, 5, 1);
        for policy in controller.write(20, &mut ChaCha8Rng::seed_from_u64(1)) {
            let counts = CHOICES.iter().chain(&CHOICES).chain(&ONCE);
            assert!(policy.len() == 7 && policy.iter().zip(counts).all(|(choice, count)| choice < count), "{policy:?}");
        }
    }

    #[test]
    fn rewards_that_are_no_numbers_teach_nothing() {
        let mut controller = search(&ONCE, 5, 1);
        let before = controller.likeliest();
        controller.learn(&[vec![0; 7], vec![1; 7]], &[f64::NAN, f64::INFINITY]);
        assert_eq!(controller.likeliest(), before);
    }
}
