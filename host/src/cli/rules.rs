//! Finds rule files: what `--rules` and the paths of `check` and `test` name.

use std::collections::HashMap;
use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, bail};
use trapline_engine::BuildError;
use trapline_programs::catalogue::catalogue;
use trapline_programs::diagnostic::Source;
use trapline_programs::sigma::regression;
use trapline_programs::{lang, object, sigma, stock};
use trapline_vm::program::elf;

use super::summary::count;
use super::{Console, Outcome};
use crate::agent::library::{self, FILES_MAX, Origin, TEXT_BYTES_MAX};
use crate::agent::load::{Loaded, RuleText, load};
use crate::agent::summary::RefusedRule;
use crate::sink::terminal::escape;

/// The name that stands for the stock rules.
pub(super) const STOCK: &str = "stock";

/// How deep folders of rules may nest.
const FOLDER_DEPTH_MAX: u32 = 32;

/// The files that some paths name.
#[derive(Debug, Default)]
pub(super) struct RuleFiles {
    /// Their texts.
    files: Vec<RuleFile>,
    /// Index in `files` by the name of the source.
    by_name: HashMap<String, usize>,
    /// YAML in folders that holds no rules.
    skipped: Vec<PathBuf>,
    /// Descriptions of regression tests.
    regressions: Vec<Arc<Source>>,
    /// Bytes of the texts.
    bytes: usize,
    /// Whether no more is read than an agent takes.
    bounded: bool,
}

/// What a folder of rules holds, as far as it can be read.
#[derive(Debug, Default)]
pub(super) struct FolderNow {
    /// The texts, which may be none.
    pub(super) sources: Vec<Arc<Source>>,
    /// Files and folders that are there and could not be read, with the reasons.
    pub(super) unread: Vec<(String, String)>,
}

/// What to do about something in a folder that cannot be read.
type OnUnread<'f> = &'f mut dyn FnMut(&Path, anyhow::Error) -> anyhow::Result<()>;

/// One file of rules.
#[derive(Debug)]
pub(super) struct RuleFile {
    /// Its text; its set is `stock`, or the path it was found by.
    text: RuleText,
    /// Where it comes from; that it was named itself goes before that it lies in a folder.
    origin: Origin,
}

impl RuleFile {
    fn new(source: Arc<Source>, ruleset: &str, origin: Origin) -> Self {
        Self { text: RuleText { source, ruleset: ruleset.to_owned() }, origin }
    }
}

impl RuleFiles {
    /// Reads what the paths name: files, folders, or `stock`. A path that cannot be read, or a file of a kind that
    /// is not supported, is an error; files in folders that are no rules are passed over.
    pub(super) fn find(paths: &[PathBuf]) -> anyhow::Result<Self> {
        let mut found = Self::default();
        for path in paths {
            if path.as_os_str() == STOCK {
                stock::sources().into_iter().for_each(|source| found.add(RuleFile::new(source, STOCK, Origin::Stock)));
                continue;
            }
            let metadata = fs::metadata(path).with_context(|| path.display().to_string())?;
            if metadata.is_dir() {
                if found.search(path, &path.display().to_string(), 0, &mut |_, error| Err(error))? == 0 {
                    bail!("{}: there are no .trap, .yml, .yaml or .o files in this folder", path.display());
                }
                continue;
            }
            match Kind::of(path) {
                Kind::Rules => {
                    check_file(path, &metadata)?;
                    let source = read(path)?;
                    if is_regression(&source) {
                        found.regressions.push(source);
                        continue;
                    }
                    found.add(RuleFile::new(source, &path.display().to_string(), Origin::Named));
                }
                Kind::Other => {
                    bail!(
                        "{}: not a rule file; rules are in files that end in .trap, .yml, .yaml or .o",
                        path.display()
                    )
                }
            }
        }
        Ok(found)
    }

    /// Adds a file, once: it may be named itself and lie in a folder that is named too.
    fn add(&mut self, file: RuleFile) {
        match self.by_name.get(&file.text.source.name).and_then(|index| self.files.get_mut(*index)) {
            Some(known) if file.origin == Origin::Named => known.origin = Origin::Named,
            Some(_) => {}
            None => {
                self.bytes = self.bytes.saturating_add(file.text.source.text.len());
                self.by_name.insert(file.text.source.name.clone(), self.files.len());
                self.files.push(file);
            }
        }
    }

