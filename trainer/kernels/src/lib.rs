//! Convolutions and their neighbours for training on the CPU: plain slices in, plain vectors out, channels last.
//!
//! Every result is a function of the inputs and of the number of rayon's threads, never of which thread came first.

mod conv;
mod fresh;
pub mod norm;
mod panel;
mod simd;
mod tile;

pub use conv::{Conv, ConvShape, Gradient};
pub use panel::Stored;
pub use simd::{LEVEL, Level};
