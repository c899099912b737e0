//! Cases on the interpreter: proved if that is asked for, otherwise with every access checked against all regions.

use trapline_vm::helper::RAW_HELPERS;
use trapline_vm::interp::{self, Checked, Code, Predicted};
use trapline_vm::memory::{Memory, Region};
use trapline_vm::program::{Loaded, Program, ProgramKind};
use trapline_vm::verifier;

use super::cases::{self, BadLine, Case};
use super::{Report, Terms, refusal};

/// Runs one case.
pub(super) fn run(case: &Case, terms: Terms) -> Result<Report, BadLine> {
    let bad = |reason| BadLine { name: Some(case.name.clone()), reason };
    let mut memory = Memory::for_raw(&case.mem).map_err(|error| bad(format!("mem: {error}")))?;
    let name = case.name.clone();
    Ok(match code(case, memory.len(Region::Buffer), terms) {
        Err(reason) => Report::rejected(name, reason),
        Ok(code) => {
            let end = code.run(&mut memory, terms.fuel);
            let fuel = Some(end.fuel_used);
            match end.result {
                Ok(r0) => Report::result(name, r0, fuel),
                Err(stop) => Report::trap(name, format!("{}: {stop}", stop.trap.info().name), fuel),
            }
        }
    })
}

/// A program that passed what was asked of it.
enum Runnable {
    Checked(Code<Checked>),
    Proved(Code<Predicted>),
}

impl Runnable {
    fn run(&self, memory: &mut Memory, fuel: u64) -> interp::Outcome {
        match self {
            Self::Checked(code) => code.run(memory, fuel),
            Self::Proved(code) => code.run(memory, fuel),
        }
    }
}

fn code(case: &Case, memory_len: u32, terms: Terms) -> Result<Runnable, String> {
    let program = Program {
        name: case.name.clone(),
        kind: ProgramKind::Raw { memory_len },
        code: cases::instructions(&case.code)?,
        lines: Vec::new(),
        maps: Vec::new(),
        fuel_limit: terms.fuel,
    };
    let loaded = Loaded::new(program, &RAW_HELPERS).map_err(|error| error.to_string())?;
    if !terms.verify {
        return Ok(Runnable::Checked(Code::checked(&loaded)));
    }
    let verified = verifier::verify(loaded).map_err(|rejection| refusal(&rejection))?;
    let code = Code::proved(&verified).map_err(|error| error.to_string())?;
    Ok(Runnable::Proved(code))
}