    /// The texts, to be loaded.
    pub(super) fn texts(&self) -> Vec<RuleText> {
        self.files.iter().map(|file| file.text.clone()).collect()
    }

    /// Descriptions of regression tests.
    pub(super) fn regressions(&self) -> &[Arc<Source>] {
        &self.regressions
    }

    /// The files with where they come from, to be kept in force.
    pub(super) fn entries(&self) -> Vec<library::File> {
        self.files.iter().map(|file| library::File::new(file.text.clone(), file.origin.clone())).collect()
    }

    /// The first file that is not part of the binary.
    pub(super) fn first_unsigned(&self) -> Option<&str> {
        let file = self.files.iter().find(|file| file.origin != Origin::Stock)?;
        Some(&file.text.source.name)
    }

    /// What a folder holds now. What cannot be read is in the way of nothing else; of a folder that holds more than an
    /// agent takes, nothing is read.
    pub(super) fn in_folder(folder: &Path) -> FolderNow {
        let mut found = Self { bounded: true, ..Self::default() };
        let mut unread = Vec::new();
        let name = folder.display().to_string();
        let searched = found.search(folder, &name, 0, &mut |path, error| {
            unread.push((path.display().to_string(), format!("{error:#}")));
            Ok(())
        });
        match searched {
            Ok(_) => FolderNow { sources: found.files.into_iter().map(|file| file.text.source).collect(), unread },
            Err(error) => FolderNow { sources: Vec::new(), unread: vec![(name, format!("{error:#}"))] },
        }
    }

    fn check_size(&self) -> anyhow::Result<()> {
        if !self.bounded {
            return Ok(());
        }
        if self.files.len() > FILES_MAX || self.bytes > TEXT_BYTES_MAX {
            bail!("more than {FILES_MAX} files or {TEXT_BYTES_MAX} bytes of rules");
        }
        Ok(())
    }

    /// Whether the file of this name was named itself, so that its mistakes are those of the command.
    pub(super) fn is_named(&self, name: &str) -> bool {
        self.files.iter().any(|file| file.origin == Origin::Named && file.text.source.name == name)
    }

    /// A sentence on what was passed over, if anything was.
    pub(super) fn skipped_note(&self) -> Option<String> {
        let first = self.skipped.first()?.display().to_string();
        let first = escape(&first);
        Some(match self.skipped.len() {
            1 => format!("skipped {first}: YAML without a Sigma rule"),
            count => format!("skipped {count} files (first: {first}): YAML without a Sigma rule"),
        })
    }

    /// Adds the files of a folder and returns how many there were.
    fn search(&mut self, folder: &Path, ruleset: &str, depth: u32, on_unread: OnUnread<'_>) -> anyhow::Result<usize> {
        let mut entries = match entries(folder, depth) {
            Ok(entries) => entries,
            Err(error) => return on_unread(folder, error).map(|()| 0),
        };
        entries.sort_by_key(fs::DirEntry::file_name);
        let mut count = 0;
        for entry in entries {
            let path = entry.path();
            if entry.file_name().to_string_lossy().starts_with('.') {
                continue;
            }
            // Links to folders are not followed: they could lead round in circles.
            if entry.file_type().with_context(|| path.display().to_string())?.is_dir() {
                count += self.search(&path, ruleset, depth + 1, on_unread)?;
                continue;
            }
            match Kind::of(&path) {
                Kind::Rules => match read_file(&path) {
                    Ok(source) if is_regression(&source) => self.regressions.push(source),
                    Ok(source) if sigma::is_sigma(&source.name) && !sigma::has_rules(&source) => {
                        self.skipped.push(path);
                        continue;
                    }
                    Ok(source) => {
                        self.add(RuleFile::new(source, ruleset, Origin::Folder(ruleset.to_owned())));
                        // What is too much already is not read to its end.
                        self.check_size().with_context(|| folder.display().to_string())?;
                    }
                    // It went while we looked.
                    Err(_) if is_gone(&path) => continue,
                    Err(error) => on_unread(&path, error)?,
                },
                Kind::Other => continue,
            }
            count += 1;
        }
        Ok(count)
    }
}

