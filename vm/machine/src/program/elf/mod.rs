//! Object files: programs as ordinary BPF ELF.
//!
//! ```text
//! Object + RuleMeta --write--> ELF64, little-endian, EM_BPF, relocatable --read--> RuleObject { RuleMeta, Object }
//! C with trapline.h --clang -target bpf---------------^
//! ```
//!
//! What standard tools know is where they look for it: code in one section an entry point or event family, functions
//! as symbols, maps in `.maps`, constants in `.rodata`, variables in `.data` and `.bss`, `R_BPF_64_64` (1) on wide loads
//! of maps and data, `R_BPF_64_32` (10) on local calls, source lines in `.BTF` and `.BTF.ext`, the licence in
//! `license`. What only we know lies in sections of ours. All numbers are little-endian.
//!
//! # Code
//!
//! | section | what it holds |
//! | --- | --- |
//! | `rule/CLASS`, `rule/CLASS,CLASS` | rule programs for events of these classes; `rule/FAMILY` for all of a family |
//! | `raw`, `raw/…` | raw programs |
//! | `.text`, `.text.…` | functions that others call |
//!
//! A global function of a `rule` or `raw` section is a program. The functions it calls, wherever they are, are put
//! behind it. In every code section a function is a symbol of type `STT_FUNC`; jumps stay in their function.
//!
//! # What an author declares (`docs/c/trapline.h` has macros for it)
//!
//! `trapline.rules` and `trapline.predicates` are runs of strings, each ended by a zero byte; a zero byte *in* a string
//! is written `C0 80`, which is no UTF-8.
//!
//! `trapline.rules`: `key: value`. `rule` begins a rule and names it; then `id`, `version`, `title`, `description`,
//! `severity`, `status`, `output`, `source`, `line`, `digest` at most once, `os`, `attack`, `reference`,
//! `false_positive`, `author`, `tag`, `needs` (a field that it cannot match without; empty: there is none) as often as needed. The programs of a rule are the functions of its name, or of
//! its name, two underscores and more; all of them, if the file has one rule.
//!
//! `trapline.predicates`: for each symbol in it one predicate: the field, the scope (`any`, `elements` or
//! `member NAME`), the test, its arguments. Tests are `equals`, `contains`, `starts_with`, `ends_with`, `like`, `regex`,
//! `under` (each also with `_fold`: Unicode simple case folding), `bytes` (hexadecimal), `cidr`, `int_eq`, `int_ne`,
//! `int_lt`, `int_le`, `int_gt`, `int_ge` (decimal), `number_lt` and the like (of text that is a number), `hour_lt` and
//! the like (also `minute`, `day`, `week`, `month`, `year`: of a time, or text that is one), `is` (names of values of an enumeration), and `exists`.
//!
//! `trapline.fields`: pairs of strings: a field and the kind of value its reader takes it for (`number`, `string`,
//! `bytes`, `ip`, `list`); reading refuses a catalogue in which it is another.
//!
//! `.maps`: for each symbol in it one map, 32 bytes:
//!
//! ```text
//!  0 u32 kind: 1 hash, 2 array, 9 LRU hash, 11 LPM trie (as in Linux); 1024 window, 1025 distinct, 1026 seen
//!  4 u32 bytes of a key      8 u32 bytes of a value (of a member)      12 u32 entries
//! 16 u64 length of the window, or how long a key stays, in nanoseconds (kinds from 1024 on; else 0)
//! 24 u32 panes of a window, members of a distinct counter (else 0)     28 u32 zero
//! ```
//!
//! A symbol whose bytes are all zero is a map that is declared by types, as libbpf has it (`__uint`, `__type`); `.BTF`
//! then says what it is.
//!
//! Numbers that only linking knows are undefined symbols: a wide load of one (`R_BPF_64_64`, addend 0) yields
//!
//! | symbol | number |
//! | --- | --- |
//! | `FIELD`, like `process.command_line` | offset of the field's slot in the record |
//! | `FIELD$state` | offset of the field's state byte in the record |
//! | `FIELD$number` | number of the field's slot, for helpers |
//! | `PREDICATE$byte` | offset of the predicate's byte in the predicate bits |
//! | `PREDICATE$true`, `PREDICATE$known` | mask of this bit in that byte |
//! | `PREDICATE$mask` | offset of the mask entry of a test on elements |
//!
//! # What we write of compiled rules
//!
//! Compiled rules patch offsets of instructions, for which BPF has no relocation. Their object files have one more
//! section, `trapline.objects`; where it is, programs are what it says, and `trapline.predicates`, `trapline.fields` and
//! the names of code sections are not looked at. *text* is a u32 length and as many bytes.
//!
//! ```text
//! u8[8] "TRAPOBJ\0"   u32 version, 1   u32 number of programs, and for each:
//!   text symbol of its function      text name of the program     u32 index of its rule in `trapline.rules`
//!   u8[32] digest of the catalogue   text family   u32 number of classes: text each   u8 operating systems (a bit each)
//!   u32 fields: text name, text type                    u32 predicates: text field, text type, text strings as above
//!   u32 texts of predicates: text each
//!   u32 maps: text symbol, text name, u32 bytes of a value, u32 entries      (these two for maps in data sections)
//!   u32 relocations: u32 slot, u8 kind, u8 zero, u16 index (of field or predicate)
//! ```
//!
//! Kinds of relocations are numbered in the order of [`RelocationKind`](super::RelocationKind). Types are written as in the catalogue
//! (`str`, `list str`, `enum 3`, `records 1`). A map in `.maps` is declared there; one in `.rodata` is
//! [`MapKind::Data`](crate::map::MapKind::Data) and one in `.data` or `.bss` an array, whose values are the bytes of its symbol.
//!
//! # Promises
//!
//! Reading is total: whatever the bytes, it ends in time linear in their number (times the number of programs, which
//! is bounded) with programs or an [`ElfError`] that names the section, symbol and offset. What is not supported is
//! refused by name: relocations of other types, CO-RE, calls of undefined functions, addresses of functions, pointers
//! in data. It proves nothing: what it yields is linked, loaded and verified like any other program. Writing is
//! deterministic, and reading what was written yields what was there.

