//! The weights that a training starts from.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Weights of another training to go on from (Yosinski 2014, arXiv 1411.1792), and how gently. The default starts afresh.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Pretrained {
    /// A file of safetensors or of PyTorch; where relative, from the study file's folder. Empty is none.
    pub path: String,
    /// Epochs at first in which only the last layer learns, and norms go by their running statistics.
    pub freeze_epochs: u64,
}
