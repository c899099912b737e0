//! `trapline explain CODE`: the page on a diagnostic or a trap.

use std::io::Write as _;

use clap::Args;
use trapline_programs::diagnostic::explain;

use super::{Outcome, OutputError};
use crate::sink::terminal::escape;

/// Explain a diagnostic or trap code
#[derive(Args, Debug)]
pub(super) struct Explain {
    /// A code, as in `error[unknown-field]`; without one, all codes are listed
    code: Option<String>,
}

impl Explain {
    pub(super) fn run(self) -> anyhow::Result<Outcome> {
        let mut out = anstream::stdout().lock();
        let Some(code) = self.code else {
            return Ok(Outcome::Done);
        };
        writeln!(out).map_err(OutputError)?;
        Ok(Outcome::Done)
    }
}
