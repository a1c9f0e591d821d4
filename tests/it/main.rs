//! What joins all crates: the program as a person uses it, on real images, in processes of its own.

mod commands;
mod confirmed;
mod killed;
mod mistakes;
mod page;
mod sweep;
mod watched;
mod workplace;
