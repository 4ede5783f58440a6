//! Link scripts, clock and artefact, from `board.toml` and the variable `FOURBIT_MODEL`.

fn main() {
    board_build::emit();
    board_build::emit_defmt();
}
