//! The rules in force: which files there are, which of their rules run, and what a change would make of them.
//!
//! A [`Library`] knows the last good text of every file. A change (files loaded, rules unloaded, a folder edited) is
//! tried on a copy: all files are loaded together, and either everything that ran before and is not part of the change
//! still runs, and everything in the change does, or the change is refused and nothing is different. A change that
//! passed is a [`Change`] with a new immutable [`Ruleset`]; it takes effect when it is committed, so that whoever runs
//! the rules can bring them into force first.
//!
//! Where a file comes from decides how strict that is:
//!
//! | origin | a mistake in it | a rule that the source cannot serve |
//! | --- | --- | --- |
//! | stock | is ours: a warning | is set aside |
//! | a folder | at the start a warning; later the last good text stays | is set aside |
//! | named itself, or loaded by request | refused | refused, with what it lacks |
//!
//! It reads no files and starts no threads. Stock rules are part of the binary and trusted; all others are unsigned
//! and stand at [`Stage::Dev`], which the library takes only if it was told to.

mod edit;
mod file;
mod refusal;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use trapline_engine::BuildError;
use trapline_programs::diagnostic::{Diagnostic, Source};
use trapline_programs::{object, sigma};

use self::edit::Edit;
use self::file::{check_size, keys};
use self::refusal::{Failure, Fault, notes};
use super::alert::{RuleInfo, Stage};
use super::control::{Changed, Refused, RuleFile};
use super::load::{Loaded, LoadedRule, Loader, Refusal, RuleText, Ruleset, SetAside};
use super::summary::RefusedRule;

pub use self::edit::{EDIT_ATTEMPTS_MAX, Edited};
pub use self::file::{FILES_MAX, File, Origin, TEXT_BYTES_MAX};
pub use self::refusal::DIAGNOSTICS_SHOWN_MAX;

/// The most rules in force.
pub const RULES_MAX: usize = 16_384;

/// What is in force. Immutable, and shared with whoever wants to look.
#[derive(Clone, Debug)]
pub struct InForce {
    /// The rules that run.
    pub ruleset: Arc<Ruleset>,
    /// Rules that are set aside because the source cannot serve them.
    pub inert: Arc<[SetAside]>,
    /// Number of the generation that each rule came with, by name.
    since: Arc<BTreeMap<String, u64>>,
}

impl InForce {
    /// Number of the generation that a rule came with.
    pub fn since(&self, rule: &str) -> u64 {
        self.since.get(rule).copied().unwrap_or(self.ruleset.number)
    }
}

/// The rules in force, and the files they come from.
#[derive(Debug)]
pub struct Library {
    loader: Loader,
    dev: bool,
    rules_max: usize,
    files: Vec<File>,
    current: InForce,
}

/// A change that passed and is not in force yet.
#[derive(Debug)]
pub struct Change {
    files: Vec<File>,
    next: InForce,
    /// What is different; the first sequence number is not known yet.
    pub changed: Changed,
}

impl Change {
    /// The rules to be brought into force.
    pub fn ruleset(&self) -> &Arc<Ruleset> {
        &self.next.ruleset
    }

    /// What will be in force.
    pub fn next(&self) -> &InForce {
        &self.next
    }
}

/// What loading the first files came to.
#[derive(Debug)]
pub struct Opening {
    /// All that the compiler has to say.
    pub diagnostics: Vec<Diagnostic>,
    /// Rules that the linker or the verifier refused.
    pub refusals: Vec<Refusal>,
    /// All rules that were refused.
    pub refused: Vec<RefusedRule>,
    /// Rules of files that were named themselves and that the source cannot serve.
    pub unserved: Vec<SetAside>,
}

/// Why the first files cannot be a library.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Rules that are not signed.
    #[error("{0}: nobody signed these rules")]
    Unsigned(String),
    /// More than there may be.
    #[error("{0}")]
    TooMuch(String),
    /// One event could use more fuel than it may.
    #[error(transparent)]
    Fuel(#[from] BuildError),
}

