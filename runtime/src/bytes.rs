//! Little-endian fields of records, in `const` too; a field outside the record reads as 0. Text.

#[inline(always)]
pub(crate) const fn u8_at<const N: usize>(record: &[u8; N], at: usize) -> u8 {
    if at < N { record[at] } else { 0 }
}

#[inline(always)]
pub(crate) const fn u16_at<const N: usize>(record: &[u8; N], at: usize) -> u16 {
    u16::from_le_bytes(field(record, at))
}

#[inline(always)]
pub(crate) const fn u32_at<const N: usize>(record: &[u8; N], at: usize) -> u32 {
    u32::from_le_bytes(field(record, at))
}

/// Loaded at once: the parts of a number that is put together byte by byte are loaded one by one.
#[inline(always)]
const fn field<const N: usize, const M: usize>(record: &[u8; N], at: usize) -> [u8; M] {
    if let Some((_, tail)) = record.split_at_checked(at)
        && let Some(field) = tail.first_chunk()
    {
        return *field;
    }
    [0; M]
}

/// Copies a field into a record; does nothing where it does not fit.
pub(crate) fn put<const N: usize>(record: &mut [u8], at: usize, field: [u8; N]) {
    if let Some(slot) = record.get_mut(at..at + N) {
        slot.copy_from_slice(&field);
    }
}

/// Whether all bytes are UTF-8, as [`core::str::from_utf8`] says with five times the code.
pub(crate) fn is_utf8(mut bytes: &[u8]) -> bool {
    while let Some((&first, mut rest)) = bytes.split_first() {
        let (more, least) = match first {
            0..0x80 => (0, 0),
            0xC0..0xE0 => (1, 0x80),
            0xE0..0xF0 => (2, 0x800),
            0xF0..0xF8 => (3, 0x1_0000),
            _ => return false,
        };
        let mut code = if more == 0 { 0 } else { u32::from(first) & (0x3F >> more) };
        for _ in 0..more {
            let Some((&next, behind)) = rest.split_first() else { return false };
            if next & 0xC0 != 0x80 {
                return false;
            }
            code = code << 6 | u32::from(next & 0x3F);
            rest = behind;
        }
        if code < least || char::from_u32(code).is_none() {
            return false;
        }
        bytes = rest;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn utf8_is_what_core_says() {
        let agrees =
            |bytes: &[u8]| assert_eq!(is_utf8(bytes), core::str::from_utf8(bytes).is_ok(), "{bytes:x?}");
        // First bytes of all lengths; those that follow at the ends of their ranges.
        let next = [0x00, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xFF];
        for first in 0..=0xFF {
            agrees(&[first]);
            for second in next {
                agrees(&[first, second]);
                for third in next {
                    agrees(&[first, second, third]);
                    for fourth in next {
                        agrees(&[first, second, third, fourth]);
                    }
                }
            }
        }
        agrees("Größe 4 µm, 日本 🦀\n".as_bytes());
    }
}
