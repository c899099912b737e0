//! The instruction set, case by case, on each executor; see `cases.rs` for what a case is.
//!
//! Of the suite a table is printed first: results by conformance group and processor version, and what was refused by
//! whom.

mod cases;

use std::collections::BTreeMap;
use std::process::ExitCode;

use cases::{Case, FORMAT_ONLY, Refused, Want, load};
use libtest_mimic::{Arguments, Failed, Trial};
use trapline_vm::interp::{Code, Outcome};
use trapline_vm::isa::{Group, assemble, disassemble};
use trapline_vm::memory::Memory;
use trapline_vm::program::{FUEL_LIMIT_DEFAULT, Loaded};
use trapline_vm::verifier::verify;

/// An executor under test: runs what was loaded in this memory; None if it does not take the program.
type Executor = fn(&Loaded, &mut Memory) -> Option<Outcome>;

const EXECUTORS: &[(&str, Executor)] = &[("interpreter", checked), ("interpreter, proved", proved)];

fn checked(loaded: &Loaded, memory: &mut Memory) -> Option<Outcome> {
    Some(Code::checked(loaded).run(memory, FUEL_LIMIT_DEFAULT))
}

/// Only programs that the verifier accepts: many cases do what it refuses, such as reading a register never written.
fn proved(loaded: &Loaded, memory: &mut Memory) -> Option<Outcome> {
    let verified = verify(loaded.clone()).ok()?;
    let code = Code::predicted(verified.loaded(), |pc| Some(verified.access(pc))).expect("a proof fits its program");
    Some(code.run(memory, FUEL_LIMIT_DEFAULT))
}

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let mut cases = cases::own();
    if let Some(suite) = cases::suite() {
        if !arguments.list {
            print_table(&suite);
        }
        cases.extend(suite);
    }
    let mut trials = Vec::new();
    let is_proved = |case: &Case| load(case).is_ok_and(|loaded| verify(loaded).is_ok());
    let proved = cases.iter().filter(|(_, case)| matches!(case.want, Want::Result(_)) && is_proved(case)).count();
    assert!(2 * proved > cases.len(), "the verifier takes only {proved} of {} cases", cases.len());
    for (name, case) in cases {
        for (executor, run) in EXECUTORS {
            let (case, run) = (case.clone(), *run);
            trials.push(Trial::test(format!("{name} [{executor}]"), move || check(&case, run)));
        }
    }
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// Prints what the checked interpreter makes of the suite, by group and processor version, how many of the programs
/// are proved, and who refused what.
fn print_table(cases: &[(String, Case)]) {
    let mut rows: BTreeMap<&str, BTreeMap<&str, (u32, u32)>> = BTreeMap::new();
    let (mut right, mut positive, mut proofs, mut by_loader, mut by_assembler) = (0, 0, 0, 0, 0);
    let mut exceptions = Vec::new();
    for (name, case) in cases {
        let passes = check(case, checked).is_ok();
        let Some((groups, cpu)) = &case.needs else {
            match &case.want {
                Want::AssemblyError => by_assembler += u32::from(passes),
                _ => by_loader += u32::from(passes),
            }
            continue;
        };
        positive += 1;
        if let Want::LoadError(named) = &case.want {
            exceptions.push(format!("{name} (refused: {named})"));
            continue;
        }
        right += u32::from(passes);
        proofs += u32::from(load(case).is_ok_and(|loaded| verify(loaded).is_ok()));
        for group in groups {
            let counts = rows.entry(group).or_default().entry(cpu).or_default();
            counts.0 += u32::from(passes);
            counts.1 += 1;
        }
    }
    let cpus = ["v1", "v2", "v3", "v4"];
    println!("\nbpf_conformance: {right} of {positive} results right, {proofs} of these programs proved");
    println!("  except {}", exceptions.join(", "));
    println!(
        "  must be refused: {by_loader} by the loader, {by_assembler} by the assembler; of the file format only: {}",
        FORMAT_ONLY.join(", ")
    );
    println!("  {:10} {}", "group", cpus.map(|cpu| format!("{cpu:>9}")).concat());
    for (group, counts) in rows {
        let cells = cpus.map(|cpu| counts.get(cpu).map_or("-".to_owned(), |(right, of)| format!("{right}/{of}")));
        println!("  {group:10} {}", cells.map(|cell| format!("{cell:>9}")).concat());
    }
}

fn check(case: &Case, run: Executor) -> Result<(), Failed> {
    let loaded = match (load(case), &case.want) {
        (Err(Refused::Assembler(_)), Want::AssemblyError) => return Ok(()),
        (Err(Refused::Loader(message)), Want::LoadError(part)) if message.contains(part.as_str()) => return Ok(()),
        (Err(Refused::Assembler(message) | Refused::Loader(message)), Want::Refusal(part))
            if message.contains(part.as_str()) =>
        {
            return Ok(());
        }
        (Err(Refused::Assembler(message)), want) => {
            return Err(format!("refused by the assembler: {message}; wanted {want:?}").into());
        }
        (Err(Refused::Loader(message)), want) => {
            return Err(format!("refused by the loader: {message}; wanted {want:?}").into());
        }
        (Ok(_), want @ (Want::Refusal(_) | Want::LoadError(_) | Want::AssemblyError)) => {
            return Err(format!("loaded; wanted {want:?}").into());
        }
        (Ok(loaded), _) => loaded,
    };
    let text = disassemble(loaded.code());
    if assemble(&text).map(|assembly| assembly.code).ok().as_deref() != Some(loaded.code()) {
        return Err(format!("does not assemble back:\n{text}").into());
    }
    if let Some((groups, _)) = &case.needs {
        let mut used: Vec<&str> = loaded.instructions().map(|(_, decoded)| decoded.op.row().group.name()).collect();
        used.push(Group::Base32.name());
        used.sort_unstable();
        used.dedup();
        let mut wanted: Vec<&str> = groups.iter().map(String::as_str).collect();
        wanted.sort_unstable();
        if used != wanted {
            return Err(format!("conformance groups {used:?}, wanted {wanted:?}").into());
        }
    }
    let mut memory = Memory::for_raw(&case.mem)?;
    let Some(outcome) = run(&loaded, &mut memory) else { return Ok(()) };
    match (&case.want, outcome.result) {
        (Want::Result(want), Ok(r0)) if r0 == *want => {}
        (Want::Trap(want), Err(stop)) if stop.trap.info().name == want => {}
        (want, result) => return Err(format!("{result:x?}, wanted {want:x?}\n{text}").into()),
    }
    match case.fuel {
        Some(fuel) if fuel != outcome.fuel_used => Err(format!("fuel {}, wanted {fuel}", outcome.fuel_used).into()),
        _ => Ok(()),
    }
}
