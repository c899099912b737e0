//! A program ready to run: linked, proved, predecoded.

use trapline_vm::helper::RULE_HELPERS;
use trapline_vm::interp::{self, AccessError, Checked, Code, Predicted};
use trapline_vm::memory::Memory;
use trapline_vm::program::{LoadError, Loaded, Program};
use trapline_vm::trap::{Stop, TrapReport};
use trapline_vm::verifier::{Rejection, Report, Verified, load_and_verify};

use crate::domain::DomainToken;
use crate::link::{Linked, RuleLink};

/// A program that may join a generation. Immutable, and shared by all generations that hold it.
#[derive(Debug)]
pub struct ReadyProgram {
    code: Executable,
    rule: RuleLink,
    pub(crate) domain: DomainToken,
}

#[derive(Debug)]
enum Executable {
    Proved(Box<Verified>, Code<Predicted>),
    UnprovedForTests(Box<Loaded>, Code<Checked>),
}

/// Why a linked program does not become ready.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum VerifyError {
    /// The verifier refuses it.
    #[error(transparent)]
    Rejected(#[from] Box<Rejection>),
    /// What the verifier proved does not fit the program: a bug of ours.
    #[error(transparent)]
    Access(#[from] AccessError),
}

impl Linked {
    /// Proves the program. This is the only way into a generation, drills apart.
    pub fn verify(self) -> Result<ReadyProgram, VerifyError> {
        let verified = load_and_verify(self.program, &RULE_HELPERS)?;
        let code = Code::predicted(verified.loaded(), |pc| Some(verified.access(pc)))?;
        let code = Executable::Proved(Box::new(verified), code);
        Ok(ReadyProgram { code, rule: self.rule, domain: self.domain })
    }
}

impl ReadyProgram {
    /// A program that nobody proved, run with every access checked against all regions. For tests and drills, which
    /// show that the executors hold without the verifier; an agent never calls it.
    pub fn unverified_for_tests(linked: Linked) -> Result<Self, LoadError> {
        let loaded = Loaded::new(linked.program, &RULE_HELPERS)?;
        let code = Code::checked(&loaded);
        let code = Executable::UnprovedForTests(Box::new(loaded), code);
        Ok(Self { code, rule: linked.rule, domain: linked.domain })
    }

    fn loaded(&self) -> &Loaded {
        match &self.code {
            Executable::Proved(verified, _) => verified.loaded(),
            Executable::UnprovedForTests(loaded, _) => loaded,
        }
    }

    /// The program.
    pub fn program(&self) -> &Program {
        self.loaded().program()
    }

    /// The name of its rule.
    pub fn name(&self) -> &str {
        &self.program().name
    }

    /// Which events wake it, and what must be ready then.
    pub fn rule(&self) -> &RuleLink {
        &self.rule
    }

    /// The proof in numbers; None for a program that nobody proved.
    pub fn report(&self) -> Option<&Report> {
        match &self.code {
            Executable::Proved(verified, _) => Some(verified.report()),
            Executable::UnprovedForTests(..) => None,
        }
    }

    /// The most fuel one run can use: its proved worst case, or its limit if that is less.
    pub fn fuel_bound(&self) -> u64 {
        let limit = self.program().fuel_limit;
        self.report().map_or(limit, |report| report.worst_fuel.min(limit))
    }

    /// Its trap for people.
    pub fn trap_report(&self, stop: Stop, registers: [u64; 11]) -> TrapReport {
        self.loaded().report(stop, registers)
    }

    pub(crate) fn run(&self, memory: &mut Memory) -> interp::Outcome {
        let fuel = self.program().fuel_limit;
        match &self.code {
            Executable::Proved(_, code) => code.run(memory, fuel),
            Executable::UnprovedForTests(_, code) => code.run(memory, fuel),
        }
    }
}
