//! The file that says what a sweep makes: points, recipes, data set and board.
//!
//! Takes a TOML, gives the points in the order in which they are made, each with the configurations of its
//! training runs. Points of one architecture, width and seed are a family: they share a float network. Families
//! come by rising cost, so that the largest are last.
//!
//! ```toml
//! dataset = "shapes"
//! board = "mps2-an386"
//!
//! [[points]]
//! arch = "resnet8"
//! widths = [0.5, 1.0]
//! bits = ["float", "w8a8", "w4a8"]
//! seeds = [1, 2]
//!
//! [recipe.float]      # the float network that everything starts from
//! epochs = 60
//! lr = 0.4
//! [recipe.tuned]      # further epochs of the float point, as many as the quantized points get
//! epochs = 5
//! lr = 0.01
//! [recipe.quantized]  # or a table for each of w8a8, w4a8, w4a4, all4
//! epochs = 5
//! lr = 0.01
//! ```

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use fourbit_models::config::{Config, Precision};
use fourbit_models::dataset::{Kind, Split};
use fourbit_models::pareto::price;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use toml::{Table, Value};

use crate::board;
use crate::failure::{OrBadInput, bad_input, chain};
use crate::paths;

/// Keys that a recipe may have; the others of a configuration are the point's own.
const RECIPE_KEYS: [&str; 15] = [
    "epochs",
    "lr",
    "batch",
    "shards",
    "warmup",
    "weight_decay",
    "clip",
    "norms",
    "curriculum",
    "distill",
    "teacher",
    "label_smoothing",
    "ema",
    "crop",
    "flip",
];
/// Recipes that a sweep may have.
const RECIPES: [&str; 7] = ["float", "tuned", "quantized", "w8a8", "w4a8", "w4a4", "all4"];

/// The file's content.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    dataset: Kind,
    #[serde(default = "every_image")]
    split: Split,
    board: String,
    points: Vec<Grid>,
    recipe: BTreeMap<String, Table>,
}

/// Points of an architecture: every combination.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Grid {
    arch: String,
    widths: Vec<f64>,
    bits: Vec<Precision>,
    seeds: Vec<u64>,
}

/// A sweep that was checked.
#[derive(Debug)]
pub(crate) struct Sweep {
    /// The file's name without its ending.
    pub(crate) name: String,
    pub(crate) dataset: Kind,
    pub(crate) split: Split,
    /// `sim`, or a folder in boards.
    pub(crate) board: String,
    /// In the order in which they are made.
    pub(crate) families: Vec<Family>,
}

/// Points that share a float network.
#[derive(Debug)]
pub(crate) struct Family {
    /// `resnet8-w0.5`.
    pub(crate) network: String,
    pub(crate) seed: u64,
    /// Trains the float network that every point starts from.
    pub(crate) base: Config,
    /// Multiplications of its network for one image.
    pub(crate) macs: u64,
    pub(crate) points: Vec<Point>,
}

/// One network of the sweep.
#[derive(Debug)]
pub(crate) struct Point {
    /// `resnet8-w0.5-w4a8-s1`.
    pub(crate) name: String,
    pub(crate) key: Key,
    /// Trains it from the family's float network; none for a float point without a recipe `tuned`.
    pub(crate) config: Option<Config>,
    /// Recipes of its runs, as [`Point::recipe`] digests them.
    recipes: String,
}

/// What tells a point from the others.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Key {
    pub(crate) arch: String,
    pub(crate) width: f64,
    pub(crate) bits: Precision,
    pub(crate) seed: u64,
}

fn every_image() -> Split {
    Split::All
}

impl Key {
    /// The network without bits and seed: `resnet8-w0.5`.
    pub(crate) fn network(&self) -> String {
        format!("{}-w{}", self.arch, self.width)
    }
}

