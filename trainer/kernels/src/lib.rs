//! Convolutions, the layers of transformers, and their neighbours for training on the CPU: plain slices in, plain vectors out, channels last.
//!
//! Every result is a function of the inputs and of the number of rayon's threads, never of which thread came first.

mod attention;
mod conv;
mod cut;
mod dense;
mod fresh;
mod function;
mod layer_norm;
mod loss;
mod matmul;
pub mod norm;
mod panel;
pub mod pool;
mod share;
mod simd;
mod spectrum;
mod team;
mod tile;
pub mod update;
mod winograd;

pub use attention::Attention;
pub use conv::{Conv, ConvShape, Gradient};
pub use dense::{Activation, Dense, DenseGradients};
pub use layer_norm::{LayerNorm, LayerNormGradients};
pub use loss::CrossEntropy;
pub use panel::Stored;
pub use pool::MaxPool;
pub use simd::{LEVEL, Level};
