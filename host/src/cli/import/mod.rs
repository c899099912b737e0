//! `trapline import`: rules of other languages as our own.
//!
//! Rules are read as any command reads them; what they are in our language is the compiler's business
//! ([`trapline_programs::sigma::import`]). Here are the files, and the report ([`parity`]): of every rule whether it
//! means exactly what Sigma says, what can supply it, and where it was written, or why not.

mod parity;

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use trapline_programs::catalogue::catalogue;
use trapline_programs::sigma;

use self::parity::{Parity, Report};
use super::rules::{RuleFiles, load_all};
use super::summary::count;
use super::{Console, Format, Outcome, OutputError};
use crate::agent::load::Loaded;
use crate::sink::terminal::escape;

/// The most bytes of one written file: what is more goes into a second one. A rule is never split.
const FILE_BYTES_MAX: usize = 512 * 1024;

/// Write rules of other languages as our own
#[derive(Debug, Subcommand)]
pub(super) enum Import {
    Sigma(Sigma),
}

/// Report what each Sigma rule means here and what can supply it, and write the same as .trap files
#[derive(Args, Debug)]
#[command(
    after_help = "Sigma rules run as they are; import them to go on in our language. Every rule that is written \
                        was compiled again and comes to the same decision."
)]
pub(super) struct Sigma {
    /// Sigma files, or folders of them
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,

    /// Folder for the .trap files: one for each folder of Sigma rules; without it nothing is written
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,

    /// Text for people or JSON for programs
    #[arg(long, default_value = "text")]
    format: Format,
}

impl Import {
    pub(super) fn run(self) -> anyhow::Result<Outcome> {
        match self {
            Self::Sigma(sigma) => sigma.run(),
        }
    }
}

impl Sigma {
    fn run(self) -> anyhow::Result<Outcome> {
        let console = Console::new();
        let files = RuleFiles::find(&self.paths)?;
        let texts = files.texts();
        if let Some(other) = texts.iter().find(|text| !sigma::is_sigma(&text.source.name)) {
            bail!("{}: not a Sigma rule; those are in files that end in .yml or .yaml", other.source.name);
        }
        let loaded = load_all(&files)?;
        if let Some(note) = files.skipped_note() {
            console.warning(&note);
        }
        let sources: Vec<_> = texts.iter().map(|text| text.source.clone()).collect();
        let searches = sigma::Searches::of(&sources, catalogue());
        let mut report = Report::default();
        let mut written = BTreeMap::new();
        for rule in &loaded.ruleset.rules {
            let mut parity = Parity::exact(rule);
            match sigma::import(&rule.rule, &searches, catalogue()) {
                Err(reason) => parity.not_written = Some(reason.to_string()),
                Ok(text) => {
                    if let Some(out) = &self.out {
                        let path = target(out, &self.paths, Path::new(&rule.rule.source.name));
                        let comment = format!("# Sigma {}, {}\n", rule.rule.meta.id, rule.rule.source.name);
                        parity.written = Some(add(&mut written, path, &(comment + &text)));
                    }
                }
            }
            report.rules.push(parity);
        }
        refused(&loaded, &mut report);
        report.rules.sort_by(|a, b| (&a.file, a.line).cmp(&(&b.file, b.line)));
        write_all(&written)?;
        let mut out = anstream::stdout().lock();
        match self.format {
            Format::Text => report.write_text(&mut out),
            Format::Json => report.write_json(&mut out),
        }
        .and_then(|()| out.flush())
        .map_err(OutputError)?;
        if let Some(folder) = &self.out {
            let files = count(written.len() as u64, "file", "files");
            console.line(&format!("{files} written to {}", escape(&folder.display().to_string())));
        }
        if report.rules.is_empty() {
            console.error("there is no Sigma rule here");
        }
        let all = !report.rules.is_empty() && report.rules.iter().all(|rule| rule.refused.is_none());
        Ok(if all { Outcome::Done } else { Outcome::Refused })
    }
}

