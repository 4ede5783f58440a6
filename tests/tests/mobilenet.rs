//! MobileNetV1 at width 0.25 with random weights, planned for 40,000 bytes: every family's kernels give the
//! reference's logits under their own plan.

use fourbit::kernels::{Armv7em, Family, Kernels, Portable, Reference, needs};
use fourbit::{Artefact, Session};
use fourbit_models::compile::compile_within;
use fourbit_models::file::AlignedBytes;
use fourbit_models::quantize::quantize;
use fourbit_models::scheme::Setting;
use fourbit_models::zoo;

/// Bytes of arena.
const LIMIT: usize = 40_000;

/// The logits of an image under the plan of a family.
fn logits<K: Kernels>(artefact: &Artefact<'_>, family: Family, kernels: K, image: &[i8]) -> [i8; 2] {
    let mut arena = AlignedBytes::zeroed(artefact.header().arena_bytes(family));
    arena.bytes_mut().fill(0xA5);
    let mut logits = [0; 2];
    let session = Session::planned(artefact, family, kernels, arena.bytes_mut());
    session.expect("the arena fits").run(image, &mut logits).expect("the network runs");
    logits
}

#[test]
fn every_family_gives_the_same_bits() {
    let image = zoo::image([96, 96, 3], 5);
    for setting in Setting::ALL {
        let graph = quantize(&zoo::mobilenet(1, setting).expect("calibrates")).expect("quantizes");
        let file = compile_within(&graph, &graph.labels, "", Some(LIMIT)).expect("compiles");
        let file = AlignedBytes::copy(&file);
        let artefact = Artefact::parse(file.bytes()).expect("parses");
        for family in [Family::Portable, Family::Armv7em, Family::Mve] {
            let arena = artefact.header().arena_bytes(family);
            assert!(arena <= LIMIT, "{setting} {family:?}: {arena} bytes");
        }
        let expected = logits(&artefact, Family::Host, Reference, &image);
        let found = [
            logits(&artefact, Family::Portable, Portable::<{ needs::ALL }>, &image),
            logits(&artefact, Family::Armv7em, Armv7em::<{ needs::ALL }>, &image),
            logits(&artefact, Family::Mve, Reference, &image),
        ];
        assert_eq!(found, [expected; 3], "{setting}");
    }
}
