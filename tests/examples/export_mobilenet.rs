//! Writes MobileNetV1 at width 0.25 for 96x96 images with random weights, an artefact for each bit setting,
//! to be measured: `mobilenet-SETTING.fourbit` in a folder.

use std::error::Error;
use std::path::PathBuf;

use fourbit_models::compile::compile;
use fourbit_models::quantize::quantize;
use fourbit_models::scheme::Setting;
use fourbit_models::zoo;

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args_os().nth(1).map(PathBuf::from);
    let folder = folder.ok_or("usage: cargo run -p fourbit-tests --example export_mobilenet -- FOLDER")?;
    std::fs::create_dir_all(&folder)?;
    for setting in Setting::ALL {
        let graph = quantize(&zoo::mobilenet(1, setting)?)?;
        let file = compile(&graph, &graph.labels, "seeded random weights")?;
        std::fs::write(folder.join(format!("mobilenet-{setting}.fourbit")), file)?;
    }
    Ok(())
}
