//! Programs by families and seeds: made, proved, run, counted.

use crate::corpus;
use crate::generator::{self, Entropy, Features, Flavour, Input, mutate, program_of, random_code, soup, use_claims};
use crate::oracle::{Bench, Oracle, Violation, Work, check};
use crate::proof::{Answer, prove, prove_within};
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use trapline_vm::isa::{Decoded, Instruction, Kind, disassemble};
use trapline_vm::memory::{Access, Region};
use trapline_vm::program::{Program, ProgramKind};
use trapline_vm::verifier::{Limits, Verified};

/// How programs are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    Raw,
    Rule,
    Mutated,
    Soup,
    Random,
}

impl Family {
    /// The family of a number, in the shares that a long run has. Random code is cheap, and mostly refused.
    pub(crate) fn of(number: u64) -> Self {
        match number % 16 {
            0..=5 => Self::Raw,
            6..=10 => Self::Rule,
            11..=13 => Self::Mutated,
            14 => Self::Soup,
            _ => Self::Random,
        }
    }
}

/// Runs of each program, in a row.
const RUNS: usize = 4;

/// A violation, and all that is needed to see it again.
#[derive(Clone, Debug)]
pub(crate) struct Finding {
    pub(crate) family: Family,
    pub(crate) seed: u64,
    pub(crate) program: Program,
    pub(crate) inputs: Vec<Input>,
    pub(crate) violations: Vec<Violation>,
}

impl Finding {
    /// As a file of the corpus.
    pub(crate) fn to_corpus(&self) -> String {
        let mut why = format!("{:?} program of seed {}", self.family, self.seed);
        for Violation { oracle, pc, what } in &self.violations {
            why.push_str(&format!("\n{oracle:?} at {pc}: {what}"));
        }
        corpus::write(&why, &self.program, &self.inputs)
    }

    /// The same with as few instructions as break the same oracle.
    pub(crate) fn shrunk(mut self) -> Self {
        let nop = Instruction { opcode: 0x05, ..Instruction::default() };
        let Some(oracle) = self.violations.first().map(|violation| violation.oracle) else { return self };
        let mut smaller = true;
        while smaller {
            smaller = false;
            for at in 0..self.program.code.len() {
                if self.program.code[at] == nop {
                    continue;
                }
                let mut program = self.program.clone();
                program.code[at] = nop;
                let violations = try_one(&program, &self.inputs);
                if violations.iter().any(|violation| violation.oracle == oracle) {
                    (self.program, self.violations, smaller) = (program, violations, true);
                }
            }
        }
        self
    }
}

/// What the oracles say of a program and these runs; nothing if it is refused.
pub(crate) fn try_one(program: &Program, inputs: &[Input]) -> Vec<Violation> {
    match prove(program) {
        Answer::Accepted(proof) => check(&proof, inputs, &mut Bench::new(&program.kind), &mut Work::default()),
        Answer::Refused(_) => Vec::new(),
        Answer::Inconsistent(what) => vec![Violation { oracle: Oracle::Consistent, pc: 0, what }],
        Answer::Disagrees(what) => vec![Violation { oracle: Oracle::Reuse, pc: 0, what }],
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:?} program of seed {}:", self.family, self.seed)?;
        for Violation { oracle, pc, what } in &self.violations {
            writeln!(f, "  {oracle:?} at {pc}: {what}")?;
        }
        for map in &self.program.maps {
            writeln!(f, "# {:?}", map.decl)?;
        }
        let mut pc = 0;
        for line in disassemble(&self.program.code).lines() {
            writeln!(f, "{pc:4}  {line}")?;
            let wide = Decoded::at(&self.program.code, pc).is_some_and(|at| at.is_ok_and(|at| at.slots() == 2));
            pc += if wide { 2 } else { 1 };
        }
        Ok(())
    }
}

/// What a search came to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) tried: u64,
    pub(crate) accepted: u64,
    /// Accepted with a loop, a variable offset or a map value.
    pub(crate) rich: u64,
    pub(crate) loops: u64,
    pub(crate) variable: u64,
    pub(crate) map_values: u64,
    /// Accepted with a call of a function of the program.
    pub(crate) calls: u64,
    /// Accepted with more states than are kept, so that embedding is not judged everywhere.
    pub(crate) cut: u64,
    pub(crate) runs: u64,
    pub(crate) steps: u64,
    /// Refused, by the name of the reason.
    pub(crate) refused: BTreeMap<&'static str, u64>,
    pub(crate) findings: Vec<Finding>,
}

impl Counts {
    /// Adds another search's.
    pub(crate) fn add(&mut self, other: Self) {
        self.tried += other.tried;
        self.accepted += other.accepted;
        self.rich += other.rich;
        self.loops += other.loops;
        self.variable += other.variable;
        self.map_values += other.map_values;
        self.calls += other.calls;
        self.cut += other.cut;
        self.runs += other.runs;
        self.steps += other.steps;
        for (code, count) in other.refused {
            *self.refused.entry(code).or_default() += count;
        }
        self.findings.extend(other.findings);
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = |part: u64, whole: u64| part as f64 * 100.0 / whole.max(1) as f64;
        write!(f, "{} programs, {:.1} % accepted; of these ", self.tried, percent(self.accepted, self.tried))?;
        for (name, count) in [
            ("a variable offset", self.variable),
            ("a loop", self.loops),
            ("a map value", self.map_values),
            ("one of the three", self.rich),
            ("local calls", self.calls),
            ("too many states", self.cut),
        ] {
            write!(f, "{:.1} % {name}, ", percent(count, self.accepted))?;
        }
        write!(f, "{} runs of {} steps, {} violations", self.runs, self.steps, self.findings.len())
    }
}

