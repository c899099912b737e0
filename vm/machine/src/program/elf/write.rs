//! Programs to ELF.

use object::elf::R_BPF_64_64;
use object::write::{Object as Elf, Relocation as ElfRelocation, SectionId, Symbol, SymbolId, SymbolSection};
use object::{
    Architecture, BinaryFormat, Endianness, RelocationFlags, SectionKind, SymbolFlags, SymbolKind, SymbolScope,
};

use crate::isa::Instruction;
use crate::map::{MapDecl, MapKind};
use crate::program::btf::{self, Function};
use crate::program::{Object, map_operands};

use super::flatten::{MAP_BY_INDEX, VALUE_BY_INDEX, WIDE_LOAD};
use super::table::{self, MapEntry};
use super::{NAME_LEN_MAX, PROGRAMS_MAX, RuleObject, number, strings};

/// Why programs cannot be written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    /// A name that ELF cannot hold.
    #[error(
        "`{0}` cannot be a name in an object file: it is empty, longer than {NAME_LEN_MAX} bytes or has a zero byte"
    )]
    Name(String),
    /// Too many programs for one file.
    #[error("{0} programs, at most {PROGRAMS_MAX} fit one object file")]
    Programs(usize),
    /// A map whose declaration contradicts itself.
    #[error("map `{0}`: its lengths do not fit its kind or its contents")]
    Map(String),
    /// Code that names a map, or a place in one, that is not there.
    #[error("program `{program}`, slot {pc}: the wide load names no map, or no place in it")]
    Code {
        /// The program.
        program: String,
        /// The slot.
        pc: usize,
    },
    /// The ELF writer.
    #[error("the object file cannot be written: {0}")]
    Elf(String),
}

/// A map of the file, shared by the programs that declare it alike.
struct Shared<'o> {
    decl: &'o MapDecl,
    symbol: String,
    id: SymbolId,
    /// Whether it is a record of `.maps`.
    is_declared: bool,
    /// Bytes that stand for it.
    len: u64,
}

fn check_name(name: &str) -> Result<(), WriteError> {
    let good = !name.is_empty() && name.len() <= NAME_LEN_MAX && !name.contains('\0');
    if good { Ok(()) } else { Err(WriteError::Name(name.to_owned())) }
}

/// An object file of these rules; the same bytes every time.
pub fn write(rules: &[RuleObject], license: &str) -> Result<Vec<u8>, WriteError> {
    let programs: Vec<(u32, &Object)> = (0u32..)
        .zip(rules)
        .flat_map(|(index, rule)| rule.programs.iter().map(move |program| (index, program)))
        .collect();
    if programs.len() > PROGRAMS_MAX {
        return Err(WriteError::Programs(programs.len()));
    }
    let mut elf = Elf::new(BinaryFormat::Elf, Architecture::Bpf, Endianness::Little);
    let names = symbols(&programs)?;
    let shared = maps(&mut elf, &programs, &names)?;
    let mut sections: Vec<(&str, SectionId)> = Vec::new();
    let mut functions: Vec<Function<'_>> = Vec::new();
    let mut entries = Vec::with_capacity(programs.len());
    let section_names: Vec<String> = programs.iter().map(|(_, program)| format!("rule/{}", program.family)).collect();
    for (((rule, program), symbol), section_name) in programs.iter().zip(&names).zip(&section_names) {
        check_name(section_name)?;
        let section = match sections.iter().find(|(name, _)| name == section_name) {
            Some((_, section)) => *section,
            None => {
                let section = elf.add_section(Vec::new(), section_name.clone().into_bytes(), SectionKind::Text);
                sections.push((section_name, section));
                section
            }
        };
        let of_program = of_program(program, &shared);
        let (code, relocations) = relocatable(program, &of_program)?;
        let code = Instruction::to_section(&code);
        let offset = elf.append_section_data(section, &code, 8);
        let defined = Defined { name: symbol, value: offset, size: code.len() as u64, kind: SymbolKind::Text };
        define(&mut elf, section, defined);
        for (pc, id) in relocations {
            let flags = RelocationFlags::Elf { r_type: R_BPF_64_64 };
            let relocation = ElfRelocation { offset: offset + pc as u64 * 8, symbol: id, addend: 0, flags };
            elf.add_relocation(section, relocation).map_err(|error| WriteError::Elf(error.to_string()))?;
        }
        let start = u32::try_from(offset).unwrap_or(u32::MAX);
        let line = |line: &crate::program::Line| (start.saturating_add(line.pc.saturating_mul(8)), line.line);
        let lines = program.lines.iter().map(line).collect();
        functions.push(Function { section: section_name, name: symbol, offset: start, lines });
        let entry = |map: &&Shared<'_>| {
            let (value_len, count) = if map.is_declared { (0, 0) } else { (map.decl.value_len, map.decl.entries) };
            let (symbol, name) = (map.symbol.clone(), map.decl.name.clone());
            MapEntry { symbol, name, value_len, entries: count }
        };
        entries.push((*program, symbol.as_str(), *rule, of_program.iter().map(entry).collect::<Vec<_>>()));
    }
    // Line information counts by section, in the order in which the sections begin.
    functions.sort_by_key(|function| sections.iter().position(|(name, _)| *name == function.section));
    let source = rules.first().map_or("", |rule| rule.meta.source.as_str());
    let (btf, btf_ext) = btf::write(&source.replace('\0', " "), &functions);
    let mut headers = Vec::new();
    rules.iter().for_each(|rule| strings::push_rule(&mut headers, &rule.meta));
    let table: Vec<_> =
        entries.iter().map(|(object, symbol, rule, maps)| (*object, *symbol, *rule, maps.as_slice())).collect();
    let mut license = license.as_bytes().to_vec();
    license.push(0);
    for (name, kind, data) in [
        ("trapline.rules", SectionKind::Other, headers),
        ("trapline.objects", SectionKind::Other, table::write(&table)),
        ("license", SectionKind::Data, license),
        (".BTF", SectionKind::Other, btf),
        (".BTF.ext", SectionKind::Other, btf_ext),
    ] {
        let section = elf.add_section(Vec::new(), name.as_bytes().to_vec(), kind);
        elf.append_section_data(section, &data, 4);
    }
    elf.write().map_err(|error| WriteError::Elf(error.to_string()))
}