impl Library {
    /// Loads the first files as far as they can be; the caller decides whether what was refused is a reason not to
    /// start. `dev` allows rules that are not signed to be loaded later.
    pub fn open(mut loader: Loader, dev: bool, files: Vec<File>) -> Result<(Self, Opening), OpenError> {
        if let Some(file) = files.iter().find(|file| !dev && file.origin != Origin::Stock) {
            return Err(OpenError::Unsigned(file.name().to_owned()));
        }
        check_size(&files).map_err(OpenError::TooMuch)?;
        let loaded = load(&mut loader, &files)?;
        let Loaded { ruleset, inert, diagnostics, refusals, refused } = loaded;
        check_rules(ruleset.rules.len(), RULES_MAX).map_err(OpenError::TooMuch)?;
        let named = |aside: &&SetAside| {
            files.iter().any(|file| file.name() == aside.file && matches!(file.origin, Origin::Named))
        };
        let unserved = inert.iter().filter(named).cloned().collect();
        let since = ruleset.rules.iter().map(|rule| (rule.info.name.clone(), ruleset.number)).collect();
        let current = InForce { ruleset: Arc::new(ruleset), inert: inert.into(), since: Arc::new(since) };
        Ok((
            Self { loader, dev, rules_max: RULES_MAX, files, current },
            Opening { diagnostics, refusals, refused, unserved },
        ))
    }

    /// What is in force.
    pub fn current(&self) -> &InForce {
        &self.current
    }

    /// Whether rules that are not signed may be loaded.
    pub fn dev(&self) -> bool {
        self.dev
    }

    /// Brings a change into force.
    pub fn commit(&mut self, change: Change) {
        self.files = change.files;
        self.current = change.next;
    }

    /// What would be in force with these files; one of the same name is replaced. All or none.
    pub fn load(&mut self, files: Vec<RuleFile>) -> Result<Change, Box<Refused>> {
        if files.is_empty() {
            return Err(self.refuse("there is no file to load".to_owned()));
        }
        let edits = files.into_iter().map(|RuleFile { name, text }| {
            Edit::Put(RuleText { source: Source::new(name.clone(), text), ruleset: name })
        });
        self.attempt(edits.collect(), &Origin::Requested).map_err(|failure| failure.whole)
    }

    /// What would be in force without these: names or ids of rules, or names of files. All or none.
    pub fn unload(&mut self, names: &[String]) -> Result<Change, Box<Refused>> {
        if names.is_empty() {
            return Err(self.refuse("there is nothing to unload".to_owned()));
        }
        let mut files = self.files.clone();
        for name in names {
            if let Some(at) = files.iter().position(|file| file.name() == name) {
                match files.get_mut(at) {
                    // It can come back by the same request; the others by an edit or a new start.
                    Some(file) if file.origin != Origin::Requested => {
                        let rules = keys(&file.text.source);
                        file.off.extend(rules);
                        // Of several of one name and without ids, also what they are known by.
                        let running = self.current.ruleset.rules.iter();
                        let of_file = running.filter(|rule| rule.rule.source.name == *name);
                        file.off.extend(of_file.map(|rule| key(name, &rule.info)));
                    }
                    _ => drop(files.remove(at)),
                }
                continue;
            }
            let Some((file, rule)) = self.place_of(name) else {
                return Err(self.refuse(format!(
                    "there is no rule `{name}`, by name or id, and no file of that name; `trapline list` has them all"
                )));
            };
            if files.iter().any(|known| known.name() == file && !keys(&known.text.source).contains(&rule)) {
                return Err(self.refuse(format!(
                    "`{name}` has the name of another rule and no id: give it an `id`, or unload its file, {file}"
                )));
            }
            // Also where it is the second of its name and was refused for that: it would come in force now.
            for known in &mut files {
                let source = &known.text.source;
                let may_name = object::is_object(source) || source.text.contains(&rule);
                if source.name == file || (may_name && keys(source).contains(&rule)) {
                    known.off.insert(rule.clone());
                }
            }
        }
        self.try_files(files, &BTreeSet::new(), false).map_err(|failure| failure.whole)
    }

