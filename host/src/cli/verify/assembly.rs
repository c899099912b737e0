//! Assembly files: a program by hand, with a header that says what it is.
//!
//! ```text
//! #! memory 64                                            a raw program with a buffer of 64 bytes (the default is 0)
//! #! map counts hash key=4 value=8 entries=1024           a map; the code names maps by their order, from 0
//! #! rule process.exec                                    no raw program but a rule, woken by this class
//! #! field process.pid                                    a field that the rule may read
//! ```
//!
//! Lines of the header begin with `#!` and may stand anywhere; to the assembler they are comments. The kinds of maps
//! are `array`, `hash`, `lru_hash`, `lpm_trie`, `window` (with `span=` and `panes=`), `distinct` (with `span=` and
//! `members=`) and `seen` (with `span=`); a span is a number with a unit: `90s`, `5m`, `250ms`.

use trapline_programs::catalogue::catalogue;
use trapline_vm::isa::{Assembly, assemble};
use trapline_vm::map::{MapDecl, MapKind};
use trapline_vm::predicate::FieldRef;
use trapline_vm::program::Line;
use trapline_vm::record::Layouts;

/// What a file of assembly says.
#[derive(Clone, Debug, Default, PartialEq)]
pub(in crate::cli) struct AssemblyFile {
    /// Instructions and the line each comes from.
    pub(in crate::cli) assembly: Assembly,
    /// Length of the buffer of a raw program, if it says so.
    pub(in crate::cli) memory_len: Option<u32>,
    /// Its maps, by index.
    pub(in crate::cli) maps: Vec<MapDecl>,
    /// The classes that wake it; none for a raw program.
    pub(in crate::cli) classes: Vec<String>,
    /// The fields that it may read.
    pub(in crate::cli) fields: Vec<FieldRef>,
    /// The family of its classes.
    pub(in crate::cli) family: Option<String>,
}

/// What is wrong with a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli) struct Mistake {
    /// From 1.
    pub(in crate::cli) line: u32,
    /// In words.
    pub(in crate::cli) message: String,
}

impl AssemblyFile {
    /// Reads a file; all mistakes at once, in the order of the text.
    pub(in crate::cli) fn parse(text: &str) -> Result<Self, Vec<Mistake>> {
        let mut file = Self::default();
        let mut mistakes = Vec::new();
        for (line, content) in (1..).zip(text.lines()) {
            if let Some(directive) = content.trim_start().strip_prefix("#!")
                && let Err(message) = file.directive(directive)
            {
                mistakes.push(Mistake { line, message });
            }
        }
        if !file.fields.is_empty() && file.classes.is_empty() {
            mistakes.push(Mistake { line: 1, message: "only a rule reads fields; say `#! rule CLASS` too".to_owned() });
        }
        match assemble(text) {
            Ok(assembly) => file.assembly = assembly,
            Err(errors) => {
                mistakes.extend(errors.into_iter().map(|error| Mistake { line: error.line, message: error.message }));
            }
        }
        if mistakes.is_empty() {
            return Ok(file);
        }
        mistakes.sort_by_key(|mistake| mistake.line);
        Err(mistakes)
    }

    /// The line of each instruction slot.
    pub(in crate::cli) fn lines(&self) -> Vec<Line> {
        (0..).zip(&self.assembly.lines).map(|(pc, line)| Line { pc, line: *line }).collect()
    }

    fn directive(&mut self, text: &str) -> Result<(), String> {
        let mut words = text.split_whitespace();
        let (what, name) = (words.next().unwrap_or_default(), words.next());
        let name = name.ok_or_else(|| {
            format!("`#! {what}` says nothing; a header is `memory`, `map`, `rule` or `field` and a value")
        })?;
        match what {
            "memory" => {
                self.memory_len = Some(name.parse().map_err(|_| format!("`{name}` is no number of bytes"))?);
            }
            "map" => return self.map(name, words),
            "rule" => {
                let known = catalogue();
                let class = known.class_id(name).ok_or_else(|| format!("there is no class `{name}`"))?;
                let family = known.family(known.class(class).family).name.clone();
                if self.family.get_or_insert_with(|| family.clone()) != &family {
                    return Err(format!("`{name}` is of another family than the class before"));
                }
                self.classes.push(name.to_owned());
            }
            "field" => {
                let family = self.family.as_deref().and_then(|family| catalogue().family_id(family));
                let family = family.ok_or("say `#! rule CLASS` before the fields")?;
                let found = Layouts::new(catalogue().clone()).find(family, name);
                let (_, ty) = found.ok_or_else(|| format!("events of this class have no field `{name}`"))?;
                self.fields.push(FieldRef { name: name.to_owned(), ty });
            }
            _ => return Err(format!("`{what}` is not among `memory`, `map`, `rule` and `field`")),
        }
        match words.next() {
            Some(more) => Err(format!("`{more}` is one word too many")),
            None => Ok(()),
        }
    }

