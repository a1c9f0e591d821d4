//! Names and shapes of weights in PyTorch: those of torchvision for ResNets, of timm for EfficientNet, ViT and CoAtNet,
//! of the usual code for wide residual networks. One function gives a tensor its name there; loading and writing both go
//! by it.

use std::collections::HashMap;

use burn::tensor::TensorData;

use super::file::WeightsFile;
use super::{MismatchError, NamedTensors};
use crate::checkpoint::{WeightsFileError, write_tensors};
use crate::model;

/// The layers that tell classes apart, and what drops their inputs.
const HEADS: [&str; 5] = ["fc", "classifier", "head", "output", "dropout"];

/// What to do with a last layer that has another number of classes, or is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Head {
    /// It is a mismatch.
    MustFit,
    /// It stays as it is.
    MayDiffer,
}

/// Whether a path is part of the last layer rather than of the backbone.
pub fn is_head(path: &str) -> bool {
    path.split('.').nth(1).is_some_and(|layer| HEADS.contains(&layer))
}

/// The name in PyTorch of a tensor of a model.
pub fn torch_name(path: &str) -> String {
    let (family, rest) = path.split_once('.').unwrap_or(("", path));
    let parts: Vec<&str> = rest.split('.').collect();
    let name = match (family, parts.as_slice()) {
        ("Resnet", ["stages", stage, "blocks", block, rest @ ..]) => {
            let rest =
                rest.join(".").replace("downsample.conv", "downsample.0").replace("downsample.norm", "downsample.1");
            format!("layer{}.{block}.{rest}", plus(stage, 1))
        }
        ("Wrn", ["stages", stage, "blocks", block, rest @ ..]) => {
            let rest = rest.join(".").replace("shortcut", "convShortcut");
            format!("block{}.layer.{block}.{rest}", plus(stage, 1))
        }
        ("Efficientnet", ["stages", stage, "blocks", block, layer, rest @ ..]) => {
            // The blocks of timm's first stage are of another kind.
            let layer = match (*stage, *layer) {
                ("0", "bn2") => "bn1",
                ("0", "conv_pwl") => "conv_pw",
                ("0", "bn3") => "bn2",
                (_, layer) => layer,
            };
            format!("blocks.{stage}.{block}.{layer}.{}", rest.join("."))
        }
        ("Coatnet", ["convs", stage, "blocks", block, rest @ ..]) => {
            let rest = rest.join(".").replace("conv_reduce", "fc1").replace("conv_expand", "fc2");
            format!("stages.{stage}.blocks.{block}.{rest}")
        }
        ("Coatnet", ["attentions", stage, "blocks", block, layer, rest @ ..]) => {
            let layer = match (*block, *layer) {
                ("0", "norm1") => "norm1.norm",
                (_, "qkv") => "attn.qkv",
                (_, "proj") => "attn.proj",
                (_, "relative_position_bias_table") => "attn.rel_pos.relative_position_bias_table",
                (_, layer) => layer,
            };
            [&["stages", &plus(stage, 2), "blocks", block, layer], rest].concat().join(".")
        }
        ("Coatnet", ["fc", leaf]) => format!("head.fc.{leaf}"),
        _ => rest.to_owned(),
    };
    match name.rsplit_once('.') {
        Some((layer, "gamma")) => format!("{layer}.weight"),
        Some((layer, "beta")) => format!("{layer}.bias"),
        _ => name,
    }
}

fn plus(number: &str, more: usize) -> String {
    number.parse::<usize>().map_or_else(|_| number.to_owned(), |number| (number + more).to_string())
}

/// Our name for a name that other code gives a tensor, where it is not `torch_name`'s.
fn usual_name(family: &str, name: &str) -> String {
    match family {
        // The usual code for CIFAR.
        "Resnet" => name.replace("linear.", "fc.").replace(".shortcut.", ".downsample."),
        // EfficientNet-PyTorch and efficientnet-lite-pytorch, which count blocks throughout.
        "Efficientnet" => match name.split('.').collect::<Vec<_>>().as_slice() {
            ["_blocks", index, layer, leaf] => {
                let (stage, block) = index.parse().map_or((0, 0), model::efficientnet_stage);
                let layer = match (stage, *layer) {
                    (_, "_expand_conv") => "conv_pw",
                    (0, "_bn1") | (_, "_bn0") => "bn1",
                    (_, "_depthwise_conv") => "conv_dw",
                    (0, "_bn2") | (_, "_bn1") => "bn2",
                    (_, "_se_reduce") => "se.conv_reduce",
                    (_, "_se_expand") => "se.conv_expand",
                    (0, "_project_conv") => "conv_pw",
                    (_, "_project_conv") => "conv_pwl",
                    (_, "_bn2") => "bn3",
                    (_, layer) => layer,
                };
                format!("blocks.{stage}.{block}.{layer}.{leaf}")
            }
            [layer, leaf] => {
                let layer = match *layer {
                    "_conv_stem" => "conv_stem",
                    "_bn0" => "bn1",
                    "_conv_head" => "conv_head",
                    "_bn1" => "bn2",
                    "_fc" => "classifier",
                    layer => layer,
                };
                format!("{layer}.{leaf}")
            }
            _ => name.to_owned(),
        },
        _ => name.to_owned(),
    }
}

