//! The tables of a TFLite file that the importer reads, as the schema (version 3) numbers them.

use super::flatbuffer::{Damaged, Table, Tables};
use crate::import::ImportError;

/// Names of the builtin operations, in the order of their codes.
const OPERATIONS: &str = "ADD AVERAGE_POOL_2D CONCATENATION CONV_2D DEPTHWISE_CONV_2D DEPTH_TO_SPACE DEQUANTIZE \
EMBEDDING_LOOKUP FLOOR FULLY_CONNECTED HASHTABLE_LOOKUP L2_NORMALIZATION L2_POOL_2D \
LOCAL_RESPONSE_NORMALIZATION LOGISTIC LSH_PROJECTION LSTM MAX_POOL_2D MUL RELU RELU_N1_TO_1 RELU6 RESHAPE \
RESIZE_BILINEAR RNN SOFTMAX SPACE_TO_DEPTH SVDF TANH CONCAT_EMBEDDINGS SKIP_GRAM CALL CUSTOM \
EMBEDDING_LOOKUP_SPARSE PAD UNIDIRECTIONAL_SEQUENCE_RNN GATHER BATCH_TO_SPACE_ND SPACE_TO_BATCH_ND TRANSPOSE \
MEAN SUB DIV SQUEEZE UNIDIRECTIONAL_SEQUENCE_LSTM STRIDED_SLICE BIDIRECTIONAL_SEQUENCE_RNN EXP TOPK_V2 SPLIT \
LOG_SOFTMAX DELEGATE BIDIRECTIONAL_SEQUENCE_LSTM CAST PRELU MAXIMUM ARG_MAX MINIMUM LESS NEG PADV2 GREATER \
GREATER_EQUAL LESS_EQUAL SELECT SLICE SIN TRANSPOSE_CONV SPARSE_TO_DENSE TILE EXPAND_DIMS EQUAL NOT_EQUAL LOG \
SUM SQRT RSQRT SHAPE POW ARG_MIN FAKE_QUANT REDUCE_PROD REDUCE_MAX PACK LOGICAL_OR ONE_HOT LOGICAL_AND \
LOGICAL_NOT UNPACK REDUCE_MIN FLOOR_DIV REDUCE_ANY SQUARE ZEROS_LIKE FILL FLOOR_MOD RANGE \
RESIZE_NEAREST_NEIGHBOR LEAKY_RELU SQUARED_DIFFERENCE MIRROR_PAD ABS SPLIT_V UNIQUE CEIL REVERSE_V2 ADD_N \
GATHER_ND COS WHERE RANK ELU REVERSE_SEQUENCE MATRIX_DIAG QUANTIZE MATRIX_SET_DIAG ROUND HARD_SWISH IF WHILE \
NON_MAX_SUPPRESSION_V4 NON_MAX_SUPPRESSION_V5 SCATTER_ND SELECT_V2 DENSIFY SEGMENT_SUM BATCH_MATMUL";

/// Names of the element types, in the order of their codes.
const TYPES: [&str; 18] = [
    "float32",
    "float16",
    "int32",
    "uint8",
    "int64",
    "string",
    "bool",
    "int16",
    "complex64",
    "int8",
    "float64",
    "complex128",
    "uint64",
    "resource",
    "variant",
    "uint32",
    "uint16",
    "int4",
];

/// Codes of the element types that are read.
pub(super) const FLOAT32: u8 = 0;
pub(super) const INT32: u8 = 2;
pub(super) const UINT8: u8 = 3;
pub(super) const INT8: u8 = 9;

/// A model with its one subgraph.
#[derive(Clone, Copy, Debug)]
pub(super) struct Model<'a> {
    codes: Tables<'a>,
    buffers: Tables<'a>,
    tensors: Tables<'a>,
    operators: Tables<'a>,
    /// The image.
    pub(super) input: i32,
    /// The network's result.
    pub(super) output: i32,
}

/// A tensor: an activation or a constant.
#[derive(Clone, Debug)]
pub(super) struct Tensor<'a> {
    pub(super) name: String,
    pub(super) shape: Vec<i32>,
    /// Code of the element type.
    pub(super) element: u8,
    /// Empty for an activation.
    pub(super) data: &'a [u8],
    /// One, or one per slice along `axis`; none without quantization.
    pub(super) scales: Vec<f32>,
    pub(super) zero_points: Vec<i64>,
    pub(super) axis: i32,
}

/// An operation.
#[derive(Clone, Debug)]
pub(super) struct Operator<'a> {
    /// `CONV_2D`.
    pub(super) kind: String,
    /// Tensors read; -1 for one that is left out.
    pub(super) inputs: Vec<i32>,
    pub(super) outputs: Vec<i32>,
    options: Option<Table<'a>>,
}

