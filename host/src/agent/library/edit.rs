//! Folders that are edited: of many changes at once, those that can be are brought into force, and the others told.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;
use std::sync::Arc;

use trapline_programs::diagnostic::Source;

use super::refusal::Fault;
use super::{Change, File, Library, Origin};
use crate::agent::control::Refused;
use crate::agent::load::RuleText;

/// How often an edit of a folder is tried: each time all rules are compiled. Usually twice is enough.
pub const EDIT_ATTEMPTS_MAX: u32 = 64;

/// What editing a folder came to: what passed, and what did not and why.
#[derive(Debug, Default)]
pub struct Edited {
    /// What is to be brought into force, if anything is different.
    pub change: Option<Change>,
    /// Files whose last good text stays, with the reasons.
    pub refused: Vec<(String, Refused)>,
    /// How often it was tried.
    pub attempts: u32,
}

/// One edit of a file in a folder.
#[derive(Clone, Debug)]
pub(super) enum Edit {
    /// It is new or has another text.
    Put(RuleText),
    /// It is gone.
    Remove(String),
}

/// How far the taking in of an edit is.
struct Sorting<'o> {
    origin: &'o Origin,
    attempts: u32,
    passed: Vec<Edit>,
    change: Option<Change>,
    /// What did not pass, with the reason.
    out: Vec<(Edit, Fault)>,
}

impl Edit {
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Put(text) => &text.source.name,
            Self::Remove(name) => name,
        }
    }
}

impl Library {
    /// Takes in what a folder holds now. Each file passes or fails by itself: one that fails keeps its last good text.
    /// So does one that is there and could not be read: `unread` names those, and folders of which nothing is known.
    pub fn edit(&mut self, folder: &str, now: Vec<Arc<Source>>, unread: &[&str]) -> Edited {
        if !self.dev {
            let reason = "these rules are not signed: only an agent that was started with --dev takes them";
            let refused = vec![(folder.to_owned(), *self.refuse(reason.to_owned()))];
            return Edited { refused, ..Edited::default() };
        }
        let origin = Origin::Folder(folder.to_owned());
        let there: BTreeSet<&str> = now.iter().map(|source| source.name.as_str()).collect();
        // A file that was asked for before the folder was looked at belongs to the folder all the same.
        for file in &mut self.files {
            if file.origin == Origin::Requested && there.contains(file.name()) {
                file.origin = origin.clone();
            }
        }
        let known: HashMap<&str, &File> = self.files.iter().map(|file| (file.name(), file)).collect();
        let may_be_there = |name: &str| {
            there.contains(name) || unread.iter().any(|unread| Path::new(name).starts_with(Path::new(unread)))
        };
        let of_folder = self.files.iter().filter(|file| file.origin == origin);
        let gone = of_folder.filter(|file| !may_be_there(file.name()));
        let mut edits: Vec<Edit> = gone.map(|file| Edit::Remove(file.name().to_owned())).collect();
        let is_other =
            |source: &Source| known.get(source.name.as_str()).is_none_or(|file| *file.text.source != *source);
        edits.extend(
            now.iter()
                .filter(|source| is_other(source))
                .map(|source| Edit::Put(RuleText { source: source.clone(), ruleset: folder.to_owned() })),
        );
        if edits.is_empty() {
            return Edited::default();
        }
        let mut sorting = Sorting { origin: &origin, attempts: 0, passed: Vec::new(), change: None, out: Vec::new() };
        self.sort_out(&mut sorting, edits);
        // What did not pass beside one that did not pass either may pass now.
        loop {
            let (again, out): (Vec<_>, Vec<_>) =
                std::mem::take(&mut sorting.out).into_iter().partition(|(_, fault)| fault.beside);
            sorting.out = out;
            let before = again.len();
            if before == 0 {
                break;
            }
            self.sort_out(&mut sorting, again.into_iter().map(|(edit, _)| edit).collect());
            if sorting.out.iter().filter(|(_, fault)| fault.beside).count() == before {
                break;
            }
        }
        let refused = sorting.out.into_iter().map(|(edit, fault)| (edit.name().to_owned(), fault.refused));
        Edited { refused: refused.collect(), change: sorting.change, attempts: sorting.attempts }
    }

    /// Adds to what has passed as many of these edits as pass together with it. Files that are at fault themselves are
    /// left out at once; if none is, halves are tried, down to single edits or to the last attempt.
    fn sort_out(&mut self, sorting: &mut Sorting<'_>, mut edits: Vec<Edit>) {
        loop {
            if edits.is_empty() {
                return;
            }
            if sorting.attempts >= EDIT_ATTEMPTS_MAX {
                let reason =
                    format!("it was left out: the edit of the folder did not pass in {EDIT_ATTEMPTS_MAX} tries");
                let fault = || Fault { refused: *self.refuse(reason.clone()), beside: false };
                sorting.out.extend(edits.into_iter().map(|edit| (edit, fault())));
                return;
            }
            sorting.attempts += 1;
            let together = sorting.passed.iter().chain(&edits).cloned().collect();
            let failure = match self.attempt(together, sorting.origin) {
                Ok(change) => {
                    sorting.change = Some(change);
                    sorting.passed.append(&mut edits);
                    return;
                }
                Err(failure) => failure,
            };
            let before = edits.len();
            let mut faults: HashMap<String, Fault> = failure.files.into_iter().collect();
            let mut rest = Vec::with_capacity(before);
            for edit in edits {
                match faults.remove(edit.name()) {
                    Some(fault) => sorting.out.push((edit, fault)),
                    None => rest.push(edit),
                }
            }
            edits = rest;
            if edits.len() < before {
                continue;
            }
            if before == 1 {
                let fault = |edit| (edit, Fault { refused: (*failure.whole).clone(), beside: false });
                sorting.out.extend(edits.into_iter().map(fault));
                return;
            }
            let second = edits.split_off(before / 2);
            self.sort_out(sorting, edits);
            edits = second;
        }
    }
}