/// Compiles and proves what the paths named, and says on a terminal that it does.
pub(super) fn load_all(files: &RuleFiles) -> Result<Loaded, BuildError> {
    told(files.files.len(), || load(&files.texts(), catalogue()))
}

/// Says on a terminal that so many files are compiled and proved, while they are.
pub(super) fn told<T>(files: usize, work: impl FnOnce() -> T) -> T {
    let mut console = Console::with_status();
    console.status(|| format!("compiling and proving {}", count(files as u64, "file of rules", "files of rules")));
    let result = work();
    console.finish();
    result
}

/// What lies in a folder.
fn entries(folder: &Path, depth: u32) -> anyhow::Result<Vec<fs::DirEntry>> {
    if depth > FOLDER_DEPTH_MAX {
        bail!("{}: folders nest deeper than {FOLDER_DEPTH_MAX}", folder.display());
    }
    let entries = fs::read_dir(folder).and_then(Iterator::collect);
    entries.with_context(|| folder.display().to_string())
}

fn is_regression(source: &Source) -> bool {
    sigma::is_sigma(&source.name) && regression::is_regression(source) && !sigma::has_rules(source)
}

/// Opening a pipe would wait for a writer that never comes.
fn check_file(path: &Path, metadata: &fs::Metadata) -> anyhow::Result<()> {
    if !metadata.is_file() {
        bail!("{}: not a file", path.display());
    }
    Ok(())
}

fn read_file(path: &Path) -> anyhow::Result<Arc<Source>> {
    let metadata = fs::metadata(path).with_context(|| path.display().to_string())?;
    check_file(path, &metadata)?;
    read(path)
}

/// Whether there is nothing of this name, not even a link that leads nowhere.
fn is_gone(path: &Path) -> bool {
    fs::symlink_metadata(path).is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
}

/// Whether refused rules are a reason not to run: with --strict, if the file was named itself, or if none is left.
pub(super) fn refused_outcome(
    console: &Console,
    strict: bool,
    any_left: bool,
    refused: &[RefusedRule],
    files: &RuleFiles,
) -> Option<Outcome> {
    if !any_left {
        console.error("no rule could be loaded");
        return Some(Outcome::Refused);
    }
    if refused.is_empty() {
        return None;
    }
    let count = if refused.len() == 1 {
        "1 rule was refused".to_owned()
    } else {
        format!("{} rules were refused", refused.len())
    };
    if strict {
        console.error(&format!("{count}, and --strict was asked for"));
        return Some(Outcome::Refused);
    }
    if let Some(rule) = refused.iter().find(|rule| files.is_named(&rule.file)) {
        console.error(&format!("{count}: {} was named itself, so its rules must load", rule.file));
        return Some(Outcome::Refused);
    }
    console.warning(&format!("{count}; the others run"));
    None
}

enum Kind {
    /// Text, or an object file.
    Rules,
    Other,
}

impl Kind {
    fn of(path: &Path) -> Self {
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("trap" | "yml" | "yaml" | "o") => Self::Rules,
            _ => Self::Other,
        }
    }
}

