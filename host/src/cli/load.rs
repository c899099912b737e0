//! `trapline load`: puts rules in force in the agent that is running.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, bail};
use clap::Args;
use trapline_programs::diagnostic::Source;

use super::control::Control;
use super::rules::{RuleFiles, STOCK, told};
use super::{Console, Outcome};
use crate::agent::control::place::file_name;
use crate::agent::control::{Request, RuleFile};

/// Put rules in force in the agent that is running
#[derive(Args, Debug)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Load {
    /// Rule files or folders of rules. A file that is loaded already is replaced
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,

    #[command(flatten)]
    control: Control,
}

const AFTER_HELP: &str = "\
All files come in force together, between two events, or none does. If one of their rules is refused, what ran before
stays in force and the reasons are printed. The agent must have been started with --dev to take rules that nobody
signed.";

impl Load {
    pub(super) fn run(self) -> anyhow::Result<Outcome> {
        if self.paths.iter().any(|path| path.as_os_str() == STOCK) {
            bail!(
                "the stock rules are part of the agent: start it with `trapline run --rules stock`; to load a file of \
                 that name say `./{STOCK}`"
            );
        }
        let found = RuleFiles::find(&self.paths)?;
        if let Some(note) = found.skipped_note() {
            Console::new().warning(&note);
        }
        // By name: the same file may have been found on two ways.
        let mut sources = BTreeMap::new();
        for text in found.texts() {
            let name = file_name(Path::new(&text.source.name)).with_context(|| text.source.name.clone())?;
            sources.insert(name.clone(), Source::new(name, text.source.text.as_str()));
        }
        let sources: Vec<Arc<Source>> = sources.into_values().collect();
        if sources.is_empty() {
            bail!("there are no rules to load");
        }
        let files = sources.iter().map(|source| RuleFile { name: source.name.clone(), text: source.text.clone() });
        let request = Request::Load { files: files.collect() };
        let response = told(sources.len(), || self.control.ask(request))?;
        self.control.changed(response, &sources)
    }
}
