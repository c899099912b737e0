//! `trapline compile`: rules to object files.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, bail};
use clap::Args;
use trapline_programs::catalogue::catalogue;
use trapline_programs::compile::compile;
use trapline_programs::diagnostic::Level;
use trapline_programs::object;

use super::rules::RuleFiles;
use super::{Console, Internal, Outcome, diagnostics};
use crate::sink::terminal::escape;

/// Compile rules to object files: ordinary BPF ELF, one file a rule
#[derive(Args, Debug)]
#[command(after_help = "`llvm-objdump -d -r` and `readelf -a` show what is in them; `trapline replay --rules` and \
                        the other commands take them like rule files.")]
pub(super) struct Compile {
    /// Rule files, folders of rules, or `stock`
    #[arg(required = true, value_name = "RULES")]
    paths: Vec<PathBuf>,

    /// Folder for the object files, each named after its rule; it is made if it is not there
    #[arg(short, long, value_name = "FOLDER")]
    output: PathBuf,
}

impl Compile {
    pub(super) fn run(self) -> anyhow::Result<Outcome> {
        let console = Console::new();
        let files = RuleFiles::find(&self.paths)?;
        let sources: Vec<_> = files.texts().into_iter().map(|text| text.source).collect();
        let compiled = compile(&sources, catalogue());
        diagnostics::print_all(&console, &compiled.diagnostics);
        if let Some(note) = files.skipped_note() {
            console.warning(&note);
        }
        fs::create_dir_all(&self.output).with_context(|| self.output.display().to_string())?;
        for rule in &compiled.rules {
            let name = &rule.rule.name;
            // Names in object files are whatever their author wrote.
            if name.contains(['/', '\\', '\0']) || name.starts_with('.') {
                bail!("the rule `{}` has a name that no file can have", escape(name));
            }
            let bytes = object::write(rule).map_err(|error| Internal(format!("rule `{name}`: {error}")))?;
            let path = self.output.join(format!("{name}.o"));
            fs::write(&path, bytes).with_context(|| path.display().to_string())?;
        }
        let count = compiled.rules.len();
        let files = if count == 1 { "1 object file".to_owned() } else { format!("{count} object files") };
        console.line(&format!("{files} written to {}", escape(&self.output.display().to_string())));
        let errors = compiled.diagnostics.iter().any(|diagnostic| diagnostic.level == Level::Error);
        Ok(if errors { Outcome::Refused } else { Outcome::Done })
    }
}
