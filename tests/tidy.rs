//! Rules of the repository as tests.

use std::path::Path;

#[test]
fn the_top_level_is_as_the_map_says() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for name in ["Cargo.toml", "vm", "programs", "host", "benches", "tests", "docs", ".ci"] {
        assert!(root.join(name).exists(), "{name} is missing");
    }
}
