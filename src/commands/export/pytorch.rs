//! How to use a trial's weights from PyTorch, where the model is one of torchvision's.

use nightsweep_trainer::recipe::{ModelSpec, NormKind};
use nightsweep_trainer::weights::NamedTensors;

/// Of the file of weights with PyTorch's names.
pub const WEIGHTS: &str = "pytorch.safetensors";

/// Whether other code has names for the model's tensors: torchvision, timm, or the usual code of its paper.
pub fn has_names(model: &ModelSpec) -> bool {
    !matches!(model, ModelSpec::Mlp(_) | ModelSpec::Convnet(_) | ModelSpec::Hybrid(_))
}

/// Python that makes the network by torchvision and loads the weights; `None` where torchvision has no such network.
pub fn script(model: &ModelSpec, weights: &NamedTensors) -> Option<String> {
    let (name, net) = match model {
        ModelSpec::Resnet18(net) => ("resnet18", net),
        ModelSpec::Resnet34(net) => ("resnet34", net),
        ModelSpec::Resnet50(net) => ("resnet50", net),
        _ => return None,
    };
    let shape = |name: &str| weights.get(name).map(|data| data.shape().to_vec());
    let (first, last) = (shape("Resnet.conv1.weight")?, shape("Resnet.fc.bias")?);
    let (&[_, channels, _, side], &[classes]) = (first.as_slice(), last.as_slice()) else { return None };
    if net.norm != NormKind::Batch {
        return None;
    }
    let stem = match (side, channels) {
        (3, _) => format!(
            "# A first convolution for small images, and no pooling behind it.\n\
             net.conv1 = torch.nn.Conv2d({channels}, 64, 3, padding=1, bias=False)\nnet.maxpool = torch.nn.Identity()\n"
        ),
        (_, 3) => String::new(),
        _ => format!("net.conv1 = torch.nn.Conv2d({channels}, 64, 7, stride=2, padding=3, bias=False)\n"),
    };
    Some(format!(
        "# The network and its weights in PyTorch: pip install torch torchvision safetensors\n\
         # It takes [images, {channels}, height, width], normalized as `normalize` in recipe.toml says, and gives a score for\n\
         # each class.\n\
         from pathlib import Path\n\n\
         import torch\nimport torchvision\nfrom safetensors.torch import load_file\n\n\
         net = torchvision.models.{name}(num_classes={classes})\n{stem}\
         net.load_state_dict(load_file(Path(__file__).with_name(\"{WEIGHTS}\")))\nnet.eval()\n"
    ))
}

#[cfg(test)]
mod tests {
    use nightsweep_trainer::model::{InputShape, Model};
    use nightsweep_trainer::{DeviceName, TrialSeed, weights};

    use super::*;

    #[test]
    fn small_and_gray_images_have_another_stem() {
        let device = "cpu:1".parse::<DeviceName>().unwrap().open_shared().unwrap();
        let check = |spec: &str, channels, side, expected: &[&str]| {
            let spec: ModelSpec = toml::from_str(spec).unwrap();
            let shape = InputShape { channels, height: side, width: side, classes: 7 };
            let model = Model::new(&spec, shape, TrialSeed { study: 1, trial: 0 }, &device);
            let script = script(&spec, &weights::collect(&model)).unwrap_or_default();
            for part in expected {
                assert!(script.contains(part), "{script}");
            }
            assert_eq!(script.contains("net.conv1"), expected.len() > 1, "{script}");
        };
        check("kind = 'resnet18'", 3, 65, &["models.resnet18(num_classes=7)"]);
        check("kind = 'resnet18'", 1, 65, &["num_classes=7", "Conv2d(1, 64, 7, stride=2"]);
        check("kind = 'resnet34'", 3, 64, &["resnet34(", "Conv2d(3, 64, 3", "maxpool = torch.nn.Identity"]);
        check("kind = 'resnet18'\nstem = 'large'", 3, 32, &["resnet18("]);
        check("kind = 'resnet20'", 3, 32, &[""]);
        check("kind = 'resnet18'\nnorm = 'group'", 3, 32, &[""]);
    }
}
