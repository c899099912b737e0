//! `trapline debug`: what a rule looks like at each stage on its way to bytecode, and raw programs.

use std::io::{self, Write as _};
use std::path::PathBuf;

use clap::{Args, Subcommand};
use trapline_programs::catalogue::catalogue;
use trapline_programs::compile::{compile, decide, families};
use trapline_programs::diagnostic::{Diagnostic, Level};
use trapline_programs::hir::Rule;
use trapline_programs::{codegen, hir, lang, mir};
use trapline_vm::isa::disassemble_at;
use trapline_vm::program::{Loaded, Object};
use trapline_vm::verifier::{Limits, verify_observed};

use super::exec::Exec;
use super::rules::read;
use super::verify::subject::{self, Found, Options, Subject};
use super::{Console, Outcome, OutputError, diagnostics};
use crate::sink::terminal::escape;

/// Show the stages of compilation, or run raw programs
#[derive(Debug, Subcommand)]
pub(super) enum Debug {
    /// Print the syntax tree of a rule file, blanks and comments included
    Tree(File),
    /// Print the typed form of each rule: names resolved, types checked
    Hir(File),
    /// Print the decisions of each rule: its distinct tests, and where each leads
    Mir(File),
    /// Print the bytecode of each rule
    Asm(File),
    /// Print what the verifier knows before each instruction, of the programs of any file that `verify` takes
    ///
    /// The states come in the order in which the proof looks at them. An instruction of a loop that is explored, or of
    /// a function that is called at several places, comes once for each time that it is looked at.
    State(File),
    Exec(Exec),
}

#[derive(Args, Debug)]
pub(super) struct File {
    /// A rule file; for `state` also an object file, assembly, hex or cases
    file: PathBuf,
}

impl Debug {
    pub(super) fn run(self) -> anyhow::Result<Outcome> {
        match self {
            Self::Exec(exec) => exec.run(),
            Self::Tree(file) => file.tree(),
            Self::Hir(file) => file.hir(),
            Self::Mir(file) => file.mir(),
            Self::Asm(file) => file.asm(),
            Self::State(file) => file.state(),
        }
    }
}

impl File {
    fn tree(&self) -> anyhow::Result<Outcome> {
        let source = read(&self.file)?;
        let parse = lang::parse(&source);
        print(&lang::print_tree(&parse))?;
        Ok(self.end(&parse.diagnostics))
    }

    fn hir(&self) -> anyhow::Result<Outcome> {
        self.each_rule(|rule, _| hir::print(rule, catalogue()))
    }

    fn mir(&self) -> anyhow::Result<Outcome> {
        self.each_rule(|rule, _| {
            let families = families(rule, catalogue()).into_iter();
            let text = |family| match decide(rule, catalogue(), family) {
                Ok(decision) => mir::print(&decision),
                Err(diagnostic) => format!("# refused: {}\n", diagnostic.message),
            };
            families
                .map(|(family, _)| format!("# {} on {}\n{}", rule.name, catalogue().family(family).name, text(family)))
                .collect()
        })
    }

    fn asm(&self) -> anyhow::Result<Outcome> {
        self.each_rule(|_, objects| objects.iter().map(codegen::print).collect())
    }

    /// What the verifier knows, each rule linked in a domain of its own, so that other rules change nothing.
    fn state(&self) -> anyhow::Result<Outcome> {
        let console = Console::new();
        let mut outcome = Outcome::Done;
        for found in subject::find(std::slice::from_ref(&self.file), Options::default(), &console)? {
            match found {
                Found::Program(subject) => print(&states(&subject))?,
                Found::Refused(refused) => {
                    diagnostics::print_all(&console, &refused.diagnostics);
                    if refused.diagnostics.is_empty() {
                        console.error(&format!("{}: {}: {}", refused.file, refused.code, refused.message));
                    }
                    outcome = Outcome::Refused;
                }
            }
        }
        Ok(outcome)
    }

    fn each_rule(&self, text: impl Fn(&Rule, &[Object]) -> String) -> anyhow::Result<Outcome> {
        let source = read(&self.file)?;
        let compiled = compile(&[source], catalogue());
        for rule in &compiled.rules {
            print(&text(&rule.rule, &rule.objects))?;
        }
        Ok(self.end(&compiled.diagnostics))
    }

    fn end(&self, found: &[Diagnostic]) -> Outcome {
        let console = Console::new();
        diagnostics::print_all(&console, found);
        if found.iter().any(|diagnostic| diagnostic.level == Level::Error) { Outcome::Refused } else { Outcome::Done }
    }
}

/// The state before each instruction, and the verdict.
fn states(subject: &Subject) -> String {
    let family = subject.grants.family.as_ref().map_or(String::new(), |family| format!(" on {family}"));
    let mut text = format!("# {}{family}\n", subject.program.name);
    let loaded = match Loaded::new(subject.program.clone(), subject.helpers) {
        Ok(loaded) => loaded,
        Err(error) => return format!("{text}# refused: {error}\n"),
    };
    let code = loaded.code().to_vec();
    let verdict = verify_observed(loaded, Limits::default(), &mut |pc, state| {
        text.push_str(&format!("{state}\n{pc:>5}: {}\n", disassemble_at(&code, pc as usize)));
    });
    match verdict {
        Ok(verified) => text.push_str(&format!("# proved: {}\n", verified.report())),
        Err(rejection) => text.push_str(&format!("{rejection}\n")),
    }
    text
}

/// Prints what was asked for. Text of the rule in it is escaped line by line.
fn print(text: &str) -> Result<(), OutputError> {
    let mut out = io::stdout().lock();
    for line in text.lines() {
        writeln!(out, "{}", escape(line))?;
    }
    out.flush().map_err(OutputError)
}