/// Reads a rule file, and no more of it than the compiler would take. Bytes that are not UTF-8 become U+FFFD, which
/// no rule means, so that the compiler points at them. An object file becomes text that holds its bytes.
pub(super) fn read(path: &Path) -> anyhow::Result<Arc<Source>> {
    let is_object = path.extension().is_some_and(|extension| extension == "o");
    let limit = if is_object { elf::FILE_LEN_MAX } else { lang::limits::FILE_LEN_MAX } as u64 + 1;
    let mut bytes = Vec::new();
    let file = fs::File::open(path).with_context(|| path.display().to_string())?;
    file.take(limit).read_to_end(&mut bytes).with_context(|| path.display().to_string())?;
    let text = if is_object { object::armour(&bytes) } else { String::from_utf8_lossy(&bytes).into_owned() };
    Ok(Source::new(path.display().to_string(), text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_at_and_over_the_depth() {
        for (depth, good) in [(FOLDER_DEPTH_MAX - 1, true), (FOLDER_DEPTH_MAX, true), (FOLDER_DEPTH_MAX + 1, false)] {
            let root = tempfile::tempdir().unwrap();
            let mut folder = root.path().to_owned();
            folder.extend((0..depth).map(|_| "d"));
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join("a.trap"), "").unwrap();
            let found = RuleFiles::find(&[root.path().to_owned()]);
            assert_eq!(found.is_ok(), good, "{depth}");
        }
    }

    #[test]
    fn files_are_found_sorted_and_hidden_ones_are_not() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join(".git")).unwrap();
        for name in ["b.trap", "a.trap", ".hidden.trap", ".git/c.trap", "notes.md", "x.yml", "y.o"] {
            fs::write(root.path().join(name), "\u{fffd}").unwrap();
        }
        let found = RuleFiles::find(&[root.path().to_owned()]).unwrap();
        let names: Vec<String> = found.texts().iter().map(|text| text.source.name.clone()).collect();
        assert_eq!(names.len(), 3, "{names:?}");
        let ends = names.iter().zip(["a.trap", "b.trap", "y.o"]);
        assert!(ends.into_iter().all(|(name, end)| name.ends_with(end)), "{names:?}");
        assert_eq!(found.skipped.len(), 1);
        assert!(!found.is_named(&names[0]));
        let folder = root.path().to_owned();
        let named = RuleFiles::find(&[root.path().join("a.trap"), folder.clone(), folder]).unwrap();
        assert_eq!(named.texts().len(), 3);
        assert!(named.is_named(&names[0]) && !named.is_named(&names[1]));
    }

    #[test]
    #[cfg(unix)]
    fn what_is_no_file_is_not_opened() {
        let root = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/dev/null", root.path().join("a.trap")).unwrap();
        let error = RuleFiles::find(&[root.path().to_owned()]).unwrap_err();
        assert!(error.to_string().ends_with("a.trap: not a file"), "{error}");
    }

    #[test]
    #[cfg(unix)]
    fn what_cannot_be_read_in_a_folder_is_in_the_way_of_nothing_else() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("a.trap"), "").unwrap();
        std::os::unix::fs::symlink("/dev/null", root.path().join("b.trap")).unwrap();
        std::os::unix::fs::symlink("nowhere", root.path().join("c.trap")).unwrap();
        let now = RuleFiles::in_folder(root.path());
        assert_eq!(now.sources.len(), 1);
        let unread: Vec<&str> = now.unread.iter().filter_map(|(name, _)| name.rsplit('/').next()).collect();
        assert_eq!(unread, ["b.trap", "c.trap"]);
        let now = RuleFiles::in_folder(&root.path().join("none"));
        assert_eq!((now.sources.len(), now.unread.len()), (0, 1));
        // One that is named itself, too.
        let error = RuleFiles::find(&[root.path().join("b.trap")]).unwrap_err();
        assert!(error.to_string().ends_with("b.trap: not a file"), "{error}");
    }

    #[test]
    fn no_more_of_a_folder_is_read_than_an_agent_takes() {
        let root = tempfile::tempdir().unwrap();
        let (len, count) = (lang::limits::FILE_LEN_MAX, TEXT_BYTES_MAX / lang::limits::FILE_LEN_MAX);
        for number in 0..=count {
            // Files with holes: they take no room.
            fs::File::create(root.path().join(format!("{number:02}.trap"))).unwrap().set_len(len as u64).unwrap();
        }
        for (last, good) in [(0, true), (1, false)] {
            let path = root.path().join(format!("{count:02}.trap"));
            fs::File::create(path).unwrap().set_len(last).unwrap();
            let now = RuleFiles::in_folder(root.path());
            assert_eq!((now.sources.is_empty(), now.unread.is_empty()), (!good, good), "{last}");
        }
    }

    #[test]
    fn a_long_file_is_read_only_as_far_as_the_compiler_would_take_it() {
        let root = tempfile::tempdir().unwrap();
        let max = lang::limits::FILE_LEN_MAX;
        for (len, read_len) in [(max - 1, max - 1), (max, max), (max + 1, max + 1), (max + 2, max + 1)] {
            let path = root.path().join("long.trap");
            fs::write(&path, vec![b' '; len]).unwrap();
            assert_eq!(read(&path).unwrap().text.len(), read_len);
        }
    }
}