    /// What would be in force after these edits.
    fn attempt(&mut self, edits: Vec<Edit>, origin: &Origin) -> Result<Change, Failure> {
        if !self.dev {
            let reason = "these rules are not signed: only an agent that was started with --dev takes them";
            return Err(self.refuse(reason.to_owned()).into());
        }
        let mut files = self.files.clone();
        let (mut changed, mut removed) = (BTreeSet::new(), BTreeSet::new());
        let mut places: HashMap<String, usize> =
            files.iter().enumerate().map(|(place, file)| (file.name().to_owned(), place)).collect();
        for edit in edits {
            let text = match edit {
                Edit::Remove(name) => {
                    removed.insert(name);
                    continue;
                }
                Edit::Put(text) => text,
            };
            changed.insert(text.source.name.clone());
            match places.get(&text.source.name).and_then(|place| files.get_mut(*place)) {
                Some(file) if file.origin == Origin::Stock => {
                    let name = file.name().to_owned();
                    let whole = self.refuse(format!(
                        "{name} is part of the binary; unload its rule and load yours under another file name"
                    ));
                    let fault = Fault { refused: (*whole).clone(), beside: false };
                    return Err(Failure { whole, files: vec![(name, fault)] });
                }
                Some(file) => {
                    file.text = text;
                    // Who asks for a file wants its rules; an edit leaves off what was unloaded.
                    if *origin == Origin::Requested {
                        file.off.clear();
                    }
                }
                None => {
                    places.insert(text.source.name.clone(), files.len());
                    files.push(File::new(text, origin.clone()));
                }
            }
        }
        files.retain(|file| !removed.contains(file.name()));
        self.try_files(files, &changed, *origin == Origin::Requested)
    }

    /// Loads these files together and says what would be different, or why they cannot be in force. The rules of the
    /// changed ones must all load; what runs from the others must run on. `by_request` says that each of the changed
    /// ones was asked for by name, so that all its rules must be of use.
    fn try_files(&mut self, files: Vec<File>, changed: &BTreeSet<String>, by_request: bool) -> Result<Change, Failure> {
        check_size(&files).map_err(|reason| self.refuse(reason))?;
        let mut loaded = load(&mut self.loader, &files).map_err(|error| self.refuse(error.to_string()))?;
        check_rules(loaded.ruleset.rules.len(), self.rules_max).map_err(|reason| self.refuse(reason))?;
        let faults = self.faults(&loaded, changed, |file| {
            by_request || files.iter().any(|known| known.name() == file && known.origin == Origin::Named)
        });
        if let Some(failure) = faults {
            return Err(failure);
        }
        loaded.ruleset.number = self.current.ruleset.number.saturating_add(1);
        let Loaded { ruleset, inert, diagnostics, .. } = loaded;
        let next = InForce { ruleset: Arc::new(ruleset), inert: inert.into(), since: Arc::default() };
        let (next, mut told) = self.compare(next);
        if let Some(failure) = self.lost(&files, changed, &next) {
            return Err(failure);
        }
        told.notes = notes(&next, changed, &diagnostics);
        Ok(Change { files, next, changed: told })
    }

    /// What is different between the rules in force and these, which learn since when each rule runs.
    fn compare(&self, mut next: InForce) -> (InForce, Changed) {
        let identities = |ruleset: &Ruleset| -> BTreeMap<String, Vec<[u8; 32]>> {
            ruleset.rules.iter().map(|rule| (rule.info.name.clone(), identity(ruleset, rule))).collect()
        };
        let (before, after) = (identities(&self.current.ruleset), identities(&next.ruleset));
        let mut changed = Changed { generation: next.ruleset.number, ..Changed::default() };
        let mut since = BTreeMap::new();
        for (name, identity) in &after {
            match before.get(name) {
                Some(known) if known == identity => {
                    since.insert(name.clone(), self.current.since(name));
                    continue;
                }
                Some(_) => changed.replaced.push(name.clone()),
                None => changed.loaded.push(name.clone()),
            }
            since.insert(name.clone(), next.ruleset.number);
        }
        changed.unloaded = before.into_keys().filter(|name| !after.contains_key(name)).collect();
        next.since = Arc::new(since);
        (next, changed)
    }