struct Defined<'n> {
    name: &'n str,
    value: u64,
    size: u64,
    kind: SymbolKind,
}

fn define(elf: &mut Elf<'_>, section: SectionId, defined: Defined<'_>) -> SymbolId {
    elf.add_symbol(Symbol {
        name: defined.name.as_bytes().to_vec(),
        value: defined.value,
        size: defined.size,
        kind: defined.kind,
        scope: SymbolScope::Dynamic,
        weak: false,
        section: SymbolSection::Section(section),
        flags: SymbolFlags::None,
    })
}

/// A name for each function, no two alike.
fn symbols(programs: &[(u32, &Object)]) -> Result<Vec<String>, WriteError> {
    let mut names: Vec<String> = Vec::with_capacity(programs.len());
    for (_, program) in programs {
        let alone = programs.iter().filter(|(_, other)| other.name == program.name).count() == 1;
        let name = if alone { program.name.clone() } else { format!("{}__{}", program.name, program.family) };
        let name = unused(name, |name| names.iter().any(|known| known == name));
        check_name(&name)?;
        names.push(name);
    }
    Ok(names)
}

/// A name that is not in use: this one, or it with a number.
fn unused(name: String, is_used: impl Fn(&str) -> bool) -> String {
    let numbered = (2u32..).map(|number| format!("{name}${number}"));
    std::iter::once(name.clone()).chain(numbered).find(|name| !is_used(name)).unwrap_or(name)
}

