//! Known holes of other machines as tests of this one: one test a row of `README.md`, which says what each was.
//!
//! ```text
//! cves       what broke the Linux kernel's verifier
//! peers      what broke PREVAIL, uBPF, rbpf, sBPF and those who embed them
//! programs   the programs of tests/verifier/holes.txt, run unproved
//! support    programs, memories, runs
//! ```
//!
//! Where a hole is a program, it is refused for the right reason, and run unproved it ends in a result or a trap with
//! nothing changed that it may not write.

mod cves;
mod peers;
mod programs;
#[path = "../random/mod.rs"]
mod random;
mod support;

use std::path::Path;

/// Every row has a test, and every test that the page names is there.
#[test]
fn every_row_has_its_tests() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = std::fs::read_to_string(root.join("tests/holes/README.md")).unwrap();
    let mut rows = 0;
    for row in
        page.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| what ") && !line.starts_with("| ---"))
    {
        let names: Vec<&str> = row.split('`').skip(1).step_by(2).filter(|name| name.contains("::")).collect();
        assert!(!names.is_empty(), "no test for {row}");
        for name in names {
            let (file, test) = name.split_once("::").unwrap();
            let text = std::fs::read_to_string(root.join(file)).unwrap_or_else(|why| panic!("{file}: {why}"));
            let wanted = if file.ends_with(".txt") { format!("== {test}\n") } else { format!("fn {test}(") };
            assert!(text.contains(&wanted), "{name} is not there");
        }
        rows += 1;
    }
    assert_eq!(rows, 26, "rows of the page");
    // The other way round: every test of the two files has its row.
    for file in ["tests/holes/cves.rs", "tests/holes/peers.rs"] {
        let text = std::fs::read_to_string(root.join(file)).unwrap();
        let mut lines = text.lines();
        while let Some(line) = lines.next() {
            if line == "#[test]" {
                let name = lines.next().and_then(|line| line.strip_prefix("fn ")?.split('(').next()).unwrap();
                assert!(page.contains(&format!("`{file}::{name}`")), "{name} has no row");
            }
        }
    }
}
