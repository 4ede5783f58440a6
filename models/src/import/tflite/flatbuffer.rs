//! Flatbuffers, read in place: every offset and length is checked where it is followed.
//!
//! A table is a position, a table of offsets to its fields, and nothing is believed about either:
//! [`Damaged`] where something leads outside the file. The crate `flatbuffers` expects generated
//! accessors made of `unsafe` functions; the few fields that are needed here are read without.

/// A part of the file is not where another part says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Damaged;

/// A table of fields, by slot.
#[derive(Clone, Copy, Debug)]
pub(super) struct Table<'a> {
    file: &'a [u8],
    at: usize,
    fields: &'a [[u8; 2]],
}

/// A vector of tables.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tables<'a> {
    file: &'a [u8],
    /// Where the first offset stands.
    start: usize,
    offsets: &'a [[u8; 4]],
}

/// A place in the file, and values of `N` bytes from there on.
type Values<'a, const N: usize> = (usize, &'a [[u8; N]]);

impl<'a> Table<'a> {
    /// The table that the first word of the file leads to.
    pub(super) fn root(file: &'a [u8]) -> Result<Self, Damaged> {
        Self::at(file, follow(file, 0)?)
    }

    fn at(file: &'a [u8], at: usize) -> Result<Self, Damaged> {
        let back = i64::from(i32::from_le_bytes(bytes(file, at)?));
        let vtable = usize::try_from(at as i64 - back).map_err(|_| Damaged)?;
        let length = usize::from(u16::from_le_bytes(bytes(file, vtable)?));
        let fields = file.get(vtable..vtable + length).and_then(|vtable| vtable.get(4..)).ok_or(Damaged)?;
        Ok(Self { file, at, fields: fields.as_chunks().0 })
    }

    /// Where a field stands; `None` where the file leaves it out.
    fn field(&self, slot: usize) -> Option<usize> {
        let offset = self.fields.get(slot).map_or(0, |&offset| u16::from_le_bytes(offset));
        (offset != 0).then(|| self.at + usize::from(offset))
    }

    /// The bytes of a number; `None` where the file leaves it out.
    fn number<const N: usize>(&self, slot: usize) -> Result<Option<[u8; N]>, Damaged> {
        self.field(slot).map(|at| bytes(self.file, at)).transpose()
    }

    /// An 8-bit number.
    pub(super) fn byte(&self, slot: usize) -> Result<u8, Damaged> {
        Ok(self.number(slot)?.map_or(0, u8::from_le_bytes))
    }

    /// A 32-bit number, with the value that it has where the file leaves it out.
    pub(super) fn int(&self, slot: usize, default: i32) -> Result<i32, Damaged> {
        Ok(self.number(slot)?.map_or(default, i32::from_le_bytes))
    }

    /// A table.
    pub(super) fn table(&self, slot: usize) -> Result<Option<Table<'a>>, Damaged> {
        let Some(at) = self.field(slot) else { return Ok(None) };
        Self::at(self.file, follow(self.file, at)?).map(Some)
    }

    /// A vector of values of `N` bytes, or a string; empty where the file leaves it out.
    pub(super) fn values<const N: usize>(&self, slot: usize) -> Result<&'a [[u8; N]], Damaged> {
        Ok(self.vector(slot)?.map_or(&[], |(_, values)| values))
    }

    /// A vector of tables.
    pub(super) fn tables(&self, slot: usize) -> Result<Tables<'a>, Damaged> {
        let (start, offsets) = self.vector(slot)?.unwrap_or((0, &[]));
        Ok(Tables { file: self.file, start, offsets })
    }

    /// Where a vector's values start, and the values.
    fn vector<const N: usize>(&self, slot: usize) -> Result<Option<Values<'a, N>>, Damaged> {
        let Some(at) = self.field(slot) else { return Ok(None) };
        let start = follow(self.file, at)?;
        let count = u32::from_le_bytes(bytes(self.file, start)?) as usize;
        let length = count.checked_mul(N).ok_or(Damaged)?;
        let values = self.file.get(start + 4..).and_then(|rest| rest.get(..length)).ok_or(Damaged)?;
        Ok(Some((start + 4, values.as_chunks().0)))
    }
}

impl<'a> Tables<'a> {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.offsets.len()
    }

    /// One of them.
    pub(super) fn get(&self, index: usize) -> Result<Table<'a>, Damaged> {
        if index >= self.offsets.len() {
            return Err(Damaged);
        }
        Table::at(self.file, follow(self.file, self.start + 4 * index)?)
    }
}

/// Where the offset at `at` leads to: forwards from itself.
fn follow(file: &[u8], at: usize) -> Result<usize, Damaged> {
    at.checked_add(u32::from_le_bytes(bytes(file, at)?) as usize).ok_or(Damaged)
}

fn bytes<const N: usize>(file: &[u8], at: usize) -> Result<[u8; N], Damaged> {
    file.get(at..).and_then(|rest| rest.first_chunk()).copied().ok_or(Damaged)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A root table with a number in slot 0, the string `hi` in slot 2 and itself in slot 3.
    const FILE: [u8; 36] = [
        16, 0, 0, 0, // root at 16
        12, 0, 16, 0, 4, 0, 0, 0, 8, 0, 12, 0, // vtable at 4: slots at +4, none, +8, +12
        12, 0, 0, 0, // table at 16: its vtable is 12 bytes back
        7, 0, 0, 0, // slot 0
        8, 0, 0, 0, // slot 2: the string at 32, from 24
        0, 0, 0, 0, // slot 3: nowhere but itself
        2, 0, 0, 0, // length of the string, whose letters are cut off
    ];

    #[test]
    fn fields_by_hand() {
        let file = [&FILE[..], b"hi"].concat();
        let table = Table::root(&file).expect("a table");
        assert_eq!((table.int(0, 9), table.int(1, 9), table.int(8, 9)), (Ok(7), Ok(9), Ok(9)));
        assert_eq!(table.values::<1>(2).map(|letters| letters.as_flattened()), Ok(&b"hi"[..]));
        assert_eq!(table.values::<4>(1), Ok(&[][..]));
        assert_eq!(table.tables(1).map(|tables| tables.len()), Ok(0));
    }

    #[test]
    fn whatever_leads_outside_is_damaged() {
        let table = Table::root(&FILE).expect("a table");
        assert_eq!(table.values::<1>(2), Err(Damaged));
        for length in 0..24 {
            let cut = Table::root(&FILE[..length]).and_then(|table| table.int(0, 9));
            assert!(cut.is_err(), "{length}");
        }
    }
}
