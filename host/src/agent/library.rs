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
use std::sync::Arc;

use trapline_engine::BuildError;
use trapline_programs::diagnostic::{Diagnostic, Level, Source, render};
use trapline_programs::lang;

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

/// What editing a folder came to: what passed, and what did not and why.
#[derive(Debug, Default)]
pub struct Edited {
    /// What is to be brought into force, if anything is different.
    pub change: Option<Change>,
    /// Files whose last good text stays, with the reasons.
    pub refused: Vec<(String, Refused)>,
}

/// One edit of a file in a folder.
#[derive(Clone, Debug)]
enum Edit {
    /// It is new or has another text.
    Put(RuleText),
    /// It is gone.
    Remove(String),
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
    pub fn open(mut loader: Loader, dev: bool, files: Vec<File>) -> Result<(Self, Opening), BuildError> {
        let loaded = load(&mut loader, &files)?;
        let Loaded { ruleset, inert, diagnostics, refusals, refused } = loaded;
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
        if !self.dev {
            return Err(self.refuse(
                "these rules are not signed: only an agent that was started with --dev takes them".to_owned(),
            ));
        }
        if files.is_empty() {
            return Err(self.refuse("there is no file to load".to_owned()));
        }
        let edits = files.into_iter().map(|RuleFile { name, text }| {
            Edit::Put(RuleText { source: Source::new(name.clone(), text), ruleset: name })
        });
        self.attempt(edits.collect(), &Origin::Requested)
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
                        let rules = lang::ast::file(&lang::parse(&file.text.source).syntax()).rules;
                        file.off.extend(rules.into_iter().map(|rule| rule.name.text));
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
            if let Some(file) = files.iter_mut().find(|known| known.name() == file) {
                file.off.insert(rule);
            }
        }
        self.try_files(files, &BTreeSet::new())
    }

    /// Takes in what a folder holds now. Each file passes or fails by itself: one that fails keeps its last good text.
    pub fn edit(&mut self, folder: &str, now: Vec<Arc<Source>>) -> Edited {
        let origin = Origin::Folder(folder.to_owned());
        let known: HashMap<&str, &File> = self.files.iter().map(|file| (file.name(), file)).collect();
        let there: BTreeSet<&str> = now.iter().map(|source| source.name.as_str()).collect();
        let of_folder = self.files.iter().filter(|file| file.origin == origin);
        let gone = of_folder.filter(|file| !there.contains(file.name()));
        let mut edits: Vec<Edit> = gone.map(|file| Edit::Remove(file.name().to_owned())).collect();
        let is_other =
            |source: &Source| known.get(source.name.as_str()).is_none_or(|file| *file.text.source != *source);
        edits.extend(
            now.iter()
                .filter(|source| is_other(source))
                .map(|source| Edit::Put(RuleText { source: source.clone(), ruleset: folder.to_owned() })),
        );
        let mut edited = Edited::default();
        if edits.is_empty() {
            return edited;
        }
        let Err(together) = self.attempt(edits.clone(), &origin).map(|change| edited.change = Some(change)) else {
            return edited;
        };
        // One by one: each on top of those that passed.
        let files = self.files.clone();
        let mut waiting = edits;
        let mut passed = Vec::new();
        loop {
            let before = waiting.len();
            edited.refused.clear();
            for edit in std::mem::take(&mut waiting) {
                match self.attempt(vec![edit.clone()], &origin) {
                    Ok(change) => {
                        self.files = change.files;
                        passed.push(edit);
                    }
                    Err(refused) => {
                        edited.refused.push((edit.name().to_owned(), *refused));
                        waiting.push(edit);
                    }
                }
            }
            // What failed may pass after what came later: a rule that moved from one file to the other.
            if waiting.is_empty() || waiting.len() == before {
                break;
            }
        }
        self.files = files;
        if !passed.is_empty() {
            match self.attempt(passed, &origin) {
                Ok(change) => edited.change = Some(change),
                Err(_) => edited.refused.push((folder.to_owned(), *together)),
            }
        }
        edited
    }

    /// What would be in force after these edits.
    fn attempt(&mut self, edits: Vec<Edit>, origin: &Origin) -> Result<Change, Box<Refused>> {
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
                    return Err(self.refuse(format!(
                        "{} is part of the binary; unload its rule and load yours under another file name",
                        file.name()
                    )));
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
        self.try_files(files, &changed)
    }

    /// Loads these files together and says what would be different, or why they cannot be in force. The rules of the
    /// changed ones must all load; what runs from the others must run on.
    fn try_files(&mut self, files: Vec<File>, changed: &BTreeSet<String>) -> Result<Change, Box<Refused>> {
        if files.len() > FILES_MAX {
            return Err(self.refuse(format!("that would be {} files of rules; {FILES_MAX} are allowed", files.len())));
        }
        let bytes: usize = files.iter().map(|file| file.text.source.text.len()).sum();
        if bytes > TEXT_BYTES_MAX {
            return Err(self.refuse(format!("that would be {bytes} bytes of rules; {TEXT_BYTES_MAX} are allowed")));
        }
        let loaded = load(&mut self.loader, &files).map_err(|error| self.refuse(error.to_string()))?;
        let Loaded { mut ruleset, inert, diagnostics, refusals, refused } = loaded;
        let (count, max) = (ruleset.rules.len(), self.rules_max);
        if count > max {
            return Err(self.refuse(format!("that would be {count} rules; {max} are allowed")));
        }
        let of_change =
            |diagnostic: &&Diagnostic| diagnostic.labels.iter().any(|label| changed.contains(&label.span.source.name));
        if let Some(first) = refused.iter().find(|refused| changed.contains(&refused.file)) {
            let count = refused.iter().filter(|refused| changed.contains(&refused.file)).count();
            let mut shown: Vec<String> = diagnostics
                .iter()
                .filter(|diagnostic| diagnostic.level == Level::Error)
                .filter(of_change)
                .map(|diagnostic| render(diagnostic, false))
                .collect();
            let late = refusals.iter().filter(|refusal| changed.contains(&refusal.file));
            shown.extend(late.map(|refusal| match &refusal.rejection {
                Some(rejection) => rejection.to_string(),
                None => format!("{}:{}: {}: {}", refusal.file, refusal.line, refusal.rule, refusal.reason),
            }));
            if shown.len() > DIAGNOSTICS_SHOWN_MAX {
                let more = shown.len() - DIAGNOSTICS_SHOWN_MAX;
                shown.truncate(DIAGNOSTICS_SHOWN_MAX);
                shown.push(format!("and {more} more"));
            }
            let what = first.rule.as_deref().map_or_else(|| first.file.clone(), |rule| format!("`{rule}`"));
            let more = if count > 1 { format!(", and {} more", count - 1) } else { String::new() };
            let mut refusal = self.refuse(format!("{what}: {}{more}", first.reason));
            refusal.diagnostics = shown;
            return Err(refusal);
        }
        let strict = |aside: &&SetAside| {
            changed.contains(&aside.file)
                && files.iter().any(|file| file.name() == aside.file && !matches!(file.origin, Origin::Folder(_)))
        };
        let unserved: Vec<&SetAside> = inert.iter().filter(strict).collect();
        if let Some(first) = unserved.first() {
            let profiles = self.loader.supply().map_or(String::new(), |supply| supply.profiles().join(", "));
            let more = if unserved.len() > 1 { format!(", and {} more", unserved.len() - 1) } else { String::new() };
            let mut refusal =
                self.refuse(format!("`{}` can match nothing here: {}{more}", first.info.name, first.lacks));
            refusal.diagnostics = unserved
                .iter()
                .map(|aside| {
                    format!("{}:{}: {}: {} ({profiles})", aside.file, aside.line, aside.info.name, aside.lacks)
                })
                .collect();
            return Err(refusal);
        }
        ruleset.number = self.current.ruleset.number.saturating_add(1);
        let next = InForce { ruleset: Arc::new(ruleset), inert: inert.into(), since: Arc::default() };
        let (next, mut told) = self.compare(next);
        if let Some(lost) = self.lost(&files, changed, &told.unloaded) {
            return Err(self.refuse(format!("`{lost}`, which runs, would not run any more")));
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

    /// A rule that would go although its file is as it was and nobody asked for it.
    fn lost(&self, files: &[File], changed: &BTreeSet<String>, unloaded: &[String]) -> Option<String> {
        unloaded
            .iter()
            .find(|name| {
                let running = self.current.ruleset.rules.iter().find(|rule| rule.info.name == **name);
                running.is_some_and(|rule| {
                    let file = files.iter().find(|file| file.name() == rule.rule.source.name);
                    file.is_some_and(|file| !changed.contains(file.name()) && !file.off.contains(*name))
                })
            })
            .cloned()
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
            notes.push(format!(
                "`{}` can match without a field that the source never has: {}",
                rule.info.name,
                rule.never.join(", ")
            ));
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
        let edited = library.edit(FOLDER, now(files));
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
        assert!(library.edit(FOLDER, now(&[("a.trap", &a), ("b.trap", &b)])).change.is_none(), "nothing is different");
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
        let edited = library.edit(FOLDER, now(&[("a.trap", &tty("a")), ("b.trap", &tty("b"))]));
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
