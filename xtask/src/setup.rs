//! `setup`: brings what the toolchain lacks: targets, the Miri nightly, the emulator, a Vulkan driver.
//!
//! Every step says what it does. Where this machine does not let it install something, one line
//! says what to install.

use std::path::Path;
use std::process::Command;

use anyhow::bail;
use clap::Args;

use crate::failure::Missing;
use crate::{paths, process};

/// The nightly toolchain that runs Miri.
pub(crate) const NIGHTLY: &str = "nightly-2026-05-20";
/// The emulator of the Arm boards, and Debian's package of it.
pub(crate) const QEMU: &str = "qemu-system-arm";

/// Debian's package of Mesa's Vulkan drivers, one of which computes on the CPU.
const VULKAN: &str = "mesa-vulkan-drivers";

/// Installs the Rust targets and the emulator that the other commands need.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  cargo xtask setup

The other commands call what they need of it themselves.")]
pub(crate) struct Setup {
    /// Also installs the nightly toolchain with Miri that `ci` uses
    #[arg(long)]
    miri: bool,
}

impl Setup {
    pub(crate) fn run(&self, json: bool) -> anyhow::Result<()> {
        targets()?;
        qemu()?;
        if self.miri {
            miri()?;
        }
        if json {
            let steps = serde_json::json!({ "targets": pinned_targets()?, "qemu": QEMU, "miri": self.miri });
            println!("{steps}");
        } else {
            println!("Everything is there.");
        }
        Ok(())
    }
}

/// Adds the targets of `rust-toolchain.toml` that are missing.
pub(crate) fn targets() -> anyhow::Result<()> {
    let wanted = pinned_targets()?;
    let Some(installed) = process::output("rustup", &["target", "list", "--installed"]) else {
        // Without rustup the toolchain is somebody else's: the build says which target is missing.
        eprintln!("setup: no rustup here; the toolchain must have the targets {}", wanted.join(", "));
        return Ok(());
    };
    let missing: Vec<_> = wanted.iter().filter(|t| !installed.lines().any(|line| line == **t)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    eprintln!(
        "setup: rustup target add {}",
        missing.iter().map(|t| t.as_str()).collect::<Vec<_>>().join(" ")
    );
    process::run(Command::new("rustup").current_dir(paths::root()).args(["target", "add"]).args(missing))
}

/// The targets that `rust-toolchain.toml` names.
fn pinned_targets() -> anyhow::Result<Vec<String>> {
    let text = std::fs::read_to_string(paths::root().join("rust-toolchain.toml"))?;
    let toolchain: toml::Table = text.parse()?;
    let targets = toolchain.get("toolchain").and_then(|t| t.get("targets")).and_then(toml::Value::as_array);
    let names = targets.into_iter().flatten().filter_map(|t| t.as_str().map(str::to_owned));
    Ok(names.collect())
}

/// Makes sure that the emulator can be started: installs it where this machine allows it.
pub(crate) fn qemu() -> anyhow::Result<()> {
    if works(QEMU, &["--version"]) {
        return Ok(());
    }
    if !cfg!(target_os = "linux") || !works("apt-get", &["--version"]) {
        return Err(install_it());
    }
    let installed = install(QEMU, "the emulator of the Arm boards") && works(QEMU, &["--version"]);
    if installed { Ok(()) } else { Err(install_it()) }
}

/// Installs a package of Debian's where this machine allows it; `false` where it does not.
fn install(package: &str, what: &str) -> bool {
    let Some(prefix) = root_prefix() else { return false };
    let install = ["install", "-y", "--no-install-recommends", package];
    eprintln!("setup: apt-get {} ({what})", install.join(" "));
    if apt(prefix, &install).is_ok() {
        return true;
    }
    eprintln!("setup: apt-get update");
    apt(prefix, &["update"]).and_then(|()| apt(prefix, &install)).is_ok()
}

/// Makes sure that Mesa's software driver is there, on which the training backend `wgpu` is tested.
pub(crate) fn vulkan() -> anyhow::Result<()> {
    let there = || {
        let drivers = std::fs::read_dir("/usr/share/vulkan/icd.d").into_iter().flatten().flatten();
        drivers.map(|entry| entry.file_name()).any(|name| name.to_string_lossy().starts_with("lvp_icd"))
    };
    let apt = cfg!(target_os = "linux") && works("apt-get", &["--version"]);
    if there() || (apt && install(VULKAN, "a Vulkan driver that needs no GPU") && there()) {
        return Ok(());
    }
    bail!(Missing(format!(
        "Mesa's software Vulkan driver is missing: install it, for example with `apt-get install {VULKAN}`"
    )))
}

fn install_it() -> anyhow::Error {
    let how = if cfg!(target_os = "macos") { "brew install qemu" } else { "apt-get install qemu-system-arm" };
    Missing(format!("{QEMU} is missing: install it, for example with `{how}`")).into()
}

/// Makes sure that the pinned nightly has Miri.
pub(crate) fn miri() -> anyhow::Result<()> {
    if works("rustup", &["run", NIGHTLY, "cargo", "miri", "--version"]) && has_sources() {
        return Ok(());
    }
    let args = ["toolchain", "install", NIGHTLY, "--profile", "minimal", "--component", "miri,rust-src"];
    eprintln!("setup: rustup {}", args.join(" "));
    let installed = process::run(Command::new("rustup").args(args));
    if let Err(error) = installed {
        bail!(Missing(format!("Miri needs the toolchain {NIGHTLY}: {error}")));
    }
    Ok(())
}

/// Whether the nightly has the standard library's sources, which Miri builds.
fn has_sources() -> bool {
    let sysroot = process::output("rustup", &["run", NIGHTLY, "rustc", "--print", "sysroot"]);
    sysroot
        .is_some_and(|root| Path::new(root.trim()).join("lib/rustlib/src/rust/library/Cargo.lock").exists())
}

fn works(program: &str, args: &[&str]) -> bool {
    process::output(program, args).is_some()
}

/// What to put before `apt-get`: nothing for root, `sudo -n` where that asks for no password.
fn root_prefix() -> Option<&'static [&'static str]> {
    if process::output("id", &["-u"])?.trim() == "0" {
        return Some(&[]);
    }
    works("sudo", &["-n", "true"]).then_some(&["sudo", "-n"])
}

fn apt(prefix: &[&str], args: &[&str]) -> anyhow::Result<()> {
    let words: Vec<_> = prefix.iter().chain(&["apt-get"]).chain(args).collect();
    process::run(Command::new(words[0]).args(&words[1..]).env("DEBIAN_FRONTEND", "noninteractive"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pinned_toolchain_names_the_target_matrix() {
        let targets = pinned_targets().unwrap();
        assert!(targets.iter().any(|t| t == "thumbv7em-none-eabihf"), "{targets:?}");
        assert_eq!(targets.len(), 5);
    }
}