impl Point {
    /// Twelve digits that stand for the data and the recipes of every run behind a point, whatever its
    /// architecture, width and seed: points of the same bits have the same.
    pub(crate) fn recipe(&self, data_sha256: &str) -> String {
        let digest = Sha256::new().chain_update(&self.recipes).chain_update(data_sha256).finalize();
        digest.iter().take(6).map(|byte| format!("{byte:02x}")).collect()
    }
}

impl Sweep {
    /// Reads and checks a file; `threads` stands for the recipes' `shards` where it is given.
    pub(crate) fn load(path: &Path, threads: Option<usize>) -> anyhow::Result<Self> {
        let text = fs::read_to_string(path).or_bad_input(|| format!("cannot read {}", paths::shown(path)))?;
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        Self::parse(&name, &text, threads)
            .map_err(|error| bad_input(format!("{}: {}", paths::shown(path), chain(&error))))
    }

    fn parse(name: &str, text: &str, threads: Option<usize>) -> anyhow::Result<Self> {
        let file: File = toml::from_str(text).map_err(|error| {
            let line = error.span().map_or(0, |span| text[..span.start].matches('\n').count() + 1);
            bad_input(format!("line {line}: {}", error.message().replace('\n', " ")))
        })?;
        if file.board != "sim" && !board::all().contains(&file.board) {
            let boards = board::all().join(", ");
            return Err(bad_input(format!("no board {}: the boards are sim, {boards}", file.board)));
        }
        check_recipes(&file.recipe)?;
        let mut families: Vec<Family> = Vec::new();
        for grid in &file.points {
            for (&width, &seed) in grid.widths.iter().flat_map(|w| grid.seeds.iter().map(move |s| (w, s))) {
                let key = Key { arch: grid.arch.clone(), width, bits: Precision::Float, seed };
                let family = match families.iter().position(|f| f.network == key.network() && f.seed == seed)
                {
                    Some(index) => &mut families[index],
                    None => {
                        families.push(file.family(&key, threads)?);
                        families.last_mut().expect("was pushed")
                    }
                };
                for &bits in &grid.bits {
                    let point = file.point(Key { bits, ..key.clone() }, &family.base, threads)?;
                    if !family.points.iter().any(|other| other.key == point.key) {
                        family.points.push(point);
                    }
                }
            }
        }
        if families.iter().all(|family| family.points.is_empty()) {
            return Err(bad_input("no points: give each [[points]] widths, bits and seeds"));
        }
        families.sort_by_key(|family| family.macs);
        let File { dataset, split, board, .. } = file;
        Ok(Self { name: name.to_owned(), dataset, split, board, families })
    }

    /// Every point, in order.
    pub(crate) fn points(&self) -> impl Iterator<Item = &Point> {
        self.families.iter().flat_map(|family| &family.points)
    }

    /// Keeps the families of shard `k` of `n`, from 1: the dearest families are dealt out first, each to the
    /// shard that has the least to do.
    pub(crate) fn shard(&mut self, (k, n): (usize, usize)) {
        let mut loads = vec![0u64; n];
        let mut own: Vec<bool> = Vec::new();
        for family in self.families.iter().rev() {
            let least = (0..n).min_by_key(|&shard| loads[shard]).unwrap_or(0);
            loads[least] += family.macs * family.epochs() as u64;
            own.push(least + 1 == k);
        }
        let mut own = own.into_iter().rev();
        self.families.retain(|_| own.next().unwrap_or(false));
    }
}

impl Family {
    /// Epochs of all its runs.
    fn epochs(&self) -> usize {
        let own = self.points.iter().filter_map(|point| point.config.as_ref());
        self.base.epochs + own.map(|config| config.epochs).sum::<usize>()
    }
}

impl File {
    fn family(&self, key: &Key, threads: Option<usize>) -> anyhow::Result<Family> {
        let base = self.config(key, "float", threads)?;
        let graph = base.graph(vec!["class".to_owned()])?;
        let (network, seed, macs) = (key.network(), key.seed, price(&graph).macs);
        Ok(Family { network, seed, macs, base, points: Vec::new() })
    }

