//! Results as frames of `defmt`: numbers go to the host as they are, words stay in the ELF file.
//!
//! What `defmt-decoder` makes of a frame is the very line that [`crate::Console`] would have
//! written. How the frames travel is the global logger's business: the board chooses it.

use core::fmt::Display;

use defmt::{Display2Format, println};
use fourbit_tests::report::{Line, Logits};

use crate::Report;

/// Reports through the board's global logger.
#[derive(Debug)]
pub struct Log;

impl Report for Log {
    fn line(line: Line<'_>) {
        match line {
            Line::Logits { image, values: Logits::Values(values) } => {
                println!("logits {=u32} {}", image, values)
            }
            Line::Logits { image, values: Logits::Text(text) } => {
                println!("logits {=u32} [{=str}]", image, text)
            }
            Line::Label { image, permille, label } => {
                println!("label {=u32} {=u32} {=str}", image, permille, label);
            }
            Line::Op { count, checksum, name, fused: None } => {
                println!("op {=u64} {=u32:08x} {=str}", count, checksum, name);
            }
            Line::Op { count, checksum, name, fused: Some(add) } => {
                println!("op {=u64} {=u32:08x} {=str} + {=str}", count, checksum, name, add);
            }
            Line::Total { count } => println!("total {=u64}", count),
            Line::Memory { arena_bytes, stack_bytes } => {
                println!("memory {=u32} {=u32}", arena_bytes, stack_bytes);
            }
            Line::Passed { cases, suite } => println!("passed {=u32} {=str}", cases, suite),
            Line::Failed { reason } => println!("failed {=str}", reason),
            Line::Done => println!("done"),
        }
    }

    fn failed(reason: impl Display) {
        println!("failed {}", Display2Format(&reason));
    }
}
