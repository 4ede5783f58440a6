//! Thumb-2 instructions by what they ask of a core: their width and their class.
//!
//! Takes halfwords as they lie in flash, gives an [`Instruction`]. Knows the encodings of the
//! Armv7-M Architecture Reference Manual (chapter A5): every instruction that compilers and the
//! kernels emit for Cortex-M4 and M7. What has no class of its own is [`Class::Simple`].

/// An instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Instruction {
    /// In flash: 2 or 4.
    pub(super) bytes: u32,
    /// What it does.
    pub(super) class: Class,
    /// Whether it can set the program counter.
    pub(super) branches: bool,
}

/// What an instruction does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// Arithmetic, moves, branches.
    Simple,
    /// A multiplication with a 32-bit result, one or two products: MUL, MLA, SMLAD, SMMLA.
    Multiply,
    /// A multiplication with a 64-bit result: SMULL, SMLAL.
    LongMultiply,
    /// SDIV, UDIV.
    Divide,
    /// One word or less from memory.
    Load,
    /// One word or less to memory.
    Store,
    /// So many words from memory: LDM, LDRD, POP.
    LoadMany(u32),
    /// So many words to memory: STM, STRD, PUSH.
    StoreMany(u32),
}

use Class::{Divide, Load, LoadMany, LongMultiply, Multiply, Simple, Store, StoreMany};

/// The instruction that starts with `first`; `second` is the halfword behind it, which only wide
/// instructions have.
pub(super) fn decode(first: u16, second: u16) -> Instruction {
    let wide = first >= 0xE800;
    let (class, branches) = if wide { wide_class(first, second) } else { narrow_class(first) };
    Instruction { bytes: if wide { 4 } else { 2 }, class, branches }
}

fn narrow_class(op: u16) -> (Class, bool) {
    let plain = |class| (class, false);
    let loads = op & 0x0800 != 0;
    let one = |loads| plain(if loads { Load } else { Store });
    match op >> 12 {
        // MUL; BX and BLX; ADD and MOV to the program counter; a literal.
        4 if op & 0xFFC0 == 0x4340 => plain(Multiply),
        4 if op & 0xFF00 == 0x4700 => (Simple, true),
        4 if matches!(op & 0xFF87, 0x4487 | 0x4687) => (Simple, true),
        4 if loads => plain(Load),
        // A register as offset: STR, STRH, STRB, then five loads.
        5 => one(op & 0x0E00 >= 0x0600),
        6..=9 => one(loads),
        0xB if op & 0xFE00 == 0xB400 => plain(StoreMany((op & 0x01FF).count_ones())),
        0xB if op & 0xFE00 == 0xBC00 => (LoadMany((op & 0x01FF).count_ones()), op & 0x0100 != 0),
        // CBZ and CBNZ.
        0xB if op & 0xF500 == 0xB100 => (Simple, true),
        0xC => {
            let words = (op & 0x00FF).count_ones();
            plain(if loads { LoadMany(words) } else { StoreMany(words) })
        }
        // Conditions 14 and 15 are UDF and SVC.
        0xD => (Simple, op & 0x0E00 != 0x0E00),
        0xE => (Simple, true),
        _ => plain(Simple),
    }
}

