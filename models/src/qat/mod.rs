//! Quantization-aware training: graphs interpreted on Burn tensors.
//!
//! [`Network`] runs a graph, float or fake-quantized, on the operations in this folder; each of
//! them is a [`tape::SliceOp`] with its own gradient.

pub mod conv;
pub mod fake_quant;
mod matmul;
pub mod network;
pub mod norm;
pub mod pool;
pub mod tape;

pub use network::{Kind, Network, NetworkError, Parameter};
