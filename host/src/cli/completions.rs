//! `trapline completions`: what a shell needs to complete our commands, made from the command line itself.

use std::io::{self, Write as _};

use clap::{Args, CommandFactory as _};
use clap_complete::{Shell, generate};

use super::{Cli, Outcome, OutputError};

/// Print completions for a shell
#[derive(Args, Debug)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Completions {
    /// The shell
    shell: Shell,
}

const AFTER_HELP: &str = "\
Where they go:
  bash        trapline completions bash > ~/.local/share/bash-completion/completions/trapline
  zsh         trapline completions zsh > \"${fpath[1]}/_trapline\"
  fish        trapline completions fish > ~/.config/fish/completions/trapline.fish
  powershell  trapline completions powershell >> $PROFILE";

impl Completions {
    pub(super) fn run(self) -> anyhow::Result<Outcome> {
        // Into memory first: the generator does not return errors of the writer.
        let mut script = Vec::new();
        generate(self.shell, &mut Cli::command(), "trapline", &mut script);
        let mut out = io::stdout().lock();
        out.write_all(&script).and_then(|()| out.flush()).map_err(OutputError)?;
        Ok(Outcome::Done)
    }
}
