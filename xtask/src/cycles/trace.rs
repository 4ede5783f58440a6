//! The log of an emulator to executed instructions: QEMU's `-d in_asm,exec,nochain`.
//!
//! `in_asm` lists each block of instructions when it is translated, `exec` tells each time that a
//! block runs. Both go through [`Trace::line`]. The trace is cut wherever a given function, the mark,
//! was called: what runs inside it belongs to no part. A branch was taken where the next block does
//! not follow in memory.

use std::collections::HashMap;
use std::ops::Range;

use super::mix::{Cycles, Mix};
use super::thumb::decode;

/// What ran between two calls of the mark.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) mix: Mix,
    pub(super) cycles: Cycles,
}

/// Instructions that are executed together, up to a branch.
#[derive(Clone, Copy, Debug)]
struct Block {
    start: u32,
    /// Behind its last instruction.
    end: u32,
    /// The last instruction can branch.
    branches: bool,
    /// Of one execution, without what a taken branch adds.
    part: Part,
}

/// Reads a log line by line.
pub(super) struct Trace<'a> {
    /// Flash, from address 0.
    flash: &'a [u8],
    mark: Range<u32>,
    /// By the address of the host's code, which is another one for each translation.
    blocks: HashMap<u64, Block>,
    /// The block that was listed and has not run yet: first address, instructions.
    listed: Option<(u32, u32)>,
    last: Option<Block>,
    parts: Vec<Part>,
}

impl<'a> Trace<'a> {
    /// Nothing executed yet.
    pub(super) fn new(flash: &'a [u8], mark: Range<u32>) -> Self {
        let parts = vec![Part::default()];
        Self { flash, mark, blocks: HashMap::new(), listed: None, last: None, parts }
    }

    /// Reads a line; lines that say neither of the two are skipped.
    pub(super) fn line(&mut self, line: &[u8]) {
        if let Some(rest) = line.strip_prefix(b"Trace ") {
            self.run(rest);
        } else if line.starts_with(b"Stopped execution") {
            // The block that was announced last did not run.
            self.last = None;
        } else if line.starts_with(b"IN:") {
            self.listed = None;
        } else if let Some(rest) = line.strip_prefix(b"0x")
            && let Some(colon) = rest.iter().position(|&byte| byte == b':')
            && let Some(address) = hex(&rest[..colon])
        {
            let (start, count) = self.listed.unwrap_or((address as u32, 0));
            self.listed = Some((start, count + 1));
        }
    }

    /// The parts, one more than the mark was called.
    pub(super) fn finish(mut self) -> Vec<Part> {
        self.count(None);
        self.parts
    }

    /// `0: 0x7f0000000100 [cs_base/pc/flags/cflags] name`.
    fn run(&mut self, rest: &[u8]) {
        let mut words = rest.split(|&byte| byte == b' ');
        let host = words.nth(1).and_then(|word| hex(word.strip_prefix(b"0x")?));
        let place = words.next().and_then(|word| hex(word.split(|&byte| byte == b'/').nth(1)?));
        let (Some(host), Some(start)) = (host, place) else { return };
        let start = start as u32;
        self.count(Some(start));
        if let Some((listed, count)) = self.listed.take_if(|(listed, _)| *listed == start) {
            self.blocks.insert(host, self.block(listed, count));
        }
        self.last = self.blocks.get(&host).copied();
    }

    /// Counts the block that ran, now that the address behind it is known.
    fn count(&mut self, next: Option<u32>) {
        let Some(block) = self.last.take() else { return };
        let marked = self.mark.contains(&block.start);
        if block.start == self.mark.start {
            self.parts.push(Part::default());
        }
        let Some(part) = self.parts.last_mut().filter(|_| !marked) else { return };
        part.mix += block.part.mix;
        part.cycles += block.part.cycles;
        if block.branches && next.is_some_and(|next| next != block.end) {
            let taken = Mix { taken: 1, ..Mix::default() };
            part.mix += taken;
            part.cycles += taken.cycles();
        }
    }

    /// Decodes a listed block.
    fn block(&self, start: u32, count: u32) -> Block {
        let halfword = |at: u32| {
            let bytes = self.flash.get(at as usize..at as usize + 2);
            bytes.map_or(0, |bytes| u16::from_le_bytes([bytes[0], bytes[1]]))
        };
        let (mut mix, mut end, mut branches) = (Mix::default(), start, false);
        for _ in 0..count {
            let instruction = decode(halfword(end), halfword(end + 2));
            mix.add(instruction);
            end += instruction.bytes;
            branches = instruction.branches;
        }
        Block { start, end, branches, part: Part { mix, cycles: mix.cycles() } }
    }
}

fn hex(digits: &[u8]) -> Option<u64> {
    u64::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `0: nop; bl 0x10; 6: ldr r0, [r0]; bne 0; a: nop`, and at 0x10 the mark: `nop; bx lr`.
    const FLASH: [u16; 10] = [0xBF00, 0xF000, 0xF805, 0x6800, 0xD1FA, 0xBF00, 0xBF00, 0xBF00, 0xBF00, 0x4770];

    const LOG: &str = "----------------
IN: main
0x00000000:  bf00       nop
0x00000002:  f000 f805  bl       #0x10

Trace 0: 0x7f01 [00400000/00000000/00000110/ff021200] main
IN: mark
0x00000010:  bf00       nop
0x00000012:  4770       bx       lr

Trace 0: 0x7f02 [00400000/00000010/00000110/ff021200] mark
IN: main
0x00000006:  6800       ldr      r0, [r0]
0x00000008:  d1fa       bne      #0

Trace 0: 0x7f03 [00400000/00000006/00000110/ff021200] main
Trace 0: 0x7f01 [00400000/00000000/00000110/ff021200] main
Stopped execution of TB chain before 0x7f01 [00000000] main
Trace 0: 0x7f01 [00400000/00000000/00000110/ff021200] main
Trace 0: 0x7f02 [00400000/00000010/00000110/ff021200] mark
done
Trace 0: 0x7f03 [00400000/00000006/00000110/ff021200] main
IN: main
0x0000000a:  bf00       nop

Trace 0: 0x7f04 [00400000/0000000a/00000110/ff021200] main
";

    #[test]
    fn a_trace_is_cut_at_its_mark() {
        let flash: Vec<u8> = FLASH.iter().flat_map(|halfword| halfword.to_le_bytes()).collect();
        let mut trace = Trace::new(&flash, 0x10..0x14);
        LOG.lines().for_each(|line| trace.line(line.as_bytes()));
        let parts: Vec<_> = trace.finish().into_iter().map(|part| part.mix).collect();
        let first = Mix { simple: 2, taken: 1, ..Mix::default() };
        // The load, its branch back, and the way to the mark again.
        let again = Mix { simple: 3, loads: 1, taken: 2, ..Mix::default() };
        // The branch falls through; the last block's end is the log's.
        let end = Mix { simple: 2, loads: 1, ..Mix::default() };
        assert_eq!(parts, [first, again, end]);
    }
}
