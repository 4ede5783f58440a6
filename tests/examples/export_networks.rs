//! Writes what the oracle makes logits from: `NAME.fourbit` and `NAME.image` in a folder.
//!
//! `tests/oracle/README.md` describes the whole path. Prints each network's digest, which stands
//! in `tests/tests/common/networks.rs` beside its name.

use std::path::PathBuf;

#[path = "../tests/common/networks.rs"]
mod networks;

use networks::{NETWORKS, artefact, digest};

fn main() -> std::io::Result<()> {
    let Some(folder) = std::env::args_os().nth(1).map(PathBuf::from) else {
        eprintln!("usage: cargo run -p fourbit-tests --example export_networks -- FOLDER");
        std::process::exit(2);
    };
    std::fs::create_dir_all(&folder)?;
    let image = networks::image();
    let bytes: Vec<u8> = image.iter().map(|&value| value as u8).collect();
    for network in NETWORKS {
        let graph = network.graph();
        let digest = digest(&graph, &image);
        let path = folder.join(network.name);
        std::fs::write(path.with_extension("fourbit"), artefact(&graph))?;
        std::fs::write(path.with_extension("image"), &bytes)?;
        let known =
            if digest == network.digest { "as committed" } else { "NEW: its logits must be made again" };
        println!("{}: digest {digest:#010x}, {known}", network.name);
    }
    Ok(())
}
