//! `trapline man`: manual pages, made from the command line itself so that they cannot say anything else.

use std::fs;
use std::io::{self, Write as _};
use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, Command, CommandFactory as _};
use clap_mangen::Man as Page;

use super::{Cli, Console, Outcome, OutputError};

/// Print the manual page, or write a page for each command
#[derive(Args, Debug)]
#[command(after_help = "Try `trapline man --dir ~/.local/share/man/man1`, then `man trapline-replay`.")]
pub(super) struct Man {
    /// Write the main page and one for each command into this folder, which is made if need be
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

impl Man {
    pub(super) fn run(self) -> anyhow::Result<Outcome> {
        let pages = pages().map_err(OutputError)?;
        let Some(dir) = self.dir else {
            // The main page comes first.
            let text = pages.first().map_or(&[][..], |(_, text)| text);
            let mut out = io::stdout().lock();
            out.write_all(text).and_then(|()| out.flush()).map_err(OutputError)?;
            return Ok(Outcome::Done);
        };
        fs::create_dir_all(&dir).with_context(|| dir.display().to_string())?;
        for (name, text) in &pages {
            let path = dir.join(name);
            fs::write(&path, text).with_context(|| path.display().to_string())?;
        }
        Console::new().line(&format!("{} manual pages written", pages.len()));
        Ok(Outcome::Done)
    }
}

/// File name and text of each page, the main one first.
fn pages() -> io::Result<Vec<(String, Vec<u8>)>> {
    let mut root = Cli::command().disable_help_subcommand(true);
    root.build();
    let mut pages = Vec::new();
    let mut open = vec![root];
    while let Some(command) = open.pop() {
        pages.push(page(&command)?);
        let shown = command.get_subcommands().filter(|command| !command.is_hide_set());
        open.extend(shown.cloned());
    }
    Ok(pages)
}

fn page(command: &Command) -> io::Result<(String, Vec<u8>)> {
    let page = Page::new(command.clone()).source(concat!("Trapline ", env!("CARGO_PKG_VERSION"))).manual("Trapline");
    let mut text = Vec::new();
    page.render(&mut text)?;
    Ok((page.get_filename(), text))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_command_that_is_shown_has_a_page_of_its_own() {
        let pages = pages().unwrap();
        let names: BTreeSet<&str> = pages.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names.len(), pages.len());
        assert_eq!(pages[0].0, "trapline.1");
        let command = Cli::command();
        let shown = |command: &Command, prefix: &str| -> Vec<String> {
            let shown = command.get_subcommands().filter(|command| !command.is_hide_set());
            shown.map(|command| format!("{prefix}-{}", command.get_name())).collect()
        };
        let mut want: BTreeSet<String> = BTreeSet::from(["trapline".to_owned()]);
        want.extend(shown(&command, "trapline"));
        for group in ["debug", "import"] {
            want.extend(shown(command.find_subcommand(group).unwrap(), &format!("trapline-{group}")));
        }
        assert_eq!(
            names,
            want.iter().map(|name| format!("{name}.1")).collect::<Vec<_>>().iter().map(String::as_str).collect()
        );
        for (name, text) in &pages {
            let text = String::from_utf8(text.clone()).unwrap();
            assert!(text.is_ascii(), "{name}: troff reads no UTF-8 unless told to");
            for part in [".TH ", ".SH NAME", ".SH SYNOPSIS", ".SH OPTIONS"] {
                assert!(text.contains(part), "{part} is not in {name}:\n{text}");
            }
        }
    }
}
