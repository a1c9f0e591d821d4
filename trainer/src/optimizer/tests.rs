use burn::module::Param;
use burn::nn::{Linear, LinearConfig};
use burn::optim::GradientsParams;
use burn::tensor::TensorData;
use serde::Deserialize;

use crate::weights;

use super::*;

/// One case of tests/golden/optimizers.json; optimizers.py beside it says what it is.
#[derive(Deserialize)]
struct Golden {
    name: String,
    recipe: Recipe,
    /// Instead of the optimizer's own, from the first update to the last.
    momentum: Option<Vec<f64>>,
    weights: BTreeMap<String, Vec<f32>>,
}

/// A filter bank with a loss of its own, and two linear layers.
#[derive(Module, Debug)]
struct Problem {
    filters: Param<Tensor<4>>,
    hidden: Linear,
    head: Linear,
}

const UPDATES: usize = 20;

impl Problem {
    fn start(device: &Device) -> Self {
        let pattern = |count: usize, factor: usize, modulus: usize, scale: f32| -> Vec<f32> {
            (0..count).map(|i| scale * ((i * factor % modulus) as f32 - (modulus / 2) as f32)).collect()
        };
        let tensors = [
            ("filters", pattern(16, 3, 7, 0.1), vec![2, 2, 2, 2]),
            ("hidden.weight", pattern(12, 5, 11, 0.1), vec![3, 4]),
            ("hidden.bias", pattern(4, 3, 4, 0.05), vec![4]),
            ("head.weight", pattern(8, 3, 5, 0.2), vec![4, 2]),
            ("head.bias", pattern(2, 1, 2, 0.05), vec![2]),
        ];
        let tensors = tensors.into_iter().map(|(path, values, shape)| (path.into(), TensorData::new(values, shape)));
        let problem = Self {
            filters: Param::from_tensor(Tensor::zeros([2, 2, 2, 2], device)),
            hidden: LinearConfig::new(3, 4).init(device),
            head: LinearConfig::new(4, 2).init(device),
        };
        weights::restore(problem, tensors.collect()).unwrap()
    }

    /// Gradients of the loss on two of the four rows, or on all of them.
    fn gradients(&self, rows: std::ops::Range<usize>) -> GradientsParams {
        let device = self.filters.val().device();
        let x = [[0.5, -1.0, 2.0], [1.5, 0.3, -0.7], [-0.2, 0.8, 0.1], [1.0, 1.0, -1.0]];
        let y = [[1.0, 0.0], [-0.5, 2.0], [0.3, 0.3], [0.0, -1.0]];
        let x = Tensor::<2>::from_floats(x, &device).slice([rows.clone()]);
        let y = Tensor::<2>::from_floats(y, &device).slice([rows]);
        let linear = (self.head.forward(self.hidden.forward(x)) - y).square().mean();
        let factors: Vec<f32> = (0..16).map(|i| 0.5 + 0.1 * i as f32).collect();
        let targets: Vec<f32> = (0..16).map(|i| 0.3 * ((i * 7 % 5) as f32 - 2.0)).collect();
        let filters: Tensor<1> = self.filters.val().reshape([16]);
        let filters = filters * Tensor::from_floats(factors.as_slice(), &device);
        let filters = (filters - Tensor::from_floats(targets.as_slice(), &device)).square().mean();
        GradientsParams::from_grads((linear + filters).backward(), self)
    }

    fn floats(&self) -> BTreeMap<String, Vec<f32>> {
        let floats = |(path, data): (String, TensorData)| (path, data.try_to_vec().unwrap());
        weights::collect(self).into_iter().map(floats).collect()
    }
}

/// Updates in that range; an epoch has ten of them.
fn train(
    optimizer: &mut Optimizer,
    recipe: &Recipe,
    momentum: Option<&[f64]>,
    updates: std::ops::Range<usize>,
    mut problem: Problem,
) -> Problem {
    for update in updates {
        let epoch = update as u64 / 10;
        let momentum = momentum.map(|momentum| momentum[update]);
        let rates = Rates { epoch, lr: recipe.optimizer.lr_in(epoch), momentum };
        let gradients = Gradients::of(&problem, problem.gradients(0..4));
        problem = optimizer.step(problem, gradients, rates);
    }
    problem
}

fn goldens() -> Vec<Golden> {
    serde_json::from_str(include_str!("../../tests/golden/optimizers.json")).unwrap()
}

#[test]
fn twenty_steps_are_those_of_pytorch_and_timm() {
    let device = Device::flex().autodiff();
    for Golden { name, recipe, momentum, weights } in goldens() {
        let mut optimizer = Optimizer::new(&recipe);
        let found = train(&mut optimizer, &recipe, momentum.as_deref(), 0..UPDATES, Problem::start(&device)).floats();
        assert_eq!(found.keys().collect::<Vec<_>>(), weights.keys().collect::<Vec<_>>());
        for (path, expected) in weights {
            for (found, expected) in found[&path].iter().zip(&expected) {
                assert!((found - expected).abs() < 3e-6, "{name}, {path}: {found} is not {expected}");
            }
        }
    }
}