/// Tries the programs of a family that these seeds make.
pub(crate) fn search(family: Family, seeds: Range<u64>) -> Counts {
    let mut searcher = Searcher::default();
    for seed in seeds {
        searcher.try_seed(family, seed);
    }
    searcher.counts
}

/// A search under way, with memories to use again.
#[derive(Debug, Default)]
pub(crate) struct Searcher {
    raw: Option<Bench>,
    rule: Option<Bench>,
    /// What proofs may take.
    pub(crate) limits: Limits,
    pub(crate) counts: Counts,
}

impl Searcher {
    /// One in which proofs take no more than this.
    #[allow(dead_code, reason = "not used by all who share this module")]
    pub(crate) fn within(limits: Limits) -> Self {
        Self { limits, ..Self::default() }
    }

    pub(crate) fn try_seed(&mut self, family: Family, seed: u64) {
        let mut entropy = Entropy::seed(seed);
        let flavour = if seed.is_multiple_of(2) { Flavour::Raw } else { Flavour::Rule };
        let program = match family {
            Family::Raw => program_of(&mut entropy, Flavour::Raw, Features::ALL),
            Family::Rule => program_of(&mut entropy, Flavour::Rule, Features::ALL),
            Family::Mutated => {
                let program = program_of(&mut entropy, flavour, Features::ALL);
                mutate(&mut entropy, program)
            }
            Family::Random => random_code(&mut entropy),
            Family::Soup => {
                let (soup, at) = soup(&mut entropy);
                let claimed = match prove(&soup) {
                    Answer::Accepted(proof) => {
                        let state = proof.states(at as usize).first();
                        state.and_then(|state| use_claims(&mut entropy, &soup, state))
                    }
                    Answer::Refused(_) | Answer::Inconsistent(_) | Answer::Disagrees(_) => None,
                };
                claimed.unwrap_or(soup)
            }
        };
        self.try_program(family, seed, program, &mut entropy);
    }

    fn try_program(&mut self, family: Family, seed: u64, program: Program, entropy: &mut Entropy<'_>) {
        self.counts.tried += 1;
        let proof = match prove_within(&program, self.limits) {
            Answer::Accepted(proof) => proof,
            Answer::Refused(code) => {
                *self.counts.refused.entry(code).or_default() += 1;
                return;
            }
            Answer::Inconsistent(what) => return self.blame(family, seed, program, (Oracle::Consistent, what)),
            Answer::Disagrees(what) => return self.blame(family, seed, program, (Oracle::Reuse, what)),
        };
        self.count(&proof.verified);
        self.counts.cut += u64::from(proof.is_cut());
        let inputs: Vec<Input> = (0..RUNS).map(|_| generator::input(entropy, &program.kind)).collect();
        let bench = if matches!(program.kind, ProgramKind::Raw { .. }) { &mut self.raw } else { &mut self.rule };
        let bench = bench.get_or_insert_with(|| Bench::new(&program.kind));
        let mut work = Work::default();
        let violations = check(&proof, &inputs, bench, &mut work);
        self.counts.runs += work.runs;
        self.counts.steps += work.steps;
        if !violations.is_empty() {
            self.counts.findings.push(Finding { family, seed, program, inputs, violations });
        }
    }

    /// A violation that shows before a program is run.
    fn blame(&mut self, family: Family, seed: u64, program: Program, (oracle, what): (Oracle, String)) {
        let violations = vec![Violation { oracle, pc: 0, what }];
        self.counts.findings.push(Finding { family, seed, program, inputs: Vec::new(), violations });
    }

    fn count(&mut self, verified: &Verified) {
        let counts = &mut self.counts;
        counts.accepted += 1;
        let accesses = || verified.accesses().iter().filter(|access| **access != Access::NEVER);
        let variable = accesses().any(|access| access.lo != access.hi && access.region != Region::MapValues);
        let map_values = accesses().any(|access| access.region == Region::MapValues);
        let instructions = || verified.loaded().instructions();
        // Reached ones only would be better; parts that are dead are rare.
        let loops = instructions().any(|(pc, instruction)| {
            let jumps = matches!(instruction.kind(), Kind::Jump | Kind::Branch(..));
            jumps && instruction.target(pc).is_some_and(|target| target <= i64::from(pc))
        });
        counts.variable += u64::from(variable);
        counts.loops += u64::from(loops);
        counts.map_values += u64::from(map_values);
        counts.rich += u64::from(variable || loops || map_values);
        counts.calls += u64::from(instructions().any(|(_, instruction)| instruction.kind() == Kind::CallLocal));
    }
}
