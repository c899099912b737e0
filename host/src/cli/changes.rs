//! Changes of rules while `run` runs: by request and by edits of watched folders. Whoever looks at the agent's standard
//! error sees what came into force, and what did not and why.

use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};
use std::thread;

use super::Console;
use super::console::escape_lines;
use super::opening::row;
use super::rules::RuleFiles;
use crate::agent::control::{Changed, Handler, Refused, Request, Response};
use crate::agent::live::Agent;
use crate::sink::terminal::escape;

/// Names shown of what is new, other or gone; the rest is counted.
const NAMES_SHOWN: usize = 8;
/// Stack of the thread that takes in folders, as large as that of the main thread: it compiles rules.
const STACK_LEN: usize = 8 * 1024 * 1024;

/// The agent as clients of the control socket reach it: what they change is told.
pub(super) struct Announced {
    agent: Arc<Agent>,
    console: Console,
}

impl Announced {
    /// This agent, on this console.
    pub(super) fn new(agent: Arc<Agent>, console: Console) -> Self {
        Self { agent, console }
    }
}

impl Handler for Announced {
    fn handle(&self, request: Request) -> Response {
        let changes = !matches!(request, Request::List);
        let response = self.agent.handle(request);
        match &response {
            Response::Changed(changed) => tell(&self.console, changed, "by request"),
            Response::Refused(refused) if changes => {
                self.console.line(&row("refused", &escape(&format!("a request: {}", refused.reason))));
            }
            _ => {}
        }
        response
    }
}

/// Takes in folders, one after the other, on a thread of its own: whoever watches them sends the path of each that
/// changed. It ends when nobody can send any more.
pub(super) fn take_in_folders(agent: Arc<Agent>, console: Console) -> std::io::Result<mpsc::Sender<PathBuf>> {
    let (sender, changed) = mpsc::channel::<PathBuf>();
    thread::Builder::new().name("trapline-folders".to_owned()).stack_size(STACK_LEN).spawn(move || {
        while let Ok(folder) = changed.recv() {
            // Several edits in a row are one.
            let mut folders = vec![folder];
            folders.extend(changed.try_iter());
            folders.sort();
            folders.dedup();
            folders.iter().for_each(|folder| take_in(&agent, folder, &console));
        }
    })?;
    Ok(sender)
}

fn take_in(agent: &Agent, folder: &Path, console: &Console) {
    let name = folder.display().to_string();
    let now = match RuleFiles::in_folder(folder) {
        Ok(now) => now,
        Err(error) => return console.warning(&format!("{error:#}; the rules of {name} stay as they are")),
    };
    let (changed, refused) = agent.edit_folder(&name, now);
    for (file, Refused { reason, diagnostics, .. }) in refused {
        diagnostics.iter().for_each(|diagnostic| console.line(&escape_lines(diagnostic)));
        console.warning(&format!("{file}: what was in force stays: {reason}"));
    }
    if let Some(changed) = changed {
        tell(console, &changed, &format!("by an edit of {name}"));
    }
}

fn tell(console: &Console, changed: &Changed, by: &str) {
    let groups = [("new", &changed.loaded), ("other", &changed.replaced), ("gone", &changed.unloaded)];
    let mut parts: Vec<String> =
        groups.iter().filter(|(_, names)| !names.is_empty()).map(|(what, names)| group(what, names)).collect();
    if parts.is_empty() {
        parts.push("nothing is different".to_owned());
    }
    let text = format!("generation {} {by}: {}", changed.generation, parts.join("; "));
    console.line(&row("rules", &escape(&text)));
    for note in &changed.notes {
        console.line(&row("", &escape_lines(note)));
    }
}

fn group(what: &str, names: &[String]) -> String {
    let shown: Vec<&str> = names.iter().map(String::as_str).take(NAMES_SHOWN).collect();
    let more =
        if names.len() > NAMES_SHOWN { format!(" and {} more", names.len() - NAMES_SHOWN) } else { String::new() };
    format!("{} {what} ({}{more})", names.len(), shown.join(", "))
}
