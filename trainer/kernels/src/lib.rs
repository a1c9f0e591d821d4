//! Convolutions and their neighbours for training on the CPU.
