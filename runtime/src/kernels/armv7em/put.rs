//! Int8 stores, written out: most of the outputs of a network pass here.
#![allow(unsafe_code)]

use core::arch::naked_asm;

use super::channels::Pair;
use super::dot::Sums;
use super::store::{Places, Sum};

/// Rescales the sums of two pixels and stores them saturated: as many pairs of channels as all
/// slices have.
///
/// Values below `least` become that.
pub(super) fn pixels(sums: &[Sums], table: &[Pair], least: i32, to: [&mut [u8]; 2]) {
    let [one, two] = to;
    let count = sums.len().min(table.len()).min(one.len() / 2).min(two.len() / 2);
    let ends = sums.get(..count).unwrap_or_default().as_ptr_range();
    if count > 0 {
        // SAFETY: there is a sum, and for every one a pair of channels and two bytes of each pixel.
        unsafe {
            let of = if least == -128 { pixels_of::<0> } else { pixels_of::<1> };
            of(ends.start, table.as_ptr(), one.as_mut_ptr(), two.as_mut_ptr(), ends.end, least)
        }
    }
}

/// Stores the saturated values of two tiles, channels `skip` and the next.
///
/// # Safety
///
/// Every place but `NOWHERE`, `skip` and two more bytes lie inside `out`.
pub(super) unsafe fn tiles(values: &[Sums; 4], places: &[Places; 2], skip: usize, out: &mut [u8]) {
    let ends = values.as_ptr_range();
    // SAFETY: the caller's promise.
    unsafe { tiles_of(ends.start, places, out.as_mut_ptr().add(skip), ends.end) }
}

/// [`tiles`] after a residual add of the bytes of `other`, which may be those of the output.
///
/// # Safety
///
/// As for `tiles`; the second place of each pair, `skip` and two more bytes lie inside `other`.
pub(super) unsafe fn tiles_add(
    values: &[Sums; 4],
    places: &[Places; 2],
    skip: usize,
    sum: &Sum,
    out: &mut [u8],
    other: Option<&[u8]>,
) {
    let ends = values.as_ptr_range();
    let to = out.as_mut_ptr();
    let from = other.map_or(to.cast_const(), |other| other.as_ptr());
    // SAFETY: the caller's promise.
    unsafe { tiles_add_of(ends.start, places, to.add(skip), sum, from.add(skip), ends.end) }
}

/// # Safety
///
/// `sums..end` are one or more elements, `table` as many, `one` and `two` two bytes for each.
#[unsafe(naked)]
unsafe extern "C" fn pixels_of<const CLAMP: usize>(
    sums: *const Sums,
    table: *const Pair,
    one: *mut u8,
    two: *mut u8,
    end: *const Sums,
    least: i32,
) {
    naked_asm!(
        "push {{r4-r11, lr}}
        ldrd r12, lr, [sp, #36]
        1:
        ldm r0!, {{r4-r7}}
        ldm r1!, {{r8-r11}}
        add r4, r4, r8
        add r6, r6, r8
        smmla r4, r4, r9, r10
        smmla r6, r6, r9, r10
        asr r4, r4, r11
        asr r6, r6, r11
        ssat r4, #8, r4
        ssat r6, #8, r6
        .if {clamp}
        cmp r4, lr
        it lt
        movlt r4, lr
        cmp r6, lr
        it lt
        movlt r6, lr
        .endif
        strb r4, [r2], #1
        strb r6, [r3], #1
        ldm r1!, {{r8-r11}}
        add r5, r5, r8
        add r7, r7, r8
        smmla r5, r5, r9, r10
        smmla r7, r7, r9, r10
        asr r5, r5, r11
        asr r7, r7, r11
        ssat r5, #8, r5
        ssat r7, #8, r7
        .if {clamp}
        cmp r5, lr
        it lt
        movlt r5, lr
        cmp r7, lr
        it lt
        movlt r7, lr
        .endif
        strb r5, [r2], #1
        strb r7, [r3], #1
        cmp r0, r12
        bne 1b
        pop {{r4-r11, pc}}",
        clamp = const CLAMP,
    )
}

/// # Safety
///
/// `values..end` are four elements; `to` at each place but `NOWHERE` names two bytes.
#[unsafe(naked)]
unsafe extern "C" fn tiles_of(
    values: *const Sums,
    places: *const [Places; 2],
    to: *mut u8,
    end: *const Sums,
) {
    naked_asm!(
        "push {{r4-r7, lr}}
        add r7, r2, #1
        1:
        ldrd r4, r5, [r0], #8
        ldr r6, [r1], #8
        cmn r6, #1
        beq 2f
        ssat r4, #8, r4
        ssat r5, #8, r5
        strb r4, [r2, r6]
        strb r5, [r7, r6]
        2:
        cmp r0, r3
        bne 1b
        pop {{r4-r7, pc}}",
    )
}

/// # Safety
///
/// As for `tiles_of`; `from` at the second of each pair of places names two bytes too.
#[unsafe(naked)]
unsafe extern "C" fn tiles_add_of(
    values: *const Sums,
    places: *const [Places; 2],
    to: *mut u8,
    sum: *const Sum,
    from: *const u8,
    end: *const Sums,
) {
    // Constants come in turn: of the convolution's value, of the other addend, of the sum.
    naked_asm!(
        "push {{r4-r12, lr}}
        ldrd r4, r5, [sp, #40]
        1:
        ldrd r8, r9, [r1], #8
        ldrd r6, r7, [r0], #8
        cmn r8, #1
        beq 2f
        ldm r3!, {{r10-r12, lr}}
        ssat r6, #8, r6
        ssat r7, #8, r7
        cmp r6, r10
        it lt
        movlt r6, r10
        cmp r7, r10
        it lt
        movlt r7, r10
        sub r6, r6, r11
        sub r7, r7, r11
        lsl r6, r6, r12
        lsl r7, r7, r12
        smmulr r6, r6, lr
        smmulr r7, r7, lr
        ldm r3!, {{r10-r12}}
        ldrsb lr, [r4, r9]
        add r9, r9, r4
        ldrsb r9, [r9, #1]
        sub lr, lr, r10
        sub r9, r9, r10
        lsl lr, lr, r11
        lsl r9, r9, r11
        smmlar r6, lr, r12, r6
        smmlar r7, r9, r12, r7
        ldm r3, {{r10-r12}}
        sub r3, r3, #28
        smmla r6, r6, r10, r11
        smmla r7, r7, r10, r11
        asr r6, r6, r12
        asr r7, r7, r12
        ssat r6, #8, r6
        ssat r7, #8, r7
        strb r6, [r2, r8]
        add r8, r8, r2
        strb r7, [r8, #1]
        2:
        cmp r0, r5
        bne 1b
        pop {{r4-r12, pc}}",
    )
}
