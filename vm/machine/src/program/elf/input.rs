//! The tables of an ELF file as they are: sections, symbols, relocations, within bounds and with names.
//!
//! Nothing here knows what a program is.

use std::collections::BTreeMap;

use object::LittleEndian as LE;
use object::elf::{
    EM_BPF, ET_REL, FileHeader64, SHF_ALLOC, SHF_EXECINSTR, SHN_LORESERVE, SHN_UNDEF, SHT_NOBITS, SHT_REL, SHT_RELA,
    SHT_SYMTAB, STB_LOCAL, STT_FUNC, STT_SECTION, SectionHeader64, Sym64,
};
use object::read::elf::{FileHeader as _, SectionHeader as _, Sym as _};

use super::{ElfError, ElfReason, FILE_LEN_MAX, NAME_LEN_MAX, Place, SECTIONS_MAX, SYMBOLS_MAX};

/// A section.
#[derive(Clone, Debug)]
pub(super) struct Section<'d> {
    pub(super) name: &'d str,
    /// Empty for sections without bytes in the file.
    pub(super) data: &'d [u8],
    pub(super) len: u64,
    pub(super) is_code: bool,
    pub(super) is_loaded: bool,
    pub(super) is_zeroed: bool,
    /// By offset.
    pub(super) relocations: BTreeMap<u64, Relocation>,
}

/// Where a symbol is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Home {
    Undefined,
    Section(usize),
    /// Common, absolute, or of a kind that we do not know.
    Other,
}

/// A symbol.
#[derive(Clone, Copy, Debug)]
pub(super) struct Symbol<'d> {
    /// Of a section symbol, the section's.
    pub(super) name: &'d str,
    pub(super) home: Home,
    pub(super) value: u64,
    pub(super) size: u64,
    pub(super) is_function: bool,
    pub(super) is_section: bool,
    pub(super) is_local: bool,
}

/// A relocation.
#[derive(Clone, Copy, Debug)]
pub(super) struct Relocation {
    pub(super) symbol: usize,
    pub(super) ty: u32,
    /// What stands in the relocation; 0 where it stands in the instruction.
    pub(super) addend: i64,
}

/// The tables of a file.
#[derive(Clone, Debug)]
pub(super) struct File<'d> {
    /// By section number.
    pub(super) sections: Vec<Section<'d>>,
    /// By symbol number.
    pub(super) symbols: Vec<Symbol<'d>>,
}

fn whole(reason: ElfReason) -> ElfError {
    ElfError { place: Place::default(), reason }
}

fn in_section(section: &str, reason: ElfReason) -> ElfError {
    ElfError { place: Place { section: Some(section.to_owned()), ..Place::default() }, reason }
}

pub(super) fn at_most(what: &'static str, count: usize, max: usize) -> Result<(), ElfError> {
    if count > max { Err(whole(ElfReason::TooMany { what, count, max })) } else { Ok(()) }
}

impl<'d> File<'d> {
    pub(super) fn parse(bytes: &'d [u8]) -> Result<Self, ElfError> {
        at_most("bytes", bytes.len(), FILE_LEN_MAX)?;
        let not_bpf = |what| whole(ElfReason::NotBpf(what));
        let malformed = |what| whole(ElfReason::Malformed(what));
        let header =
            FileHeader64::<LE>::parse(bytes).map_err(|_| not_bpf("there is no header of a 64-bit ELF file"))?;
        let endian = header.endian().map_err(|_| not_bpf("it is not little-endian"))?;
        if header.e_machine.get(endian) != EM_BPF {
            return Err(not_bpf("it is for another machine"));
        }
        if header.e_type.get(endian) != ET_REL {
            return Err(not_bpf("it is not relocatable"));
        }
        let headers = header.section_headers(endian, bytes).map_err(|_| malformed("the table of sections"))?;
        at_most("sections", headers.len(), SECTIONS_MAX)?;
        let names = header
            .shstrndx(endian, bytes)
            .ok()
            .and_then(|index| headers.get(index as usize))
            .and_then(|header| header.data(endian, bytes).ok())
            .unwrap_or_default();
        let mut sections = Vec::with_capacity(headers.len());
        for header in headers {
            let name = name_at(names, header.sh_name(endian)).ok_or(malformed("the name of a section"))?;
            let flags = header.sh_flags(endian).0;
            let is_zeroed = header.sh_type(endian) == SHT_NOBITS;
            let data = header.data(endian, bytes);
            let data = data.map_err(|_| in_section(name, ElfReason::Malformed("the section")))?;
            sections.push(Section {
                name,
                data,
                len: header.sh_size(endian),
                is_code: flags & SHF_EXECINSTR.0 != 0,
                is_loaded: flags & SHF_ALLOC.0 != 0,
                is_zeroed,
                relocations: BTreeMap::new(),
            });
        }
        let symbols = match headers.iter().find(|header| header.sh_type(endian) == SHT_SYMTAB) {
            Some(table) => symbols(bytes, table, &sections)?,
            None => Vec::new(),
        };
        let mut file = Self { sections, symbols };
        for header in headers {
            file.add_relocations(bytes, header)?;
        }
        Ok(file)
    }

