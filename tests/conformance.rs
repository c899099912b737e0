//! The instruction set, case by case, on each executor. Cases are files of `tests/conformance`, and those of the
//! bpf_conformance suite where it is at hand (`shared/corpora` beside or above the repository).
//!
//! A case is text: `#` begins a comment; a section begins with `-- NAME`:
//!
//! ```text
//! asm     the program                        mem     hexadecimal bytes: r1 = their address, r2 = their number
//! raw     or its bytes                       result  r0
//! error   or a part of why it is refused     trap    or the name of the trap
//! fuel    what the run costs
//! ```

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use libtest_mimic::{Arguments, Failed, Trial};
use trapline_vm::helper::RAW_HELPERS;
use trapline_vm::interp::{Code, Outcome};
use trapline_vm::isa::{Group, Instruction, assemble, disassemble};
use trapline_vm::memory::Memory;
use trapline_vm::program::{FUEL_LIMIT_DEFAULT, Loaded, Program, ProgramKind};
use trapline_vm::verifier::verify;

/// What should come of a case.
#[derive(Clone, Debug)]
enum Want {
    Result(u64),
    /// A part of the message of assembler or loader.
    Refusal(String),
    Trap(String),
}

#[derive(Clone, Debug)]
struct Case {
    asm: Option<String>,
    raw: Option<Vec<u8>>,
    mem: Vec<u8>,
    want: Want,
    fuel: Option<u64>,
    groups: Option<Vec<String>>,
}

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
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut cases: Vec<(String, Case)> = Vec::new();
    for (name, text) in files(&root.join("tests/conformance")) {
        cases.push((name.clone(), parse(&text).unwrap_or_else(|why| panic!("{name}: {why}"))));
    }
    assert!(!cases.is_empty(), "no cases in tests/conformance");
    match root.ancestors().map(|dir| dir.join("shared/corpora/bpf_conformance/cases.jsonl")).find(|path| path.exists())
    {
        Some(corpus) => cases.extend(suite(&corpus)),
        None => eprintln!("bpf_conformance is not at hand: only the project's own cases run"),
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

fn files(dir: &Path) -> BTreeMap<String, String> {
    let entries = std::fs::read_dir(dir).unwrap_or_else(|why| panic!("{}: {why}", dir.display()));
    let paths: Vec<PathBuf> = entries.map(|entry| entry.expect("the folder can be listed").path()).collect();
    let data = paths.into_iter().filter(|path| path.extension().is_some_and(|extension| extension == "data"));
    data.map(|path| {
        let name = path.file_stem().expect("a file has a name").to_string_lossy().into_owned();
        (name, std::fs::read_to_string(&path).expect("a case is text"))
    })
    .collect()
}

fn hex(text: &str) -> Result<Vec<u8>, String> {
    let digits: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    if !digits.len().is_multiple_of(2) || !digits.is_ascii() {
        return Err(format!("`{text}` is not hexadecimal"));
    }
    (0..digits.len() / 2)
        .map(|at| u8::from_str_radix(&digits[2 * at..2 * at + 2], 16).map_err(|why| why.to_string()))
        .collect()
}

fn number(text: &str) -> Result<u64, String> {
    let text = text.trim();
    let parsed = match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16),
        None => text.parse(),
    };
    parsed.map_err(|why| format!("`{text}`: {why}"))
}

fn parse(text: &str) -> Result<Case, String> {
    let mut sections: BTreeMap<&str, String> = BTreeMap::new();
    let mut current = None;
    for line in text.lines() {
        if let Some(name) = line.strip_prefix("-- ") {
            current = Some(name.trim());
            sections.insert(name.trim(), String::new());
        } else if let Some(section) = current.and_then(|name| sections.get_mut(name)) {
            section.push_str(line.split('#').next().unwrap_or_default());
            section.push('\n');
        }
    }
    let mut take = |name: &str| sections.remove(name);
    let (asm, raw) = (take("asm"), take("raw").map(|text| hex(&text)).transpose()?);
    let mem = take("mem").map(|text| hex(&text)).transpose()?.unwrap_or_default();
    let fuel = take("fuel").map(|text| number(&text)).transpose()?;
    let want = match (take("result"), take("error"), take("trap")) {
        (Some(result), None, None) => Want::Result(number(&result)?),
        (None, Some(error), None) => Want::Refusal(error.trim().to_owned()),
        (None, None, Some(trap)) => Want::Trap(trap.trim().to_owned()),
        _ => return Err("a case has one of result, error and trap".to_owned()),
    };
    if let Some(name) = sections.keys().next() {
        return Err(format!("unknown section `{name}`"));
    }
    if asm.is_some() == raw.is_some() {
        return Err("a case has one of asm and raw".to_owned());
    }
    Ok(Case { asm, raw, mem, want, fuel, groups: None })
}

