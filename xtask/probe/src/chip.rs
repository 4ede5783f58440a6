//! The memory of a chip, as the target descriptions of probe-rs have it.

use anyhow::Context;
use probe_rs::config::{MemoryRegion, Registry};
use serde::Serialize;

/// A range of addresses that hold memory.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Region {
    /// As probe-rs names it; `RAM`, `NVM` where it does not.
    name: String,
    /// Keeps what is written without power, and is written by a flash algorithm.
    flash: bool,
    /// The first address.
    start: u64,
    /// The first address behind it.
    end: u64,
}

/// The regions of a chip, without those that show another one's memory again.
pub(crate) fn regions(chip: &str) -> anyhow::Result<Vec<Region>> {
    let target = Registry::from_builtin_families().get_target_by_name(chip);
    let target = target.with_context(|| format!("probe-rs does not know the chip {chip}"))?;
    let regions = target.memory_map.iter().filter_map(|region| {
        let (name, flash, range) = match region {
            MemoryRegion::Ram(ram) => (ram.name.as_deref().unwrap_or("RAM"), false, &ram.range),
            MemoryRegion::Nvm(nvm) if !nvm.is_alias => {
                (nvm.name.as_deref().unwrap_or("NVM"), true, &nvm.range)
            }
            MemoryRegion::Nvm(_) | MemoryRegion::Generic(_) => return None,
        };
        Some(Region { name: name.to_owned(), flash, start: range.start, end: range.end })
    });
    Ok(regions.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nrf52840_has_the_memory_of_its_product_specification() {
        // Nordic's nRF52840 Product Specification v1.7, section 4.2.3.
        let regions = regions("nRF52840_xxAA").expect("the chip is known");
        let has = |flash, start, end| {
            regions.iter().any(|region| (region.flash, region.start, region.end) == (flash, start, end))
        };
        assert!(has(true, 0, 0x10_0000), "{regions:?}");
        assert!(has(false, 0x2000_0000, 0x2004_0000), "{regions:?}");
    }

    #[test]
    fn an_unknown_chip_is_one_sentence() {
        let error = regions("nRF99999").unwrap_err().to_string();
        assert_eq!(error, "probe-rs does not know the chip nRF99999");
    }
}