    fn map<'t>(&mut self, name: &str, mut words: impl Iterator<Item = &'t str>) -> Result<(), String> {
        let kind = words.next().ok_or("a map has a name, a kind and lengths")?;
        let (mut key, mut value, mut entries) = (None, None, None);
        let (mut span, mut panes, mut members) = (None, None, None);
        for word in words {
            let (what, text) = word.split_once('=').ok_or_else(|| format!("`{word}` is not of the form name=value"))?;
            let number = || text.parse::<u32>().map_err(|_| format!("`{text}` is no number"));
            match what {
                "key" => key = Some(number()?),
                "value" => value = Some(number()?),
                "entries" => entries = Some(number()?),
                "panes" => panes = Some(u16::try_from(number()?).map_err(|_| format!("{text} panes are too many"))?),
                "members" => {
                    members = Some(u16::try_from(number()?).map_err(|_| format!("{text} members are too many"))?);
                }
                "span" => span = Some(nanoseconds(text)?),
                _ => {
                    return Err(format!("`{what}` is not among `key`, `value`, `entries`, `span`, `panes`, `members`"));
                }
            }
        }
        let needs = |what: &str| format!("a map of kind `{kind}` needs `{what}=`");
        let span = span.ok_or_else(|| needs("span"));
        let kind = match kind {
            "array" => MapKind::Array,
            "hash" => MapKind::Hash,
            "lru_hash" => MapKind::LruHash,
            "lpm_trie" => MapKind::LpmTrie,
            "window" => MapKind::Window { window_ns: span?, panes: panes.ok_or_else(|| needs("panes"))? },
            "distinct" => MapKind::Distinct { window_ns: span?, members: members.ok_or_else(|| needs("members"))? },
            "seen" => MapKind::Seen { ttl_ns: span? },
            other => return Err(format!("there is no kind of map `{other}`")),
        };
        let has_values = kind.has_values() || matches!(kind, MapKind::Distinct { .. });
        self.maps.push(MapDecl {
            name: name.to_owned(),
            kind,
            key_len: if kind == MapKind::Array { 4 } else { key.ok_or("a map needs `key=`, the bytes of a key")? },
            value_len: if has_values { value.ok_or("such a map needs `value=`, the bytes of a value")? } else { 0 },
            entries: entries.ok_or("a map needs `entries=`, its capacity")?,
            contents: Vec::new(),
        });
        Ok(())
    }
}

/// A span of time: a number and one of `ns`, `us`, `ms`, `s`, `m`, `h`.
fn nanoseconds(text: &str) -> Result<u64, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let unit = match unit {
        "ns" => 1,
        "us" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return Err(format!("`{text}` is no span of time such as 90s, 5m or 250ms")),
    };
    let number: u64 = number.parse().map_err(|_| format!("`{text}` is no span of time"))?;
    number.checked_mul(unit).ok_or_else(|| format!("`{text}` is too long"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_says_what_the_program_is() {
        let text = "#! memory 64\n#! map counts hash key=4 value=8 entries=16\n#! map recent seen key=2 entries=3 span=5m\n\
                    mov r0, 0 # a comment\nexit";
        let file = AssemblyFile::parse(text).unwrap();
        assert_eq!((file.memory_len, file.maps.len(), file.classes.len()), (Some(64), 2, 0));
        assert_eq!(file.maps[0].kind, MapKind::Hash);
        assert_eq!((file.maps[0].key_len, file.maps[0].value_len, file.maps[0].entries), (4, 8, 16));
        assert_eq!(file.maps[1].kind, MapKind::Seen { ttl_ns: 300_000_000_000 });
        assert_eq!(file.lines()[1], Line { pc: 1, line: 5 });

        let file = AssemblyFile::parse("#! rule process.exec\n#! field process.pid\nmov r0, 0\nexit").unwrap();
        assert_eq!((file.family.as_deref(), file.fields.len()), (Some("process"), 1));
    }

    #[test]
    fn mistakes_are_told_all_at_once_with_their_lines() {
        let text = "#! memory much\n#! map m hash key=4\nfrob r1\n#! rule clipboard.eaten\n#! field x\n#! what 1\n#!\n\
                    #! map n window key=4 entries=1\n#! map o seen key=4 entries=1 span=5y\n#! memory 1 2";
        let mistakes = AssemblyFile::parse(text).unwrap_err();
        assert_eq!(mistakes.iter().map(|mistake| mistake.line).collect::<Vec<_>>(), (1..=10).collect::<Vec<_>>());
        let mistakes = AssemblyFile::parse("mov r0, 0\nexit\n#! field process.pid").unwrap_err();
        assert!(mistakes[0].message.contains("#! rule CLASS"), "{mistakes:?}");
    }

    #[test]
    fn spans_of_time() {
        assert_eq!(nanoseconds("250ms"), Ok(250_000_000));
        assert_eq!(nanoseconds("18446744073709551615ns"), Ok(u64::MAX));
        for bad in ["18446744073709551616ns", "18446744073709551615us", "s", "5", "-1s", "5d", ""] {
            assert!(nanoseconds(bad).is_err(), "{bad}");
        }
    }
}