    /// Adds the relocations of code and of data; those of debug information concern nobody here.
    fn add_relocations(&mut self, bytes: &'d [u8], header: &SectionHeader64<LE>) -> Result<(), ElfError> {
        let ty = header.sh_type(LE);
        if ty != SHT_REL && ty != SHT_RELA {
            return Ok(());
        }
        let Some(section) = self.sections.get_mut(header.sh_info(LE) as usize).filter(|section| section.is_loaded)
        else {
            return Ok(());
        };
        let malformed = || in_section(section.name, ElfReason::Malformed("its table of relocations"));
        let relocation = |info: u64, addend: i64| Relocation { symbol: (info >> 32) as usize, ty: info as u32, addend };
        let found: Vec<(u64, Relocation)> = if ty == SHT_REL {
            let (table, _) = header.rel(LE, bytes).ok().flatten().ok_or_else(malformed)?;
            table.iter().map(|entry| (entry.r_offset.get(LE), relocation(entry.r_info.get(LE), 0))).collect()
        } else {
            let (table, _) = header.rela(LE, bytes).ok().flatten().ok_or_else(malformed)?;
            let addend = |entry: &object::elf::Rela64<LE>| relocation(entry.r_info.get(LE), entry.r_addend.get(LE));
            table.iter().map(|entry| (entry.r_offset.get(LE), addend(entry))).collect()
        };
        let (name, code) = (section.name, section.is_code);
        let wrong = |offset, reason| {
            Err(ElfError {
                place: Place { section: Some(name.to_owned()), symbol: None, offset: Some(offset) },
                reason,
            })
        };
        for (offset, relocation) in found {
            if !code {
                return wrong(offset, ElfReason::RelocationInData);
            }
            if relocation.symbol >= self.symbols.len() {
                return wrong(offset, ElfReason::NoSymbol);
            }
            if section.relocations.insert(offset, relocation).is_some() {
                return wrong(offset, ElfReason::RelocatedTwice);
            }
        }
        Ok(())
    }

    /// The first section of this name.
    pub(super) fn section(&self, name: &str) -> Option<&Section<'d>> {
        self.sections.iter().find(|section| section.name == name)
    }
}

fn symbols<'d>(
    bytes: &'d [u8],
    table: &SectionHeader64<LE>,
    sections: &[Section<'d>],
) -> Result<Vec<Symbol<'d>>, ElfError> {
    let malformed = |what| whole(ElfReason::Malformed(what));
    let entries: &[Sym64<LE>] = table.data_as_array(LE, bytes).map_err(|_| malformed("the table of symbols"))?;
    at_most("symbols", entries.len(), SYMBOLS_MAX)?;
    let names = sections.get(table.sh_link(LE) as usize).map_or(&[][..], |section| section.data);
    let mut symbols = Vec::with_capacity(entries.len());
    for entry in entries {
        let index = entry.st_shndx(LE);
        let home = match index {
            SHN_UNDEF => Home::Undefined,
            index if index.0 < SHN_LORESERVE => Home::Section(usize::from(index.0)),
            _ => Home::Other,
        };
        let is_section = entry.st_type() == STT_SECTION;
        let of_section = match home {
            Home::Section(index) => Some(sections.get(index).ok_or(malformed("the section of a symbol"))?),
            _ => None,
        };
        let name = match of_section.filter(|_| is_section) {
            Some(section) => section.name,
            None => name_at(names, entry.st_name(LE)).ok_or(malformed("the name of a symbol"))?,
        };
        symbols.push(Symbol {
            name,
            home,
            value: entry.st_value(LE),
            size: entry.st_size(LE),
            is_function: entry.st_type() == STT_FUNC,
            is_section,
            is_local: entry.st_bind() == STB_LOCAL,
        });
    }
    Ok(symbols)
}

/// The name that begins at an offset of a table of strings.
fn name_at(strings: &[u8], offset: u32) -> Option<&str> {
    if offset == 0 {
        return Some("");
    }
    let rest = strings.get(offset as usize..)?;
    let rest = rest.get(..NAME_LEN_MAX + 1).unwrap_or(rest);
    let len = rest.iter().position(|byte| *byte == 0)?;
    std::str::from_utf8(rest.get(..len)?).ok()
}
