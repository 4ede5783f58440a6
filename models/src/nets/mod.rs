//! Networks as graphs: architectures with seeded initial weights.
//!
//! A network is a [`Graph`](crate::graph::Graph) from the start; training interprets it, so that
//! nothing is ever translated between a training model and what is exported.

mod blocks;
pub mod imagenet;
pub mod mobilenet;
pub mod resnet;
mod transfer;

pub use blocks::Builder;
pub use transfer::transfer;
