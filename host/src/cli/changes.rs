//! Changes of rules while `run` runs: by request and by edits of watched folders. Whoever looks at the agent's standard
//! error sees what came into force, and what did not and why.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use super::Console;
use super::console::escape_lines;
use super::opening::row;
use super::rules::{FolderNow, RuleFiles};
use crate::agent::control::{Changed, Handler, Refused, Request, Response};
use crate::agent::live::Agent;
use crate::agent::watch::{Notice, Watcher};
use crate::sink::terminal::escape;

/// Names shown of what is new, other or gone; the rest is counted.
const NAMES_SHOWN: usize = 8;
/// How often a folder that was refused as a whole is tried again.
const RETRY_EVERY: Duration = Duration::from_secs(5);
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

/// Folders of rules that are watched. Begun before they are read for the first time, so that no edit is missed.
pub(super) struct Folders {
    folders: Vec<PathBuf>,
    notices: mpsc::Receiver<Notice>,
    /// None if there is no folder. It is dropped with this, or with the thread that takes in what it tells.
    watcher: Option<Watcher>,
}

impl Folders {
    /// Begins to watch.
    pub(super) fn watch(folders: Vec<PathBuf>) -> io::Result<Self> {
        let (tell, notices) = mpsc::channel();
        let watcher = match folders.as_slice() {
            [] => None,
            // Who takes them in may have ended.
            _ => Some(Watcher::start(folders.clone(), Box::new(move |notice| drop(tell.send(notice))))?),
        };
        Ok(Self { folders, notices, watcher })
    }

    /// From now on this agent takes in what changes, on a thread of its own. Watching ends with what is returned.
    pub(super) fn take_in(self, agent: Arc<Agent>, console: Console) -> io::Result<Option<Watcher>> {
        let Self { folders, notices, watcher } = self;
        for folder in &folders {
            console.line(&row("watched", &escape(&folder.display().to_string())));
        }
        let take_in = move || {
            let mut told: Vec<(String, Refused)> = Vec::new();
            loop {
                // A folder that was refused as a whole may pass later, without being edited again: no change could be
                // made at that moment, because the queue was full of them.
                let again = folders.iter().any(|folder| told.iter().any(|(name, _)| Path::new(name) == folder));
                let Some(came) = come(&notices, if again { RETRY_EVERY } else { Duration::MAX }) else { return };
                for notice in &came {
                    if let Notice::Polling { reason } = notice {
                        console.warning(&format!(
                            "the system does not watch folders of rules ({reason}): they are looked at now and then"
                        ));
                    }
                }
                if !came.is_empty() && !came.iter().any(|notice| matches!(notice, Notice::Changed(_))) {
                    continue;
                }
                // All of them: what failed in one may pass after an edit of another.
                let refused = folders.iter().flat_map(|folder| take_in(&agent, folder, &console, &told));
                // What makes us panic once is still there; without it the folders go on to be watched.
                match catch_unwind(AssertUnwindSafe(|| refused.collect())) {
                    Ok(refused) => told = refused,
                    Err(_) => console.error(
                        "an edit of a folder of rules made Trapline fail; what was in force stays. This is a bug in \
                         Trapline; please report it.",
                    ),
                }
            }
        };
        thread::Builder::new().name("trapline-folders".to_owned()).stack_size(STACK_LEN).spawn(take_in)?;
        Ok(watcher)
    }
}

/// All that has come, as one look sees what all of it tells of; nothing in it if nothing came in time. None: nothing
/// comes any more.
fn come(notices: &mpsc::Receiver<Notice>, wait: Duration) -> Option<Vec<Notice>> {
    match notices.recv_timeout(wait) {
        Ok(first) => Some(std::iter::once(first).chain(notices.try_iter()).collect()),
        Err(mpsc::RecvTimeoutError::Timeout) => Some(Vec::new()),
        Err(mpsc::RecvTimeoutError::Disconnected) => None,
    }
}

/// Takes in what a folder holds now, and returns what was refused of it. What was told already is not told again.
fn take_in(agent: &Agent, folder: &Path, console: &Console, told: &[(String, Refused)]) -> Vec<(String, Refused)> {
    let name = folder.display().to_string();
    let FolderNow { sources, unread } = RuleFiles::in_folder(folder);
    let names: Vec<&str> = unread.iter().map(|(name, _)| name.as_str()).collect();
    let (changed, mut refused) = agent.edit_folder(&name, sources, &names);
    refused.extend(unread.into_iter().map(|(name, reason)| (name, Refused::because(reason))));
    // The generation that stays may be another one by now.
    let same = |a: &Refused, b: &Refused| a.reason == b.reason && a.diagnostics == b.diagnostics;
    for (file, refused) in &refused {
        if told.iter().any(|(known, before)| known == file && same(before, refused)) {
            continue;
        }
        refused.diagnostics.iter().for_each(|diagnostic| console.line(&escape_lines(diagnostic)));
        console.warning(&format!("{}: what was in force stays: {}", escape(file), escape(&refused.reason)));
    }
    if let Some(changed) = changed {
        tell(console, &changed, &format!("by an edit of {name}"));
    }
    refused
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
        console.line(&row("", &escape(note)));
    }
}

fn group(what: &str, names: &[String]) -> String {
    let shown: Vec<&str> = names.iter().map(String::as_str).take(NAMES_SHOWN).collect();
    let more =
        if names.len() > NAMES_SHOWN { format!(" and {} more", names.len() - NAMES_SHOWN) } else { String::new() };
    format!("{} {what} ({}{more})", names.len(), shown.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn however_much_comes_one_look_is_taken() {
        let (tell, notices) = mpsc::channel();
        assert_eq!(come(&notices, Duration::ZERO), Some(Vec::new()));
        let polling = Notice::Polling { reason: "no more watches".into() };
        for notice in [Notice::Changed(Vec::new()), polling, Notice::Changed(Vec::new())] {
            tell.send(notice).unwrap();
        }
        assert_eq!(come(&notices, Duration::MAX).unwrap().len(), 3);
        assert_eq!(come(&notices, Duration::ZERO), Some(Vec::new()));
        drop(tell);
        assert_eq!(come(&notices, Duration::MAX), None);
    }

    #[test]
    fn so_many_names_and_the_rest_is_counted() {
        for (count, rest) in [(NAMES_SHOWN - 1, ""), (NAMES_SHOWN, ""), (NAMES_SHOWN + 1, " and 1 more")] {
            let names: Vec<String> = (0..count).map(|number| format!("r{number}")).collect();
            let text = group("new", &names);
            let shown = names[..count.min(NAMES_SHOWN)].join(", ");
            assert_eq!(text, format!("{count} new ({shown}{rest})"));
        }
    }
}
