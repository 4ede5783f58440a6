//! A network's plans for other arenas than the one that the table was measured with.
//!
//! Takes an artefact and its row, gives rows with other bytes of arena and other instructions. These are predicted, and
//! corrected by what the row's own plan took beside its prediction. Accuracy and flash are the row's.

use std::path::Path;

use fourbit::kernels::Family;
use fourbit_models::compile::{curve, read};

use crate::model::Model;
use crate::pareto::record::Row;

/// A row for each plan that no other undercuts in both arena and instructions, from the smallest arena on.
pub(super) fn rows(row: &Row, artefact: &Path, family: Family) -> anyhow::Result<Vec<Row>> {
    let model = Model::read(artefact)?;
    let plans = curve(&read(&model.artefact()?, &row.name), family).0;
    let plans: Vec<_> = plans.iter().map(|plan| (plan.arena_bytes, plan.instructions)).collect();
    Ok(corrected(row, &plans))
}

/// The rows of plans `(arena, predicted instructions)`, by rising arena.
fn corrected(row: &Row, plans: &[(usize, u64)]) -> Vec<Row> {
    let own = plans.iter().rev().find(|plan| Some(plan.0) <= row.arena_bytes);
    let factor = own.zip(row.instructions).map(|(own, counted)| counted as f64 / own.1 as f64);
    let planned = |&(arena_bytes, predicted): &(usize, u64)| Row {
        arena_bytes: Some(arena_bytes),
        instructions: factor.map(|factor| (predicted as f64 * factor).round() as u64),
        ..row.clone()
    };
    plans.iter().map(planned).collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::table;
    use super::*;
    use crate::paths;

    #[test]
    fn a_smaller_arena_takes_more_instructions() {
        let folder = tempfile::tempdir().unwrap();
        let line = "n,resnet8,1,w4a4,1,0.84,0.86,900,7200,8800000,70000,26000,1,a";
        let row = table(folder.path(), &[line]).remove(0);
        let found = corrected(&row, &[(12_000, 16_000_000), (25_000, 8_000_000), (46_000, 7_000_000)]);
        let costs: Vec<_> = found.iter().map(|row| (row.arena_bytes, row.instructions)).collect();
        let expected = [(12_000, 17_600_000), (25_000, 8_800_000), (46_000, 7_700_000)];
        assert_eq!(costs, expected.map(|(arena, count)| (Some(arena), Some(count))));
        assert!(found.iter().all(|found| found.name == row.name && found.flash_bytes == row.flash_bytes));
        // What no plan is as small as, and what was not counted, stays unknown.
        assert_eq!(corrected(&row, &[(27_000, 1)])[0].instructions, None);

        let artefact = paths::root().join("models/artefacts/resnet8-shapes-w4a8.fourbit");
        let found = rows(&row, &artefact, Family::Armv7em).unwrap();
        assert!(found.len() > 2);
        assert!(found.windows(2).all(|pair| {
            pair[0].arena_bytes < pair[1].arena_bytes && pair[0].instructions > pair[1].instructions
        }));
    }
}
