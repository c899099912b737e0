//! `trapline debug exec`: runs raw instruction bytes, case by case, as VM people compare machines.
//!
//! One machine prints what came of each case; several are compared ([`compare`]): what they say differently is printed,
//! and a table at the end.

pub(in crate::cli) mod cases;
mod compare;
mod interpreter;
#[cfg(feature = "rbpf")]
mod rbpf;
#[cfg(not(feature = "rbpf"))]
#[path = "rbpf_disabled.rs"]
mod rbpf;

use std::io::{self, Write};
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use serde::Serialize;
use trapline_vm::program::FUEL_LIMIT_DEFAULT;
use trapline_vm::verifier::Rejection;

use super::{Console, Outcome, OutputError};
use crate::sink::json;
use crate::sink::terminal::escape;
use cases::{BadLine, Case};

/// Run raw programs and print what comes of each
///
/// One case a line: {"name": text, "raw": instruction bytes in hex, "mem": buffer in hex}. At entry r1 is the address of
/// the buffer and r2 its length; helper 5 returns its first argument. One line a case comes out:
/// {"name", "outcome": result|rejected|trap, "r0": hex, "reason", "fuel"}.
///
/// With several engines, as in --engine interpreter,rbpf, they are compared: a line comes out for each case on which
/// they differ ({"name", "engines": {ENGINE: the line above}}), a table follows on standard error, and the exit code
/// is 1 if there was a difference.
#[derive(Args, Debug)]
pub(super) struct Exec {
    /// File of cases, or - for standard input
    #[arg(long, value_name = "FILE.jsonl")]
    cases: PathBuf,

    /// What executes the programs; several are compared
    #[arg(long, default_value = "interpreter", value_delimiter = ',')]
    engine: Vec<Machine>,

    /// Refuse programs that the verifier cannot prove safe
    #[arg(long)]
    verify: bool,

    /// Fuel for each run
    #[arg(long, value_name = "N", default_value_t = FUEL_LIMIT_DEFAULT)]
    fuel: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Machine {
    Interpreter,
    /// Native code (comes later)
    Jit,
    /// The rbpf crate, for comparison (in builds with the feature `rbpf`)
    Rbpf,
}

impl Machine {
    const fn name(self) -> &'static str {
        match self {
            Self::Interpreter => "interpreter",
            Self::Jit => "jit",
            Self::Rbpf => "rbpf",
        }
    }
}

/// How a case is run.
#[derive(Clone, Copy, Debug)]
struct Terms {
    /// Whether a proof is demanded first.
    verify: bool,
    fuel: u64,
}

/// A line of output. Every key is on every line.
#[derive(Clone, Debug, PartialEq, Serialize)]
struct Report {
    name: String,
    outcome: &'static str,
    r0: Option<String>,
    reason: Option<String>,
    fuel: Option<u64>,
}

impl Report {
    fn result(name: String, r0: u64, fuel: Option<u64>) -> Self {
        Self { name, outcome: "result", r0: Some(format!("{r0:#x}")), reason: None, fuel }
    }

    fn rejected(name: String, reason: String) -> Self {
        Self { name, outcome: "rejected", r0: None, reason: Some(reason), fuel: None }
    }

    fn trap(name: String, reason: String, fuel: Option<u64>) -> Self {
        Self { name, outcome: "trap", r0: None, reason: Some(reason), fuel }
    }
}

impl Exec {
    pub(super) fn run(self) -> anyhow::Result<Outcome> {
        if self.engine.contains(&Machine::Jit) {
            anyhow::bail!("the JIT is not available yet: it comes in a later version");
        }
        if self.engine.contains(&Machine::Rbpf) {
            rbpf::available()?;
        }
        let mut out = io::BufWriter::new(io::stdout().lock());
        let terms = Terms { verify: self.verify, fuel: self.fuel };
        let mut comparison = (self.engine.len() > 1).then(|| compare::Comparison::new(&self.engine));
        let mut bad = 0u64;
        let place = self.cases.display().to_string();
        cases::for_each(&self.cases, &mut |number, case| {
            let reports = case.and_then(|case| {
                self.engine.iter().map(|engine| run(*engine, &case, terms)).collect::<Result<Vec<_>, _>>()
            });
            let reports = match reports {
                Ok(reports) => reports,
                Err(BadLine { name, reason }) => {
                    bad += 1;
                    Console::new().line(&format!("{}:{number}: {}", escape(&place), escape(&reason)));
                    // Who compares machines line by line finds a line for every case that has a name.
                    let alone = comparison.is_none();
                    name.filter(|_| alone).map(|name| Report::rejected(name, reason)).into_iter().collect()
                }
            };
            match &mut comparison {
                Some(comparison) => comparison.add(&reports, &mut out)?,
                None => {
                    for report in &reports {
                        json::write(&mut out, report).map_err(OutputError)?;
                        out.write_all(b"\n").map_err(OutputError)?;
                    }
                }
            }
            Ok(())
        })?;
        out.flush().map_err(OutputError)?;
        let differs = comparison.is_some_and(|comparison| {
            Console::new().line(&comparison.table());
            comparison.differs()
        });
        if bad > 0 {
            anyhow::bail!("{bad} of the lines of {place} are not cases");
        }
        Ok(if differs { Outcome::Findings } else { Outcome::Done })
    }
}

fn run(machine: Machine, case: &Case, terms: Terms) -> Result<Report, BadLine> {
    match machine {
        Machine::Interpreter => interpreter::run(case, terms),
        Machine::Rbpf => rbpf::run(case, terms),
        Machine::Jit => Ok(Report::rejected(case.name.clone(), "there is no JIT yet".to_owned())),
    }
}

/// A refusal in one line: what is wrong and at which instruction.
fn refusal(rejection: &Rejection) -> String {
    let place = rejection.pc.map_or(String::new(), |pc| format!(" (at pc {pc}: {})", rejection.instruction));
    format!("{}: {}{place}", rejection.code(), rejection.message())
}
