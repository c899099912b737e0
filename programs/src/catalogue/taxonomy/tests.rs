use super::*;

#[test]
fn embedded_taxonomies_load() {
    load::windows().unwrap();
}
