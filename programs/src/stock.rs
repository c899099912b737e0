//! The rules that Trapline ships, embedded into the binary: what runs when nobody says otherwise.
//!
//! They lie in `programs/stock/`, one rule a file, below a folder for the operating system they are about. The build
//! embeds every `.trap` file it finds there, so that adding a rule is adding a file.

use std::sync::Arc;

use crate::diagnostic::Source;

/// The text of one stock rule.
#[derive(Clone, Copy, Debug)]
pub struct StockRule {
    /// Path below `programs/stock/`, with `/` on every system: `linux/reverse_shell_dev_tcp.trap`.
    pub path: &'static str,
    /// The text of the file.
    pub text: &'static str,
}

/// All stock rules, sorted by path.
pub const RULES: &[StockRule] = include!(concat!(env!("OUT_DIR"), "/stock.rs"));

/// All stock rules as sources for the compiler; their names are `stock/` and the path.
pub fn sources() -> Vec<Arc<Source>> {
    RULES.iter().map(|rule| Source::new(format!("stock/{}", rule.path), rule.text)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_embedded_sorted_and_below_the_folder_of_a_system() {
        assert!(!RULES.is_empty());
        assert!(RULES.is_sorted_by(|a, b| a.path < b.path));
        for rule in RULES {
            let (folder, file) = rule.path.split_once('/').unwrap();
            assert!(["linux", "windows", "cross"].contains(&folder), "{}", rule.path);
            let name = file.strip_suffix(".trap").unwrap();
            assert!(rule.text.contains(&format!("rule {name} {{")), "{} has a rule of another name", rule.path);
        }
    }
}