fn wide_class(first: u16, second: u16) -> (Class, bool) {
    let plain = |class| (class, false);
    let loads = first & 0x0010 != 0;
    let many = |words| if loads { LoadMany(words) } else { StoreMany(words) };
    match first & 0xFE00 {
        // LDM and STM, then table branches, exclusives, LDRD and STRD.
        0xE800 if first & 0x0040 == 0 => (many(second.count_ones()), loads && second & 0x8000 != 0),
        0xE800 if first & 0xFFF0 == 0xE8D0 && second & 0xFFE0 == 0xF000 => (Load, true),
        0xE800 if first & 0x0120 == 0 => plain(if loads { Load } else { Store }),
        0xE800 => plain(many(2)),
        0xF800 if !loads => plain(Store),
        // A word to the program counter branches; a byte or halfword there is a hint.
        0xF800 if second >> 12 == 15 && first & 0x0040 == 0 => plain(Simple),
        0xF800 => (Load, second >> 12 == 15),
        0xFA00 if first & 0xFF80 == 0xFB00 => plain(Multiply),
        0xFA00 if first & 0xFFD0 == 0xFB90 => plain(Divide),
        0xFA00 if first & 0xFF80 == 0xFB80 => plain(LongMultiply),
        // B.W and BL; the conditional B.W, whose conditions 14 and 15 are MSR, barriers, hints.
        0xF000..=0xF600 if second & 0x9000 == 0x9000 => (Simple, true),
        0xF000..=0xF600 if second & 0xD000 == 0x8000 => (Simple, first & 0x0380 != 0x0380),
        // VMOV of two core registers; VLDR and VSTR; VLDM and VSTM.
        0xEC00 if first & 0xFFE0 == 0xEC40 => plain(Simple),
        0xEC00 => plain(match (second & 0x00FF, first & 0x0120, second & 0x0100) {
            (_, 0x0100, 0) if loads => Load,
            (_, 0x0100, 0) => Store,
            (_, 0x0100, _) => many(2),
            (words, _, _) => many(words.into()),
        }),
        _ => plain(Simple),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Encodings by the architecture's manual, as an assembler writes them.
    #[test]
    fn encodings_of_the_manual() {
        let narrow = [
            (0x4348, Multiply, false, "muls r0, r1"),
            (0x4770, Simple, true, "bx lr"),
            (0x4687, Simple, true, "mov pc, r0"),
            (0x4680, Simple, false, "mov r8, r0"),
            (0x4801, Load, false, "ldr r0, [pc, #4]"),
            (0x5088, Store, false, "str r0, [r1, r2]"),
            (0x5688, Load, false, "ldrsb r0, [r1, r2]"),
            (0x6008, Store, false, "str r0, [r1]"),
            (0x7808, Load, false, "ldrb r0, [r1]"),
            (0x9801, Load, false, "ldr r0, [sp, #4]"),
            (0xB5F0, StoreMany(5), false, "push {r4-r7, lr}"),
            (0xBDF0, LoadMany(5), true, "pop {r4-r7, pc}"),
            (0xB118, Simple, true, "cbz r0, +6"),
            (0xBF08, Simple, false, "it eq"),
            (0xC107, StoreMany(3), false, "stm r1!, {r0-r2}"),
            (0xC907, LoadMany(3), false, "ldm r1, {r0-r2}"),
            (0xD1FE, Simple, true, "bne"),
            (0xDF00, Simple, false, "svc 0"),
            (0xE7FE, Simple, true, "b"),
            (0x1840, Simple, false, "adds r0, r0, r1"),
        ];
        for (op, class, branches, text) in narrow {
            assert_eq!(decode(op, 0xFFFF), Instruction { bytes: 2, class, branches }, "{text}");
        }
        let wide = [
            ([0xE8B1, 0x00FC], LoadMany(6), false, "ldmia.w r1!, {r2-r7}"),
            ([0xE8BD, 0x8FF0], LoadMany(9), true, "pop.w {r4-r11, pc}"),
            ([0xE92D, 0x4FF0], StoreMany(9), false, "push.w {r4-r11, lr}"),
            ([0xE9D1, 0x2300], LoadMany(2), false, "ldrd r2, r3, [r1]"),
            ([0xE8D0, 0xF001], Load, true, "tbb [r0, r1]"),
            ([0xE850, 0x1F00], Load, false, "ldrex r1, [r0]"),
            ([0xF8D1, 0x0004], Load, false, "ldr.w r0, [r1, #4]"),
            ([0xF8D1, 0xF004], Load, true, "ldr.w pc, [r1, #4]"),
            ([0xF891, 0xF000], Simple, false, "pld [r1]"),
            ([0xF991, 0x0000], Load, false, "ldrsb.w r0, [r1]"),
            ([0xF8C1, 0x0004], Store, false, "str.w r0, [r1, #4]"),
            ([0xFB21, 0x0302], Multiply, false, "smlad r3, r1, r2, r0"),
            ([0xFB51, 0x0302], Multiply, false, "smmla r3, r1, r2, r0"),
            ([0xFB81, 0x0302], LongMultiply, false, "smull r0, r3, r1, r2"),
            ([0xFBC1, 0x0302], LongMultiply, false, "smlal r0, r3, r1, r2"),
            ([0xFB91, 0xF0F2], Divide, false, "sdiv r0, r1, r2"),
            ([0xFBB1, 0xF0F2], Divide, false, "udiv r0, r1, r2"),
            ([0xF7FF, 0xFFFE], Simple, true, "bl"),
            ([0xF7FF, 0xBFFE], Simple, true, "b.w"),
            ([0xF47F, 0xAFFE], Simple, true, "bne.w"),
            ([0xF3BF, 0x8F5F], Simple, false, "dmb"),
            ([0xF04F, 0x30FF], Simple, false, "mov.w r0, #-1"),
            ([0xEA00, 0x0112], Simple, false, "and.w r1, r0, r2, lsr #0"),
            ([0xFA0F, 0xF081], Simple, false, "sxth.w r0, r1"),
            ([0xED91, 0x0A00], Load, false, "vldr s0, [r1]"),
            ([0xED91, 0x0B00], LoadMany(2), false, "vldr d0, [r1]"),
            ([0xECB1, 0x0A08], LoadMany(8), false, "vldmia r1!, {s0-s7}"),
            ([0xEC51, 0x0B10], Simple, false, "vmov r0, r1, d0"),
            ([0xEE00, 0x0A10], Simple, false, "vmov s0, r0"),
        ];
        for ([first, second], class, branches, text) in wide {
            assert_eq!(decode(first, second), Instruction { bytes: 4, class, branches }, "{text}");
        }
    }
}
