//! Quantization-aware training: graphs interpreted on Burn tensors.
//!
//! [`Network`] runs a graph, float or fake-quantized, on the operations in this folder. On the CPU
//! each of them is a [`tape::SliceOp`] with its own gradient; for a GPU the same functions are
//! written on tensors ([`tensors`]).

pub mod add;
pub mod conv;
pub mod fake_quant;
mod matmul;
pub mod network;
pub mod norm;
pub mod pool;
pub mod tape;
pub mod tensors;

pub use network::{Kind, Network, NetworkError, Parameter};
