//! Budgets that fit, just fit, and do not fit.

use super::*;

const LINES: &str = "name,arch,width,bits,seed,accuracy,train_accuracy,macs,weighted_macs,instructions,flash_bytes,arena_bytes,train_seconds,recipe
float,resnet8,1,float,1,0.95,0.96,100,1600,,1000,,1,a
small,resnet8,0.25,w4a4,1,0.70,0.72,100,400,1000000,50000,10000,1,a
middle,resnet8,0.5,w4a8,1,0.80,0.82,400,3200,4000000,60000,20000,1,a
large,resnet8,1,w8a8,1,0.85,0.87,900,7200,15000000,130000,26000,1,a
quick,resnet8,1,w4a8,1,0.84,0.86,900,7200,10000000,90000,48000,1,a
";

fn command(folder: &Path, ram: Option<usize>, flash: Option<usize>, latency: Option<&str>) -> Choose {
    let frontier = folder.join("planted.csv");
    fs::write(&frontier, LINES).unwrap();
    Choose {
        frontier,
        board: "mps2-an386".to_owned(),
        max_ram: ram.map(Bytes),
        max_flash: flash.map(Bytes),
        max_latency: latency.map(|latency| latency.parse().unwrap()),
    }
}

/// The chosen name, or the refusal.
fn chosen(ram: Option<usize>, flash: Option<usize>, latency: Option<&str>) -> Result<String, String> {
    let folder = tempfile::tempdir().unwrap();
    let command = command(folder.path(), ram, flash, latency);
    let board = Board::load(&command.board).unwrap();
    let rows = read_csv(&command.frontier).unwrap();
    let rows: Vec<_> = rows.iter().filter(|row| row.key.bits != Precision::Float).collect();
    let budgets = command.budgets(&board);
    let found = choose(&rows, &rows, &budgets, &board).map(|row| row.name.clone());
    found.ok_or_else(|| refusal(&reasons(&rows, &budgets, &board), "mps2-an386"))
}

#[test]
fn the_best_that_fits_is_chosen() {
    let good = |ram, flash, latency| chosen(ram, flash, latency).unwrap();
    assert_eq!(good(None, None, None), "large");
    assert_eq!(good(Some(64_000), Some(256_000), Some("500ms")), "quick");
    // 25 MHz: 15 M instructions are 600 ms.
    assert_eq!(good(None, None, Some("600ms")), "large");
    assert_eq!(good(None, None, Some("599.9ms")), "quick");
    assert_eq!(good(Some(26_000), Some(130_000), Some("0.6s")), "large");
    assert_eq!(good(Some(25_999), Some(130_000), Some("0.6s")), "middle");
    assert_eq!(good(Some(26_000), Some(129_999), Some("0.6s")), "middle");
    assert_eq!(good(Some(10_000), Some(50_000), Some("40ms")), "small");
}

#[test]
fn a_budget_that_rules_everything_out_is_named() {
    let refused = |ram, flash, latency| chosen(ram, flash, latency).unwrap_err();
    assert_eq!(
        refused(Some(9_000), None, None),
        "nothing fits mps2-an386:\n--max-ram rules everything out: the least is 10,000 bytes (small), 1,000 bytes \
         above 9,000 bytes"
    );
    let said = refused(Some(64_000), Some(49_999), Some("10ms"));
    assert!(
        said.contains("--max-flash rules everything out: the least is 50,000 bytes (small), 1 bytes above"),
        "{said}"
    );
    assert!(said.contains("the least is 40.0 ms (small), 30.0 ms above 10.0 ms"), "{said}");
    assert!(!said.contains("--max-ram"), "{said}");
}

#[test]
fn budgets_that_only_together_are_too_small_say_what_would_do() {
    let folder = tempfile::tempdir().unwrap();
    let command = command(folder.path(), Some(30_000), Some(70_000), None);
    let rows = read_csv(&command.frontier).unwrap();
    // Without the two small networks.
    let rows: Vec<_> = rows.iter().filter(|row| ["large", "quick"].contains(&row.name.as_str())).collect();
    let board = Board::load(&command.board).unwrap();
    let budgets = [
        Budget { kind: Kind::Ram, most: 30_000.0, asked: true },
        Budget { kind: Kind::Flash, most: 100_000.0, asked: true },
    ];
    assert!(choose(&rows, &rows, &budgets, &board).is_none());
    let said = refusal(&reasons(&rows, &budgets, &board), "mps2-an386");
    assert_eq!(
        said,
        "nothing fits mps2-an386 within all budgets together:\n\
         with --max-ram 48,000 bytes instead of 30,000 bytes, 18,000 bytes more, quick would fit\n\
         with --max-flash 130,000 bytes instead of 100,000 bytes, 30,000 bytes more, large would fit"
    );
}