/// Puts all maps into sections.
fn maps<'o>(
    elf: &mut Elf<'_>,
    programs: &[(u32, &'o Object)],
    taken: &[String],
) -> Result<Vec<Shared<'o>>, WriteError> {
    let mut shared: Vec<Shared<'o>> = Vec::new();
    let mut sections: Vec<(&str, SectionId)> = Vec::new();
    for (_, program) in programs {
        for decl in &program.maps {
            if shared.iter().any(|known| known.decl == decl) {
                continue;
            }
            check_name(&decl.name)?;
            let has_addresses = programs.iter().any(|(_, program)| addresses(program, decl));
            let (section, kind) = match decl.kind {
                MapKind::Data => (".rodata", SectionKind::ReadOnlyData),
                MapKind::Array if !decl.contents.is_empty() => (".data", SectionKind::Data),
                MapKind::Array if has_addresses => (".bss", SectionKind::UninitializedData),
                _ => (".maps", SectionKind::Data),
            };
            let wrong = || WriteError::Map(decl.name.clone());
            let is_data = section != ".maps";
            let fits = match decl.kind {
                MapKind::Data => decl.entries == 1 && decl.contents.len() == decl.value_len as usize,
                MapKind::Array => true,
                _ => decl.contents.is_empty(),
            };
            let len = if section == ".bss" { decl.values_len() } else { decl.contents.len() as u64 };
            if !fits || is_data && (decl.key_len != 4 || len == 0) {
                return Err(wrong());
            }
            let id = match sections.iter().find(|(name, _)| *name == section) {
                Some((_, id)) => *id,
                None => {
                    let id = elf.add_section(Vec::new(), section.as_bytes().to_vec(), kind);
                    sections.push((section, id));
                    id
                }
            };
            let (value, size) = match section {
                ".bss" => (elf.append_section_bss(id, len, 8), len),
                ".maps" => {
                    let record = number::map_record(decl).ok_or_else(wrong)?;
                    (elf.append_section_data(id, &record, 8), record.len() as u64)
                }
                _ => (elf.append_section_data(id, &decl.contents, 8), len),
            };
            let symbol = unused(decl.name.clone(), |name| {
                taken.iter().any(|known| known == name) || shared.iter().any(|known| known.symbol == name)
            });
            let id = define(elf, id, Defined { name: &symbol, value, size, kind: SymbolKind::Data });
            shared.push(Shared { decl, symbol, id, is_declared: !is_data, len: size });
        }
    }
    Ok(shared)
}

/// Whether a program loads an address in a value of a map.
fn addresses(program: &Object, decl: &MapDecl) -> bool {
    let loads = |pc: usize| {
        let (first, second) = (program.code.get(pc)?, program.code.get(pc + 1)?);
        Some(first.src == VALUE_BY_INDEX && map_at(program, first, second).is_some_and(|(map, _)| map == decl))
    };
    wide_loads(&program.code).any(|pc| loads(pc) == Some(true))
}

/// The map that a wide load names, and the offset in it.
fn map_at<'o>(program: &'o Object, first: &Instruction, second: &Instruction) -> Option<(&'o MapDecl, u32)> {
    let imm = i64::from(second.imm) << 32 | i64::from(first.imm.cast_unsigned());
    let (index, offset) = map_operands(imm);
    Some((program.maps.get(index as usize)?, offset))
}

/// The slots of wide loads.
fn wide_loads(code: &[Instruction]) -> impl Iterator<Item = usize> + '_ {
    let mut next = 0;
    std::iter::from_fn(move || {
        while let Some(instruction) = code.get(next) {
            let pc = next;
            next += 1;
            if instruction.opcode == WIDE_LOAD {
                next += 1;
                return Some(pc);
            }
        }
        None
    })
}

/// The maps of a program, in its order.
fn of_program<'s, 'o>(program: &Object, shared: &'s [Shared<'o>]) -> Vec<&'s Shared<'o>> {
    program.maps.iter().filter_map(|decl| shared.iter().find(|known| known.decl == decl)).collect()
}

/// Slots of wide loads, with the symbols that they name.
type Named = Vec<(usize, SymbolId)>;

/// The code with its maps unnamed, and the symbols that name them.
fn relocatable(program: &Object, maps: &[&Shared<'_>]) -> Result<(Vec<Instruction>, Named), WriteError> {
    let mut code = program.code.clone();
    let mut relocations = Vec::new();
    for pc in wide_loads(&program.code) {
        let mut pair = code.get_mut(pc..).unwrap_or_default().iter_mut();
        let (Some(first), Some(second)) = (pair.next(), pair.next()) else { continue };
        if first.src != MAP_BY_INDEX && first.src != VALUE_BY_INDEX {
            continue;
        }
        let wrong = || WriteError::Code { program: program.name.clone(), pc };
        let (_, offset) = map_at(program, first, second).ok_or_else(wrong)?;
        let map = maps.get(first.imm.cast_unsigned() as usize).ok_or_else(wrong)?;
        let good =
            if first.src == MAP_BY_INDEX { offset == 0 } else { !map.is_declared && u64::from(offset) < map.len };
        if !good {
            return Err(wrong());
        }
        relocations.push((pc, map.id));
        // A map whose bytes are data keeps the mark that it is meant and no address in it.
        first.src = if first.src == MAP_BY_INDEX && !map.is_declared { MAP_BY_INDEX } else { 0 };
        (first.imm, second.imm) = (offset.cast_signed(), 0);
    }
    Ok((code, relocations))
}
