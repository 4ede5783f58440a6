//! Link script, clock and artefact, from `board.toml` and the variable `FOURBIT_MODEL`.

fn main() {
    board_build::emit();
    if cfg!(feature = "defmt") {
        board_build::emit_defmt();
    }
}
