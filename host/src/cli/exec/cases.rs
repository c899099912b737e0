//! Files of cases: raw programs with their memory, one JSON object a line.

use std::fs;
use std::io::{self, BufRead, Read as _};
use std::path::Path;

use anyhow::Context as _;
use serde::Deserialize;
use trapline_vm::isa::Instruction;

/// The longest line of a file of cases, in bytes.
pub(in crate::cli) const LINE_LEN_MAX: u64 = 16 * 1024 * 1024;

/// A program and its memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli) struct Case {
    /// Its name.
    pub(in crate::cli) name: String,
    /// Instruction bytes.
    pub(in crate::cli) code: Vec<u8>,
    /// What the buffer holds.
    pub(in crate::cli) mem: Vec<u8>,
}

/// What is wrong with a line, and the name of its case if it has one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli) struct BadLine {
    pub(in crate::cli) name: Option<String>,
    pub(in crate::cli) reason: String,
}

#[derive(Deserialize)]
struct Line {
    name: String,
    raw: String,
    #[serde(default)]
    mem: Option<String>,
}

impl Case {
    fn parse(line: &[u8]) -> Result<Self, BadLine> {
        let line: Line = serde_json::from_slice(line)
            .map_err(|error| BadLine { name: None, reason: format!("not a case: {error}") })?;
        let bad =
            |what: &str, error: String| BadLine { name: Some(line.name.clone()), reason: format!("{what}: {error}") };
        let code = unhex(&line.raw).map_err(|error| bad("raw", error))?;
        let mem = unhex(line.mem.as_deref().unwrap_or("")).map_err(|error| bad("mem", error))?;
        Ok(Self { name: line.name, code, mem })
    }
}

/// Calls back with the number of each line that is not blank and its case, or what is wrong with it. `-` is standard
/// input.
pub(in crate::cli) fn for_each(
    path: &Path,
    on: &mut dyn FnMut(u64, Result<Case, BadLine>) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut number = 0;
    let reader = open(path)?;
    for_each_line(reader, |line| {
        number += 1;
        match line {
            Ok(line) if line.iter().all(u8::is_ascii_whitespace) => Ok(()),
            Ok(line) => on(number, Case::parse(line)),
            Err(reason) => on(number, Err(BadLine { name: None, reason })),
        }
    })
    .with_context(|| path.display().to_string())
}

fn open(path: &Path) -> anyhow::Result<Box<dyn BufRead>> {
    if path.as_os_str() == "-" {
        return Ok(Box::new(io::stdin().lock()));
    }
    let file = fs::File::open(path).with_context(|| path.display().to_string())?;
    Ok(Box::new(io::BufReader::new(file)))
}

/// Calls back with each line without its end, or with what is wrong with it. Holds one line at a time, and of a line
/// that is too long nothing.
fn for_each_line(
    mut reader: impl BufRead,
    mut on: impl FnMut(Result<&[u8], String>) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut line = Vec::new();
    loop {
        line.clear();
        if reader.by_ref().take(LINE_LEN_MAX + 1).read_until(b'\n', &mut line)? == 0 {
            return Ok(());
        }
        if line.last() == Some(&b'\n') {
            line.pop();
        } else if line.len() as u64 > LINE_LEN_MAX {
            reader.skip_until(b'\n')?;
            on(Err(format!("the line is longer than {LINE_LEN_MAX} bytes")))?;
            continue;
        }
        on(Ok(&line))?;
    }
}

/// Instruction bytes as slots.
pub(in crate::cli) fn instructions(bytes: &[u8]) -> Result<Vec<Instruction>, String> {
    Instruction::from_section(bytes)
        .ok_or_else(|| format!("{} bytes of code are no whole number of instructions", bytes.len()))
}

/// Bytes from hexadecimal digits of either case; blanks between bytes are allowed.
pub(in crate::cli) fn unhex(text: &str) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::with_capacity(text.len() / 2);
    let mut high = None;
    for (at, c) in text.char_indices() {
        if c.is_ascii_whitespace() && high.is_none() {
            continue;
        }
        let digit = c.to_digit(16).ok_or_else(|| format!("`{}` at {at} is not a hex digit", c.escape_debug()))?;
        high = match high {
            None => Some(digit),
            Some(high) => {
                bytes.push(u8::try_from(high << 4 | digit).expect("two hex digits fit a byte"));
                None
            }
        };
    }
    match high {
        None => Ok(bytes),
        Some(_) => Err("an odd number of hex digits".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_of_either_case_and_with_blanks() {
        assert_eq!(unhex("00 fF\n1a").unwrap(), [0, 0xff, 0x1a]);
        assert!(unhex("").unwrap().is_empty());
        for bad in ["0", "0g", "0 0", "é0", "+1"] {
            assert!(unhex(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn lines_at_and_over_the_limit() {
        let max = usize::try_from(LINE_LEN_MAX).unwrap();
        for (len, good) in [(max - 1, true), (max, true), (max + 1, false)] {
            let mut text = vec![b'x'; len];
            text.extend_from_slice(b"\nnext\n");
            let mut seen = Vec::new();
            for_each_line(&text[..], |line| {
                seen.push(line.map(<[u8]>::len).ok());
                Ok(())
            })
            .unwrap();
            assert_eq!(seen, [good.then_some(len), Some(4)], "{len}");
        }
    }
}
