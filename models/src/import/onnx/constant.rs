//! Constants of an ONNX file as lists of numbers, with as many values as their shape asks for.

use super::proto::{BOOL, FLOAT, INT8, INT32, INT64, TensorProto, UINT8, text, type_name};
use crate::import::Reason;

/// Values of a constant, in the order of the file.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Constant {
    /// For messages.
    pub(super) name: String,
    /// Empty for a single value.
    pub(super) dims: Vec<usize>,
    pub(super) data: Data,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Data {
    Floats(Vec<f32>),
    Ints(Vec<i64>),
    /// Code of an element type of 8 bits, and the values.
    Bytes(i32, Vec<i32>),
    Stored(Stored),
    /// Code of an element type that no operation here takes.
    Other(i32),
}

/// A constant behind a DequantizeLinear: integers whose zero points are 0.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Stored {
    /// In the order of the file.
    pub(super) integers: Vec<i32>,
    /// The same: exact for weights.
    floats: Vec<f32>,
    /// One for all, or one for each place along the axis.
    pub(super) scales: Vec<f32>,
    pub(super) axis: usize,
}

impl Constant {
    /// A constant of the file; `None` where its values are fewer or more than its shape says.
    pub(super) fn read(tensor: &TensorProto, name: &str) -> Option<Self> {
        let dims = tensor.dims.iter().map(|&extent| usize::try_from(extent).ok());
        let dims: Vec<usize> = dims.collect::<Option<_>>()?;
        let elements = dims.iter().try_fold(1usize, |n, &extent| n.checked_mul(extent))?;
        let raw = &tensor.raw_data[..];
        let data = match (tensor.data_type, raw) {
            (FLOAT, []) => Data::Floats(tensor.float_data.clone()),
            (FLOAT, raw) => Data::Floats(numbers(raw, f32::from_le_bytes)?),
            (INT64, []) => Data::Ints(tensor.int64_data.clone()),
            (INT64, raw) => Data::Ints(numbers(raw, i64::from_le_bytes)?),
            (INT32 | BOOL, []) => Data::Ints(tensor.int32_data.iter().copied().map(i64::from).collect()),
            (INT32, raw) => Data::Ints(numbers(raw, |bytes| i64::from(i32::from_le_bytes(bytes)))?),
            (INT8 | UINT8, []) => Data::Bytes(tensor.data_type, tensor.int32_data.clone()),
            (INT8, raw) => Data::Bytes(INT8, numbers(raw, |[byte]| i32::from(byte as i8))?),
            (UINT8, raw) => Data::Bytes(UINT8, numbers(raw, |[byte]| i32::from(byte))?),
            (BOOL, raw) => Data::Ints(numbers(raw, |[byte]| i64::from(byte))?),
            (other, _) => Data::Other(other),
        };
        let found = match &data {
            Data::Floats(values) => values.len(),
            Data::Ints(values) => values.len(),
            Data::Bytes(_, values) => values.len(),
            Data::Stored(_) | Data::Other(_) => elements,
        };
        if let Data::Bytes(code, values) = &data {
            let range = if *code == INT8 { -128..128 } else { 0..256 };
            values.iter().all(|value| range.contains(value)).then_some(())?;
        }
        (found == elements).then(|| Self { name: text(name), dims, data })
    }

    /// Its values, which must be float32, or integers in steps: then those.
    pub(super) fn floats(&self) -> Result<&[f32], Reason> {
        let found = match &self.data {
            Data::Floats(values) | Data::Stored(Stored { floats: values, .. }) => return Ok(values),
            Data::Ints(_) => "int64".to_owned(),
            Data::Bytes(code, _) | Data::Other(code) => type_name(*code),
        };
        Err(Reason::Type { name: self.name.clone(), found, network: "a float" })
    }

    /// Its values, which must be integers.
    pub(super) fn ints(&self) -> Result<&[i64], Reason> {
        match &self.data {
            Data::Ints(values) => Ok(values),
            _ => Err(Reason::NoConstant(self.name.clone())),
        }
    }

