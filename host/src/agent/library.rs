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

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;
use std::sync::Arc;

use trapline_engine::BuildError;
use trapline_programs::catalogue::catalogue;
use trapline_programs::diagnostic::{Diagnostic, Level, Source, render};
use trapline_programs::{lang, object};

use super::alert::Stage;
use super::control::{Changed, Refused, RuleFile};
use super::load::{Loaded, LoadedRule, Loader, Refusal, RuleText, Ruleset, SetAside};
use super::summary::RefusedRule;

/// The most files of rules.
pub const FILES_MAX: usize = 16_384;
/// The most bytes of all rule text.
pub const TEXT_BYTES_MAX: usize = 64 * 1024 * 1024;
/// The most rules in force.
pub const RULES_MAX: usize = 16_384;
/// The most diagnostics that a refusal carries; the rest is counted.
pub const DIAGNOSTICS_SHOWN_MAX: usize = 50;

/// How often an edit of a folder is tried: each time all rules are compiled. Usually twice is enough.
pub const EDIT_ATTEMPTS_MAX: u32 = 64;

/// Where a file of rules comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The binary.
    Stock,
    /// The command line named the file itself.
    Named,
    /// This folder.
    Folder(String),
    /// A request.
    Requested,
}

/// A file of rules: its last good text.
#[derive(Clone, Debug)]
pub struct File {
    /// The text, by name.
    pub text: RuleText,
    /// Where it comes from.
    pub origin: Origin,
    /// Names of its rules that were unloaded.
    off: BTreeSet<String>,
}

impl File {
    /// A file of which every rule is wanted.
    pub fn new(text: RuleText, origin: Origin) -> Self {
        Self { text, origin, off: BTreeSet::new() }
    }

    fn name(&self) -> &str {
        &self.text.source.name
    }

    /// The text to be compiled: rules that are off are blank, so that everything else stands where it stood.
    fn wanted(&self) -> RuleText {
        if self.off.is_empty() {
            return self.text.clone();
        }
        let source = &self.text.source;
        if object::is_object(source) {
            let text = object::without(source, &self.off);
            return RuleText { source: Source::new(source.name.clone(), text), ruleset: self.text.ruleset.clone() };
        }
        let mut bytes = source.text.clone().into_bytes();
        for rule in lang::ast::file(&lang::parse(source).syntax()).rules {
            if self.off.contains(&rule.name.text)
                && let Some(bytes) = bytes.get_mut(rule.range)
            {
                bytes.iter_mut().filter(|byte| **byte != b'\n').for_each(|byte| *byte = b' ');
            }
        }
        // Whole rules are blanked: what is left begins and ends at characters.
        let text = String::from_utf8_lossy(&bytes).into_owned();
        RuleText { source: Source::new(source.name.clone(), text), ruleset: self.text.ruleset.clone() }
    }
}

/// The names of the rules of a file.
fn rule_names(source: &Arc<Source>) -> Vec<String> {
    if object::is_object(source) {
        return object::rule_names(source, catalogue());
    }
    lang::ast::file(&lang::parse(source).syntax()).rules.into_iter().map(|rule| rule.name.text).collect()
}

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
enum Edit {
    /// It is new or has another text.
    Put(RuleText),
    /// It is gone.
    Remove(String),
}

/// Why a change is refused.
struct Failure {
    /// As a whole.
    whole: Box<Refused>,
    /// File by file, as far as it is their own matter.
    files: Vec<(String, Fault)>,
}

impl From<Box<Refused>> for Failure {
    fn from(whole: Box<Refused>) -> Self {
        Self { whole, files: Vec::new() }
    }
}

