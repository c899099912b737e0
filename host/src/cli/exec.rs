//! `trapline debug exec`: runs raw instruction bytes, case by case, as VM people compare machines.

use std::fs;
use std::io::{self, BufRead, Read as _, Write};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};
use trapline_vm::helper::RAW_HELPERS;
use trapline_vm::interp::{self, Checked, Code, Predicted};
use trapline_vm::isa::Instruction;
use trapline_vm::memory::{Memory, Region};
use trapline_vm::program::{FUEL_LIMIT_DEFAULT, Loaded, Program, ProgramKind};
use trapline_vm::verifier;

use super::{Console, Outcome, OutputError};
use crate::sink::json;
use crate::sink::terminal::escape;

/// The longest line of a file of cases, in bytes.
const LINE_LEN_MAX: u64 = 16 * 1024 * 1024;

/// Run raw programs and print what comes of each
///
/// One case a line: {"name": text, "raw": instruction bytes in hex, "mem": buffer in hex}. At entry r1 is the address of
/// the buffer and r2 its length; helper 5 returns its first argument. One line a case comes out:
/// {"name", "outcome": result|rejected|trap, "r0": hex, "reason", "fuel"}.
#[derive(Args, Debug)]
pub(super) struct Exec {
    /// File of cases, or - for standard input
    #[arg(long, value_name = "FILE.jsonl")]
    cases: PathBuf,

    /// What executes the programs
    #[arg(long, default_value = "interpreter")]
    engine: Machine,

    /// Refuse programs that the verifier cannot prove safe
    #[arg(long)]
    verify: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Machine {
    Interpreter,
    /// Native code (comes later)
    Jit,
    /// The rbpf crate, for comparison (comes later)
    Rbpf,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    raw: String,
    #[serde(default)]
    mem: Option<String>,
}

/// A line of output. Every key is on every line.
#[derive(Debug, PartialEq, Serialize)]
struct Report {
    name: String,
    outcome: &'static str,
    r0: Option<String>,
    reason: Option<String>,
    fuel: Option<u64>,
}

impl Report {
    fn rejected(name: String, reason: String) -> Self {
        Self { name, outcome: "rejected", r0: None, reason: Some(reason), fuel: None }
    }
}

/// What is wrong with a line, and the name of its case if it has one.
struct BadLine {
    name: Option<String>,
    reason: String,
}

impl Exec {
    pub(super) fn run(self) -> anyhow::Result<Outcome> {
        match self.engine {
            Machine::Interpreter => {}
            Machine::Jit => anyhow::bail!("the JIT is not available yet: it comes in a later version"),
            Machine::Rbpf => anyhow::bail!("this build has no rbpf to compare with: it comes in a later version"),
        }
        let reader = open(&self.cases)?;
        let mut out = io::BufWriter::new(io::stdout().lock());
        let mut bad = 0u64;
        let mut number = 0u64;
        let place = self.cases.display().to_string();
        for_each_line(reader, |line| {
            number += 1;
            let report = match line {
                Ok([]) => return Ok(()),
                Ok(line) if line.iter().all(u8::is_ascii_whitespace) => return Ok(()),
                Ok(line) => case(line, self.verify),
                Err(reason) => Err(BadLine { name: None, reason }),
            };
            let report = match report {
                Ok(report) => Some(report),
                Err(BadLine { name, reason }) => {
                    bad += 1;
                    Console::new().line(&format!("{}:{number}: {}", escape(&place), escape(&reason)));
                    // Who compares machines line by line finds a line for every case that has a name.
                    name.map(|name| Report::rejected(name, reason))
                }
            };
            if let Some(report) = report {
                json::write(&mut out, &report).map_err(OutputError)?;
                out.write_all(b"\n").map_err(OutputError)?;
            }
            Ok(())
        })
        .with_context(|| place.clone())?;
        out.flush().map_err(OutputError)?;
        if bad > 0 {
            anyhow::bail!("{bad} of the lines of {place} are not cases");
        }
        Ok(Outcome::Done)
    }
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

/// Runs one case.
fn case(line: &[u8], verify: bool) -> Result<Report, BadLine> {
    let case: Case =
        serde_json::from_slice(line).map_err(|error| BadLine { name: None, reason: format!("not a case: {error}") })?;
    let bad = |reason: String| BadLine { name: Some(case.name.clone()), reason };
    let raw = unhex(&case.raw).map_err(|error| bad(format!("raw: {error}")))?;
    let mem = unhex(case.mem.as_deref().unwrap_or("")).map_err(|error| bad(format!("mem: {error}")))?;
    let mut memory = Memory::for_raw(&mem).map_err(|error| bad(format!("mem: {error}")))?;
    let report = match code(&case.name, &raw, memory.len(Region::Buffer), verify) {
        Err(reason) => Report::rejected(case.name, reason),
        Ok(code) => {
            let end = code.run(&mut memory);
            let (outcome, r0, reason) = match end.result {
                Ok(r0) => ("result", Some(format!("{r0:#x}")), None),
                Err(stop) => ("trap", None, Some(format!("{}: {stop}", stop.trap.info().name))),
            };
            Report { name: case.name, outcome, r0, reason, fuel: Some(end.fuel_used) }
        }
    };
    Ok(report)
}

/// A program that passed what was asked of it.
enum Runnable {
    Checked(Code<Checked>),
    Proved(Code<Predicted>),
}

impl Runnable {
    fn run(&self, memory: &mut Memory) -> interp::Outcome {
        match self {
            Self::Checked(code) => code.run(memory, FUEL_LIMIT_DEFAULT),
            Self::Proved(code) => code.run(memory, FUEL_LIMIT_DEFAULT),
        }
    }
}

fn code(name: &str, raw: &[u8], memory_len: u32, prove: bool) -> Result<Runnable, String> {
    let code = Instruction::from_section(raw)
        .ok_or_else(|| format!("{} bytes of code are no whole number of instructions", raw.len()))?;
    let program = Program {
        name: name.to_owned(),
        kind: ProgramKind::Raw { memory_len },
        code,
        lines: Vec::new(),
        maps: Vec::new(),
        fuel_limit: FUEL_LIMIT_DEFAULT,
    };
    let loaded = Loaded::new(program, &RAW_HELPERS).map_err(|error| error.to_string())?;
    if !prove {
        return Ok(Runnable::Checked(Code::checked(&loaded)));
    }
    let verified = verifier::verify(loaded).map_err(|rejection| refusal(&rejection))?;
    let code = Code::predicted(verified.loaded(), |pc| Some(verified.access(pc))).map_err(|error| error.to_string())?;
    Ok(Runnable::Proved(code))
}

/// A refusal in one line: what is wrong and at which instruction.
fn refusal(rejection: &verifier::Rejection) -> String {
    let place = rejection.pc.map_or(String::new(), |pc| format!(" (at pc {pc}: {})", rejection.instruction));
    format!("{}: {}{place}", rejection.code(), rejection.message())
}

/// Bytes from hexadecimal digits of either case; blanks between bytes are allowed.
fn unhex(text: &str) -> Result<Vec<u8>, String> {
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
