//! Tensor records: shape, type, zero point, and the scale for people.

use half::f16;

use crate::bytes::{put, u8_at, u16_at, u32_at};
use crate::kernels::{Ring, TensorMut, TensorRef};
use crate::shape::{DType, Shape};

/// Bytes of a tensor record.
pub const TENSOR_BYTES: usize = 11;

/// An activation, as the artefact describes it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TensorInfo {
    /// Height, width, channels.
    pub shape: Shape,
    /// Storage of an element.
    pub dtype: DType,
    /// The integer that stands for the real zero.
    pub zero_point: i8,
    /// Real value of one step, in half precision. No kernel reads it.
    pub scale: f16,
}

impl TensorInfo {
    /// Bytes that the tensor takes.
    pub const fn bytes(&self) -> usize {
        self.shape.bytes(self.dtype)
    }

    /// The tensor, or some rows of it, to read.
    pub(crate) fn view<'v>(&self, data: &'v [u8], ring: Ring) -> TensorRef<'v> {
        let Self { shape, dtype, zero_point, .. } = *self;
        TensorRef { data, ring, shape, dtype, zero_point: i32::from(zero_point) }
    }

    /// The tensor, or some rows of it, to write.
    pub(crate) fn view_mut<'v>(&self, data: &'v mut [u8], ring: Ring) -> TensorMut<'v> {
        let Self { shape, dtype, zero_point, .. } = *self;
        TensorMut { data, ring, shape, dtype, zero_point: i32::from(zero_point) }
    }

    /// Reads a record; `None` for an unknown type, an empty or huge shape, or a zero point in a
    /// 4-bit tensor.
    pub(super) fn decode(record: &[u8; TENSOR_BYTES]) -> Option<Self> {
        let storage = u32_at(record, 0);
        let dtype = DType::from_code(storage as u8 & 0xF)?;
        let zero_point = u8_at(record, 4) as i8;
        let (height, width) = (height(record), u16_at(record, 9));
        let shape = Shape::new(height.into(), width.into(), (storage >> 4) as usize);
        shape.checked_bytes(dtype)?;
        if dtype.bits() == 4 && zero_point != 0 {
            return None;
        }
        Some(Self { shape, dtype, zero_point, scale: f16::from_bits(u16_at(record, 5)) })
    }

    /// The record's bytes; extents are at most 65,535, channels below 2^28.
    pub fn encode(&self) -> [u8; TENSOR_BYTES] {
        let mut record = [0; TENSOR_BYTES];
        put(&mut record, 0, ((self.shape.channels as u32) << 4 | self.dtype as u32).to_le_bytes());
        put(&mut record, 4, [self.zero_point as u8]);
        put(&mut record, 5, self.scale.to_bits().to_le_bytes());
        put(&mut record, 7, (self.shape.height as u16).to_le_bytes());
        put(&mut record, 9, (self.shape.width as u16).to_le_bytes());
        record
    }
}

/// The height in a tensor's record.
pub(super) fn height(record: &[u8; TENSOR_BYTES]) -> u16 {
    u16_at(record, 7)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_round_trip() {
        let tensor = TensorInfo {
            shape: Shape::new(32, 31, 70_000),
            dtype: DType::I8,
            zero_point: -128,
            scale: f16::from_f32(0.25),
        };
        assert_eq!(TensorInfo::decode(&tensor.encode()), Some(tensor));
    }

    #[test]
    fn four_bit_tensors_have_no_zero_point() {
        let mut tensor =
            TensorInfo { shape: Shape::new(1, 1, 1), dtype: DType::U4, zero_point: 0, scale: f16::ONE };
        assert!(TensorInfo::decode(&tensor.encode()).is_some());
        tensor.zero_point = 1;
        assert_eq!(TensorInfo::decode(&tensor.encode()), None);
    }
}
