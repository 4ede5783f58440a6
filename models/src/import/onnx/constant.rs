//! Constants of an ONNX file as lists of numbers, with as many values as their shape asks for.

use super::proto::{BOOL, FLOAT, INT32, INT64, TensorProto, text, type_name};
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
    /// Code of an element type that no operation here takes.
    Other(i32),
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
            (BOOL, raw) => Data::Ints(numbers(raw, |[byte]| i64::from(byte))?),
            (other, _) => Data::Other(other),
        };
        let found = match &data {
            Data::Floats(values) => values.len(),
            Data::Ints(values) => values.len(),
            Data::Other(_) => elements,
        };
        (found == elements).then(|| Self { name: text(name), dims, data })
    }

    /// Its values, which must be float32.
    pub(super) fn floats(&self) -> Result<&[f32], Reason> {
        let found = match &self.data {
            Data::Floats(values) => return Ok(values),
            Data::Ints(_) => "int64".to_owned(),
            Data::Other(code) => type_name(*code),
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
