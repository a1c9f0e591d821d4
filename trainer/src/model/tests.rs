use std::sync::PoisonError;

use burn::tensor::{TensorData, Tolerance};
use serde::Deserialize;

use crate::fit::tests::TURN;
use crate::recipe::{self, NormKind};
use crate::weights::{self, NamedTensors};

use super::*;

const CIFAR: InputShape = InputShape { channels: 3, height: 32, width: 32, classes: 10 };
const SEED: TrialSeed = TrialSeed { study: 1, trial: 0 };

/// One case of tests/golden/models.json; models.py beside it says what it is.
#[derive(Deserialize)]
struct Golden {
    name: String,
    model: ModelSpec,
    size: usize,
    classes: usize,
    params: usize,
    names: u32,
    gain: f64,
    scores: Option<Vec<f32>>,
}

fn goldens() -> Vec<Golden> {
    serde_json::from_str(include_str!("../../tests/golden/models.json")).unwrap()
}

impl Golden {
    fn build(&self) -> Model {
        let shape = InputShape { channels: 3, height: self.size, width: self.size, classes: self.classes };
        Model::new(&self.model, shape, SEED, &Device::flex())
    }
}

fn fnv(text: &str) -> u32 {
    text.bytes().fold(0x811C_9DC5, |value, byte| (value ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

/// As in models.py.
fn noise(name: &str, count: usize) -> impl Iterator<Item = f64> {
    let start = fnv(name);
    (0..count as u32).map(move |i| {
        let mut x = i.wrapping_mul(0x9E37_79B1).wrapping_add(start);
        x = (x ^ (x >> 16)).wrapping_mul(0x85EB_CA6B);
        f64::from(x ^ (x >> 13)) / 2f64.powi(32) - 0.5
    })
}

/// As in models.py; linear weights are turned into our layout by the loader.
fn fill(name: &str, shape: &[usize], gain: f64) -> TensorData {
    let inputs: usize = shape[1..].iter().product();
    let law = |u: f64| match shape.len() {
        _ if name.ends_with("running_mean") => 0.4 * u,
        _ if name.ends_with("running_var") => 1.0 + u,
        2.. => 2.0 * (6.0 / inputs as f64).sqrt() * u,
        _ if name.ends_with("weight") => gain + 0.4 * u,
        _ => 0.2 * u,
    };
    let values: Vec<f32> = noise(name, shape.iter().product()).map(|u| law(u) as f32).collect();
    TensorData::new(values, shape.to_vec())
}

/// Name and shape in PyTorch of each tensor.
fn torch_shapes(model: &Model) -> Vec<(String, Vec<usize>)> {
    let file = weights::torch_file(&weights::collect(model)).unwrap();
    let file = safetensors::SafeTensors::deserialize(&file).unwrap();
    let mut shapes: Vec<_> = file.iter().map(|(name, view)| (name.to_owned(), view.shape().to_vec())).collect();
    shapes.sort();
    shapes
}

#[test]
fn parameters_have_the_counts_and_names_of_torchvision_timm_and_the_papers() {
    for golden in goldens() {
        let model = golden.build();
        assert_eq!(weights::count_trainable(&model), golden.params, "{}", golden.name);
        let shapes = torch_shapes(&model);
        let line = |(name, shape): &(String, Vec<usize>)| format!("{name} {}\n", shape.iter().product::<usize>());
        let names: String = shapes.iter().map(line).collect();
        assert_eq!(fnv(&names), golden.names, "{}:\n{names}", golden.name);
    }
}

#[test]
fn scores_are_those_of_pytorch_with_the_same_weights() {
    for golden in goldens() {
        let Some(expected) = &golden.scores else { continue };
        let model = golden.build();
        let filled: NamedTensors = torch_shapes(&model)
            .into_iter()
            .map(|(name, shape)| (name.clone(), fill(&name, &shape, golden.gain)))
            .collect();
        let model = weights::put_torch_into(filled, model).unwrap();
        let pixels: Vec<f32> = noise("images", 6 * golden.size * golden.size).map(|u| (4.0 * u) as f32).collect();
        let images = TensorData::new(pixels, [2, 3, golden.size, golden.size]);
        let scores = model.forward(Tensor::from_data(images, &Device::flex())).into_data();
        for (found, expected) in scores.as_slice::<f32>().unwrap().iter().zip(expected) {
            assert!((found - expected).abs() < 1e-4, "{}: {found} is not {expected}", golden.name);
        }
    }
}

/// Trainable parameters, without the running statistics of batch norms.
fn check(spec: ModelSpec, shape: InputShape, expected: usize) {
    let device = Device::flex().autodiff();
    let model = Model::new(&spec, shape, SEED, &device);
    assert_eq!(weights::count_trainable(&model), expected, "{spec:?}");
    let images = Tensor::ones([2, shape.channels, shape.height, shape.width], &device);
    assert_eq!(model.forward(images).dims(), [2, shape.classes], "{spec:?}");
}

#[test]
fn parameters_of_our_own_networks_are_counted_by_hand() {
    check(ModelSpec::Mlp(recipe::Mlp::default()), CIFAR, 3072 * 256 + 256 + 256 * 256 + 256 + 2570);
    check(ModelSpec::Mlp(recipe::Mlp { depth: 0, ..Default::default() }), CIFAR, 3072 * 10 + 10);
    check(ModelSpec::Convnet(recipe::Convnet::default()), CIFAR, 432 + 32 + 4608 + 64 + 18432 + 128 + 650);
    // Biases in place of norms.
    let plain = recipe::Convnet { norm: NormKind::None, ..Default::default() };
    check(ModelSpec::Convnet(plain), CIFAR, 432 + 16 + 4608 + 32 + 18432 + 64 + 650);
}

/// Every kind in its smallest form.
fn every_kind() -> Vec<ModelSpec> {
    let kinds = [
        "mlp",
        "convnet",
        "resnet8",
        "resnet20",
        "resnet32",
        "resnet44",
        "resnet56",
        "resnet18",
        "resnet34",
        "resnet50",
        "wrn",
        "efficientnet_lite0",
        "efficientnet_b0",
        "vit",
        "vit_tiny",
        "vit_small",
        "hybrid",
        "coatnet",
    ];
    let spec = |kind| match kind {
        "wrn" => serde_json::json!({ "kind": kind, "depth": 10, "widen": 1 }),
        "hybrid" => serde_json::json!({ "kind": kind, "dim": 48, "depth": 1 }),
        kind => serde_json::json!({ "kind": kind }),
    };
    kinds.into_iter().map(|kind| serde_json::from_value(spec(kind)).unwrap()).collect()
}

#[test]
fn odd_and_small_images_pass() {
    let device = Device::flex();
    for spec in every_kind() {
        for (height, width) in [(28, 28), (9, 13), (8, 8)] {
            let shape = InputShape { channels: 1, height, width, classes: 3 };
            let images = Tensor::ones([2, 1, height, width], &device);
            let scores = Model::new(&spec, shape, SEED, &device).forward(images);
            assert_eq!(scores.dims(), [2, 3], "{spec:?} {height}x{width}");
        }
    }
}

#[test]
fn every_kind_of_norm_normalizes() {
    for norm in [NormKind::Batch, NormKind::Layer, NormKind::Group, NormKind::None] {
        let device = Device::flex().autodiff();
        let spec = ModelSpec::Resnet8(recipe::CifarResnet { norm, ..Default::default() });
        let model = Model::new(&spec, CIFAR, SEED, &device);
        let scores = |scale: f32| -> f32 {
            let images =
                Tensor::<1>::from_floats([1.0, -0.5, 0.25], &device).reshape([1, 3, 1, 1]).expand([2, 3, 32, 32]);
            model.forward(images.mul_scalar(scale)).abs().sum().into_scalar()
        };
        let grows = scores(100.0) / scores(1.0);
        assert_eq!(grows > 2.0, norm == NormKind::None, "{norm:?}: {grows}");
    }
}

#[test]
fn the_same_seed_gives_the_same_weights_and_another_does_not() {
    let device = Device::flex();
    let scores = |seed| {
        let model = Model::new(&ModelSpec::Resnet8(Default::default()), CIFAR, seed, &device);
        model.forward(Tensor::ones([1, 3, 32, 32], &device)).into_data()
    };
    assert_eq!(scores(SEED), scores(SEED));
    assert_ne!(scores(SEED), scores(TrialSeed { trial: 1, ..SEED }));
}

#[test]
fn convolutions_start_with_the_deviation_of_he() {
    let device = Device::flex();
    let model = Model::new(&ModelSpec::Resnet18(Default::default()), CIFAR, SEED, &device);
    let Model::Resnet(resnet) = model else { unreachable!("a resnet18 is a resnet") };
    let weight = resnet.stages[3].blocks[1].conv2.weight.val();
    let deviation = weight.clone().reshape([-1]).var(0).sqrt();
    let expected = (2.0f32 / (512.0 * 9.0)).sqrt();
    deviation
        .into_data()
        .assert_approx_eq::<f32>(&Tensor::<1>::from_floats([expected], &device).into_data(), Tolerance::relative(0.01));
}

/// Scores in training, with the generator of dropout at a fixed place.
fn scores_in_training(spec: &str) -> Vec<f32> {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let device = Device::flex().autodiff();
    let spec: ModelSpec = toml::from_str(spec).unwrap();
    let shape = InputShape { channels: 3, height: 16, width: 16, classes: 4 };
    let model = Model::new(&spec, shape, SEED, &device);
    device.seed(3);
    let pixels: Vec<f32> = noise("images", 4 * 768).map(|u| u as f32).collect();
    let images = Tensor::from_data(TensorData::new(pixels, [4, 3, 16, 16]), &device);
    model.forward(images).into_data().try_to_vec().unwrap()
}

#[test]
fn every_field_of_a_model_has_an_effect() {
    let convolutional = ["norm = 'group'", "norm = 'layer'", "norm = 'none'", "dropout = 0.5"];
    let residual = [&convolutional[..], &["stochastic_depth = 0.9"]].concat();
    let photographs = [&residual[..], &["stem = 'large'"]].concat();
    let efficient = [&photographs[..], &["style = 'pytorch'"]].concat();
    let transformer = ["patch = 8", "pool = 'mean'", "dropout = 0.5", "stochastic_depth = 0.9"];
    let free = [&transformer[..], &["dim = 32", "depth = 2", "heads = 2"]].concat();
    let hybrid = [&free[..], &["norm = 'none'"]].concat();
    let coatnet = [&photographs[..], &["size = 'pico'"]].concat();
    let wide = [&convolutional[..], &["depth = 16", "widen = 2"]].concat();
    let rows: [(&str, &[&str]); 14] = [
        ("kind = 'mlp'", &["width = 9", "depth = 1", "dropout = 0.5"]),
        ("kind = 'convnet'", &[&convolutional[..], &["width = 5"]].concat()),
        ("kind = 'resnet8'", &residual),
        ("kind = 'resnet20'", &residual),
        ("kind = 'resnet18'", &photographs),
        ("kind = 'resnet50'", &["stochastic_depth = 0.9"]),
        ("kind = 'wrn'", &wide),
        ("kind = 'efficientnet_lite0'", &efficient),
        ("kind = 'efficientnet_b0'", &["style = 'pytorch'"]),
        ("kind = 'vit'", &free),
        ("kind = 'vit_tiny'", &transformer),
        ("kind = 'vit_small'", &["pool = 'mean'"]),
        ("kind = 'hybrid'", &hybrid),
        ("kind = 'coatnet'", &coatnet),
    ];
    let settled = |kind: &str| match kind {
        "kind = 'wrn'" => ["depth = 10", "widen = 1"].to_vec(),
        "kind = 'vit'" | "kind = 'hybrid'" => ["dim = 16", "depth = 3", "heads = 1"].to_vec(),
        _ => Vec::new(),
    };
    for (kind, fields) in rows {
        let with = |change: &str| {
            let kept = settled(kind).into_iter().filter(|line| !change.starts_with(line.split(' ').next().unwrap()));
            let text = [kind].into_iter().chain(kept).chain([change]).collect::<Vec<_>>().join("\n");
            scores_in_training(&text)
        };
        let base = with("");
        assert_eq!(base, with(""), "{kind} repeats");
        for change in fields {
            assert_ne!(base, with(change), "{kind}: `{change}` changes nothing");
        }
    }
}