    /// A rule that would go, or be another file's, although its file is as it was and nobody asked for it.
    fn lost(&self, files: &[File], changed: &BTreeSet<String>, next: &InForce) -> Option<Failure> {
        let kept: HashMap<&str, &File> =
            files.iter().filter(|file| !changed.contains(file.name())).map(|file| (file.name(), file)).collect();
        let keyed = |rule: &LoadedRule| key(&rule.rule.source.name, &rule.info);
        let now: BTreeMap<String, &LoadedRule> = next.ruleset.rules.iter().map(|rule| (keyed(rule), rule)).collect();
        let mut whole = None;
        let mut faults = Vec::new();
        for rule in self.current.ruleset.rules.iter() {
            let (name, file) = (&rule.info.name, &rule.rule.source.name);
            let stays = now.get(&keyed(rule)).map(|rule| &rule.rule.source.name);
            if stays == Some(file) || kept.get(file.as_str()).is_none_or(|known| known.off.contains(&keyed(rule))) {
                continue;
            }
            let reason = match stays {
                Some(other) => format!("{other} has a rule `{name}`; the one of {file} runs already"),
                None => format!("`{name}`, which runs, would not run any more"),
            };
            let refused = self.refuse(reason);
            if let Some(other) = stays {
                faults.push((other.clone(), Fault { refused: (*refused).clone(), beside: true }));
            }
            whole.get_or_insert(refused);
        }
        whole.map(|whole| Failure { whole, files: faults })
    }

    /// The file and the key of a rule that runs or is set aside, by name or id.
    fn place_of(&self, name: &str) -> Option<(String, String)> {
        let running = self.current.ruleset.rules.iter().map(|rule| (&rule.info, &rule.rule.source.name));
        let aside = self.current.inert.iter().map(|aside| (&aside.info, &aside.file));
        let mut all = running.chain(aside);
        let (info, file) = all.find(|(info, _)| info.name == name || info.id == name)?;
        Some((file.clone(), key(file, info)))
    }

    fn refuse(&self, reason: String) -> Box<Refused> {
        Box::new(Refused { reason, diagnostics: Vec::new(), generation: self.current.ruleset.number })
    }
}

/// What a rule of a file is switched off by, and is the same by in another generation.
fn key(file: &str, info: &RuleInfo) -> String {
    if sigma::is_sigma(file) { sigma::key(&info.id, &info.name) } else { info.name.clone() }
}

fn check_rules(count: usize, max: usize) -> Result<(), String> {
    if count > max { Err(format!("that would be {count} rules; {max} are allowed")) } else { Ok(()) }
}

/// What makes a rule the one that it was: its text, and the programs that came of it.
fn identity(ruleset: &Ruleset, rule: &LoadedRule) -> Vec<[u8; 32]> {
    let programs = rule.programs.iter().filter_map(|number| ruleset.programs.get(*number));
    std::iter::once(rule.info.digest).chain(programs.map(|program| program.ready.rule().digest)).collect()
}

fn load(loader: &mut Loader, files: &[File]) -> Result<Loaded, BuildError> {
    let texts: Vec<RuleText> = files.iter().map(File::wanted).collect();
    let stock: BTreeSet<&str> =
        files.iter().filter(|file| file.origin == Origin::Stock).map(|file| file.name()).collect();
    loader.load(&texts, &|name| if stock.contains(name) { Stage::Active } else { Stage::Dev })
}
