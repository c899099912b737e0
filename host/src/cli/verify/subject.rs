//! What there is to prove: the programs of a file, each linked by itself, with the names that the linker knows.

use std::collections::HashSet;
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, bail};
use trapline_engine::{Domain, LinkOptions};
use trapline_programs::catalogue::catalogue;
use trapline_programs::compile::{Compiled, compile};
use trapline_programs::diagnostic::{Diagnostic, Level, Source};
use trapline_programs::object::{self, RawProgram};
use trapline_programs::sigma;
use trapline_vm::helper::{HelperTable, RAW_HELPERS, RULE_HELPERS};
use trapline_vm::isa::Instruction;
use trapline_vm::map::{MapDecl, NoRoomForMap, PlacedMap, Placement};
use trapline_vm::program::elf::RawObject;
use trapline_vm::program::{FUEL_LIMIT_DEFAULT, Object, Program, ProgramKind};
use trapline_vm::record::OsSet;

use super::super::exec::cases;
use super::super::rules::{RuleFiles, STOCK, told};
use super::super::{Console, diagnostics};
use super::assembly::{AssemblyFile, Mistake};

/// The longest file of assembly or hex that is read, in bytes: the longest program with a long line and a comment for
/// each instruction.
pub(in crate::cli) const FILE_LEN_MAX: u64 = 16 << 20;

/// A program to be proved, and what is known of it beside its code.
#[derive(Debug)]
pub(in crate::cli) struct Subject {
    /// The file, as it was named.
    pub(in crate::cli) file: String,
    /// Where in it the program begins, if it is one of several.
    pub(in crate::cli) line: Option<u32>,
    /// The text that its lines are of.
    pub(in crate::cli) source: Option<Arc<Source>>,
    /// The program, linked.
    pub(in crate::cli) program: Program,
    /// What it may call.
    pub(in crate::cli) helpers: &'static HelperTable,
    /// What a rule was granted by name; empty for a raw program.
    pub(in crate::cli) grants: Grants,
}

/// What a rule was linked for, by name.
#[derive(Clone, Debug, Default)]
pub(in crate::cli) struct Grants {
    /// The family whose records it reads.
    pub(in crate::cli) family: Option<String>,
    /// The classes that wake it.
    pub(in crate::cli) classes: Vec<String>,
    /// The fields that it may read by itself, each with its slot.
    pub(in crate::cli) fields: Vec<(String, u16)>,
    /// Its predicates, in the words of the rule.
    pub(in crate::cli) predicates: Vec<String>,
    /// Fields that it cannot match without, as far as that is known.
    pub(in crate::cli) needs: Option<Vec<String>>,
}

/// Something that is no program that could be proved: it did not compile, assemble or link.
#[derive(Debug)]
pub(in crate::cli) struct Refused {
    /// The file, as it was named.
    pub(in crate::cli) file: String,
    /// The line, if there is one.
    pub(in crate::cli) line: Option<u32>,
    /// The program, if it has a name.
    pub(in crate::cli) program: Option<String>,
    /// A stable name of the reason.
    pub(in crate::cli) code: &'static str,
    /// In words.
    pub(in crate::cli) message: String,
    /// What the compiler said.
    pub(in crate::cli) diagnostics: Vec<Diagnostic>,
}

/// What a file holds.
#[derive(Debug)]
pub(in crate::cli) enum Found {
    /// A program.
    Program(Box<Subject>),
    /// Something that is none.
    Refused(Refused),
}

/// What the command line says of the programs.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::cli) struct Options {
    /// Length of the buffer of raw programs.
    pub(in crate::cli) memory_len: Option<u32>,
}

/// All programs of some files, in their order.
pub(in crate::cli) fn find(paths: &[PathBuf], options: Options, console: &Console) -> anyhow::Result<Vec<Found>> {
    let mut found = Vec::new();
    let of_sigma = of_sigma(paths)?;
    for path in paths {
        match extension(path) {
            _ if is_rules(path) => rules(path, &of_sigma, options, console, &mut found)?,
            "asm" | "s" => found.push(assembly(path, options)?),
            "hex" => found.push(hex(path, options)?),
            "jsonl" => each_case(path, &mut found)?,
            _ => bail!(
                "{}: not a file of programs; they end in .trap, .yml, .yaml, .o, .asm, .s, .hex or .jsonl",
                path.display()
            ),
        }
    }
    Ok(found)
}

fn extension(path: &Path) -> &str {
    path.extension().and_then(|extension| extension.to_str()).unwrap_or_default()
}

/// Whether a path names rules, or a folder that may hold some.
fn is_rules(path: &Path) -> bool {
    let is_file = matches!(extension(path), "trap" | "yml" | "yaml" | "o");
    is_file || path.as_os_str() == STOCK || path.is_dir()
}

