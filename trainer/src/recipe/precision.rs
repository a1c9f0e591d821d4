//! How many bits a trial computes with.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The numbers of activations and gradients; weights are 32-bit floats always.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Precision {
    /// 32-bit floats.
    #[default]
    F32,
    /// bfloat16: the range of 32 bits with 8 digits of them.
    Bf16,
    /// Half precision: 11 digits, but a small range, so that the loss is scaled.
    F16,
}

impl Precision {
    /// The name in study files.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
            Self::F16 => "f16",
        }
    }
}
