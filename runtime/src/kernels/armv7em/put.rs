//! The usual stores, written out: most of the outputs of a network pass here.
#![allow(unsafe_code)]

use core::arch::naked_asm;

use super::channels::Pair;
use super::dot::Sums;
use super::store::{Places, Sum};

/// Int8, saturated; an add's other addend too.
const BYTES: usize = 0;
/// Int8 above a least value.
const ABOVE: usize = 1;
/// 0..=15, packed; where an add follows, that is its other addend.
const UNSIGNED: usize = 2;
/// -7..=7, packed; where an add follows, that is its other addend.
const SIGNED: usize = 3;

/// Stores pairs of channels of two pixels: sums, channels, pixels, end of the sums, least value.
type Pixels = unsafe extern "C" fn(*const Sums, *const Pair, *mut u8, *mut u8, *const Sums, i32);
/// Stores a pair of channels of parts of two tiles: values, places, output, sum, other addend, end of the values.
type Tiles =
    unsafe extern "C" fn(*const Sums, *const [Places; 2], *mut u8, *const Sum, *const u8, *const Sums);

/// The stores that suit an operation, where there are any.
#[derive(Clone, Copy)]
pub(super) struct Put {
    pixels: Option<Pixels>,
    tiles: Option<Tiles>,
    /// A pair of channels takes `1 << wide` bytes.
    wide: u32,
    least: i32,
}

impl Put {
    /// For values of 8 or 4 bits in this range; where an add follows, for sums in that range and an
    /// other addend with a sign or without.
    #[inline(always)]
    pub(super) fn new(bytes: bool, range: [i32; 2], after: Option<([i32; 2], bool)>) -> Self {
        let signed = range == [-7, 7];
        let (pixels, tiles) = match (bytes, range, after) {
            (true, [-128, 127], None) => {
                (Some(pixels_of::<BYTES> as Pixels), Some(tiles_of::<BYTES> as Tiles))
            }
            (true, [_, 127], None) => (Some(pixels_of::<ABOVE> as Pixels), None),
            (false, [0, 15], None) => {
                (Some(pixels_of::<UNSIGNED> as Pixels), Some(tiles_of::<UNSIGNED> as Tiles))
            }
            (false, _, None) if signed => (Some(pixels_of::<SIGNED> as Pixels), None),
            (true, [_, 127], Some(([-128, 127], _))) => (None, Some(tiles_add_of::<BYTES, 8> as Tiles)),
            (false, [_, 127], Some(([0, 15], false))) => (None, Some(tiles_add_of::<UNSIGNED, 8> as Tiles)),
            (false, [_, 127], Some(([0, 15], true))) => (None, Some(tiles_add_of::<SIGNED, 8> as Tiles)),
            (false, _, Some(([0, 15], false))) if signed => {
                (None, Some(tiles_add_of::<UNSIGNED, 4> as Tiles))
            }
            (false, _, Some(([0, 15], true))) if signed => (None, Some(tiles_add_of::<SIGNED, 4> as Tiles)),
            _ => (None, None),
        };
        Self { pixels, tiles, wide: bytes.into(), least: range[0] }
    }

    /// Rescales and stores the sums of two pixels: as many pairs of channels as all slices have.
    /// False where it does not suit.
    #[inline(always)]
    pub(super) fn pixels(&self, sums: &[Sums], table: &[Pair], to: [&mut [u8]; 2]) -> bool {
        let (Some(pixels), [one, two]) = (self.pixels, to) else { return false };
        let count = sums.len().min(table.len()).min(one.len() >> self.wide).min(two.len() >> self.wide);
        let ends = sums.get(..count).unwrap_or_default().as_ptr_range();
        if count > 0 {
            let (one, two) = (one.as_mut_ptr(), two.as_mut_ptr());
            // SAFETY: there is a sum, and for every one a pair of channels and their bytes of each pixel.
            unsafe { pixels(ends.start, table.as_ptr(), one, two, ends.end, self.least) }
        }
        true
    }

    /// Stores the values of two tiles, `skip` bytes behind their places, after an add of what `other`
    /// holds where one follows. False where it does not suit.
    ///
    /// # Safety
    ///
    /// There are values, and places for all. The first place of each pair but `NOWHERE`, `skip` and the bytes
    /// of two values lie inside `out`, the second ones inside `other`.
    #[inline(always)]
    pub(super) unsafe fn tiles(
        &self,
        values: &[[Sums; 4]],
        places: &[[Places; 2]],
        skip: usize,
        sum: Option<&Sum>,
        out: &mut [u8],
        other: Option<&[u8]>,
    ) -> bool {
        let Some(tiles) = self.tiles else { return false };
        let (ends, to) = (values.as_flattened().as_ptr_range(), out.as_mut_ptr());
        let from = other.map_or(to.cast_const(), |other| other.as_ptr());
        let sum = sum.map_or(core::ptr::null(), core::ptr::from_ref);
        // SAFETY: the caller's promise; only stores that add read `sum`.
        unsafe { tiles(ends.start, places.as_ptr(), to.add(skip), sum, from.add(skip), ends.end) }
        true
    }
}

/// Of two neighbouring channels' values, `a` becomes what is stored.
macro_rules! finish {
    () => {
        "
        .macro saturate r
        .if {form} == 2
        usat \\r, #4, \\r
        .elseif {form} == 3
        ssat \\r, #4, \\r
        .else
        ssat \\r, #8, \\r
        .endif
        .endm
        .macro pack a, b
        .if {form} > 1
        bfi \\a, \\b, #4, #4
        .else
        bfi \\a, \\b, #8, #8
        .endif
        .endm
        "
    };
}