/// The tensors of a file as a model wants them, given the model's own; whether the last layer is still the model's own.
pub(super) fn tensors_for(
    own: NamedTensors,
    file: WeightsFile,
    head: Head,
) -> Result<(NamedTensors, bool), MismatchError> {
    let family = own.keys().next().and_then(|path| path.split('.').next()).unwrap_or_default().to_owned();
    let name_of = |path: &str| if file.is_ours { path.to_owned() } else { torch_name(path) };
    let mut found: HashMap<String, TensorData> = match file.is_ours {
        true => file.tensors.into_iter().collect(),
        false => file.tensors.into_iter().map(|(name, data)| (usual_name(&family, &name), data)).collect(),
    };
    let (mut tensors, mut mismatches) = (NamedTensors::new(), Vec::new());
    let mut keeps_head = false;
    for (path, own) in own {
        let name = name_of(&path);
        let may_differ = head == Head::MayDiffer && is_head(&path);
        let theirs =
            found.remove(&name).map(|data| if file.is_ours { data } else { laid_out(data, &path, own.shape().len()) });
        match theirs {
            Some(data) if data.shape() == own.shape() => drop(tensors.insert(path, data)),
            _ if may_differ => {
                keeps_head = true;
                tensors.insert(path, own);
            }
            None => mismatches.push(format!("`{name}` is missing")),
            Some(data) => {
                let [shape, expected] = [data, own].map(|data| torch_shape(&path, data.shape().to_vec()));
                mismatches.push(format!("`{name}` has shape {shape:?} instead of {expected:?}"));
            }
        }
    }
    let mut unknown: Vec<String> = found.into_keys().collect();
    unknown.sort();
    mismatches.extend(unknown.into_iter().map(|name| format!("`{name}` is not part of the model")));
    if mismatches.is_empty() { Ok((tensors, keeps_head)) } else { Err(MismatchError { mismatches }) }
}

/// A model's tensors as a safetensors file with PyTorch's names and shapes.
pub fn torch_file(tensors: &NamedTensors) -> Result<Vec<u8>, WeightsFileError> {
    let renamed: Vec<(String, TensorData)> = tensors
        .iter()
        .map(|(path, data)| {
            (torch_name(path), if is_linear(path, data.shape().len()) { transposed(data) } else { data.clone() })
        })
        .collect();
    let tensors = renamed.iter().map(|(name, data)| (name.clone(), data)).collect();
    write_tensors(tensors, HashMap::from([("format".to_owned(), "pt".to_owned())])).map_err(WeightsFileError::new)
}

/// PyTorch has linear weights as `[outputs, inputs]`, burn as `[inputs, outputs]`.
fn is_linear(path: &str, rank: usize) -> bool {
    rank == 2 && path.ends_with(".weight")
}

fn torch_shape(path: &str, mut shape: Vec<usize>) -> Vec<usize> {
    if is_linear(path, shape.len()) {
        shape.reverse();
    }
    shape
}

/// A tensor of PyTorch in our layout. timm's CoAtNet has 1×1 convolutions in place of linear layers.
fn laid_out(mut data: TensorData, path: &str, rank: usize) -> TensorData {
    if let ([outputs, inputs, 1, 1], 2) = (&data.shape().to_vec()[..], rank) {
        data = TensorData::new(data.try_to_vec::<f32>().expect("weights are 32-bit floats"), [*outputs, *inputs]);
    }
    if is_linear(path, data.shape().len()) { transposed(&data) } else { data }
}

fn transposed(data: &TensorData) -> TensorData {
    let (rows, columns) = (data.shape()[0], data.shape()[1]);
    let values = data.as_slice::<f32>().expect("weights are 32-bit floats");
    let turned: Vec<f32> = (0..rows * columns).map(|i| values[i % rows * columns + i / rows]).collect();
    TensorData::new(turned, [columns, rows])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_other_code_are_understood() {
        let check = |family, name, expected| assert_eq!(usual_name(family, name), expected);
        check("Resnet", "linear.weight", "fc.weight");
        check("Resnet", "layer2.0.shortcut.1.running_var", "layer2.0.downsample.1.running_var");
        check("Efficientnet", "_bn0.weight", "bn1.weight");
        check("Efficientnet", "_fc.bias", "classifier.bias");
        check("Efficientnet", "_blocks.0._project_conv.weight", "blocks.0.0.conv_pw.weight");
        check("Efficientnet", "_blocks.0._bn2.bias", "blocks.0.0.bn2.bias");
        check("Efficientnet", "_blocks.4._bn0.weight", "blocks.2.1.bn1.weight");
        check("Efficientnet", "_blocks.15._se_expand.weight", "blocks.6.0.se.conv_expand.weight");
    }
}
