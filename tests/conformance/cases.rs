//! Cases of the instruction set: files of `tests/conformance`, and those of the bpf_conformance suite where it is at hand
//! (`shared/corpora` beside or above the repository).
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

use trapline_vm::helper::RAW_HELPERS;
use trapline_vm::isa::{Group, Instruction, assemble, disassemble};
use trapline_vm::program::{FUEL_LIMIT_DEFAULT, Loaded, Program, ProgramKind};

/// What should come of a case.
#[derive(Clone, Debug)]
pub(crate) enum Want {
    Result(u64),
    /// A part of the message of assembler or loader.
    Refusal(String),
    /// By the loader, with this in the message; the bytes are given.
    LoadError(String),
    /// By the assembler.
    AssemblyError,
    Trap(String),
}

/// Cases of the suite that test nothing but its file format.
pub(crate) const FORMAT_ONLY: &[&str] = &["empty", "invalid_unknown_directive"];
/// The one positive case that this machine refuses by name: a call through a register.
pub(crate) const REFUSED_GROUP: &str = "callx";

#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) asm: Option<String>,
    pub(crate) raw: Option<Vec<u8>>,
    pub(crate) mem: Vec<u8>,
    pub(crate) want: Want,
    pub(crate) fuel: Option<u64>,
    /// Of a case of the suite: its conformance groups and processor version.
    pub(crate) needs: Option<(Vec<String>, String)>,
}

/// Who refused a program.
pub(crate) enum Refused {
    Assembler(String),
    Loader(String),
}

/// The project's own cases, by name.
pub(crate) fn own() -> Vec<(String, Case)> {
    let cases: Vec<_> = files(&root().join("tests/conformance"))
        .into_iter()
        .map(|(name, text)| (name.clone(), parse(&text).unwrap_or_else(|why| panic!("{name}: {why}"))))
        .collect();
    assert!(!cases.is_empty(), "no cases in tests/conformance");
    cases
}

/// The cases of the suite; None, with a printed line, where it is not at hand.
pub(crate) fn suite() -> Option<Vec<(String, Case)>> {
    let found = root().ancestors().map(|dir| dir.join("shared/corpora/bpf_conformance/cases.jsonl"));
    let path = found.into_iter().find(|path| path.exists());
    if path.is_none() {
        println!("bpf_conformance is not at hand: only the project's own cases run");
    }
    path.map(|path| read_suite(&path))
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
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
    Ok(Case { asm, raw, mem, want, fuel, needs: None })
}

/// The cases of the suite: one JSON object a line.
fn read_suite(path: &Path) -> Vec<(String, Case)> {
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
        let raw = field("raw").filter(|raw| !raw.is_empty()).map(|raw| hex(&raw).expect("bytes are hexadecimal"));
        let mut asm = field("asm").filter(|asm| !asm.is_empty());
        let bare = name.trim_start_matches("bpf_conformance/");
        if raw.is_none() && asm.is_none() {
            assert!(FORMAT_ONLY.contains(&bare), "{name} has no program, and is not known to test the file format");
            continue;
        }
        let want = match (field("result"), positive) {
            _ if groups.iter().any(|group| group == REFUSED_GROUP) => Want::LoadError(REFUSED_GROUP.to_owned()),
            (Some(result), true) => Want::Result(number(&result).expect("a result is a number")),
            _ if raw.is_none() => Want::AssemblyError,
            _ => {
                asm = None;
                // `unused-NAME-FIELD`: the field must be named.
                let unused = bare.starts_with("unused-").then(|| bare.rsplit('-').next()).flatten();
                Want::LoadError(unused.map(|field| format!("{field} of ")).unwrap_or_default())
            }
        };
        let mem = hex(&field("mem").unwrap_or_default()).expect("memory is hexadecimal");
        let needs = positive.then(|| (groups, field("cpu").expect("a case has a processor version")));
        cases.push((name, Case { asm, raw, mem, want, fuel: None, needs }));
    }
    assert!(!cases.is_empty(), "{} has no cases", path.display());
    cases
}

/// Assembles and loads.
pub(crate) fn load(case: &Case) -> Result<Loaded, Refused> {
    let assembled = case.asm.as_ref().map(|text| {
        let message = |errors: Vec<_>| errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
        assemble(text).map_err(|errors| Refused::Assembler(message(errors)))
    });
    let code = match (assembled.transpose()?, &case.raw) {
        (Some(assembly), Some(raw)) if Instruction::to_section(&assembly.code) != *raw => {
            return Err(Refused::Assembler(format!("assembled otherwise:\n{}", disassemble(&assembly.code))));
        }
        (Some(assembly), _) => assembly.code,
        (None, Some(raw)) => {
            Instruction::from_section(raw).ok_or_else(|| Refused::Loader("not a whole number of slots".to_owned()))?
        }
        (None, None) => return Err(Refused::Assembler("no program".to_owned())),
    };
    let memory_len = u32::try_from(case.mem.len()).map_err(|why| Refused::Loader(why.to_string()))?;
    let kind = ProgramKind::Raw { memory_len };
    let program = Program {
        name: "case".into(),
        kind,
        code,
        lines: Vec::new(),
        maps: Vec::new(),
        fuel_limit: FUEL_LIMIT_DEFAULT,
    };
    Loaded::new(program, &RAW_HELPERS).map_err(|error| Refused::Loader(error.to_string()))
}
