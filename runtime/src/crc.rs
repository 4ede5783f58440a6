//! CRC-32 (IEEE 802.3, reflected, as in zip and PNG), in `const` too, from a 64-byte table.

const TABLE: [u32; 16] = {
    let mut table = [0; 16];
    let mut i = 0;
    while i < 16 {
        let mut value = i as u32;
        let mut bit = 0;
        while bit < 4 {
            value = if value & 1 == 1 { (value >> 1) ^ 0xEDB8_8320 } else { value >> 1 };
            bit += 1;
        }
        table[i] = value;
        i += 1;
    }
    table
};

/// CRC-32 of all bytes.
pub const fn crc32(bytes: &[u8]) -> u32 {
    crc32_parts(bytes, &[])
}

/// CRC-32 of bytes that come piece by piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Crc32(u32);

impl Crc32 {
    /// Of no bytes yet.
    pub const fn new() -> Self {
        Self(!0)
    }

    /// Takes the next bytes.
    pub const fn update(self, bytes: &[u8]) -> Self {
        Self(update(self.0, bytes))
    }

    /// Of all bytes so far.
    pub const fn value(self) -> u32 {
        !self.0
    }
}

impl Default for Crc32 {
    fn default() -> Self {
        Self::new()
    }
}

/// CRC-32 of two slices, one after the other.
pub(crate) const fn crc32_parts(first: &[u8], second: &[u8]) -> u32 {
    !update(update(!0, first), second)
}

const fn update(mut crc: u32, mut bytes: &[u8]) -> u32 {
    while let [byte, rest @ ..] = bytes {
        crc ^= *byte as u32;
        crc = (crc >> 4) ^ TABLE[(crc & 15) as usize];
        crc = (crc >> 4) ^ TABLE[(crc & 15) as usize];
        bytes = rest;
    }
    crc
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn check_value_of_the_standard() {
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
        assert_eq!(crc32_parts(b"1234", b"56789"), 0xCBF4_3926);
        assert_eq!(crc32(b""), 0);
        assert_eq!(Crc32::new().update(b"123").update(b"").update(b"456789").value(), 0xCBF4_3926);
    }
}
