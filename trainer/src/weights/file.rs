//! Files of weights: safetensors, and PyTorch's .pth and .pt, with and without zip.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use burn::tensor::{DType, TensorData};
use pytorch_reader::PytorchReader;
use safetensors::tensor::{Dtype, SafeTensors};

use super::torch::{Head, tensors_for};
use super::{MismatchError, NamedTensors, collect, restore};
use crate::model::Model;

/// Where training scripts keep the weights among other things.
const WRAPPERS: [&str; 5] = ["state_dict.", "model_state_dict.", "model_state.", "model.", "net."];
/// What `DataParallel` and compiled modules put before each name.
const PREFIXES: [&str; 2] = ["module.", "_orig_mod."];
/// How many batches a norm has seen, which nothing here asks for.
const COUNTER: &str = "num_batches_tracked";

/// The float tensors of a file, as 32-bit floats.
#[derive(Clone, Debug)]
pub struct WeightsFile {
    pub(super) tensors: NamedTensors,
    /// Whether nightsweep wrote it, with our names and shapes.
    pub(super) is_ours: bool,
    /// BLAKE3 of the whole file, in hexadecimal.
    pub hash: String,
    path: PathBuf,
}

/// Why a model does not get its weights from a file.
#[derive(Debug, thiserror::Error)]
pub enum WeightsError {
    /// The operating system says no.
    #[error("could not read the weights `{}`", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What it says.
        source: io::Error,
    },
    /// The bytes are no weights.
    #[error("`{}` is neither safetensors nor a PyTorch file: {reason}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// They are another model's.
    #[error("the weights `{}` are not the model's", path.display())]
    Mismatch {
        /// The file.
        path: PathBuf,
        /// Every mismatch.
        source: MismatchError,
    },
}

impl WeightsFile {
    /// Reads a file of either kind; its content says which.
    pub fn read(path: &Path) -> Result<Self, WeightsError> {
        let bytes = fs::read(path).map_err(|source| WeightsError::Read { path: path.to_owned(), source })?;
        // A safetensors file begins with the length of its header, which is JSON.
        let is_safetensors = bytes.get(8) == Some(&b'{');
        let read = if is_safetensors { from_safetensors(&bytes) } else { from_pytorch(path) };
        let (tensors, is_ours) = read.map_err(|reason| WeightsError::Format { path: path.to_owned(), reason })?;
        let tensors = if is_ours { tensors } else { unwrapped(tensors) };
        Ok(Self { tensors, is_ours, hash: blake3::hash(&bytes).to_string(), path: path.to_owned() })
    }

    /// A model with these weights, and whether its last layer is still its own.
    pub fn put_into(self, model: Model, head: Head) -> Result<(Model, bool), WeightsError> {
        let path = self.path.clone();
        let fit = tensors_for(collect(&model), self, head)
            .and_then(|(tensors, keeps_head)| Ok((restore(model, tensors)?, keeps_head)));
        fit.map_err(|source| WeightsError::Mismatch { path, source })
    }
}

/// A model with tensors that have PyTorch's names and shapes.
#[cfg(test)]
pub(crate) fn put_torch_into(tensors: NamedTensors, model: Model) -> Result<Model, WeightsError> {
    let file = WeightsFile { tensors, is_ours: false, hash: String::new(), path: PathBuf::new() };
    file.put_into(model, Head::MustFit).map(|(model, _)| model)
}

fn from_safetensors(bytes: &[u8]) -> Result<(NamedTensors, bool), String> {
    let (_, header) = SafeTensors::read_metadata(bytes).map_err(|error| error.to_string())?;
    let format = header.metadata().as_ref().and_then(|meta| meta.get("format"));
    let is_ours = format.is_some_and(|format| format == "nightsweep");
    let file = SafeTensors::deserialize(bytes).map_err(|error| error.to_string())?;
    let mut tensors = NamedTensors::new();
    for (name, view) in file.iter() {
        let dtype = match view.dtype() {
            Dtype::F64 => DType::F64,
            Dtype::F32 => DType::F32,
            Dtype::F16 => DType::F16,
            Dtype::BF16 => DType::BF16,
            _ if name.ends_with(COUNTER) => continue,
            other => return Err(format!("`{name}` holds {other:?} instead of floats")),
        };
        tensors.insert(name.to_owned(), floats(view.data().to_vec(), view.shape(), dtype));
    }
    Ok((tensors, is_ours))
}

fn from_pytorch(path: &Path) -> Result<(NamedTensors, bool), String> {
    let reader = PytorchReader::new(path).map_err(|error| error.to_string())?;
    let mut tensors = NamedTensors::new();
    for (name, tensor) in reader.tensors() {
        let dtype = match tensor.dtype() {
            pytorch_reader::DType::F64 => DType::F64,
            pytorch_reader::DType::F32 => DType::F32,
            pytorch_reader::DType::F16 => DType::F16,
            pytorch_reader::DType::BF16 => DType::BF16,
            // Counters, and what an optimizer keeps beside the weights.
            _ => continue,
        };
        let bytes = tensor.read().map_err(|error| error.to_string())?;
        tensors.insert(name.clone(), floats(bytes, tensor.shape(), dtype));
    }
    Ok((tensors, false))
}

fn floats(bytes: Vec<u8>, shape: &[usize], dtype: DType) -> TensorData {
    TensorData::from_bytes_vec(bytes, shape.to_vec(), dtype).convert::<f32>()
}

/// The weights among what a training script saved, without what wrappers put before their names.
fn unwrapped(tensors: NamedTensors) -> NamedTensors {
    let wrapper = WRAPPERS.into_iter().find(|wrapper| tensors.keys().any(|name| name.starts_with(wrapper)));
    let mut tensors: NamedTensors = match wrapper {
        Some(wrapper) => without(tensors, wrapper),
        None => tensors,
    };
    for prefix in PREFIXES {
        if tensors.keys().all(|name| name.starts_with(prefix)) {
            tensors = without(tensors, prefix);
        }
    }
    tensors
}

/// Those whose name begins so, by the rest of it.
fn without(tensors: NamedTensors, prefix: &str) -> NamedTensors {
    tensors.into_iter().filter_map(|(name, data)| Some((name.strip_prefix(prefix)?.to_owned(), data))).collect()
}
