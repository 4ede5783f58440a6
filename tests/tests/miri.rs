//! What Miri runs: artefacts under 1.5 KB, whole and damaged, parsed and run by the reference kernels.
//!
//! Only the runtime and committed files, no compiler, so that Miri has little to build:
//! `cargo +nightly miri test --package fourbit-tests --test miri`.

#[path = "common/reseal.rs"]
mod reseal;

use fourbit::artefact::header::kind;
use fourbit::kernels::{Family, Reference};
use fourbit::{Aligned, Arena, Artefact, Session, Verified};
use fourbit_tests::{Rng, image};
use reseal::{Parts, reseal};

/// Header and CRCs are checked when this file is compiled.
const SUM: Verified<'static> = fourbit::embed!("../golden/tiny-sum.fourbit");
const WINDOW: Verified<'static> = fourbit::embed!("../golden/tiny-window.fourbit");

/// Damaged copies of each file, and of how many one is checked to the last byte and run.
const DAMAGED: u64 = 60;
const WHOLE: u64 = 5;
/// Bytes of the largest file and of the largest arena that is run.
const ROOM: usize = 1536;
/// Sections whose content a damaged copy differs in.
const KINDS: [u16; 7] =
    [kind::TENSORS, kind::OPS, kind::WEIGHTS, kind::CHANNELS, kind::PLAN, kind::NAMES, kind::LABELS];

/// The logits of a noisy image, over an arena that held `content` before.
fn logits(artefact: &Artefact<'_>, content: u8) -> Vec<i8> {
    let mut arena: Arena<ROOM> = Aligned([content; ROOM]);
    let mut image = vec![0; artefact.header().input_shape.elements()];
    image::noise(1, &mut image);
    let mut logits = vec![0; artefact.header().logits.into()];
    let mut session = Session::new(artefact, Reference, &mut arena.0).expect("the arena fits");
    session.run(&image, &mut logits).expect("what was parsed runs");
    logits
}

#[test]
fn embedded_files_run() {
    for file in [SUM, WINDOW] {
        let artefact = Artefact::open(file).expect("a good file");
        assert!(artefact.labels().eq(["no", "yes"]));
        let names: Vec<_> = (0..4).map(|index| artefact.name(index)).collect();
        assert!(names.iter().all(|name| !name.is_empty()), "{names:?}");
        // What lay in the arena before has no influence.
        assert_eq!(logits(&artefact, 0x00), logits(&artefact, 0xFF));
    }
}

#[test]
fn cut_files_are_refused() {
    for file in [SUM, WINDOW] {
        for length in (0..file.bytes().len()).step_by(7) {
            assert!(Verified::new(&file.bytes()[..length]).is_err());
        }
        // Cut files whose header denies it.
        for length in (0..file.bytes().len()).step_by(97) {
            let mut cut = file.bytes()[..length].to_vec();
            if let Some(field) = cut.get_mut(12..16) {
                field.copy_from_slice(&(length as u32).to_le_bytes());
            }
            reseal(&mut cut);
            assert!(Verified::new(&cut).is_err());
        }
    }
}

#[test]
fn damaged_files_are_refused_or_run() {
    let (mut refused, mut parsed, mut ran) = (0, 0, 0);
    for (file, seed) in [SUM, WINDOW].iter().flat_map(|file| (0..DAMAGED).map(move |seed| (file, seed))) {
        let damaged = damaged(file.bytes(), &mut Rng::new(seed));
        let mut memory = Aligned([0; ROOM]);
        let memory = &mut memory.0[..damaged.len()];
        memory.copy_from_slice(&damaged);
        let whole = seed % WHOLE == 0;
        let verified = if whole { Verified::new(memory) } else { Verified::without_section_crcs(memory) };
        match Artefact::open(verified.expect("the CRCs were repaired")) {
            Err(error) => {
                assert!(!error.to_string().is_empty());
                refused += 1;
            }
            Ok(artefact) if whole && artefact.header().arena_bytes(Family::Portable) <= ROOM => {
                logits(&artefact, 0x5A);
                ran += 1;
            }
            Ok(_) => parsed += 1,
        }
    }
    println!("{refused} refused, {parsed} parsed, {ran} parsed and ran");
    assert!(refused > 0 && parsed > 0 && ran > 0);
}

/// A copy with one to three fields of one section replaced and every CRC right.
fn damaged(file: &[u8], rng: &mut Rng) -> Vec<u8> {
    let mut parts = Parts::of(file);
    let content = parts.section(rng.pick(KINDS));
    for _ in 0..rng.size(1, 3) {
        let at = rng.size(0, content.len() - 1);
        content[at] = rng.pick([0, 1, 2, 0x7F, 0x80, 0xFF, content[at].wrapping_add(1), content[at] ^ 0x10]);
    }
    parts.join()
}