/// All rules of Sigma, compiled together: pipelines and filters change those of other files.
fn of_sigma(paths: &[PathBuf]) -> anyhow::Result<Compiled> {
    let mut sources: Vec<Arc<Source>> = Vec::new();
    for path in paths.iter().filter(|path| is_rules(path)) {
        let texts = RuleFiles::find(std::slice::from_ref(path))?.texts();
        sources.extend(texts.into_iter().map(|text| text.source).filter(|source| sigma::is_sigma(&source.name)));
    }
    let mut names = HashSet::new();
    sources.retain(|source| names.insert(source.name.clone()));
    if sources.is_empty() {
        return Ok(Compiled::default());
    }
    Ok(told(sources.len(), || compile(&sources, catalogue())))
}

/// What of it is of this file.
fn part_of(compiled: &Compiled, name: &str) -> Compiled {
    let is_of =
        |diagnostic: &&Diagnostic| diagnostic.labels.first().is_some_and(|label| label.span.source.name == name);
    Compiled {
        rules: compiled.rules.iter().filter(|rule| rule.rule.source.name == name).cloned().collect(),
        diagnostics: compiled.diagnostics.iter().filter(is_of).cloned().collect(),
    }
}

/// Rules: each file compiled by itself, but for those of Sigma, each object linked in a domain of its own, so that
/// nothing depends on what else is proved. Of object files the raw programs, too.
fn rules(
    path: &Path,
    of_sigma: &Compiled,
    options: Options,
    console: &Console,
    found: &mut Vec<Found>,
) -> anyhow::Result<()> {
    let files = RuleFiles::find(std::slice::from_ref(&path.to_owned()))?;
    for text in files.texts() {
        // What is wrong with an object file is told when it is compiled.
        if object::is_object(&text.source)
            && let Ok((programs, has_rules)) = object::raw_programs(&text.source, catalogue())
            && !programs.is_empty()
        {
            found.extend(programs.into_iter().map(|program| raw_object(&text.source.name, program, options)));
            if !has_rules {
                continue;
            }
        }
        let compiled = if sigma::is_sigma(&text.source.name) {
            part_of(of_sigma, &text.source.name)
        } else {
            compile(std::slice::from_ref(&text.source), catalogue())
        };
        let (errors, warnings): (Vec<_>, Vec<_>) =
            compiled.diagnostics.into_iter().partition(|diagnostic| diagnostic.level == Level::Error);
        diagnostics::print_all(console, &warnings);
        for rule in compiled.rules {
            for object in rule.objects {
                let listing = rule.listing.clone().unwrap_or_else(|| text.source.clone());
                let mut linked = linked(&object, &text.source.name, Some(rule.rule.line), Some(listing));
                if let Found::Program(subject) = &mut linked {
                    subject.grants.needs.clone_from(&rule.needs);
                }
                found.push(linked);
            }
        }
        if let [error] = errors.as_slice()
            && object::is_object(&text.source)
        {
            found.push(Found::Refused(Refused {
                file: text.source.name.clone(),
                line: None,
                program: None,
                code: error.code,
                message: error.message.clone(),
                diagnostics: Vec::new(),
            }));
        } else if !errors.is_empty() {
            let count = if errors.len() == 1 { "1 mistake".to_owned() } else { format!("{} mistakes", errors.len()) };
            found.push(Found::Refused(Refused {
                file: text.source.name.clone(),
                line: None,
                program: None,
                code: "not-compiled",
                message: format!("the compiler found {count}"),
                diagnostics: errors,
            }));
        }
    }
    if let Some(note) = files.skipped_note() {
        console.warning(&note);
    }
    Ok(())
}

/// An object, linked.
pub(in crate::cli) fn linked(object: &Object, file: &str, line: Option<u32>, source: Option<Arc<Source>>) -> Found {
    let mut domain = Domain::new(catalogue().clone());
    let linked = match domain.link(object, &LinkOptions::default()) {
        Ok(linked) => linked,
        Err(error) => {
            return Found::Refused(Refused {
                file: file.to_owned(),
                line,
                program: Some(object.name.clone()),
                code: "not-linked",
                message: error.to_string(),
                diagnostics: Vec::new(),
            });
        }
    };
    let slot_of = |name: &str| domain.layouts().find(linked.rule().family, name).map(|(slot, _)| slot.0);
    let grants = Grants {
        family: Some(object.family.clone()),
        classes: object.classes.clone(),
        fields: object.fields.iter().filter_map(|field| Some((field.name.clone(), slot_of(&field.name)?))).collect(),
        predicates: linked.rule().predicates.iter().map(|predicate| predicate.text.clone()).collect(),
        needs: None,
    };
    Found::Program(Box::new(Subject {
        file: file.to_owned(),
        line,
        source,
        program: linked.program().clone(),
        helpers: &RULE_HELPERS,
        grants,
    }))
}

/// A raw program of an object file.
fn raw_object(file: &str, (object, listing): RawProgram, options: Options) -> Found {
    let RawObject { name, code, lines, maps, .. } = object;
    let memory_len = options.memory_len.unwrap_or(0);
    match placed(maps) {
        Ok(maps) => {
            let kind = ProgramKind::Raw { memory_len };
            let program = Program { name, kind, code, lines, maps, fuel_limit: FUEL_LIMIT_DEFAULT };
            raw(file.to_owned(), None, listing, program)
        }
        Err(error) => Found::Refused(Refused {
            file: file.to_owned(),
            line: None,
            program: Some(name),
            code: "not-linked",
            message: error.to_string(),
            diagnostics: Vec::new(),
        }),
    }
}