#[test]
fn every_optimizer_has_its_golden_values() {
    let kind = |spec: &OptimizerSpec| serde_json::to_value(spec).unwrap()["kind"].as_str().unwrap().to_owned();
    let found: std::collections::BTreeSet<String> =
        goldens().iter().map(|golden| kind(&golden.recipe.optimizer)).collect();
    let schema = serde_json::to_value(schemars::schema_for!(OptimizerSpec)).unwrap();
    assert_eq!(found.len(), schema["oneOf"].as_array().unwrap().len(), "{found:?}");
}

#[test]
fn a_restored_optimizer_goes_on_as_if_never_stopped() {
    let device = Device::flex().autodiff();
    for Golden { name, recipe, momentum, .. } in goldens() {
        let momentum = momentum.as_deref();
        let mut whole = Optimizer::new(&recipe);
        let expected = train(&mut whole, &recipe, momentum, 0..UPDATES, Problem::start(&device)).floats();
        let mut first = Optimizer::new(&recipe);
        let problem = train(&mut first, &recipe, momentum, 0..7, Problem::start(&device));
        let (tensors, updates) = first.state();
        let mut second = Optimizer::new(&recipe);
        second.restore(tensors, updates, &Device::flex());
        assert_eq!(train(&mut second, &recipe, momentum, 7..UPDATES, problem).floats(), expected, "{name}");
    }
}

#[test]
fn gradients_of_parts_add_up_to_that_of_the_whole() {
    let device = Device::flex().autodiff();
    let problem = Problem::start(&device);
    let whole = Gradients::of(&problem, problem.gradients(0..4));
    let mut parts = Gradients::default();
    parts.add(&problem, problem.gradients(0..2), 0.5);
    let mut parts = Gradients::restore(parts.state(), &Device::flex());
    parts.add(&problem, problem.gradients(2..4), 0.5);
    let (whole, parts) = (whole.state(), parts.state());
    assert_eq!(whole.len(), 5);
    for (path, whole) in whole {
        whole.assert_approx_eq::<f32>(&parts[&path], burn::tensor::Tolerance::absolute(1e-6));
    }
}

/// What a GPU does operation by operation is the same as what the CPU does in one pass, clipped or not.
#[test]
fn in_one_pass_is_as_by_operations() {
    let device = Device::flex();
    let tensor = |at: usize, len: usize| {
        let numbers: Vec<f32> = (0..len).map(|i| ((i * 7 + at * 13) % 29) as f32 / 9.7 - 1.431).collect();
        Tensor::<1>::from_floats(numbers.as_slice(), &device)
    };
    let mut at_once = 0;
    for Golden { name, recipe, .. } in goldens() {
        let rule = recipe.optimizer.rule();
        for (shape, scale) in [([4, 9].as_slice(), 1.0), (&[36], 1.0), (&[4, 9], 0.3), (&[36], 0.3)] {
            let (mut fused, mut plain) = ((tensor(0, 36), Vec::new()), (tensor(0, 36), Vec::new()));
            for count in 1..4 {
                let rates = Rates { epoch: 0, lr: 0.02, momentum: None };
                let gradient = tensor(count as usize, 36);
                let scaled = gradient.clone().mul_scalar(scale);
                let (weight, slots) = &mut fused;
                let is_head = false;
                let mut update =
                    Update { weight: weight.clone(), gradient, scale, slots, shape, is_head, count, rates };
                let Some(new) = rule.update_at_once(&mut update) else { continue };
                *weight = new;
                let (weight, slots) = &mut plain;
                let update = Update {
                    weight: weight.clone(),
                    gradient: scaled,
                    scale: 1.0,
                    slots,
                    shape,
                    is_head,
                    count,
                    rates,
                };
                *weight = rule.update(update);
                let all = |(weight, slots): &(Tensor<1>, Vec<Tensor<1>>)| -> Vec<Vec<f32>> {
                    [weight].into_iter().chain(slots).map(|it| it.to_data().try_to_vec().unwrap()).collect()
                };
                let (fused, plain) = (all(&fused), all(&plain));
                let differ = |(x, y): (&f32, &f32)| (x - y).abs() > 2e-6;
                assert_eq!(fused.len(), plain.len(), "{name}");
                assert!(!fused.concat().iter().zip(&plain.concat()).any(differ), "{name}: {fused:?} and {plain:?}");
                at_once += 1;
            }
        }
    }
    assert!(at_once > 100, "{at_once}");
}