/// The cases of the suite: one JSON object a line.
fn suite(path: &Path) -> Vec<(String, Case)> {
    let text = std::fs::read_to_string(path).expect("the corpus can be read");
    let mut cases = Vec::new();
    for line in text.lines() {
        let value: serde_json::Value = serde_json::from_str(line).expect("a line is JSON");
        let field = |name: &str| value[name].as_str().map(str::to_owned);
        let name = format!("bpf_conformance/{}", field("name").expect("a case has a name"));
        let positive = value["kind"] == "positive";
        let mut groups: Vec<String> = serde_json::from_value(value["groups"].clone()).unwrap_or_default();
        if name.ends_with("/neg64") {
            // The suite counts it as base32; by RFC 9669 section 4.1 the ALU64 class is base64.
            groups.push(Group::Base64.name().to_owned());
        }
        let want = match (field("result"), positive) {
            // The one case of the group that this machine refuses.
            _ if groups.iter().any(|group| group == "callx") => Want::Refusal("callx".to_owned()),
            (Some(result), true) => Want::Result(number(&result).expect("a result is a number")),
            _ => Want::Refusal(String::new()),
        };
        let raw = field("raw").filter(|raw| !raw.is_empty()).map(|raw| hex(&raw).expect("bytes are hexadecimal"));
        let asm = field("asm").filter(|asm| !asm.is_empty());
        if raw.is_none() && asm.is_none() {
            // Tests of the suite's own file format.
            continue;
        }
        let mem = hex(&field("mem").unwrap_or_default()).expect("memory is hexadecimal");
        let case = Case { asm, raw, mem, want, fuel: None, groups: positive.then_some(groups) };
        cases.push((name, case));
    }
    assert!(!cases.is_empty(), "{} has no cases", path.display());
    cases
}

/// Assembles and loads; the message if either refuses.
fn load(case: &Case) -> Result<Loaded, String> {
    let assembled = case.asm.as_ref().map(|text| {
        assemble(text).map_err(|errors| errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
    });
    let code = match (assembled.transpose()?, &case.raw) {
        (Some(assembly), Some(raw)) if Instruction::to_section(&assembly.code) != *raw => {
            return Err(format!("assembled otherwise:\n{}", disassemble(&assembly.code)));
        }
        (Some(assembly), _) => assembly.code,
        (None, Some(raw)) => Instruction::from_section(raw).ok_or("not a whole number of slots")?,
        (None, None) => return Err("no program".to_owned()),
    };
    let memory_len = u32::try_from(case.mem.len()).map_err(|why| why.to_string())?;
    let kind = ProgramKind::Raw { memory_len };
    let program = Program {
        name: "case".into(),
        kind,
        code,
        lines: Vec::new(),
        maps: Vec::new(),
        fuel_limit: FUEL_LIMIT_DEFAULT,
    };
    Loaded::new(program, &RAW_HELPERS).map_err(|error| error.to_string())
}

fn check(case: &Case, run: Executor) -> Result<(), Failed> {
    let loaded = match (load(case), &case.want) {
        (Err(message), Want::Refusal(part)) if message.contains(part.as_str()) => return Ok(()),
        (Err(message), want) => return Err(format!("refused: {message}; wanted {want:?}").into()),
        (Ok(_), Want::Refusal(part)) => return Err(format!("loaded; should be refused: {part}").into()),
        (Ok(loaded), _) => loaded,
    };
    let text = disassemble(loaded.code());
    if assemble(&text).map(|assembly| assembly.code).ok().as_deref() != Some(loaded.code()) {
        return Err(format!("does not assemble back:\n{text}").into());
    }
    if let Some(groups) = &case.groups {
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