    fn point(&self, key: Key, base: &Config, threads: Option<usize>) -> anyhow::Result<Point> {
        let named = match key.bits {
            Precision::Float => "tuned",
            Precision::Quantized(setting) => setting.name(),
        };
        let own = self.recipe.contains_key(named);
        let named = if own || key.bits == Precision::Float { named } else { "quantized" };
        let config = match self.recipe.contains_key(named) {
            true => Some(self.config(&key, named, threads)?),
            false if key.bits == Precision::Float => None,
            false => {
                return Err(bad_input(format!("{} has no recipe: add [recipe.quantized]", key.bits.name())));
            }
        };
        // What is common to all points of these bits; of a teacher what it holds.
        let common = |(recipe, config): (&str, &Config)| {
            let shared = Config { arch: String::new(), width: 0.0, seed: 0, teacher: None, ..config.clone() };
            let text = toml::to_string(&shared).unwrap_or_default();
            let Some(teacher) = &config.teacher else { return Ok(text) };
            let bytes = fs::read(paths::root().join(teacher))
                .or_bad_input(|| format!("recipe.{recipe}: cannot read the teacher {}", teacher.display()))?;
            Ok(format!("{text}teacher = {:x?}", Sha256::digest(bytes)))
        };
        let further = config.as_ref().map(|config| (named, config));
        let recipes = [Some(("float", base)), further].into_iter().flatten().map(common);
        let recipes = recipes.collect::<anyhow::Result<_>>()?;
        let name = format!("{}-{}-s{}", key.network(), key.bits.name(), key.seed);
        Ok(Point { name, key, config, recipes })
    }

    /// The configuration of a run: a recipe and what is the point's own.
    fn config(&self, key: &Key, recipe: &str, threads: Option<usize>) -> anyhow::Result<Config> {
        let mut table = self.recipe.get(recipe).cloned().unwrap_or_default();
        let own = [
            ("dataset", Value::try_from(self.dataset)?),
            ("split", Value::try_from(self.split)?),
            ("arch", Value::from(key.arch.as_str())),
            ("width", Value::from(key.width)),
            ("setting", Value::from(key.bits.name())),
            ("seed", Value::from(i64::try_from(key.seed).or_bad_input(|| "a seed is too large".to_owned())?)),
        ];
        table.extend(own.map(|(name, value)| (name.to_owned(), value)));
        table.extend(threads.map(|threads| ("shards".to_owned(), Value::from(threads as i64))));
        let said = || format!("{} of width {} by recipe.{recipe}", key.arch, key.width);
        Config::parse(&toml::to_string(&table)?).or_bad_input(said)
    }
}

/// Refuses unknown names, and a comparison that is not fair.
fn check_recipes(recipes: &BTreeMap<String, Table>) -> anyhow::Result<()> {
    for (name, table) in recipes {
        if !RECIPES.contains(&name.as_str()) {
            let names = RECIPES.join(", ");
            return Err(bad_input(format!("unknown recipe `{name}`: the recipes are {names}")));
        }
        if let Some(key) = table.keys().find(|key| !RECIPE_KEYS.contains(&key.as_str())) {
            let keys = RECIPE_KEYS.join(", ");
            return Err(bad_input(format!("recipe.{name} has an unknown key `{key}`: it takes {keys}")));
        }
    }
    if !recipes.contains_key("float") {
        return Err(bad_input("there is no [recipe.float], which every point starts from"));
    }
    let float = |key| recipes["float"].contains_key(key);
    if float("distill") && !float("teacher") {
        return Err(bad_input("recipe.float distils from no network: name a `teacher`, a float graph"));
    }
    let epochs = |name: &str| recipes.get(name)?.get("epochs")?.as_integer();
    let most = RECIPES[2..].iter().filter_map(|name| epochs(name)).max().unwrap_or(0);
    let tuned = epochs("tuned").unwrap_or(0);
    if tuned < most {
        return Err(bad_input(format!(
            "quantized points train for {most} further epochs and the float points for {tuned}: give \
             recipe.tuned as many"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