fn refused(loaded: &Loaded, report: &mut Report) {
    for refusal in &loaded.refused {
        report.rules.push(Parity::refused(refusal));
    }
}

/// The file for rules of this one: that of its folder, below the folder that was named; with several of these, below
/// its name.
fn target(out: &Path, roots: &[PathBuf], file: &Path) -> PathBuf {
    let root = roots.iter().filter(|root| file.starts_with(root)).max_by_key(|root| root.as_os_str().len());
    let Some(root) = root.filter(|root| *root != file) else {
        return with_suffix(out.join(file.file_stem().unwrap_or_default()));
    };
    let mut path = out.to_owned();
    let name = root.file_name().unwrap_or_else(|| "rules".as_ref());
    let below = file.parent().and_then(|folder| folder.strip_prefix(root).ok()).unwrap_or(Path::new(""));
    if roots.len() > 1 || below.as_os_str().is_empty() {
        path.push(name);
    }
    if !below.as_os_str().is_empty() {
        path.push(below);
    }
    with_suffix(path)
}

fn with_suffix(path: PathBuf) -> PathBuf {
    let mut path = path.into_os_string();
    path.push(".trap");
    PathBuf::from(path)
}

/// Adds a rule to a file, or to the next one of its name when that is full. Returns the file's name.
fn add(files: &mut BTreeMap<PathBuf, String>, path: PathBuf, text: &str) -> String {
    let mut chosen = path.clone();
    let mut number = 1;
    while files.get(&chosen).is_some_and(|file| file.len() + text.len() > FILE_BYTES_MAX) {
        number += 1;
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        chosen = path.with_file_name(format!("{stem}_{number}.trap"));
    }
    let file = files.entry(chosen.clone()).or_default();
    if !file.is_empty() {
        file.push('\n');
    }
    file.push_str(text);
    chosen.display().to_string()
}

/// Nothing that is there is overwritten: a person may have changed it.
fn write_all(files: &BTreeMap<PathBuf, String>) -> anyhow::Result<()> {
    if let Some(path) = files.keys().find(|path| fs::symlink_metadata(path).is_ok()) {
        bail!("{}: is there already; choose another folder, or remove it", path.display());
    }
    for (path, text) in files {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
        }
        fs::write(path, text).with_context(|| path.display().to_string())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_for_each_folder() {
        let target = |roots: &[&str], file: &str| {
            let roots: Vec<PathBuf> = roots.iter().map(PathBuf::from).collect();
            target(Path::new("out"), &roots, Path::new(file)).display().to_string()
        };
        assert_eq!(target(&["rules"], "rules/windows/process_creation/a.yml"), "out/windows/process_creation.trap");
        assert_eq!(target(&["rules"], "rules/a.yml"), "out/rules.trap");
        assert_eq!(target(&["rules/a.yml"], "rules/a.yml"), "out/a.trap");
        let two = ["rules", "hunting"];
        assert_eq!(target(&two, "rules/windows/a.yml"), "out/rules/windows.trap");
        assert_eq!(target(&two, "hunting/a.yml"), "out/hunting.trap");
    }

    #[test]
    fn a_file_that_is_full_goes_on_in_another() {
        let mut files = BTreeMap::new();
        let half = "x".repeat(FILE_BYTES_MAX / 2);
        let names: Vec<String> = (0..4).map(|_| add(&mut files, PathBuf::from("a/b.trap"), &half)).collect();
        assert_eq!(names, ["a/b.trap", "a/b.trap", "a/b_2.trap", "a/b_2.trap"]);
    }

    #[test]
    fn what_is_there_is_not_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let files = BTreeMap::from([
            (folder.path().join("a.trap"), "new".to_owned()),
            (folder.path().join("b.trap"), "new".to_owned()),
        ]);
        fs::write(folder.path().join("b.trap"), "old").unwrap();
        assert!(write_all(&files).unwrap_err().to_string().contains("b.trap: is there already"));
        assert!(!folder.path().join("a.trap").exists());
        assert_eq!(fs::read_to_string(folder.path().join("b.trap")).unwrap(), "old");
    }
}
