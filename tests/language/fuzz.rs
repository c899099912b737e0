//! Any text: no panic, the tree is the text, bounded time.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use libtest_mimic::Failed;
use trapline_programs::diagnostic::{Level, Source, render, report};
use trapline_programs::{hir, lang};
use trapline_vm::record::Catalogue;

/// Mutants made of the seeds.
const MUTANTS: usize = 4_000;
/// No mutant is near the limits on size, so none takes long, even on a busy machine.
const TIME_MAX: Duration = Duration::from_secs(5);

/// Pieces that mutants are given: every token and construct, and bytes that are none.
const PIECES: &[&str] = &[
    "rule ",
    "list ",
    "macro ",
    "where ",
    "unless ",
    "on ",
    "let ",
    "test \"t\" {",
    "expect alert",
    "and ",
    "or ",
    "not ",
    "any p in ",
    "all ",
    " in ",
    "~",
    "==",
    "!=",
    "<=",
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    ",",
    ".",
    ":",
    "\"",
    "'",
    "`",
    "\\",
    "#",
    "\n",
    "??",
    "+",
    "-",
    "*",
    "/",
    "%",
    "|",
    "&&",
    "||",
    "!",
    "=",
    "..",
    "0x",
    "1.5.2",
    "30s",
    "9999999999999999999999",
    "sequence ",
    "count ",
    "table ",
    "tune ",
    "param ",
    "import \"",
    "by ",
    "within ",
    "\u{0}",
    "\u{feff}",
    "é",
    "💥",
    "\u{202e}",
    "\r",
    "cidr(",
    "exists(",
    "is_shell(process)",
    "process.name",
    "process.ancestors",
    "lost",
    "truncated ",
    "source: x",
    "from \"f\":3",
    "+5s ",
    "as ",
    "limits {",
    "\"\\u{",
];

/// xorshift64*: the same mutants on every machine.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(bound.max(1)).expect("64 bits at most")).expect("below a usize")
    }
}

fn seeds() -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut folders: Vec<PathBuf> = vec![root.join("tests/language"), root.join("programs/stock")];
    let mut seeds = Vec::new();
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        paths.sort();
        for path in paths {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "trap") {
                seeds.push(fs::read_to_string(&path).expect("a seed is text"));
            }
        }
    }
    seeds
}

fn mutate(random: &mut Random, seeds: &[String]) -> String {
    let mut bytes = seeds[random.below(seeds.len())].clone().into_bytes();
    for _ in 0..=random.below(6) {
        let at = random.below(bytes.len() + 1);
        let len = random.below(40).min(bytes.len() - at);
        match random.below(7) {
            0 => drop(bytes.drain(at..at + len)),
            1 => bytes.truncate(at),
            2 => drop(bytes.splice(at..at, PIECES[random.below(PIECES.len())].bytes())),
            3 => {
                let piece = PIECES[random.below(PIECES.len())].repeat(random.below(200));
                drop(bytes.splice(at..at, piece.bytes()));
            }
            4 => {
                let copy = bytes[at..at + len].to_vec();
                let to = random.below(bytes.len() + 1);
                drop(bytes.splice(to..to, copy));
            }
            5 => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = u8::try_from(random.below(256)).expect("below 256");
                }
            }
            _ => {
                let other = &seeds[random.below(seeds.len())].as_bytes();
                let from = random.below(other.len() + 1);
                let len = random.below(200).min(other.len() - from);
                drop(bytes.splice(at..at, other[from..from + len].iter().copied()));
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

pub(crate) fn run(catalogue: &Catalogue) -> Result<(), Failed> {
    let seeds = seeds();
    assert!(seeds.len() > 10, "the seeds are part of the project");
    let mut random = Random(0x7261_705f_6c69_6e65);
    for index in 0..MUTANTS {
        let text = mutate(&mut random, &seeds);
        let started = Instant::now();
        let source = Source::new("mutant.trap", text);
        let parse = lang::parse(&source);
        if parse.syntax().text() != source.text.as_str() {
            return Err(format!("mutant {index}: the tree is not the text:\n{}", source.text).into());
        }
        let (rules, found) = hir::lower(std::slice::from_ref(&source), catalogue);
        for rule in &rules {
            hir::print(rule, catalogue);
        }
        for diagnostic in found.iter().take(10) {
            render(diagnostic, false);
            report(diagnostic);
        }
        // A rule is left out for a reason that is told, and nothing else.
        let items = parse.syntax().children().filter(|item| item.kind() == lang::SyntaxKind::RuleItem).count();
        if !found.iter().any(|found| found.level == Level::Error) && rules.len() != items {
            return Err(format!("mutant {index}: a rule got lost:\n{}", source.text).into());
        }
        if !parse.diagnostics.is_empty() && found.is_empty() {
            return Err(format!("mutant {index}: a mistake got lost:\n{}", source.text).into());
        }
        if started.elapsed() > TIME_MAX {
            return Err(format!("mutant {index} took {:?}:\n{}", started.elapsed(), source.text).into());
        }
    }
    Ok(())
}
