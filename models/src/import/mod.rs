//! Networks that others trained: published model files to the graphs of this crate.
//!
//! [`open`] takes a file, gives a float [`Graph`], to be calibrated or trained on, or, where the
//! file is quantized already, a [`QGraph`] for `compile`. Nothing is guessed: what Fourbit cannot
//! run as the file means it is refused, every operation at once.

mod error;
mod integer;
mod names;
pub mod onnx;
pub mod tflite;

use std::io::Read;
use std::path::Path;

pub use error::{ImportError, Problem, Reason};
use names::Names;

use crate::graph::Graph;
use crate::quantize::QGraph;

/// Largest file that is read.
const MAX_BYTES: u64 = 256 << 20;

/// A network out of a file.
#[derive(Clone, Debug, PartialEq)]
pub enum Imported {
    /// Float weights; no tensor has a range.
    Float(Graph),
    /// Integers with the scales and zero points of the file.
    Integer(QGraph),
}

/// Reads a TFLite or ONNX file, whatever its name ends in; `name` is what the network will be called.
///
/// `white` is the value that a float network takes for the brightest pixel, 255 or 1; an int8
/// network says it itself.
pub fn open(path: &Path, name: &str, white: f32) -> Result<Imported, ImportError> {
    let unreadable = |source| ImportError::Read { path: path.to_owned(), source };
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(unreadable)?;
    // The length that the system names may be wrong, as for a pipe: read one byte too many.
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(ImportError::TooLarge);
    }
    network(&bytes, name, white)
}

/// The network in the bytes of a TFLite or ONNX file.
pub fn network(file: &[u8], name: &str, white: f32) -> Result<Imported, ImportError> {
    if onnx::recognized(file) && !tflite::recognized(file) {
        return onnx::network(file, name, white);
    }
    tflite::network(file, name, white)
}
