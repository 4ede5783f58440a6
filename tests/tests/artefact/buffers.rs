//! What the caller gives to a session: arena, image, room for the logits.

use fourbit::artefact::header::{ALIGN, kind};
use fourbit::kernels::{Family, Reference};
use fourbit::{Artefact, Session, SessionError};
use fourbit_models::file::AlignedBytes;
use fourbit_tests::image;

use crate::reseal::put;
use crate::{assert_tells, changed, tiny};

/// Calls `check` with each tiny network and an image for it.
fn each(check: impl Fn(&Artefact<'_>, &[i8])) {
    for (_, file) in tiny::files() {
        let file = AlignedBytes::copy(&file);
        let artefact = Artefact::parse(file.bytes()).expect("a good file");
        let mut image = vec![0; artefact.header().input_shape.elements()];
        image::noise(1, &mut image);
        check(&artefact, &image);
    }
}

fn refusal(artefact: &Artefact<'_>, arena: &mut [u8]) -> SessionError {
    let error = Session::new(artefact, Reference, arena).expect_err("the arena must be refused");
    assert_tells(&error);
    error
}

#[test]
fn arenas_that_do_not_fit() {
    each(|artefact, _| {
        let need = artefact.header().arena_bytes(Family::Portable);
        let mut memory = AlignedBytes::zeroed(need + ALIGN);
        for have in 0..need {
            let error = refusal(artefact, &mut memory.bytes_mut()[..have]);
            assert_eq!(error, SessionError::ArenaTooSmall { need, have });
        }
        for start in 1..ALIGN {
            let error = refusal(artefact, &mut memory.bytes_mut()[start..]);
            assert_eq!(error, SessionError::ArenaMisaligned);
        }
        assert!(Session::new(artefact, Reference, &mut memory.bytes_mut()[ALIGN..]).is_ok());
    });
}

#[test]
fn images_and_logits_that_do_not_fit() {
    each(|artefact, image| {
        let mut memory = AlignedBytes::zeroed(artefact.header().arena_bytes(Family::Portable));
        let mut session = Session::new(artefact, Reference, memory.bytes_mut()).expect("the arena fits");
        let mut logits = [0; 3];
        let longer = [image, &[0]].concat();
        for wrong in [&image[1..], &longer, &[]] {
            let error = session.run(wrong, &mut logits[..2]).expect_err("refused");
            assert_eq!(error, SessionError::Image { need: image.len(), have: wrong.len() });
            assert_tells(&error);
        }
        for have in [0, 1, 3] {
            let error = session.run(image, &mut logits[..have]).expect_err("refused");
            assert_eq!(error, SessionError::Logits { need: 2, have });
            assert_tells(&error);
        }
        assert_eq!(logits, [0; 3]);
        assert_eq!(session.run(image, &mut logits[..2]), Ok(()));
        assert_ne!(logits, [0; 3]);
    });
}

#[test]
fn bytes_behind_the_plan_stay() {
    each(|artefact, image| {
        let need = artefact.header().arena_bytes(Family::Portable);
        let mut memory = AlignedBytes::zeroed(need + 100);
        memory.bytes_mut().fill(0x5A);
        let mut session = Session::new(artefact, Reference, memory.bytes_mut()).expect("the arena fits");
        session.run(image, &mut [0; 2]).expect("runs");
        assert_eq!(memory.bytes()[need..], [0x5A; 100]);
    });
}

#[test]
fn a_file_without_a_plan_for_these_kernels() {
    let [(_, file), _] = tiny::files();
    let file = changed(&file, |parts| {
        parts.sections.retain(|part| (part.kind, part.tag) != (kind::PLAN, Family::Portable as u16));
        put(&mut parts.header, 16, &[0; 4]);
    });
    let file = AlignedBytes::copy(&file);
    let artefact = Artefact::parse(file.bytes()).expect("a file for the host only");
    assert_eq!(refusal(&artefact, &mut []), SessionError::NoPlan);
    assert_tells(&SessionError::Plan { op: 0 });
}
