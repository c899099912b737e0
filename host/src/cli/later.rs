//! Commands whose names are fixed already and which are not built yet: they say so instead of "unknown command".

use std::ffi::OsString;

use clap::Args;

use super::Outcome;

/// Prove one program and report what was proved (comes later).
#[derive(Args, Debug)]
pub(super) struct Verify {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
    _rest: Vec<OsString>,
}

impl Verify {
    pub(super) fn run(self) -> anyhow::Result<Outcome> {
        anyhow::bail!("`trapline verify` comes with object files, in a later version; `trapline check` proves rules")
    }
}