/// Why one file of a change is refused.
struct Fault {
    refused: Refused,
    /// It is so beside another file: with another one there it may pass.
    beside: bool,
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
    fn name(&self) -> &str {
        match self {
            Self::Put(text) => &text.source.name,
            Self::Remove(name) => name,
        }
    }
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
                        let rules = rule_names(&file.text.source);
                        file.off.extend(rules);
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
            // Also where it is the second of its name and was refused for that: it would come in force now.
            for known in &mut files {
                let source = &known.text.source;
                let may_name = object::is_object(source) || source.text.contains(&rule);
                if source.name == file || (may_name && rule_names(source).contains(&rule)) {
                    known.off.insert(rule.clone());
                }
            }
        }
        self.try_files(files, &BTreeSet::new(), false).map_err(|failure| failure.whole)
    }

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

    /// What is wrong with the changed files, if anything is: rules that were refused, and in files that must be of use
    /// rules that the source cannot serve.
    fn faults(
        &self,
        loaded: &Loaded,
        changed: &BTreeSet<String>,
        must_be_of_use: impl Fn(&str) -> bool,
    ) -> Option<Failure> {
        let mut by_file: BTreeMap<&str, Vec<&RefusedRule>> = BTreeMap::new();
        for refused in loaded.refused.iter().filter(|refused| changed.contains(&refused.file)) {
            by_file.entry(&refused.file).or_default().push(refused);
        }
        if !by_file.is_empty() {
            let mut errors: BTreeMap<&str, Vec<&Diagnostic>> = BTreeMap::new();
            for error in loaded.diagnostics.iter().filter(|diagnostic| diagnostic.level == Level::Error) {
                if let Some(first) = error.labels.first() {
                    errors.entry(&first.span.source.name).or_default().push(error);
                }
            }
            let mut late: BTreeMap<&str, Vec<&Refusal>> = BTreeMap::new();
            for refusal in &loaded.refusals {
                late.entry(&refusal.file).or_default().push(refusal);
            }
            let mut files = Vec::with_capacity(by_file.len());
            for (file, rules) in &by_file {
                let errors = errors.get(file).map_or(&[][..], Vec::as_slice);
                let late = late.get(file).map_or(&[][..], Vec::as_slice);
                let beside = late.is_empty() && errors.iter().all(|error| is_beside(error, file));
                let Some(reason) = rules_refused(rules) else { continue };
                let mut refused = *self.refuse(reason);
                refused.diagnostics = shown(errors, late);
                files.push(((*file).to_owned(), Fault { refused, beside }));
            }
            let all: Vec<&RefusedRule> = by_file.into_values().flatten().collect();
            let mut whole = self.refuse(rules_refused(&all).unwrap_or_default());
            let diagnostics = files.iter().flat_map(|(_, fault)| fault.refused.diagnostics.iter().cloned());
            whole.diagnostics = at_most(diagnostics.collect());
            return Some(Failure { whole, files });
        }
        let mut by_file: BTreeMap<&str, Vec<&SetAside>> = BTreeMap::new();
        for aside in loaded.inert.iter().filter(|aside| changed.contains(&aside.file) && must_be_of_use(&aside.file)) {
            by_file.entry(&aside.file).or_default().push(aside);
        }
        let unserved = |asides: &[&SetAside]| -> Option<Box<Refused>> {
            let first = asides.first()?;
            let profiles = self.loader.supply().map_or(String::new(), |supply| supply.profiles().join(", "));
            let more = and_more(asides.len());
            let mut refused =
                self.refuse(format!("`{}` can match nothing here: {}{more}", first.info.name, first.lacks));
            let line = |aside: &&SetAside| {
                format!("{}:{}: {}: {} ({profiles})", aside.file, aside.line, aside.info.name, aside.lacks)
            };
            refused.diagnostics = at_most(asides.iter().map(line).collect());
            Some(refused)
        };
        let all: Vec<&SetAside> = by_file.values().flatten().copied().collect();
        let whole = unserved(&all)?;
        let fault = |(file, asides): (&str, Vec<&SetAside>)| {
            Some((file.to_owned(), Fault { refused: *unserved(&asides)?, beside: false }))
        };
        Some(Failure { whole, files: by_file.into_iter().filter_map(fault).collect() })
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
        let of = |in_force: &'_ InForce| -> BTreeMap<String, String> {
            let rules = in_force.ruleset.rules.iter();
            rules.map(|rule| (rule.info.name.clone(), rule.rule.source.name.clone())).collect()
        };
        let now = of(next);
        let mut whole = None;
        let mut faults = Vec::new();
        for (name, file) in of(&self.current) {
            let stays = now.get(&name);
            if stays == Some(&file) || kept.get(file.as_str()).is_none_or(|known| known.off.contains(&name)) {
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

    /// The file and the name of a rule that runs or is set aside, by name or id.
    fn place_of(&self, name: &str) -> Option<(String, String)> {
        let running = self.current.ruleset.rules.iter().map(|rule| (&rule.info, &rule.rule.source.name));
        let aside = self.current.inert.iter().map(|aside| (&aside.info, &aside.file));
        let mut all = running.chain(aside);
        let (info, file) = all.find(|(info, _)| info.name == name || info.id == name)?;
        Some((file.clone(), info.name.clone()))
    }

    fn refuse(&self, reason: String) -> Box<Refused> {
        Box::new(Refused { reason, diagnostics: Vec::new(), generation: self.current.ruleset.number })
    }
}

/// What is wrong with so many files of rules, if anything is.
fn check_size(files: &[File]) -> Result<(), String> {
    if files.len() > FILES_MAX {
        return Err(format!("that would be {} files of rules; {FILES_MAX} are allowed", files.len()));
    }
    let bytes: usize = files.iter().map(|file| file.text.source.text.len()).sum();
    if bytes > TEXT_BYTES_MAX {
        return Err(format!("that would be {bytes} bytes of rules; {TEXT_BYTES_MAX} are allowed"));
    }
    Ok(())
}

fn check_rules(count: usize, max: usize) -> Result<(), String> {
    if count > max { Err(format!("that would be {count} rules; {max} are allowed")) } else { Ok(()) }
}

/// Whether an error of a file is one only beside another file.
fn is_beside(error: &Diagnostic, file: &str) -> bool {
    error.labels.iter().any(|label| label.span.source.name != file)
}

/// Why these rules are refused, in one line; nothing if there are none.
fn rules_refused(rules: &[&RefusedRule]) -> Option<String> {
    let first = rules.first()?;
    let what = first.rule.as_deref().map_or_else(|| first.file.clone(), |rule| format!("`{rule}`"));
    Some(format!("{what}: {}{}", first.reason, and_more(rules.len())))
}

fn and_more(count: usize) -> String {
    if count > 1 { format!(", and {} more", count - 1) } else { String::new() }
}

/// What the compiler, the linker and the verifier say, as text.
fn shown(errors: &[&Diagnostic], late: &[&Refusal]) -> Vec<String> {
    let late = late.iter().map(|refusal| match &refusal.rejection {
        Some(rejection) => rejection.to_string(),
        None => format!("{}:{}: {}: {}", refusal.file, refusal.line, refusal.rule, refusal.reason),
    });
    at_most(errors.iter().map(|error| render(error, false)).chain(late).collect())
}

/// So many of these as a refusal carries.
fn at_most(mut diagnostics: Vec<String>) -> Vec<String> {
    if diagnostics.len() > DIAGNOSTICS_SHOWN_MAX {
        let more = diagnostics.len() - DIAGNOSTICS_SHOWN_MAX;
        diagnostics.truncate(DIAGNOSTICS_SHOWN_MAX);
        diagnostics.push(format!("and {more} more"));
    }
    diagnostics
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

/// What else should be known of the files that changed.
fn notes(next: &InForce, changed: &BTreeSet<String>, diagnostics: &[Diagnostic]) -> Vec<String> {
    let mut notes = Vec::new();
    for rule in next.ruleset.rules.iter().filter(|rule| changed.contains(&rule.rule.source.name)) {
        if !rule.never.is_empty() {
            let (name, fields) = (&rule.info.name, rule.never.join(", "));
            notes.push(if object::is_object(&rule.rule.source) {
                format!(
                    "`{name}` is without a field that the source never has, and its object file does not say that it needs \
                     it: {fields}"
                )
            } else {
                format!("`{name}` can match without a field that the source never has: {fields}")
            });
        }
        if !rule.never_on.is_empty() {
            let classes = rule.never_on.join(", ");
            notes.push(format!("`{}` matches nothing here on {classes}: the source does not serve it", rule.info.name));
        }
    }
    for aside in next.inert.iter().filter(|aside| changed.contains(&aside.file)) {
        notes.push(format!("`{}` is set aside: {}", aside.info.name, aside.lacks));
    }
    let warnings = diagnostics.iter().filter(|diagnostic| diagnostic.level == Level::Warning);
    let warnings = warnings.filter_map(|warning| Some((warning, &warning.labels.first()?.span)));
    let warnings = warnings.filter(|(_, span)| changed.contains(&span.source.name));
    notes.extend(warnings.take(DIAGNOSTICS_SHOWN_MAX).map(|(warning, span)| {
        let line = span.source.line_of(span.range.start);
        format!("{}:{line}: {} [{}]", span.source.name, warning.message, warning.code)
    }));
    if next.ruleset.rules.is_empty() {
        notes.push("no rule is in force now".to_owned());
    }
    notes
}

#[cfg(test)]
mod tests {
    use trapline_programs::catalogue::catalogue;
    use trapline_vm::record::Os;

    use super::*;
    use crate::agent::supply::SourceSupply;

    const FOLDER: &str = "/etc/rules";

    fn rule(name: &str, pid: u64) -> String {
        format!("rule {name} {{ severity: low on process.exec where process.pid == {pid} }}\n")
    }

    /// A rule that Sysmon cannot serve.
    fn tty(name: &str) -> String {
        format!("rule {name} {{ severity: low on process.exec where process.tty.name == \"x\" }}\n")
    }

    fn file(name: &str, text: &str, origin: Origin) -> File {
        File::new(RuleText { source: Source::new(name, text), ruleset: name.to_owned() }, origin)
    }

    fn folder(name: &str, text: &str) -> File {
        file(&format!("{FOLDER}/{name}"), text, Origin::Folder(FOLDER.into()))
    }

    fn open(files: Vec<File>) -> (Library, Opening) {
        let supply = SourceSupply::new(catalogue(), ["sysmon"], [Some(Os::Windows)]);
        Library::open(Loader::new(catalogue().clone(), Some(supply)), true, files).unwrap()
    }

    fn library(files: Vec<File>) -> Library {
        let (library, opened) = open(files);
        assert!(opened.refused.is_empty(), "{:?}", opened.diagnostics);
        library
    }

    fn request(files: &[(&str, &str)]) -> Vec<RuleFile> {
        files.iter().map(|(name, text)| RuleFile { name: (*name).into(), text: (*text).into() }).collect()
    }

    /// What a folder holds now.
    fn now(files: &[(&str, &str)]) -> Vec<Arc<Source>> {
        files.iter().map(|(name, text)| Source::new(format!("{FOLDER}/{name}"), *text)).collect()
    }

    fn running(library: &Library) -> Vec<&str> {
        library.current().ruleset.rules.iter().map(|rule| rule.info.name.as_str()).collect()
    }

    /// Edits the folder, brings what passed into force, and returns the files that did not.
    fn edit(library: &mut Library, files: &[(&str, &str)]) -> Vec<String> {
        let edited = library.edit(FOLDER, now(files), &[]);
        if let Some(change) = edited.change {
            library.commit(change);
        }
        edited.refused.into_iter().map(|(name, _)| name).collect()
    }

    fn load(library: &mut Library, files: &[(&str, &str)]) -> Result<Changed, Box<Refused>> {
        let change = library.load(request(files))?;
        let changed = change.changed.clone();
        library.commit(change);
        Ok(changed)
    }

    #[test]
    fn a_change_says_what_is_new_what_is_other_and_what_is_gone() {
        let mut library = library(vec![file("stock/s.trap", &rule("s", 1), Origin::Stock)]);
        let two = format!("{}{}", rule("a", 1), rule("b", 1));
        let first = load(&mut library, &[("/a.trap", &two)]).unwrap();
        assert_eq!((first.generation, first.loaded, first.replaced), (2, vec!["a".into(), "b".into()], vec![]));
        let other = format!("{}{}", rule("a", 1), rule("c", 1));
        let second = load(&mut library, &[("/a.trap", &other)]).unwrap();
        assert_eq!((second.loaded, second.replaced, second.unloaded), (vec!["c".into()], vec![], vec!["b".into()]));
        let third = load(&mut library, &[("/a.trap", &rule("a", 2))]).unwrap();
        assert_eq!((third.replaced, third.unloaded), (vec!["a".into()], vec!["c".into()]));
        let since = |name| library.current().since(name);
        assert_eq!((since("s"), since("a")), (1, 4));
        // Not before it is committed.
        drop(library.load(request(&[("/b.trap", &rule("d", 1))])).unwrap());
        assert_eq!(running(&library), ["s", "a"]);
    }

    #[test]
    fn a_list_that_changes_makes_another_rule_of_the_same_text() {
        let mut library = library(vec![]);
        let text = |name: &str| {
            let rule = "rule r { severity: low on process.exec where process.name in names }";
            format!("list names = [\"{name}\"]\n{rule}\n")
        };
        load(&mut library, &[("/a.trap", &text("x"))]).unwrap();
        let changed = load(&mut library, &[("/a.trap", &text("y"))]).unwrap();
        assert_eq!(changed.replaced, ["r"]);
    }

    #[test]
    fn a_rule_that_is_served_on_some_of_its_events_says_on_which_it_is_not() {
        let mut library = library(vec![]);
        let text = "rule r { severity: low on process.exec, authentication.login where user.name == \"x\" }\n";
        let change = library.load(request(&[("/r.trap", text)])).unwrap();
        let notes = &change.changed.notes;
        assert_eq!(notes[0], "`r` matches nothing here on authentication.login: the source does not serve it");
    }

    #[test]
    fn all_files_of_a_request_or_none() {
        let mut library = library(vec![]);
        let error = load(&mut library, &[("/a.trap", &rule("a", 1)), ("/b.trap", "rule b { nonsense }")]).unwrap_err();
        assert!(!error.diagnostics.is_empty() && error.diagnostics.iter().all(|text| text.contains("/b.trap")));
        let error = load(&mut library, &[("/a.trap", &rule("a", 1)), ("/b.trap", &tty("b"))]).unwrap_err();
        assert_eq!(error.reason, "`b` can match nothing here: no process.tty.name");
        assert_eq!(error.diagnostics, ["/b.trap:1: b: no process.tty.name (sysmon)"]);
        assert!(load(&mut library, &[]).unwrap_err().reason.contains("no file"));
        assert!(running(&library).is_empty());
    }

    #[test]
    fn only_an_agent_for_developers_takes_rules_that_nobody_signed() {
        let loader = Loader::new(catalogue().clone(), None);
        let stock = vec![file("stock/s.trap", &rule("s", 1), Origin::Stock)];
        let (mut library, _) = Library::open(loader, false, stock).unwrap();
        assert!(load(&mut library, &[("/a.trap", &rule("a", 1))]).unwrap_err().reason.contains("--dev"));
        // Taking out is no matter of signatures.
        let change = library.unload(&["s".into()]).unwrap();
        assert_eq!(change.changed.notes, ["no rule is in force now"]);
    }

    #[test]
    fn unloading_by_name_by_id_and_by_file() {
        let id = "0a6c0d2e-8f0a-4f0e-9a2b-6d3f6a8f1c01";
        let with_id = format!("rule a {{ id: \"{id}\" version: \"1.0.0\" severity: low on process.exec }}\n");
        let mut library = library(vec![
            file("stock/s.trap", &format!("# é\n{}{}", rule("s", 1), rule("t", 1)), Origin::Stock),
            folder("f.trap", &format!("{with_id}{}", tty("inert"))),
        ]);
        load(&mut library, &[("/r.trap", &rule("r", 1))]).unwrap();
        let unload = |library: &mut Library, names: &[&str]| {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            library.unload(&names).map(|change| library.commit(change))
        };
        assert!(unload(&mut library, &["s", "nobody"]).unwrap_err().reason.contains("`nobody`"));
        assert!(unload(&mut library, &[]).is_err());
        assert_eq!(running(&library), ["s", "t", "a", "r"]);
        unload(&mut library, &["s", id, "inert"]).unwrap();
        assert_eq!(running(&library), ["t", "r"]);
        assert!(library.current().inert.is_empty());
        // Its name is free now, and it stays off.
        load(&mut library, &[("/s.trap", &rule("s", 2))]).unwrap();
        assert_eq!(running(&library), ["t", "r", "s"]);
        unload(&mut library, &["stock/s.trap", "/r.trap"]).unwrap();
        assert_eq!(running(&library), ["s"]);
        assert!(unload(&mut library, &["/r.trap"]).is_err(), "it is not known any more");
        // Whoever asks for a file again wants its rules.
        load(&mut library, &[("/s.trap", &format!("{}{}", rule("s", 2), rule("u", 2)))]).unwrap();
        unload(&mut library, &["u"]).unwrap();
        assert_eq!(running(&library), ["s"]);
        load(&mut library, &[("/s.trap", &format!("{}{}", rule("s", 2), rule("u", 2)))]).unwrap();
        assert_eq!(running(&library), ["s", "u"]);
    }

    #[test]
    fn a_folder_that_is_edited_keeps_the_last_good_text_of_what_is_broken() {
        let mut library = library(vec![folder("a.trap", &rule("a", 1)), folder("b.trap", &rule("b", 1))]);
        let (a, b) = (rule("a", 1), rule("b", 1));
        assert!(
            library.edit(FOLDER, now(&[("a.trap", &a), ("b.trap", &b)]), &[]).change.is_none(),
            "nothing is different"
        );
        let broken =
            edit(&mut library, &[("a.trap", "rule a {"), ("b.trap", &rule("b", 2)), ("c.trap", &rule("c", 1))]);
        assert_eq!(broken, [format!("{FOLDER}/a.trap")]);
        assert_eq!(running(&library), ["a", "b", "c"]);
        assert_eq!(library.current().ruleset.number, 2);
        assert_eq!((library.current().since("a"), library.current().since("b")), (1, 2));
        // Repaired, and another one gone.
        assert!(edit(&mut library, &[("a.trap", &rule("a", 3)), ("c.trap", &rule("c", 1))]).is_empty());
        assert_eq!(running(&library), ["a", "c"]);
        assert!(edit(&mut library, &[]).is_empty());
        assert!(running(&library).is_empty());
    }

    #[test]
    fn of_many_files_that_are_edited_at_once_the_bad_ones_cost_little() {
        let name = |number: usize| format!("f{number:03}.trap");
        let files = |pid: u64| (0..200).map(move |number| (name(number), rule(&format!("r{number}"), pid)));
        let first: Vec<File> = files(1).map(|(name, text)| folder(&name, &text)).collect();
        let mut library = library(first);
        let mut edited: Vec<(String, String)> = files(2).collect();
        for bad in [0, 50, 100, 150, 199] {
            edited[bad].1 = if bad == 0 { "rule r {".to_owned() } else { format!("rule x{bad} {{") };
        }
        // One that is bad only beside a bad one, and one that is the second of its name.
        edited[198].1 = rule("r", 2);
        edited.push((name(200), rule("r7", 9)));
        let edited: Vec<(&str, &str)> = edited.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
        let came = library.edit(FOLDER, now(&edited), &[]);
        let refused: Vec<&str> = came.refused.iter().map(|(name, _)| &name[FOLDER.len() + 1..]).collect();
        assert_eq!(refused, ["f000.trap", "f050.trap", "f100.trap", "f150.trap", "f199.trap", "f200.trap"]);
        for (_, refused) in &came.refused {
            assert_eq!(refused.diagnostics.len(), 1, "{refused:?}");
        }
        let changed = &came.change.unwrap().changed;
        assert_eq!((changed.replaced.len(), &changed.loaded), (194, &vec!["r".to_owned()]));
        assert!(came.attempts <= 5, "{}", came.attempts);
    }

    #[test]
    fn an_edit_is_tried_only_so_often() {
        let fields = ["name", "executable", "command_line", "parent.name", "parent.executable", "parent.command_line"];
        let pairs = fields.iter().flat_map(|left| fields.iter().map(move |right| (left, right)));
        let tests: Vec<String> = pairs
            .filter(|(left, right)| left != right)
            .map(|(left, right)| format!("process.{left} contains process.{right}"))
            .collect();
        let dear =
            |number| format!("rule r{number} {{ severity: low on process.exec where {} }}\n", tests.join(" or "));
        let files: Vec<(String, String)> = (0..100).map(|number| (format!("{number:03}.trap"), dear(number))).collect();
        let files: Vec<(&str, &str)> = files.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
        let mut library = library(vec![]);
        let edited = library.edit(FOLDER, now(&files), &[]);
        assert_eq!(edited.attempts, EDIT_ATTEMPTS_MAX);
        assert!(edited.refused.last().unwrap().1.reason.contains("did not pass in"), "{:?}", edited.refused.last());
        let count = edited.change.unwrap().ruleset().rules.len();
        assert!(count > 2 && count + edited.refused.len() == 100, "{count}");
    }

    #[test]
    fn without_dev_no_way_leads_in_for_rules_that_nobody_signed() {
        let loader = || Loader::new(catalogue().clone(), None);
        let stock = || file("stock/s.trap", &rule("s", 1), Origin::Stock);
        for origin in [Origin::Named, Origin::Folder(FOLDER.into()), Origin::Requested] {
            let files = vec![stock(), file("stock/a.trap", &rule("a", 1), origin)];
            let error = Library::open(loader(), false, files).unwrap_err();
            assert!(matches!(error, OpenError::Unsigned(name) if name == "stock/a.trap"));
        }
        let (mut library, _) = Library::open(loader(), false, vec![stock()]).unwrap();
        assert!(load(&mut library, &[("/a.trap", &rule("a", 1))]).unwrap_err().reason.contains("--dev"));
        let edited = library.edit(FOLDER, now(&[("a.trap", &rule("a", 1))]), &[]);
        assert!(edited.change.is_none() && edited.refused[0].1.reason.contains("--dev"));
    }

    #[test]
    fn files_at_the_start_below_at_and_over_the_limit() {
        for (count, good) in [(FILES_MAX - 1, true), (FILES_MAX, true), (FILES_MAX + 1, false)] {
            let files = (0..count).map(|number| folder(&format!("{number}.trap"), "")).collect();
            let opened = Library::open(Loader::new(catalogue().clone(), None), true, files);
            assert_eq!(opened.is_ok(), good, "{count}");
        }
    }

    #[test]
    fn a_file_of_a_folder_that_is_asked_for_is_the_folders() {
        let mut library = library(vec![folder("a.trap", &rule("a", 1))]);
        // Asked for by name it must be of use, though the folder may hold it.
        let refused = load(&mut library, &[(&format!("{FOLDER}/a.trap"), &tty("a"))]).unwrap_err();
        assert!(refused.reason.contains("can match nothing here"), "{}", refused.reason);
        // Before the folder was looked at.
        load(&mut library, &[(&format!("{FOLDER}/b.trap"), &rule("b", 1))]).unwrap();
        assert!(edit(&mut library, &[("a.trap", &rule("a", 1)), ("b.trap", &rule("b", 1))]).is_empty());
        assert_eq!(running(&library), ["a", "b"]);
        assert!(edit(&mut library, &[("a.trap", &rule("a", 1))]).is_empty());
        assert_eq!(running(&library), ["a"]);
    }

    #[test]
    fn what_cannot_be_read_is_not_gone() {
        let files = ["a.trap", "sub/b.trap", "subway.trap"];
        let file = |name: &&str| folder(name, &rule(&name.replace(['.', '/'], "_"), 1));
        for (unread, stay) in
            [("a.trap", vec!["a_trap"]), ("sub", vec!["sub_b_trap"]), ("", vec!["a_trap", "sub_b_trap", "subway_trap"])]
        {
            let mut library = library(files.iter().map(file).collect());
            let unread = format!("{FOLDER}/{unread}");
            let edited = library.edit(FOLDER, Vec::new(), &[&unread]);
            edited.change.into_iter().for_each(|change| library.commit(change));
            assert_eq!(running(&library), stay, "{unread}");
        }
    }

    #[test]
    fn no_file_takes_over_the_rule_of_another_one() {
        let mut library = library(vec![folder("a.trap", &rule("a", 1)), folder("b.trap", &rule("b", 1))]);
        let both = format!("{}{}", rule("a", 1), rule("b", 2));
        assert_eq!(edit(&mut library, &[("a.trap", &both), ("b.trap", &rule("b", 1))]), [format!("{FOLDER}/a.trap")]);
        let refused = load(&mut library, &[(&format!("{FOLDER}/a.trap"), &both)]).unwrap_err();
        assert!(refused.reason.ends_with("b.trap runs already"), "{}", refused.reason);
        assert_eq!(library.current().ruleset.number, 1);
        // Unless that one lets it go.
        assert!(edit(&mut library, &[("a.trap", &both), ("b.trap", "")]).is_empty());
    }

    #[test]
    fn what_is_unloaded_does_not_come_back_from_another_file() {
        let twice =
            vec![folder("a.trap", &rule("a", 1)), folder("b.trap", &format!("{}{}", rule("a", 2), rule("b", 1)))];
        let (mut library, opened) = open(twice);
        assert_eq!(opened.refused.len(), 1);
        let change = library.unload(&["a".into()]).unwrap();
        assert_eq!(
            (change.changed.unloaded.as_slice(), change.changed.replaced.as_slice()),
            (&["a".to_owned()][..], &[][..])
        );
        library.commit(change);
        assert_eq!(running(&library), ["b"]);
    }

    #[test]
    fn a_rule_may_move_from_file_to_file_and_one_that_exists_twice_is_refused() {
        let mut library = library(vec![folder("a.trap", &rule("a", 1)), folder("b.trap", &rule("b", 1))]);
        let moved = format!("{}{}", rule("b", 1), rule("a", 1));
        assert!(edit(&mut library, &[("a.trap", ""), ("b.trap", &moved)]).is_empty());
        assert_eq!(running(&library), ["b", "a"]);
        // Beside a broken file, too, and whatever the order.
        let back = [("a.trap", moved.as_str()), ("b.trap", ""), ("c.trap", "rule")];
        assert_eq!(edit(&mut library, &back), [format!("{FOLDER}/c.trap")]);
        assert_eq!(running(&library), ["b", "a"]);
        assert_eq!(library.current().ruleset.rules[0].rule.source.name, format!("{FOLDER}/a.trap"));
        let twice = [("a.trap", moved.as_str()), ("b.trap", ""), ("c.trap", &rule("a", 9))];
        assert_eq!(edit(&mut library, &twice), [format!("{FOLDER}/c.trap")]);
        assert_eq!(running(&library), ["b", "a"]);
    }

    #[test]
    fn rules_of_a_folder_that_cannot_be_served_are_set_aside_and_those_of_a_named_file_are_told() {
        let named = file("/n.trap", &tty("n"), Origin::Named);
        let (mut library, opened) = open(vec![folder("a.trap", &tty("a")), named]);
        let unserved: Vec<&str> = opened.unserved.iter().map(|aside| aside.info.name.as_str()).collect();
        assert_eq!(unserved, ["n"]);
        let edited = library.edit(FOLDER, now(&[("a.trap", &tty("a")), ("b.trap", &tty("b"))]), &[]);
        assert!(edited.refused.is_empty());
        let change = edited.change.unwrap();
        let notes = &change.changed.notes;
        assert_eq!(notes.first().unwrap(), "`b` is set aside: no process.tty.name");
        assert!(notes.iter().any(|note| note.ends_with("b.trap:1: rule `b` has no title [missing-key]")), "{notes:?}");
        assert_eq!(notes.last().unwrap(), "no rule is in force now");
        assert_eq!(change.next().inert.len(), 3);
    }

    #[test]
    fn what_was_broken_from_the_start_is_no_reason_to_refuse_what_comes_later() {
        let (mut library, opened) = open(vec![folder("a.trap", &format!("{}rule x {{ }}", rule("a", 1)))]);
        assert_eq!(opened.refused.len(), 1);
        assert_eq!(running(&library), ["a"]);
        load(&mut library, &[("/r.trap", &rule("r", 1))]).unwrap();
        assert_eq!(running(&library), ["a", "r"]);
    }

    #[test]
    fn text_below_at_and_over_the_limit() {
        let mut library = library(vec![]);
        let pad = |bytes: usize| "#".repeat(bytes.saturating_sub(1)) + "\n";
        let part = lang::limits::FILE_LEN_MAX;
        let parts = TEXT_BYTES_MAX / part;
        for (over, good) in [(-1isize, true), (0, true), (1, false)] {
            let files: Vec<RuleFile> = (0..=parts)
                .map(|number| {
                    let bytes = if number == 0 {
                        part - 8
                    } else if number == parts {
                        (8 + over) as usize
                    } else {
                        part
                    };
                    RuleFile { name: format!("/{number}.trap"), text: pad(bytes) }
                })
                .collect();
            let loaded = library.load(files);
            assert_eq!(loaded.is_ok(), good, "{over} {:?}", loaded.err());
        }
    }

    #[test]
    fn a_refusal_carries_so_many_diagnostics_and_counts_the_rest() {
        let max = DIAGNOSTICS_SHOWN_MAX;
        for (mistakes, shown, more) in [(max - 1, max - 1, false), (max, max, false), (max + 1, max + 1, true)] {
            let mut library = library(vec![]);
            let bad =
                |number| format!("rule r{number} {{ severity: low on process.exec where process.nmae == \"\" }}\n");
            let text: String = (0..mistakes).map(bad).collect();
            let refused = load(&mut library, &[("/r.trap", &text)]).unwrap_err();
            assert_eq!(refused.diagnostics.len(), shown, "{mistakes}");
            assert_eq!(refused.diagnostics.last().unwrap() == "and 1 more", more);
            assert!(refused.reason.ends_with(&format!("and {} more", mistakes - 1)), "{}", refused.reason);
        }
    }

    #[test]
    fn rules_below_at_and_over_the_limit() {
        let mut library = library(vec![file("stock/s.trap", &rule("s", 1), Origin::Stock)]);
        library.rules_max = 3;
        for (count, good) in [(1, true), (2, true), (3, false)] {
            let text: String = (0..count).map(|number| rule(&format!("r{number}"), 1)).collect();
            let loaded = library.load(request(&[("/r.trap", &text)]));
            assert_eq!(loaded.is_ok(), good, "{count}");
            if let Err(refused) = loaded {
                assert_eq!(refused.reason, "that would be 4 rules; 3 are allowed");
            }
        }
    }

    #[test]
    fn a_stock_file_is_not_replaced() {
        let mut library = library(vec![file("stock/s.trap", &rule("s", 1), Origin::Stock)]);
        let refused = load(&mut library, &[("stock/s.trap", &rule("s", 2))]).unwrap_err();
        assert!(refused.reason.contains("part of the binary"));
    }

    #[test]
    fn files_below_at_and_over_the_limit() {
        let mut library = library(vec![]);
        for (count, good) in [(FILES_MAX - 1, true), (FILES_MAX, true), (FILES_MAX + 1, false)] {
            let files = (0..count).map(|number| RuleFile { name: format!("/{number}.trap"), text: String::new() });
            assert_eq!(library.load(files.collect()).is_ok(), good, "{count}");
        }
    }

    #[test]
    fn a_set_that_could_use_too_much_fuel_on_one_event_is_refused() {
        let fields = ["name", "executable", "command_line", "parent.name", "parent.executable", "parent.command_line"];
        let pairs = fields.iter().flat_map(|left| fields.iter().map(move |right| (left, right)));
        let tests = pairs.filter(|(left, right)| left != right);
        let tests: Vec<String> =
            tests.map(|(left, right)| format!("process.{left} contains process.{right}")).collect();
        let dear = |count: usize| -> String {
            let rule =
                |number| format!("rule r{number} {{ severity: low on process.exec where {} }}\n", tests.join(" or "));
            (0..count).map(rule).collect()
        };
        let mut library = library(vec![]);
        load(&mut library, &[("/r.trap", &dear(2))]).unwrap();
        let refused = load(&mut library, &[("/r.trap", &dear(20))]).unwrap_err();
        assert!(refused.reason.contains("one `process.exec` event can use"), "{}", refused.reason);
        assert_eq!((refused.generation, running(&library)), (2, vec!["r0", "r1"]));
        load(&mut library, &[("/r.trap", &dear(3))]).unwrap();
    }
}