/// Places for the maps of a raw program.
fn placed(decls: Vec<MapDecl>) -> Result<Vec<PlacedMap>, NoRoomForMap> {
    let mut placement = Placement::default();
    decls.into_iter().map(|decl| placement.place(decl)).collect()
}

fn assembly(path: &Path, options: Options) -> anyhow::Result<Found> {
    let (file, name) = (path.display().to_string(), name_of(path));
    let text = text(path)?;
    let refused = |mistakes: &[Mistake]| {
        let lines: Vec<String> =
            mistakes.iter().map(|mistake| format!("line {}: {}", mistake.line, mistake.message)).collect();
        Found::Refused(Refused {
            file: file.clone(),
            line: mistakes.first().map(|mistake| mistake.line),
            program: Some(name.clone()),
            code: "not-assembled",
            message: lines.join("\n"),
            diagnostics: Vec::new(),
        })
    };
    let parsed = match AssemblyFile::parse(&text) {
        Ok(parsed) => parsed,
        Err(mistakes) => return Ok(refused(&mistakes)),
    };
    let lines = parsed.lines();
    let source = Some(Source::new(file.clone(), text));
    if let Some(family) = parsed.family {
        let object = Object {
            name,
            catalogue_digest: catalogue().digest(),
            family,
            classes: parsed.classes,
            os: OsSet::ANY,
            code: parsed.assembly.code,
            fields: parsed.fields,
            predicates: Vec::new(),
            maps: parsed.maps,
            relocations: Vec::new(),
            lines,
            predicate_texts: Vec::new(),
        };
        return Ok(linked(&object, &file, None, source));
    }
    let maps = match placed(parsed.maps) {
        Ok(maps) => maps,
        Err(error) => return Ok(refused(&[Mistake { line: 1, message: error.to_string() }])),
    };
    let kind = ProgramKind::Raw { memory_len: options.memory_len.or(parsed.memory_len).unwrap_or(0) };
    let program = Program { name, kind, code: parsed.assembly.code, lines, maps, fuel_limit: FUEL_LIMIT_DEFAULT };
    Ok(raw(file, None, source, program))
}

fn raw(file: String, line: Option<u32>, source: Option<Arc<Source>>, program: Program) -> Found {
    Found::Program(Box::new(Subject { file, line, source, program, helpers: &RAW_HELPERS, grants: Grants::default() }))
}

fn bare(name: String, code: Vec<Instruction>, memory_len: u32) -> Program {
    let kind = ProgramKind::Raw { memory_len };
    Program { name, kind, code, lines: Vec::new(), maps: Vec::new(), fuel_limit: FUEL_LIMIT_DEFAULT }
}

fn hex(path: &Path, options: Options) -> anyhow::Result<Found> {
    let (file, name) = (path.display().to_string(), name_of(path));
    let code = cases::unhex(&text(path)?).and_then(|bytes| cases::instructions(&bytes));
    Ok(match code {
        Ok(code) => raw(file, None, None, bare(name, code, options.memory_len.unwrap_or(0))),
        Err(message) => Found::Refused(Refused {
            file,
            line: None,
            program: Some(name),
            code: "not-decoded",
            message,
            diagnostics: Vec::new(),
        }),
    })
}

/// The programs of a file of cases. The length of a buffer is that of the case.
fn each_case(path: &Path, found: &mut Vec<Found>) -> anyhow::Result<()> {
    let file = path.display().to_string();
    cases::for_each(path, &mut |number, case| {
        let line = Some(u32::try_from(number).unwrap_or(u32::MAX));
        let refused = |program, message| {
            let (file, diagnostics) = (file.clone(), Vec::new());
            Found::Refused(Refused { file, line, program, code: "not-decoded", message, diagnostics })
        };
        found.push(match case {
            Err(bad) => refused(bad.name, bad.reason),
            Ok(case) => match (cases::instructions(&case.code), u32::try_from(case.mem.len())) {
                (Ok(code), Ok(memory_len)) => raw(file.clone(), line, None, bare(case.name, code, memory_len)),
                (Err(message), _) => refused(Some(case.name), message),
                (_, Err(error)) => refused(Some(case.name), format!("mem: {error}")),
            },
        });
        Ok(())
    })
}

fn name_of(path: &Path) -> String {
    path.file_stem().map_or_else(|| "program".to_owned(), |stem| stem.to_string_lossy().into_owned())
}

/// Reads a text file, as long as it is one and not too long.
fn text(path: &Path) -> anyhow::Result<String> {
    let context = || path.display().to_string();
    if !fs::metadata(path).with_context(context)?.is_file() {
        bail!("{}: not a file", path.display());
    }
    let mut bytes = Vec::new();
    fs::File::open(path).with_context(context)?.take(FILE_LEN_MAX + 1).read_to_end(&mut bytes).with_context(context)?;
    if bytes.len() as u64 > FILE_LEN_MAX {
        bail!("{}: longer than {FILE_LEN_MAX} bytes", path.display());
    }
    String::from_utf8(bytes).with_context(context)
}