#[test]
fn the_boards_memory_is_a_budget_too() {
    let folder = tempfile::tempdir().unwrap();
    let command = command(folder.path(), Some(usize::MAX), None, None);
    let board = Board::load(&command.board).unwrap();
    let budgets = command.budgets(&board);
    let most: Vec<_> = budgets.iter().map(|budget| (budget.kind, budget.most, budget.asked)).collect();
    let bytes = 4_194_304.0;
    assert_eq!(most, [(Kind::Ram, bytes, false), (Kind::Flash, bytes, false)]);
}

#[test]
fn an_artefact_lies_beside_the_table_or_in_its_folder() {
    let folder = tempfile::tempdir().unwrap();
    let command = command(folder.path(), None, None, None);
    assert_eq!(command.beside("small.fourbit"), None);
    fs::write(folder.path().join("small.fourbit"), "").unwrap();
    assert_eq!(command.beside("small.fourbit"), Some(folder.path().join("small.fourbit")));
    fs::create_dir(folder.path().join("planted")).unwrap();
    fs::write(folder.path().join("planted/small.fourbit"), "").unwrap();
    assert_eq!(command.beside("small.fourbit"), Some(folder.path().join("planted/small.fourbit")));
}

#[test]
fn a_table_of_other_kernels_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let command = command(folder.path(), None, None, None);
    let board = Board::load("nrf52840-dk").unwrap();
    let said = |text: &str| {
        fs::write(folder.path().join("planted.json"), text).unwrap();
        command.same_kernels(&board, &[]).map_err(|error| error.to_string())
    };
    assert_eq!(said(r#"{"board": "mps2-an386"}"#), Ok(()));
    assert!(said(r#"{"board": "sim"}"#).unwrap_err().contains("was measured on sim, whose kernels are not"));
    assert!(said("{").unwrap_err().contains("planted.json is damaged"));
}

#[test]
fn a_points_record_says_the_kernels_of_a_table_alone() {
    let folder = tempfile::tempdir().unwrap();
    let command = command(folder.path(), None, None, None);
    let board = Board::load("mps3-an547").unwrap();
    let rows = read_csv(&command.frontier).unwrap();
    assert!(command.same_kernels(&board, &rows).is_ok());
    fs::create_dir(folder.path().join("planted")).unwrap();
    fs::write(folder.path().join("planted/middle.json"), r#"{"board": "mps2-an386"}"#).unwrap();
    let said = command.same_kernels(&board, &rows).unwrap_err().to_string();
    assert!(said.contains("was measured on mps2-an386, whose kernels are not those of mps3-an547"), "{said}");
}

/// A table of other networks.
pub(super) fn table(folder: &Path, lines: &[&str]) -> Vec<Row> {
    let path = folder.join("other.csv");
    fs::write(&path, [&[crate::pareto::record::HEADER], lines].concat().join("\n")).unwrap();
    read_csv(&path).unwrap()
}

#[test]
fn the_nearest_network_is_named_where_two_budgets_must_grow() {
    let folder = tempfile::tempdir().unwrap();
    // Each keeps one budget: 15 kB of RAM, 60 kB of flash, 200 ms.
    let rows = table(
        folder.path(),
        &[
            "a,resnet8,0.5,w4a4,1,0.82,0.82,400,3200,12500000,90000,10000,1,a",
            "b,resnet8,0.5,w4a8,1,0.80,0.82,400,3200,15000000,50000,30000,1,b",
            "c,resnet8,0.5,w8a8,1,0.80,0.82,400,3200,2500000,100000,40000,1,c",
        ],
    );
    let rows: Vec<_> = rows.iter().collect();
    let board = Board::load("mps2-an386").unwrap();
    let budget = |kind, most| Budget { kind, most, asked: true };
    let budgets = [(Kind::Ram, 15e3), (Kind::Flash, 60e3), (Kind::Latency, 0.2)].map(|(k, m)| budget(k, m));
    assert_eq!(
        refusal(&reasons(&rows, &budgets, &board), "b"),
        "nothing fits b: a comes nearest, and would take\n\
         --max-flash 90,000 bytes instead of 60,000 bytes, 30,000 bytes more\n\
         --max-latency 500.0 ms instead of 200.0 ms, 300.0 ms more"
    );
}

#[test]
fn the_mean_over_seeds_decides() {
    let folder = tempfile::tempdir().unwrap();
    let rows = table(
        folder.path(),
        &[
            "a-s1,resnet8,0.5,w4a4,1,0.82,0.82,400,3200,4000000,60000,20000,1,a",
            "a-s2,resnet8,0.5,w4a4,2,0.76,0.82,400,3200,4000000,60000,20000,1,a",
            "b-s1,resnet8,0.5,w4a8,1,0.80,0.82,400,3200,4000000,60000,20000,1,b",
            "b-s2,resnet8,0.5,w4a8,2,0.81,0.82,400,3200,4000000,60000,20000,1,b",
        ],
    );
    let rows: Vec<_> = rows.iter().collect();
    let board = Board::load("mps2-an386").unwrap();
    let found = choose(&rows, &rows, &[], &board).unwrap();
    assert_eq!(found.name, "b-s2");
    let (mean, seeds) = over_seeds(&rows, found);
    assert!((mean - 0.805).abs() < 1e-12 && seeds == 2);
}

#[test]
fn times_of_three_units() {
    let seconds = |text: &str| text.parse::<Latency>().map(|latency| latency.0).ok();
    assert_eq!(["50ms", "1.5s", "2 s"].map(seconds), [Some(0.05), Some(1.5), Some(2.0)]);
    assert!((seconds("800us").unwrap() - 8e-4).abs() < 1e-12);
    assert_eq!(["50", "-1s", "0ms", "ms", "1h", "nans"].map(seconds), [None; 6]);
}

#[test]
fn a_network_is_planned_again_for_less_arena() {
    let folder = tempfile::tempdir().unwrap();
    let lines = [
        "n-s1,resnet8,1,w4a8,1,0.84,0.86,900,7200,9900000,67000,25360,1,a",
        "m-s1,resnet8,0.25,w4a8,1,0.70,0.86,90,720,2400000,29000,11000,1,a",
    ];
    let rows = table(folder.path(), &lines);
    let rows: Vec<_> = rows.iter().collect();
    let command = Choose {
        frontier: folder.path().join("other.csv"),
        max_ram: Some(Bytes(20_000)),
        max_flash: Some(Bytes(70_000)),
        ..command(folder.path(), None, None, None)
    };
    let board = Board::load("mps2-an386").unwrap();
    let budgets = command.budgets(&board);
    // No artefact, no other plan.
    assert_eq!(command.planned(&rows, &budgets, &board).unwrap(), []);
    let committed = paths::root().join("models/artefacts/resnet8-shapes-w4a8.fourbit");
    fs::copy(committed, folder.path().join("n-s1.fourbit")).unwrap();
    let planned = command.planned(&rows, &budgets, &board).unwrap();
    let options: Vec<_> = rows.iter().copied().chain(&planned).collect();
    let found = choose(&options, &rows, &budgets, &board).unwrap();
    assert!(found.name == "n-s1" && planned.contains(found));
    assert!(found.arena_bytes.unwrap() <= 20_000 && found.instructions.unwrap() > 9_900_000);

    // Records beside the table: other plans may need as much code as the network that needs the most.
    let leave = |name: &str, code: usize, artefact: Option<String>| {
        let bits = Precision::Quantized(fourbit_models::scheme::Setting::W4a8);
        let record = Record {
            name: name.to_owned(),
            code_bytes: Some(code),
            artefact_sha256: artefact,
            ..crate::pareto::record::tests::record(1.0, bits, 1, 0.84)
        };
        record.save(&folder.path().join(format!("{name}.json"))).unwrap();
    };
    leave("m-s1", 26_000, None);
    leave("n-s1", 23_000, None);
    assert!(command.planned(&rows, &budgets, &board).unwrap().iter().all(|row| row.flash_bytes == 70_000));
    leave("n-s1", 22_999, None);
    let planned = command.planned(&rows, &budgets, &board).unwrap();
    let options: Vec<_> = rows.iter().copied().chain(&planned).collect();
    assert_eq!(choose(&options, &rows, &budgets, &board).unwrap().name, "m-s1");
    // Another artefact than the one that was measured.
    leave("n-s1", 23_000, Some("another".to_owned()));
    assert_eq!(command.planned(&rows, &budgets, &board).unwrap(), []);
}