/// # Safety
///
/// `sums..end` are one or more elements, `table` as many, `one` and `two` the bytes for each.
#[unsafe(naked)]
unsafe extern "C" fn pixels_of<const FORM: usize>(
    sums: *const Sums,
    table: *const Pair,
    one: *mut u8,
    two: *mut u8,
    end: *const Sums,
    least: i32,
) {
    naked_asm!(
        finish!(),
        "
        .macro value r
        smmla \\r, \\r, r9, r10
        asr \\r, \\r, r11
        saturate \\r
        .if {form} & 1
        cmp \\r, lr
        it lt
        movlt \\r, lr
        .endif
        .endm
        push {{r4-r11, lr}}
        ldrd r12, lr, [sp, #36]
        1:
        ldm r0!, {{r4-r7}}
        ldm r1!, {{r8-r11}}
        add r4, r4, r8
        add r6, r6, r8
        value r4
        value r6
        ldm r1!, {{r8-r11}}
        add r5, r5, r8
        add r7, r7, r8
        value r5
        value r7
        pack r4, r5
        pack r6, r7
        .if {form} > 1
        strb r4, [r2], #1
        strb r6, [r3], #1
        .else
        strh r4, [r2], #2
        strh r6, [r3], #2
        .endif
        cmp r0, r12
        bne 1b
        pop {{r4-r11, pc}}
        .purgem saturate
        .purgem pack
        .purgem value
        ",
        form = const FORM,
    )
}

/// # Safety
///
/// `values..end` are four elements or a multiple, `places` has two for each four; `to` at the first of each
/// pair of places but `NOWHERE` names the bytes of two values.
#[unsafe(naked)]
unsafe extern "C" fn tiles_of<const FORM: usize>(
    values: *const Sums,
    places: *const [Places; 2],
    to: *mut u8,
    sum: *const Sum,
    from: *const u8,
    end: *const Sums,
) {
    naked_asm!(
        finish!(),
        "
        push {{r4-r6, lr}}
        ldr r3, [sp, #20]
        1:
        .rept 2
        ldrd r4, r5, [r0], #8
        ldr r6, [r1], #8
        saturate r4
        saturate r5
        pack r4, r5
        cmn r6, #1
        it ne
        .if {form} > 1
        strbne r4, [r2, r6]
        .else
        strhne r4, [r2, r6]
        .endif
        .endr
        cmp r0, r3
        bne 1b
        pop {{r4-r6, pc}}
        .purgem saturate
        .purgem pack
        ",
        form = const FORM,
    )
}

/// # Safety
///
/// As for `tiles_of`; `from` at the second of each pair of places names as many bytes. The values have
/// `BITS` bits before the add.
#[unsafe(naked)]
unsafe extern "C" fn tiles_add_of<const FORM: usize, const BITS: usize>(
    values: *const Sums,
    places: *const [Places; 2],
    to: *mut u8,
    sum: *const Sum,
    from: *const u8,
    end: *const Sums,
) {
    // Constants come in turn: of the convolution's value, of the other addend, of the sum.
    naked_asm!(
        "
        .macro addend r
        mla \\r, \\r, r10, r11
        smmulr \\r, \\r, r12
        .endm
        .macro other a, b, at
        ldr r9, [r1, #\\at]
        .if {form} > 1
        ldrb lr, [r4, r9]
        .if {form} == 2
        lsr r9, lr, #4
        and lr, lr, #15
        .else
        sbfx r9, lr, #4, #4
        sbfx lr, lr, #0, #4
        .endif
        .else
        ldrsb lr, [r4, r9]
        add r9, r9, r4
        ldrsb r9, [r9, #1]
        .endif
        mla lr, lr, r10, r11
        mla r9, r9, r10, r11
        smmlar \\a, lr, r12, \\a
        smmlar \\b, r9, r12, \\b
        .endm
        .macro summed r
        smmla \\r, \\r, r10, r11
        asr \\r, \\r, r12
        .if {form} > 1
        usat \\r, #4, \\r
        .else
        ssat \\r, #8, \\r
        .endif
        .endm
        .macro place a, b
        ldr r9, [r1], #8
        .if {form} > 1
        bfi \\a, \\b, #4, #4
        cmn r9, #1
        it ne
        strbne \\a, [r2, r9]
        .else
        bfi \\a, \\b, #8, #8
        cmn r9, #1
        it ne
        strhne \\a, [r2, r9]
        .endif
        .endm
        push {{r4-r11, lr}}
        ldr r4, [sp, #36]
        1:
        ldm r0!, {{r5-r8}}
        ldm r3!, {{r10-r12, lr}}
        .irp r, r5, r6, r7, r8
        ssat \\r, #{bits}, \\r
        .endr
        cmp r5, lr
        ittt ge
        cmpge r6, lr
        cmpge r7, lr
        cmpge r8, lr
        blt 3f
        2:
        .irp r, r5, r6, r7, r8
        addend \\r
        .endr
        ldm r3!, {{r10-r12}}
        other r5, r6, 4
        other r7, r8, 12
        ldm r3, {{r10-r12}}
        subs r3, #28
        .irp r, r5, r6, r7, r8
        summed \\r
        .endr
        place r5, r6
        place r7, r8
        ldr lr, [sp, #40]
        cmp r0, lr
        bne.w 1b
        pop {{r4-r11, pc}}
        3:
        .irp r, r5, r6, r7, r8
        cmp \\r, lr
        it lt
        movlt \\r, lr
        .endr
        b.w 2b
        .purgem addend
        .purgem other
        .purgem summed
        .purgem place
        ",
        form = const FORM,
        bits = const BITS,
    )
}
