//! Which slot of a program comes from which line of its source.

use std::collections::HashMap;

use crate::program::Line;
use crate::program::btf::{self, LineInfo};

use super::flatten::{Flat, Function};
use super::input::File;
use super::{ElfError, ElfReason, LINE_TEXT_MAX, Place};

/// The line information of a file.
#[derive(Debug, Default)]
pub(super) struct Lines<'d> {
    strings: &'d [u8],
    /// By name of the section, ascending by offset.
    by_section: HashMap<&'d str, Vec<LineInfo>>,
}

impl<'d> Lines<'d> {
    pub(super) fn of(file: &File<'d>) -> Result<Self, ElfError> {
        let (Some(btf), Some(ext)) = (file.section(".BTF"), file.section(".BTF.ext")) else {
            return Ok(Self::default());
        };
        let wrong = |section: &str, reason| {
            let place = Place { section: Some(section.to_owned()), ..Place::default() };
            ElfError { place, reason }
        };
        let strings = btf::strings(btf.data).map_err(|error| wrong(btf.name, error.into()))?;
        let found = btf::read_ext(ext.data).map_err(|error| wrong(ext.name, error.into()))?;
        if found.has_core_relocations {
            return Err(wrong(ext.name, ElfReason::CoRe));
        }
        let mut by_section: HashMap<&str, Vec<LineInfo>> = HashMap::new();
        for (section, lines) in found.lines {
            if let Some(name) = btf::string(strings, section) {
                by_section.entry(name).or_default().extend(lines);
            }
        }
        by_section.values_mut().for_each(|lines| lines.sort_by_key(|line| line.offset));
        Ok(Self { strings, by_section })
    }

    /// The records of a function, with the slots they are about.
    fn of_function(&self, section: &str, function: &Function<'_>) -> impl Iterator<Item = (u32, &LineInfo)> {
        let lines = self.by_section.get(section).map_or(&[][..], Vec::as_slice);
        let first = lines.partition_point(|line| line.offset / 8 < function.start);
        let after = lines.partition_point(|line| line.offset / 8 < function.start.saturating_add(function.len));
        let records = lines.get(first..after).unwrap_or_default().iter();
        records.map(|line| (line.offset / 8 - function.start, line))
    }

    /// The lines of a function as they were written.
    pub(super) fn exactly(&self, section: &str, function: &Function<'_>) -> Vec<Line> {
        self.of_function(section, function).map(|(pc, line)| Line { pc, line: line.line }).collect()
    }

    /// Adds the lines of a function that begins at `base`. Numbers are about one file, that of the program itself: what
    /// comes from another (a header) counts for the line that it stands in.
    pub(super) fn add(&self, section: &str, function: &Function<'_>, base: u32, flat: &mut Flat<'_>) {
        let mut is_main: HashMap<u32, bool> = HashMap::new();
        let mut first = true;
        let (lines, source) = (&mut flat.lines, &mut flat.source);
        for (slot, record) in self.of_function(section, function) {
            if source.file.is_empty() {
                btf::string(self.strings, record.file).unwrap_or("").clone_into(&mut source.file);
            }
            let is_main = is_main
                .entry(record.file)
                .or_insert_with(|| btf::string(self.strings, record.file) == Some(source.file.as_str()));
            if !*is_main || record.line == 0 {
                continue;
            }
            // Nothing of the function before may reach into this one.
            let pc = if first { base } else { base + slot };
            first = false;
            match lines.last_mut() {
                Some(last) if last.pc == pc => last.line = record.line,
                Some(last) if last.line == record.line => {}
                _ => lines.push(Line { pc, line: record.line }),
            }
            source
                .texts
                .entry(record.line)
                .or_insert_with(|| kept(btf::string(self.strings, record.text).unwrap_or("")).to_owned());
        }
    }
}

/// As much of a source line as is kept: without spaces at its end, whole characters.
fn kept(text: &str) -> &str {
    let text = text.trim_end();
    text.get(..text.floor_char_boundary(LINE_TEXT_MAX)).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn source_lines_at_and_over_their_length() {
        for (len, want) in [(0, 0), (255, 255), (256, 256), (257, 256), (4096, 256)] {
            assert_eq!(kept(&"x".repeat(len)).len(), want, "{len}");
            assert_eq!(kept(&("x".repeat(len) + " \t")).len(), want, "{len} and spaces");
        }
        // A character that the end would cut is left out whole.
        for (before, want) in [(253, 256), (254, 254), (255, 255), (256, 256)] {
            assert_eq!(kept(&("x".repeat(before) + "€")).len(), want, "{before}");
        }
        assert_eq!(LINE_TEXT_MAX, 256);
    }
}
