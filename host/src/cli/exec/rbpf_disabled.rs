//! Stands in for `rbpf` in builds without it.

use super::cases::{BadLine, Case};
use super::{Report, Terms};

/// Says how to get a build that has it.
pub(super) fn available() -> anyhow::Result<()> {
    anyhow::bail!(
        "this build has no rbpf to compare with: build one with `cargo install --locked --path host --features rbpf`"
    )
}

/// Not reached: [`available`] comes first.
pub(super) fn run(case: &Case, _: Terms) -> Result<Report, BadLine> {
    Ok(Report::rejected(case.name.clone(), "this build has no rbpf".to_owned()))
}
