//! The table as curves: seeds averaged, and for each cost what no other network beats.

use fourbit_models::config::Precision;
use fourbit_models::pareto::{below, frontier};
use fourbit_models::scheme::Setting;
use serde::Serialize;

use super::record::Row;

/// What a network costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cost {
    WeightedMacs,
    Instructions,
    Flash,
    Arena,
}

/// Networks that are compared with each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Group {
    Float,
    Eight,
    Four,
}

/// A network in one setting: the mean of its seeds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Mean {
    /// `resnet8-w0.5`.
    pub(crate) network: String,
    pub(crate) bits: Precision,
    pub(crate) seeds: usize,
    pub(crate) macs: u64,
    pub(crate) cost: f64,
    /// Mean, lowest, highest.
    pub(crate) accuracy: [f64; 3],
}

impl Cost {
    pub(crate) const ALL: [Cost; 4] = [Cost::Instructions, Cost::Flash, Cost::Arena, Cost::WeightedMacs];

    /// The name used in files: the table's column.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Cost::WeightedMacs => "weighted_macs",
            Cost::Instructions => "instructions",
            Cost::Flash => "flash_bytes",
            Cost::Arena => "arena_bytes",
        }
    }

    /// What it is, for people.
    pub(crate) fn words(self, board: &str) -> String {
        match self {
            Cost::WeightedMacs => "MACs weighted by bits".to_owned(),
            Cost::Instructions => format!("instructions per image on {board}"),
            Cost::Flash => "bytes of flash, artefact and code".to_owned(),
            Cost::Arena => "bytes of arena".to_owned(),
        }
    }

    /// Of a row; none where it was not measured.
    pub(crate) fn of(self, row: &Row) -> Option<f64> {
        match self {
            Cost::WeightedMacs => Some(row.weighted_macs as f64),
            Cost::Instructions => row.instructions.map(|count| count as f64),
            Cost::Flash => Some(row.flash_bytes as f64),
            Cost::Arena => row.arena_bytes.map(|bytes| bytes as f64),
        }
    }
}

impl Group {
    pub(crate) const ALL: [Group; 3] = [Group::Float, Group::Eight, Group::Four];

    pub(crate) fn of(bits: Precision) -> Self {
        match bits {
            Precision::Float => Group::Float,
            Precision::Quantized(Setting::W8a8) => Group::Eight,
            Precision::Quantized(Setting::W4a8 | Setting::W4a4 | Setting::All4) => Group::Four,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Group::Float => "float",
            Group::Eight => "8-bit",
            Group::Four => "4-bit",
        }
    }
}

/// The mean of `values`, the lowest and the highest.
pub(crate) fn spread(values: &[f64]) -> [f64; 3] {
    let mean = values.iter().sum::<f64>() / values.len().max(1) as f64;
    [mean, values.iter().copied().fold(mean, f64::min), values.iter().copied().fold(mean, f64::max)]
}

/// Rows of one network and setting, in the order of the table.
pub(crate) fn networks(rows: &[Row]) -> Vec<Vec<&Row>> {
    let mut groups: Vec<Vec<&Row>> = Vec::new();
    for row in rows {
        let same = |other: &&mut Vec<&Row>| {
            other[0].key.network() == row.key.network() && other[0].key.bits == row.key.bits
        };
        match groups.iter_mut().find(same) {
            Some(group) => group.push(row),
            None => groups.push(vec![row]),
        }
    }
    groups
}

/// Every network and setting that has this cost.
pub(crate) fn means(rows: &[Row], cost: Cost) -> Vec<Mean> {
    let mean = |rows: Vec<&Row>| {
        let costs = rows.iter().map(|row| cost.of(row)).collect::<Option<Vec<_>>>()?;
        let accuracies: Vec<_> = rows.iter().map(|row| row.accuracy).collect();
        let (network, bits) = (rows[0].key.network(), rows[0].key.bits);
        let (cost, accuracy) = (spread(&costs)[0], spread(&accuracies));
        Some(Mean { network, bits, seeds: rows.len(), macs: rows[0].macs, cost, accuracy })
    };
    networks(rows).into_iter().filter_map(mean).collect()
}

