//! Writes every 100th test image of CIFAR-10 as bytes: what `tests/import/mlperf_logits.py` reads.

use fourbit_models::dataset::{Kind, Split};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args().nth(1).ok_or("name the file to write")?;
    let test = Kind::Cifar10.load(None, Split::All)?.test;
    let chosen: Vec<usize> = (0..test.len()).step_by(100).collect();
    Ok(std::fs::write(path, test.select(&chosen).pixels)?)
}
