//! Datasets, quantization-aware training, quantization and compilation of Fourbit networks.
//!
//! Data flows one way: a [`dataset`] and a network ([`nets`]) are trained into a
//! [`graph::Graph`], which is quantized and compiled into an artefact. Burn is behind the feature
//! `train`; everything else builds without it.

pub mod agreement;
pub mod calibrate;
pub mod compile;
pub mod config;
pub mod dataset;
pub mod file;
pub mod float_forward;
pub mod fold;
pub mod graph;
pub mod graph_file;
pub mod import;
pub mod linear;
pub mod metrics;
pub mod mixed;
pub mod nets;
pub mod pareto;
pub mod ptq;
#[cfg(feature = "train")]
pub mod qat;
pub mod quantize;
pub mod rng;
pub mod scheme;
pub mod simulate;
#[cfg(feature = "train")]
pub mod train;
pub mod unfold;
pub mod zoo;
