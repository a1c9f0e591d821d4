//! What joins all crates: the program as a person uses it, on real images, in processes of its own.

mod commands;
mod confirmed;
mod faults;
mod killed;
mod knowledge;
mod mistakes;
mod optuna;
mod page;
mod pictures;
mod policy;
mod population;
mod sweep;
mod watched;
mod workplace;