mod flatten;
mod input;
mod lines;
mod number;
mod read;
mod strings;
mod table;
mod typed;
mod write;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

pub use read::read;
pub use write::{WriteError, write};

use crate::isa::Instruction;
use crate::map::MapDecl;
use crate::record::OsSet;

use super::btf::BtfError;
use super::{Line, Object};

/// The longest object file.
pub const FILE_LEN_MAX: usize = 4 << 20;
/// The most sections.
pub const SECTIONS_MAX: usize = 1024;
/// The most symbols.
pub const SYMBOLS_MAX: usize = 16_384;
/// The longest name of a section or symbol.
pub const NAME_LEN_MAX: usize = 1024;
/// The most programs of one file.
pub const PROGRAMS_MAX: usize = 64;
/// The most instruction slots of all programs of one file together, with the functions that each calls.
pub const SLOTS_TOTAL_MAX: usize = 4 * super::CODE_LEN_MAX;
/// The longest text kept of a source line.
pub const LINE_TEXT_MAX: usize = 256;

/// What an object file holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ObjectFile {
    /// Its rules.
    pub rules: Vec<RuleObject>,
    /// Its raw programs.
    pub raw: Vec<RawObject>,
    /// What the section `license` says; empty without one.
    pub license: String,
}

/// A rule of an object file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RuleObject {
    /// What alerts say of it.
    pub meta: RuleMeta,
    /// Its programs: one a family of events.
    pub programs: Vec<Object>,
    /// The source that its line numbers are about.
    pub source: SourceLines,
}

/// A raw program of an object file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RawObject {
    /// Name of its function.
    pub name: String,
    /// Instructions.
    pub code: Vec<Instruction>,
    /// Source lines.
    pub lines: Vec<Line>,
    /// Maps that its code names by index.
    pub maps: Vec<MapDecl>,
    /// The source that its line numbers are about.
    pub source: SourceLines,
}

/// What debug information says of a source file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourceLines {
    /// Its name; empty if nothing is said.
    pub file: String,
    /// The lines that instructions come from, as far as their text is known.
    pub texts: BTreeMap<u32, String>,
}

/// The header of a rule, as it stands in object files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RuleMeta {
    /// Name of the rule.
    pub name: String,
    /// Its id.
    pub id: String,
    /// Semantic version.
    pub version: String,
    /// One line.
    pub title: String,
    /// Longer text.
    pub description: String,
    /// How bad a match is, as a word.
    pub severity: String,
    /// Maturity, as a word.
    pub status: String,
    /// Message of its alerts, with fields in braces; empty: the title.
    pub output: String,
    /// File of its source.
    pub source: String,
    /// Line of its head there; 0 if that is not said.
    pub line: u32,
    /// Digest of its source.
    pub digest: Option<[u8; 32]>,
    /// Operating systems whose events wake it.
    pub os: OsSet,
    /// ATT&CK technique and tactic ids.
    pub attack: Vec<String>,
    /// Links.
    pub references: Vec<String>,
    /// Known benign causes.
    pub false_positives: Vec<String>,
    /// Authors.
    pub authors: Vec<String>,
    /// Free tags.
    pub tags: Vec<String>,
    /// Fields without each of which it cannot match; None: that is not said.
    pub needs: Option<Vec<String>>,
}

/// Where in an object file something is wrong.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// The section.
    pub section: Option<String>,
    /// The symbol.
    pub symbol: Option<String>,
    /// Byte offset in the section; without a section, in the file.
    pub offset: Option<u64>,
}

