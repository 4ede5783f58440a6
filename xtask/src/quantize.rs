//! `quantize`: a data set to a 4-bit artefact, its card and its picture, proven on a board.
//!
//! Trains a float network, fine-tunes it with quantization, compiles it, measures it in the
//! simulator over the whole test set, and on the board over the first test images, whose logits
//! must be the same bytes. A network that others trained is quantized without training
//! (`post_training`).

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use fourbit_models::dataset::{Kind, Split};
use fourbit_models::scheme::Setting;
use fourbit_models::{linear, simulate};

use crate::card::Facts;
use crate::compile::compile;
use crate::eval::evaluate;
use crate::failure::{OrBadInput, bad_input};
use crate::model::Model;
use crate::place::Place;
use crate::post_training::{self, PostTraining};
use crate::process::step;
use crate::report::{Report, table};
use crate::twin::Trained;
use crate::{paths, picture, place, setup, train};

/// The board that proves the bits unless another is named.
const BOARD: &str = "mps2-an386";
/// The network that is made unless another is named.
const ARCH: &str = "resnet8";

/// Makes a 4-bit artefact: trains, quantizes, compiles, and proves it on an emulated board.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  cargo xtask quantize                     a small ResNet on drawn shapes, in some 3 minutes
  cargo xtask quantize --bits w4a4
  cargo xtask quantize --data ~/photos     your own images: a subfolder for each class, PNG or JPEG
  cargo xtask quantize --dataset cifar10 --data ~/cifar-10-binary.tar.gz
  cargo xtask quantize --from target/runs/my-run/float.graph
  cargo xtask quantize --from resnet18.onnx --white 1 --bits w8a8 --calibrate PHOTOS

The artefact NAME.fourbit, its card NAME.md, its picture NAME.png and the float graph that it was
quantized from go to --out.")]
pub(crate) struct Quantize {
    /// w8a8, w4a8, w4a4 or all4
    #[arg(long, value_name = "SETTING", default_value = "w4a8")]
    bits: Setting,
    /// shapes, which is drawn; cifar10 or folder, which are read from files. By default what --data
    /// holds, and shapes without it
    #[arg(long, value_name = "SET")]
    dataset: Option<Kind>,
    /// A network with recipes in models/configs: resnet8 or resnet20
    #[arg(long, value_name = "NET", default_value = ARCH)]
    arch: String,
    /// A trained float graph to start from, instead of training one; of other classes than the data's it is
    /// fine-tuned first. With --calibrate also a float .tflite or .onnx file
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,
    /// Quantizes --from without training: folder of PNG or JPEG images of the network's size, or
    /// CIFAR-10, of which up to 200 give the ranges; labels are not looked at
    #[arg(long, value_name = "DIR", requires = "from", conflicts_with = "check")]
    calibrate: Option<PathBuf>,
    /// With --calibrate: what the network will be called; by default the file's name
    #[arg(long, value_name = "NAME", requires = "calibrate")]
    name: Option<String>,
    /// With --calibrate: what a .tflite or .onnx network takes for the brightest pixel, 255 or 1
    #[arg(long, value_name = "VALUE", default_value_t = 255, requires = "calibrate")]
    white: u8,
    /// The board that must compute the same bits: a folder in boards
    #[arg(long, value_name = "BOARD", default_value = BOARD)]
    board: String,
    /// Test images that run on the board
    #[arg(long, value_name = "N", default_value_t = 64)]
    images: usize,
    /// Where the results go; by default target/fourbit/NAME
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Fails unless float reaches 85 %, 4 bits stay within 2 points and a linear model under 50 %
    #[arg(long)]
    check: bool,
    #[command(flatten)]
    options: train::Options,
}

impl Quantize {
    /// The command without arguments but `--check`.
    pub(crate) fn checked(bits: Setting) -> Self {
        Self {
            bits,
            dataset: None,
            arch: ARCH.to_owned(),
            from: None,
            calibrate: None,
            name: None,
            white: 255,
            board: BOARD.to_owned(),
            images: 64,
            out: None,
            check: true,
            options: train::Options::default(),
        }
    }

    /// Runs the command; `Ok(false)` where `--check`, the board or the agreement of training and
    /// runtime found something wrong.
    pub(crate) fn run(&self, json: bool) -> anyhow::Result<bool> {
        if let (Some(from), Some(folder)) = (&self.from, &self.calibrate) {
            return self.post_training(from, folder).run(json);
        }
        let report = self.make()?;
        if json {
            println!("{}", serde_json::to_string(&report)?);
        } else {
            println!("{}", table(&report));
            for file in [&report.artefact, &report.card, &report.picture] {
                println!("{}", paths::shown(file));
            }
        }
        let complaints = report.complaints(self.check);
        complaints.iter().for_each(|complaint| eprintln!("error: {complaint}"));
        Ok(complaints.is_empty())
    }

