//! Little-endian fields at byte offsets, in `const` too; a field outside the slice reads as 0.

pub(crate) const fn u8_at(bytes: &[u8], at: usize) -> u8 {
    if at < bytes.len() { bytes[at] } else { 0 }
}

pub(crate) const fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([u8_at(bytes, at), u8_at(bytes, at + 1)])
}

pub(crate) const fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u16_at(bytes, at) as u32 | (u16_at(bytes, at + 2) as u32) << 16
}

/// Copies a field into a record; does nothing where it does not fit.
pub(crate) fn put<const N: usize>(record: &mut [u8], at: usize, field: [u8; N]) {
    if let Some(slot) = record.get_mut(at..at + N) {
        slot.copy_from_slice(&field);
    }
}