    /// What a DequantizeLinear makes of it: int8 or int32, symmetric, with a scale for all or for
    /// each place along an axis, which counts from the end where it is negative.
    pub(super) fn stored(&self, scale: &Self, zero: Option<&Self>, axis: i64) -> Result<Stored, Reason> {
        let unusable = || Reason::Quantization(self.name.clone());
        let integers: Vec<i32> = match &self.data {
            Data::Bytes(INT8, values) => values.clone(),
            Data::Ints(values) => {
                let fit = values.iter().map(|&value| i32::try_from(value).ok());
                fit.collect::<Option<_>>().ok_or_else(unusable)?
            }
            Data::Bytes(code, _) | Data::Other(code) => {
                let found = type_name(*code);
                return Err(Reason::Type { name: self.name.clone(), found, network: "an int8" });
            }
            Data::Floats(_) | Data::Stored(_) => return Err(unusable()),
        };
        let symmetric = match zero.map(|zero| &zero.data) {
            None => true,
            Some(Data::Bytes(INT8, values)) => values.iter().all(|&value| value == 0),
            Some(Data::Ints(values)) => values.iter().all(|&value| value == 0),
            Some(_) => false,
        };
        let rank = self.dims.len();
        let axis = if axis < 0 { axis.saturating_add(rank as i64) } else { axis };
        let axis = usize::try_from(axis).unwrap_or(usize::MAX);
        let scales = scale.floats()?.to_vec();
        let usable = scales.iter().all(|scale| scale.is_normal() && *scale > 0.0);
        let fits = scales.len() == 1 || scale.dims.len() == 1 && self.dims.get(axis) == Some(&scales.len());
        if !symmetric || !usable || !fits {
            return Err(unusable());
        }
        let floats = integers.iter().map(|&value| value as f32).collect();
        Ok(Stored { integers, floats, scales, axis })
    }
}

/// Numbers of `N` bytes each.
fn numbers<T, const N: usize>(raw: &[u8], number: impl Fn([u8; N]) -> T) -> Option<Vec<T>> {
    let (numbers, rest) = raw.as_chunks();
    rest.is_empty().then(|| numbers.iter().map(|&bytes| number(bytes)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensor(data_type: i32, raw: &[u8]) -> TensorProto {
        TensorProto { dims: vec![2], data_type, raw_data: raw.to_vec(), ..TensorProto::default() }
    }

    #[test]
    fn both_encodings_of_the_values() {
        let raw = tensor(FLOAT, &[0, 0, 128, 63, 0, 0, 0, 192]);
        assert_eq!(Constant::read(&raw, "w").expect("whole").floats(), Ok(&[1.0, -2.0][..]));
        let list = TensorProto { float_data: vec![1.0, -2.0], ..tensor(FLOAT, &[]) };
        assert_eq!(Constant::read(&list, "w"), Constant::read(&raw, "w"));
        let ints = Constant::read(&tensor(INT32, &[1, 0, 0, 0, 255, 255, 255, 255]), "n").expect("whole");
        assert_eq!(ints.ints(), Ok(&[1, -1][..]));
    }

    #[test]
    fn integers_in_steps() {
        let bytes = |data_type, raw: &[u8]| Constant::read(&tensor(data_type, raw), "w").expect("whole");
        let half = Constant { name: "s".into(), dims: vec![], data: Data::Floats(vec![0.5]) };
        let weights = bytes(INT8, &[255, 127]);
        let stored = weights.stored(&half, Some(&bytes(INT8, &[0, 0])), -1).expect("symmetric");
        assert_eq!((&stored.integers[..], &stored.scales[..], stored.axis), (&[-1, 127][..], &[0.5][..], 0));
        let refused = Err(Reason::Quantization("w".into()));
        assert_eq!(weights.stored(&half, Some(&bytes(INT8, &[0, 1])), 0), refused);
        let three = Constant { dims: vec![3], data: Data::Floats(vec![0.5; 3]), ..half.clone() };
        assert_eq!(weights.stored(&three, None, 0), refused);
        let unsigned = bytes(UINT8, &[255, 127]).stored(&half, None, 0);
        let found = Reason::Type { name: "w".into(), found: "uint8".into(), network: "an int8" };
        assert_eq!(unsigned, Err(found));
    }

    #[test]
    fn values_that_are_not_as_many_as_the_shape_says() {
        assert_eq!(Constant::read(&tensor(FLOAT, &[0; 4]), "w"), None);
        assert_eq!(Constant::read(&tensor(FLOAT, &[0; 9]), "w"), None);
        assert_eq!(Constant::read(&tensor(INT64, &[0; 8]), "w"), None);
        let huge = TensorProto { dims: vec![i64::MAX, i64::MAX], ..tensor(FLOAT, &[]) };
        assert_eq!(Constant::read(&huge, "w"), None);
        let half = Constant::read(&tensor(10, &[0; 4]), "w").expect("of a type that is not read");
        let refused = Reason::Type { name: "w".into(), found: "float16".into(), network: "a float" };
        assert_eq!(half.floats(), Err(refused));
    }
}
