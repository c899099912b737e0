//! `trapline unload`: takes rules out of force in the agent that is running.

use std::path::Path;

use anyhow::Context as _;
use clap::Args;

use super::Outcome;
use super::control::Control;
use crate::agent::control::Request;
use crate::agent::control::place::file_name;

/// Take rules out of force in the agent that is running
#[derive(Args, Debug)]
#[command(after_help = "All of them go together, between two events, or none does.")]
pub(super) struct Unload {
    /// Names or ids of rules, or files that were loaded
    #[arg(required = true, value_name = "NAME|ID|FILE")]
    names: Vec<String>,

    #[command(flatten)]
    control: Control,
}

impl Unload {
    pub(super) fn run(self) -> anyhow::Result<Outcome> {
        let names = self.names.iter().map(|name| told(name)).collect::<anyhow::Result<_>>()?;
        self.control.change(Request::Unload { names }, &[])
    }
}

/// What the agent knows this by. Names and ids of rules contain no separators, and no rule is called like a file.
fn told(name: &str) -> anyhow::Result<String> {
    if name.ends_with(".trap") || name.contains(std::path::is_separator) {
        file_name(Path::new(name)).with_context(|| name.to_owned())
    } else {
        Ok(name.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_get_their_whole_path_and_rules_keep_their_name() {
        for rule in ["run_from_tmp", "7e1b6a56-39b5-4b1e-9a3e-2d9d1f3b7c01", "stock"] {
            assert_eq!(told(rule).unwrap(), rule);
        }
        for file in ["a.trap", "./a.trap", "folder/a"] {
            let told = told(file).unwrap();
            assert!(
                Path::new(&told).is_absolute() && Path::new(&told).ends_with(file.trim_start_matches("./")),
                "{told}"
            );
        }
    }
}
