//! Embedded networks run with the kernels that they need and no others: the same logits.

#![allow(unsafe_code)]

use fourbit::kernels::{Armv7em, Family, Kernels, Reference, needs};
use fourbit::{Aligned, Artefact, Embedded, Session, SessionError, Verified, embedded};
use fourbit_models::compile::compile;
use fourbit_models::file::AlignedBytes;
use fourbit_models::quantize::quantize;
use fourbit_models::scheme::Setting;
use fourbit_models::zoo;
use fourbit_tests::image;

/// Logits of an image of noise; the arena is larger than any plan here takes.
fn logits(artefact: &Artefact<'_>, kernels: impl Kernels) -> Result<Vec<i8>, SessionError> {
    let header = artefact.header();
    let mut image = vec![0; header.input_shape.elements()];
    image::noise(image::BENCH_SEED, &mut image);
    let mut logits = vec![0; usize::from(header.logits)];
    let mut arena = Box::new(Aligned([0; 64 << 10]));
    Session::new(artefact, kernels, &mut arena.0)?.run(&image, &mut logits)?;
    Ok(logits)
}

/// The network's needs are these, and kernels with no more compute what the reference does.
fn holds<const NEEDS: u32>(verified: Verified<'static>) {
    let opened = Artefact::open(verified).expect("a published artefact");
    assert_eq!(embedded::needs(&opened, Family::Armv7em), Some(NEEDS));
    // SAFETY: the artefact opens and needs this.
    let artefact = unsafe { Embedded::<NEEDS>::new(verified) }.artefact();
    let expected = logits(&opened, Reference).expect("runs");
    assert_eq!(logits(&artefact, Armv7em::<NEEDS>), Ok(expected.clone()));
    assert_eq!(logits(&artefact, Armv7em::<{ needs::ALL }>), Ok(expected));
    assert_eq!(logits(&opened, Armv7em::<NEEDS>), Err(SessionError::Kernels));
}

/// An artefact beside this crate, embedded.
macro_rules! published {
    ($name:literal) => {
        fourbit::embed!(concat!(env!("CARGO_MANIFEST_DIR"), "/../models/artefacts/", $name, ".fourbit"))
    };
}

const NETWORK: u32 = needs::AVG_POOL;

#[test]
fn eight_bits() {
    holds::<{ NETWORK | needs::WINOGRAD_8 }>(published!("resnet8-cifar10-w8a8"));
}

#[test]
fn four_bit_weights() {
    holds::<{ NETWORK | needs::WINOGRAD_4 }>(published!("resnet8-cifar10-w4a8"));
}

#[test]
fn four_bits() {
    holds::<{ NETWORK | needs::WINOGRAD_FOUR | needs::NIBBLES }>(published!("resnet8-cifar10-w4a4"));
}

#[test]
fn all_in_four_bits() {
    holds::<{ NETWORK | needs::WINOGRAD_FOUR | needs::NIBBLES }>(published!("resnet8-cifar10-all4"));
}

#[test]
fn a_layer_that_is_left_to_the_reference() {
    const LEFT: u32 = NETWORK | needs::WINOGRAD_FOUR | needs::NIBBLES | needs::REFERENCE;
    let mut graph = zoo::resnet8(1, Setting::All4).expect("calibrates");
    // A step of the last layer's sums is more than a quarter of a logit's: a rescale shifts by less than 33.
    let output = graph.output;
    graph.tensors[output].range.as_mut().expect("a range").bound /= 4.0;
    let file = compile(&quantize(&graph).expect("quantizes"), &graph.labels, "").expect("compiles");
    let file = AlignedBytes::copy(&file);
    let artefact = Artefact::parse(file.bytes()).expect("parses");
    assert_eq!(embedded::needs(&artefact, Family::Armv7em), Some(LEFT));
    let expected = logits(&artefact, Reference).expect("runs");
    assert_eq!(logits(&artefact, Armv7em::<{ needs::ALL }>), Ok(expected));
}

#[test]
fn what_the_reference_computes_is_a_need() {
    // Other families say nothing of their kernels: the reference stays.
    let opened = Artefact::open(published!("resnet8-cifar10-w4a8")).expect("a published artefact");
    for family in [Family::Portable, Family::Mve] {
        let found = embedded::needs(&opened, family).expect("a plan");
        assert!(needs::has(found, needs::REFERENCE) && !needs::has(found, needs::DEPTHWISE), "{found:#x}");
    }
}