/// Those of some means that no other beats, by rising cost.
pub(crate) fn best<'a>(means: impl IntoIterator<Item = &'a Mean>) -> Vec<&'a Mean> {
    let means: Vec<_> = means.into_iter().collect();
    frontier(&pairs(&means)).into_iter().map(|index| means[index]).collect()
}

/// Cost and mean accuracy.
pub(crate) fn pairs(means: &[&Mean]) -> Vec<(f64, f64)> {
    means.iter().map(|mean| (mean.cost, mean.accuracy[0])).collect()
}

/// Costs at which the 4-bit curve lies under another group's, and the networks that make it so.
#[derive(Debug, PartialEq)]
pub(crate) struct Lower<'a> {
    pub(crate) costs: (f64, f64),
    /// In accuracy.
    pub(crate) gap: f64,
    /// The best of 4 bits there.
    pub(crate) four: &'a Mean,
    /// The best of the other group there.
    pub(crate) other: &'a Mean,
}

/// The costs that the 4-bit curve and another group's cover, and where the 4-bit one is lower; `None` where they
/// have no common costs.
pub(crate) fn four_below(means: &[Mean], other: Group) -> Option<((f64, f64), Vec<Lower<'_>>)> {
    let curve = |group| best(means.iter().filter(move |mean| Group::of(mean.bits) == group));
    let (fours, others) = (curve(Group::Four), curve(other));
    let found = below(&pairs(&fours), &pairs(&others))?;
    let lower = found.parts.iter().map(|part| Lower {
        costs: part.costs,
        gap: part.gap,
        four: fours[part.points.0],
        other: others[part.points.1],
    });
    Some((found.covered, lower.collect()))
}

#[cfg(test)]
mod tests {
    use super::super::record::rows;
    use super::super::record::tests::record;
    use super::*;

    #[test]
    fn seeds_are_averaged_and_float_has_no_instructions() {
        let w4a8 = Precision::Quantized(Setting::W4a8);
        let records = [
            record(0.5, Precision::Float, 1, 0.81),
            record(0.5, w4a8, 1, 0.80),
            record(0.5, w4a8, 2, 0.82),
            record(1.0, w4a8, 1, 0.85),
        ];
        let rows = rows(&records);
        let means = means(&rows, Cost::Instructions);
        assert_eq!(means.len(), 2);
        assert_eq!((means[0].seeds, means[0].cost), (2, 5e6));
        assert!((means[0].accuracy[0] - 0.81).abs() < 1e-12);
        assert_eq!(means[0].accuracy[1..], [0.80, 0.82]);
        assert_eq!(super::means(&rows, Cost::Flash).len(), 3);
    }

    #[test]
    fn the_four_bit_curve_is_the_best_of_its_settings() {
        let quantized = Precision::Quantized;
        let records = [
            record(0.5, quantized(Setting::W8a8), 1, 0.80),
            record(1.0, quantized(Setting::W8a8), 1, 0.86),
            record(0.5, quantized(Setting::W4a8), 1, 0.81),
            record(0.5, quantized(Setting::All4), 1, 0.70),
            record(1.0, quantized(Setting::W4a4), 1, 0.85),
        ];
        let means = means(&rows(&records), Cost::Arena);
        let names: Vec<_> = best(&means).iter().map(|mean| mean.bits.name()).collect();
        assert_eq!(names, ["w4a8", "w8a8"]);
        let (covered, lower) = four_below(&means, Group::Eight).unwrap();
        assert_eq!(covered, (13e3, 26e3));
        let shown: Vec<_> =
            lower.iter().map(|part| (part.costs, &part.four.network[..], &part.other.network[..])).collect();
        assert_eq!(shown, [((26e3, 26e3), "resnet8-w1", "resnet8-w1")]);
        assert_eq!(four_below(&means, Group::Float), None);
    }
}
