//! TFLite files to graphs.
//!
//! [`network`] takes a file's bytes, gives a float graph or, where every activation is int8, an
//! integer graph with the file's own scales and zero points. What stands at the ends and is not
//! part of a network here is dropped: QUANTIZE, DEQUANTIZE, SOFTMAX. No input makes it panic.

mod flatbuffer;
mod float;
mod integer;
mod schema;
mod walk;

use super::{ImportError, Imported, Problem};
use crate::quantize::check;
use schema::{INT8, Model};

/// The operations that are imported.
const RUNS: &str = "CONV_2D, DEPTHWISE_CONV_2D, FULLY_CONNECTED, ADD, AVERAGE_POOL_2D, \
MAX_POOL_2D, MEAN, RESHAPE and SQUEEZE before a dense layer, and SOFTMAX, QUANTIZE and DEQUANTIZE at the ends";

/// Whether a file has the letters of the format.
pub(super) fn recognized(file: &[u8]) -> bool {
    file.get(4..8) == Some(b"TFL3")
}

/// The network in a file's bytes.
///
/// `white` is the value that a float network takes for the brightest pixel: the image that our
/// graph sees is `pixel / 255`, so the first weights are multiplied by it.
pub fn network(file: &[u8], name: &str, white: f32) -> Result<Imported, ImportError> {
    let model = Model::read(file)?;
    let network = walk::walk(&model)?;
    if network.activations[0].tensor.element == INT8 {
        return integer::graph(&network, name).map(Imported::Integer);
    }
    let graph = float::graph(&network, name, white)?;
    check::structure(&graph)?;
    Ok(Imported::Float(graph))
}

fn unsupported(problems: Vec<Problem>) -> ImportError {
    ImportError::Unsupported { problems, runs: RUNS }
}

#[cfg(test)]
mod tests;
