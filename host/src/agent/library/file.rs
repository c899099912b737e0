//! Files of rules: where they come from, and which of their rules are wanted.

use std::collections::BTreeSet;
use std::sync::Arc;

use trapline_programs::catalogue::catalogue;
use trapline_programs::diagnostic::Source;
use trapline_programs::{lang, object, sigma};

use crate::agent::load::RuleText;

/// The most files of rules.
pub const FILES_MAX: usize = 16_384;
/// The most bytes of all rule text.
pub const TEXT_BYTES_MAX: usize = 64 * 1024 * 1024;

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
    /// Keys of its rules that were unloaded.
    pub(super) off: BTreeSet<String>,
}

impl File {
    /// A file of which every rule is wanted.
    pub fn new(text: RuleText, origin: Origin) -> Self {
        Self { text, origin, off: BTreeSet::new() }
    }

    pub(super) fn name(&self) -> &str {
        &self.text.source.name
    }

    /// The text to be compiled: rules that are off are blank, so that everything else stands where it stood.
    pub(super) fn wanted(&self) -> RuleText {
        if self.off.is_empty() {
            return self.text.clone();
        }
        let source = &self.text.source;
        let without = |text: String| RuleText {
            source: Source::new(source.name.clone(), text),
            ruleset: self.text.ruleset.clone(),
        };
        if object::is_object(source) {
            return without(object::without(source, &self.off));
        }
        if sigma::is_sigma(&source.name) {
            return without(sigma::without(source, &self.off));
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
        without(String::from_utf8_lossy(&bytes).into_owned())
    }
}

/// What single rules of a file are switched off by: their names, or what [`sigma::key`] says.
pub(super) fn keys(source: &Arc<Source>) -> Vec<String> {
    if object::is_object(source) {
        return object::rule_names(source, catalogue());
    }
    if sigma::is_sigma(&source.name) {
        return sigma::keys(source);
    }
    lang::ast::file(&lang::parse(source).syntax()).rules.into_iter().map(|rule| rule.name.text).collect()
}

/// What is wrong with so many files of rules, if anything is.
pub(super) fn check_size(files: &[File]) -> Result<(), String> {
    if files.len() > FILES_MAX {
        return Err(format!("that would be {} files of rules; {FILES_MAX} are allowed", files.len()));
    }
    let bytes: usize = files.iter().map(|file| file.text.source.text.len()).sum();
    if bytes > TEXT_BYTES_MAX {
        return Err(format!("that would be {bytes} bytes of rules; {TEXT_BYTES_MAX} are allowed"));
    }
    Ok(())
}