impl<'a> Model<'a> {
    /// The model in a file's bytes.
    pub(super) fn read(file: &'a [u8]) -> Result<Self, ImportError> {
        if file.is_empty() {
            return Err(ImportError::Empty);
        }
        if !super::recognized(file) {
            return Err(ImportError::Foreign);
        }
        let damaged = |Damaged| ImportError::Damaged("its tables lead outside it");
        let model = Table::root(file).map_err(damaged)?;
        let subgraphs = model.tables(2).map_err(damaged)?;
        let subgraph = subgraphs.get(0).map_err(damaged)?;
        let [inputs, outputs] = [1, 2].map(|slot| subgraph.values(slot));
        let (inputs, outputs) = (inputs.map_err(damaged)?, outputs.map_err(damaged)?);
        let (subgraphs, &[input], &[output]) = (subgraphs.len(), inputs, outputs) else {
            let (subgraphs, inputs, outputs) = (subgraphs.len(), inputs.len(), outputs.len());
            return Err(ImportError::Interface { subgraphs, inputs, outputs });
        };
        if subgraphs != 1 {
            return Err(ImportError::Interface { subgraphs, inputs: 1, outputs: 1 });
        }
        Ok(Self {
            codes: model.tables(1).map_err(damaged)?,
            buffers: model.tables(4).map_err(damaged)?,
            tensors: subgraph.tables(0).map_err(damaged)?,
            operators: subgraph.tables(3).map_err(damaged)?,
            input: i32::from_le_bytes(input),
            output: i32::from_le_bytes(output),
        })
    }

    /// Number of operations.
    pub(super) fn operations(&self) -> usize {
        self.operators.len()
    }

    /// An operation, in the order of execution.
    pub(super) fn operator(&self, index: usize) -> Result<Operator<'a>, Damaged> {
        let table = self.operators.get(index)?;
        let code = self.codes.get(usize::try_from(table.int(0, 0)?).map_err(|_| Damaged)?)?;
        // Old files have the code in a byte, new ones a placeholder there and the code in a word.
        let number = i32::from(code.byte(0)? as i8).max(code.int(3, 0)?);
        let named = usize::try_from(number).ok().and_then(|n| OPERATIONS.split(' ').nth(n));
        let kind = match named {
            Some("CUSTOM") => format!("CUSTOM `{}`", text(code.values(1)?)),
            Some(name) => name.to_owned(),
            None => format!("number {number}"),
        };
        let [inputs, outputs] = [ints(table.values(1)?), ints(table.values(2)?)];
        Ok(Operator { kind, inputs, outputs, options: table.table(4)? })
    }

    /// A tensor by its index.
    pub(super) fn tensor(&self, index: i32) -> Result<Tensor<'a>, Damaged> {
        let table = self.tensors.get(usize::try_from(index).map_err(|_| Damaged)?)?;
        let buffer = self.buffers.get(usize::try_from(table.int(2, 0)?).map_err(|_| Damaged)?)?;
        let quantization = table.table(4)?;
        let (scales, zero_points, axis) = match quantization {
            Some(table) => (table.values(2)?, table.values(3)?, table.int(6, 0)?),
            None => (&[][..], &[][..], 0),
        };
        Ok(Tensor {
            name: text(table.values(3)?),
            shape: ints(table.values(0)?),
            element: table.byte(1)?,
            data: buffer.values::<1>(0)?.as_flattened(),
            scales: scales.iter().map(|&scale| f32::from_le_bytes(scale)).collect(),
            zero_points: zero_points.iter().map(|&zero| i64::from_le_bytes(zero)).collect(),
            axis,
        })
    }
}

impl Tensor<'_> {
    /// The element type's name.
    pub(super) fn type_name(&self) -> String {
        let name = TYPES.get(usize::from(self.element));
        name.map_or_else(|| format!("number {}", self.element), |name| (*name).to_owned())
    }

    /// Number of elements; `None` for a dynamic or huge shape.
    pub(super) fn elements(&self) -> Option<usize> {
        self.shape.iter().try_fold(1usize, |n, &extent| n.checked_mul(usize::try_from(extent).ok()?))
    }

    /// The constant's elements of `N` bytes; `None` unless it has the type and as many as its shape.
    pub(super) fn constants<const N: usize>(&self, element: u8) -> Option<Vec<[u8; N]>> {
        let (values, rest) = self.data.as_chunks();
        let whole = self.element == element && rest.is_empty() && self.elements() == Some(values.len());
        (whole && !values.is_empty()).then(|| values.to_vec())
    }
}

impl Operator<'_> {
    /// A byte of the options: padding, activation.
    pub(super) fn byte(&self, slot: usize) -> Result<u8, Damaged> {
        self.options.map_or(Ok(0), |options| options.byte(slot))
    }

    /// A word of the options: strides, factors.
    pub(super) fn int(&self, slot: usize, default: i32) -> Result<i32, Damaged> {
        self.options.map_or(Ok(default), |options| options.int(slot, default))
    }
}

fn ints(values: &[[u8; 4]]) -> Vec<i32> {
    values.iter().map(|&value| i32::from_le_bytes(value)).collect()
}

/// At most 80 letters of a string, without control characters.
fn text(letters: &[[u8; 1]]) -> String {
    let text = String::from_utf8_lossy(letters.as_flattened());
    text.chars().filter(|letter| !letter.is_control()).take(80).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_of_operations() {
        let named = |code| OPERATIONS.split(' ').nth(code);
        for (code, name) in [
            (3, "CONV_2D"),
            (9, "FULLY_CONNECTED"),
            (25, "SOFTMAX"),
            (40, "MEAN"),
            (114, "QUANTIZE"),
            (117, "HARD_SWISH"),
        ] {
            assert_eq!(named(code), Some(name));
        }
    }
}