    /// Goes the whole way from images to files.
    pub(crate) fn make(&self) -> anyhow::Result<Report> {
        let place = Place::named(&self.board)?;
        if let Some(from) = self.from.as_deref().filter(|from| post_training::is_foreign(from)) {
            return Err(bad_input(format!(
                "{} is no graph of ours to go on training: add --calibrate DIR, a folder of images, to quantize it without training",
                paths::shown(from)
            )));
        }
        let kind = self.kind();
        // The recipes for a folder train on all that is not for the test, and the linear model with them.
        let split = if kind == Kind::Folder { Split::All } else { Split::HoldOut };
        let dataset = kind.load(self.options.data.as_deref(), split);
        let dataset = dataset.or_bad_input(|| "the data set cannot be loaded".to_owned())?;
        setup::targets()?;
        setup::qemu()?;
        let name = format!("{}-{kind}-{}", self.arch, self.bits);
        let trained =
            Trained::make(&self.arch, (kind, &dataset), self.bits, self.from.as_deref(), &self.options)?;

        step("quantize and compile");
        let out = paths::out(self.out.as_deref(), &name);
        let command = self.typed();
        let facts = Facts { name: &name, bits: self.bits, dataset: &dataset, trained: &trained, command };
        let artefact = out.join(format!("{name}.fourbit"));
        let compiled = compile(&trained.graph, &facts.embedded())?;
        paths::write(&artefact, &compiled)?;
        let model = Model::read(&artefact)?;

        step(&format!("evaluate {} images in the simulator", dataset.test.len()));
        let linear_accuracy = linear::accuracy(&dataset.train, &dataset.test, dataset.classes.len());
        let title = format!("{name} on {}", dataset.name);
        let evaluation = evaluate(&model, &dataset.test, title, &dataset.classes)?;
        let (correct, images) = evaluation.correct();

        let shown = dataset.test.spread(self.images);
        step(&format!("run {} images on {}", shown.len(), self.board));
        let values = simulate::values(&shown.pixels);
        let expected = place::simulate(&model, &values)?;
        let measured = place.logits(&model, &values)?;
        let (cost, _) = place.cost(&model)?;
        let logits = dataset.classes.len();
        let pairs = expected.chunks_exact(logits).zip(measured.chunks_exact(logits));

        let report = Report {
            dataset: dataset.name.clone(),
            bits: self.bits.to_string(),
            float_accuracy: trained.float_accuracy,
            accuracy: correct as f64 / images as f64,
            linear_accuracy,
            images,
            correct,
            board: self.board.clone(),
            cost,
            board_images: shown.len(),
            board_equal: pairs.filter(|(simulated, measured)| simulated == measured).count(),
            agreement: trained.agreement.clone(),
            training_seconds: trained.seconds,
            card: out.join(format!("{name}.md")),
            picture: out.join(format!("{name}.png")),
            model: name.clone(),
            artefact,
        };
        if let Some(float) = &trained.float {
            let graph = fs::read(float).with_context(|| format!("cannot read {}", paths::shown(float)))?;
            paths::write(&out.join(format!("{}-{kind}-float.graph", self.arch)), &graph)?;
        }
        paths::write(&report.picture, &picture::evaluation(&evaluation)?)?;
        paths::write(&report.card, facts.page(&report, &evaluation).as_bytes())?;
        Ok(report)
    }

    /// The way without training.
    fn post_training<'a>(&'a self, from: &'a Path, folder: &'a Path) -> PostTraining<'a> {
        let labelled = self.dataset.is_some() || self.options.data.is_some();
        PostTraining {
            from,
            folder,
            bits: self.bits,
            name: self.name.as_deref(),
            white: self.white,
            labelled: labelled.then(|| (self.kind(), self.options.data.as_deref())),
            board: &self.board,
            images: self.images,
            out: self.out.as_deref(),
        }
    }

    /// The data set that is named, or else what lies where `--data` says.
    fn kind(&self) -> Kind {
        self.dataset.unwrap_or_else(|| self.options.data.as_deref().map_or(Kind::Shapes, Kind::of))
    }

    /// The command that makes the artefact again; a path on this machine is not part of it.
    fn typed(&self) -> String {
        let mut command = "cargo xtask quantize".to_owned();
        command += match self.kind() {
            Kind::Shapes => "",
            Kind::Cifar10 => " --dataset cifar10 --data PATH",
            Kind::Folder => " --data FOLDER",
        };
        if self.arch != ARCH {
            command += &format!(" --arch {}", self.arch);
        }
        if let Some(from) = &self.from {
            let published = paths::inside(from).map(|path| path.display().to_string());
            command += &format!(" --from {}", published.as_deref().unwrap_or("GRAPH"));
        }
        command + &format!(" --bits {}", self.bits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_data_set_is_what_data_holds_unless_named() {
        let folder = tempfile::tempdir().unwrap();
        let command = |dataset, data: Option<&str>| {
            let data = data.map(|name| folder.path().join(name));
            let options = train::Options { data, ..train::Options::default() };
            Quantize { dataset, options, ..Quantize::checked(Setting::W4a4) }.typed()
        };
        assert_eq!(command(None, None), "cargo xtask quantize --bits w4a4");
        assert_eq!(command(None, Some("")), "cargo xtask quantize --data FOLDER --bits w4a4");
        assert_eq!(command(Some(Kind::Shapes), Some("")), "cargo xtask quantize --bits w4a4");
        std::fs::create_dir_all(folder.path().join("test/airplane")).unwrap();
        let cifar10 = "cargo xtask quantize --dataset cifar10 --data PATH --bits w4a4";
        assert_eq!(command(None, Some("")), cifar10);
        let from = |path: PathBuf| Quantize { from: Some(path), ..Quantize::checked(Setting::W4a4) }.typed();
        assert_eq!(from("float.graph".into()), "cargo xtask quantize --from GRAPH --bits w4a4");
        let published = "cargo xtask quantize --from models/artefacts/resnet8-shapes-float.graph --bits w4a4";
        assert_eq!(from(paths::artefacts().join("resnet8-shapes-float.graph")), published);
    }
}