/// Why an object file is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}{reason}", self.prefix())]
pub struct ElfError {
    /// Where.
    pub place: Place,
    /// Why.
    pub reason: ElfReason,
}

impl ElfError {
    fn prefix(&self) -> String {
        let Place { section, symbol, offset } = &self.place;
        let mut parts = Vec::new();
        parts.extend(section.as_ref().map(|section| format!("section `{section}`")));
        parts.extend(symbol.as_ref().map(|symbol| format!("symbol `{symbol}`")));
        parts.extend(offset.map(|offset| format!("offset {offset:#x}")));
        if parts.is_empty() { String::new() } else { format!("{}: ", parts.join(", ")) }
    }
}

/// Why an object file is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ElfReason {
    /// More of something than is read.
    #[error("{count} {what}, at most {max} are allowed")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many.
        count: usize,
        /// How many may be.
        max: usize,
    },
    /// Not an object file of this machine.
    #[error("not a BPF object file: {0}")]
    NotBpf(&'static str),
    /// The tables of the file are broken.
    #[error("{0} lies outside the file or is malformed")]
    Malformed(&'static str),
    /// There is nothing to run.
    #[error("there is no program: programs are global functions in sections `rule/CLASS` or `raw`")]
    NoProgram,
    /// Code in a section that says nothing of events.
    #[error("programs for this are unknown: sections are `rule/CLASS` (or `rule/FAMILY`), `raw` and `.text`")]
    UnknownProgram,
    /// A function whose bytes are not in its section, or no whole number of instructions.
    #[error("the function does not cover whole instructions of its section")]
    Function,
    /// Two functions share code.
    #[error("the function begins within `{0}`")]
    Overlap(String),
    /// A program that a file with rules says nothing of.
    #[error("no rule of `trapline.rules` has this program; it should be named after one")]
    NoRule,
    /// A rule without a program.
    #[error("the rule has no program: no function of a section `rule/CLASS` is named after it")]
    RuleWithoutProgram,
    /// A relocation that is not understood.
    #[error("relocations of type {0} are not supported; R_BPF_64_64 and R_BPF_64_32 are")]
    RelocationType(u32),
    /// A relocation where no instruction takes one.
    #[error("a relocation of type {0} belongs on a {1}")]
    RelocationPlace(u32, &'static str),
    /// Two relocations of one instruction.
    #[error("the instruction is relocated twice")]
    RelocatedTwice,
    /// Pointers in data.
    #[error("relocations in data are not supported: data cannot hold addresses")]
    RelocationInData,
    /// A relocation that names no symbol.
    #[error("the relocation names no symbol of the file")]
    NoSymbol,
    /// CO-RE.
    #[error("CO-RE relocations are not supported: records have no kernel types")]
    CoRe,
    /// A call of what is not there.
    #[error("the function is not defined: helpers are called by number, as `trapline.h` declares them")]
    UndefinedFunction,
    /// A call that leads to no function.
    #[error("the call does not lead to the beginning of a function")]
    CallTarget,
    /// A jump that leaves its function.
    #[error("the jump leaves its function")]
    JumpOut,
    /// An address that programs cannot hold.
    #[error("{0}")]
    Address(&'static str),
    /// An offset beyond the data.
    #[error("the address at {0} is outside the data")]
    OutsideData(u64),
    /// Not the beginning of a map.
    #[error("this is no map: each map of `.maps` is a symbol of 32 bytes, as `TL_MAP` declares it")]
    NotAMap,
    /// A map that is declared by types, and cannot be read.
    #[error(
        "a map declared by types (`__uint`, `__type`): {0}; or declare it with `TL_ARRAY`, `TL_HASH`, `TL_LRU_HASH`, \
         `TL_LPM_TRIE`, `TL_WINDOW`, `TL_DISTINCT` or `TL_SEEN` of `trapline.h`"
    )]
    TypedMap(String),
    /// A map that makes no sense.
    #[error("map: {0}")]
    Map(&'static str),
    /// An undefined symbol that is no field and no predicate.
    #[error("neither a field of `{family}` events nor a predicate; `trapline fields` lists the fields")]
    UnknownSymbol {
        /// The family of the program.
        family: String,
    },
    /// A number that raw programs do not have.
    #[error("raw programs have no fields and no predicates")]
    RawConstant,
    /// A field that is read for another type.
    #[error("{0}")]
    FieldKind(String),
    /// Classes that make no sense.
    #[error("{0}")]
    Classes(String),
    /// A predicate that makes no sense.
    #[error("predicate: {0}")]
    Predicate(String),
    /// The strings of a rule's header.
    #[error("{0}")]
    Rule(String),
    /// The table of compiled programs.
    #[error("the table of compiled programs: {0}")]
    Table(&'static str),
    /// Debug information.
    #[error("debug information: {0}")]
    Btf(#[from] BtfError),
}
