//! Reading what was written, limits, and files that are broken in every way.

use super::*;
use crate::isa::assemble;
use crate::map::{MapKind, PROGRAM_MAPS_MAX};
use crate::predicate::{FieldRef, Predicate, Scope, StrOp, Test};
use crate::program::{Relocation, RelocationKind};
use crate::record::{Catalogue, Class, Family, FamilyId, Field, FieldId, FieldType, Os, Scalar};

fn catalogue() -> Catalogue {
    let field = |name: &str, ty| Field {
        name: name.to_owned(),
        ty: FieldType::Scalar(ty),
        doc: String::new(),
        bytes_max: 1024,
        windows_folds_case: false,
        example: String::new(),
    };
    let class = |name: &str, family| Class { name: name.to_owned(), family: FamilyId(family), doc: String::new() };
    let family = |name: &str| Family { name: name.to_owned(), fields: vec![FieldId(0), FieldId(1)] };
    Catalogue::new(
        1,
        vec![field("process.pid", Scalar::Int), field("process.name", Scalar::Str)],
        Vec::new(),
        Vec::new(),
        vec![class("process.exec", 0), class("process.exit", 0), class("file.open", 1)],
        vec![family("process"), family("file")],
        vec!["raw.".to_owned()],
    )
    .unwrap()
}

fn map(name: &str, kind: MapKind) -> MapDecl {
    MapDecl { name: name.to_owned(), kind, key_len: 4, value_len: 8, entries: 2, contents: Vec::new() }
}

fn object(family: &str, text: &str) -> Object {
    let name = FieldRef { name: "process.name".into(), ty: FieldType::Scalar(Scalar::Str) };
    Object {
        name: "one".into(),
        catalogue_digest: catalogue().digest(),
        family: family.into(),
        classes: vec![format!("{family}.x")],
        os: OsSet::ANY.with(Os::Linux),
        code: assemble(text).unwrap().code,
        fields: vec![name.clone()],
        predicates: vec![Predicate {
            field: name,
            scope: Scope::Any,
            test: Test::Str { op: StrOp::Contains, literals: vec!["b".into(), "a\0".into()], fold: true },
        }],
        maps: Vec::new(),
        relocations: vec![
            Relocation { pc: 0, kind: RelocationKind::Slot(0) },
            Relocation { pc: 0, kind: RelocationKind::PredicateBoth(0) },
        ],
        lines: vec![Line { pc: 0, line: 3 }, Line { pc: 2, line: 1 }],
        predicate_texts: vec!["name contains".into()],
    }
}

fn rule(programs: Vec<Object>) -> RuleObject {
    let meta = RuleMeta {
        name: "one".into(),
        id: "x: y".into(),
        title: "A title\nof two lines".into(),
        severity: "high".into(),
        source: "one.trap".into(),
        line: 7,
        digest: Some([9; 32]),
        os: OsSet::ANY.with(Os::Linux).with(Os::Windows),
        attack: vec!["T1".into(), "T2".into()],
        tags: vec!["a".into()],
        needs: Some(vec!["process.pid".into()]),
        ..RuleMeta::default()
    };
    RuleObject { meta, programs, source: SourceLines { file: "one.trap".into(), ..SourceLines::default() } }
}

/// A rule of two families, with maps of every kind and every way to name them.
fn sample() -> RuleObject {
    let mut first = object(
        "process",
        "lddw_map_index r1, 0\nlddw_map_value_index r2, 1\nlddw_map_index r3, 1\nlddw_map_value_index r4, 2\n\
         lddw_map_value_index r5, 3\nlddw_map_index r6, 4\nlddw r0, 0x0000000500000006\nexit",
    );
    first.code[3].imm = 5;
    first.maps = vec![
        map("counts", MapKind::LruHash),
        MapDecl { value_len: 6, entries: 1, contents: vec![1, 2, 3, 4, 5, 6], ..map("table", MapKind::Data) },
        MapDecl { contents: vec![7; 16], ..map("start", MapKind::Array) },
        map("zeros", MapKind::Array),
        map("recent", MapKind::Window { window_ns: 60, panes: 6 }),
    ];
    let mut second = object("file", "lddw_map_value_index r1, 0\nlddw_map_index r2, 1\nmov r0, 0\nexit");
    second.maps = vec![
        MapDecl { value_len: 1, entries: 1, contents: vec![9], ..map("table", MapKind::Data) },
        map("counts", MapKind::LruHash),
        map("unused", MapKind::Seen { ttl_ns: 5 }),
        map("one", MapKind::Array),
    ];
    rule(vec![first, second])
}

#[test]
fn what_is_written_is_read() {
    let plain = rule(vec![object("process", "mov r0, 0\nmov r0, 1\nmov r0, 2\nexit")]);
    let needing_nothing =
        RuleObject { meta: RuleMeta { needs: Some(Vec::new()), ..plain.meta.clone() }, ..plain.clone() };
    let silent = RuleObject { meta: RuleMeta { needs: None, ..plain.meta.clone() }, ..plain.clone() };
    for rules in [
        vec![sample()],
        vec![needing_nothing],
        vec![silent],
        vec![plain.clone()],
        vec![sample(), RuleObject { meta: RuleMeta { name: "two".into(), ..plain.meta.clone() }, ..plain.clone() }],
    ] {
        let bytes = write(&rules, "MIT").unwrap();
        assert_eq!(write(&rules, "MIT").unwrap(), bytes, "the same bytes every time");
        let file = read(&bytes, &catalogue()).unwrap();
        assert_eq!(file, ObjectFile { rules, raw: Vec::new(), license: "MIT".into() });
    }
}

#[test]
fn what_cannot_be_written_says_why() {
    let mut bad = sample();
    bad.programs[0].maps[0].name = "a\0".into();
    assert_eq!(write(&[bad], ""), Err(WriteError::Name("a\0".into())));
    let mut bad = sample();
    bad.programs[0].maps[1].value_len = 7;
    assert_eq!(write(&[bad], ""), Err(WriteError::Map("table".into())));
    let mut bad = sample();
    bad.programs[0].code[3].imm = 6;
    assert_eq!(write(&[bad], ""), Err(WriteError::Code { program: "one".into(), pc: 2 }));
    let mut bad = sample();
    bad.programs[0].maps.truncate(4);
    assert_eq!(write(&[bad], ""), Err(WriteError::Code { program: "one".into(), pc: 10 }));
}

#[test]
fn programs_at_and_over_their_number() {
    for (count, good) in [(PROGRAMS_MAX - 1, true), (PROGRAMS_MAX, true), (PROGRAMS_MAX + 1, false)] {
        let one = Object { lines: vec![Line { pc: 0, line: 4 }], ..object("process", "exit") };
        let rules = vec![rule(vec![one; count])];
        match write(&rules, "") {
            Ok(bytes) => assert!(read(&bytes, &catalogue()).unwrap().rules == rules, "{count}"),
            Err(error) => assert_eq!((good, error), (false, WriteError::Programs(count))),
        }
        assert_eq!(write(&rules, "").is_ok(), good, "{count}");
    }
}

#[test]
fn names_at_and_over_their_length() {
    for (len, good) in [(NAME_LEN_MAX - 1, true), (NAME_LEN_MAX, true), (NAME_LEN_MAX + 1, false)] {
        let mut long = object("process", "exit");
        long.name = "n".repeat(len);
        let mut rule = rule(vec![long]);
        rule.meta.name = "n".repeat(len);
        let written = write(&[rule], "");
        assert_eq!(written.is_ok(), good, "{len}");
        assert!(written.is_err() || read(&written.unwrap(), &catalogue()).is_ok());
    }
}

/// An ELF file with some sections and symbols, as a compiler would make it.
struct Made {
    elf: object::write::Object<'static>,
}

impl Made {
    fn new() -> Self {
        let (architecture, endian) = (object::Architecture::Bpf, object::Endianness::Little);
        Self { elf: object::write::Object::new(object::BinaryFormat::Elf, architecture, endian) }
    }

    fn section(&mut self, name: &str, data: &[u8]) -> object::write::SectionId {
        let kind = match name {
            _ if name.starts_with("rule/") || name.starts_with("raw") || name == ".text" || name == "xdp" => {
                object::SectionKind::Text
            }
            ".rodata" => object::SectionKind::ReadOnlyData,
            _ => object::SectionKind::Data,
        };
        let section = self.elf.add_section(Vec::new(), name.as_bytes().to_vec(), kind);
        self.elf.append_section_data(section, data, 8);
        section
    }

    fn symbol(
        &mut self,
        name: &str,
        place: Option<(object::write::SectionId, u64, u64)>,
        is_function: bool,
    ) -> object::write::SymbolId {
        let section = place.map_or(object::write::SymbolSection::Undefined, |(section, ..)| {
            object::write::SymbolSection::Section(section)
        });
        self.elf.add_symbol(object::write::Symbol {
            name: name.as_bytes().to_vec(),
            value: place.map_or(0, |place| place.1),
            size: place.map_or(0, |place| place.2),
            kind: if is_function { object::SymbolKind::Text } else { object::SymbolKind::Data },
            scope: if name.starts_with("static") {
                object::SymbolScope::Compilation
            } else {
                object::SymbolScope::Dynamic
            },
            weak: false,
            section,
            flags: object::SymbolFlags::None,
        })
    }

    fn relocate(&mut self, section: object::write::SectionId, slot: u64, symbol: object::write::SymbolId, ty: u32) {
        let flags = object::RelocationFlags::Elf { r_type: object::elf::RelocationType(ty) };
        let relocation = object::write::Relocation { offset: slot * 8, symbol, addend: 0, flags };
        self.elf.add_relocation(section, relocation).unwrap();
    }

    fn code(&mut self, name: &str, text: &str) -> object::write::SectionId {
        self.section(name, &Instruction::to_section(&assemble(text).unwrap().code))
    }

    fn read(&self) -> Result<ObjectFile, ElfError> {
        read(&self.elf.write().unwrap(), &catalogue())
    }

    fn error(&self) -> String {
        self.read().unwrap_err().to_string()
    }
}

/// A program with a function of its own, a field, a predicate, a map and constants.
fn made() -> Made {
    let mut made = Made::new();
    let code =
        made.code("rule/process.exec", "lddw r1, 0\nlddw r2, 0\nlddw r3, 4\ncall local +0\nexit\nmov r0, 0\nexit");
    let text = made.code(".text", "mov r0, 1\nexit\nmov r0, 2\nexit");
    made.symbol("one", Some((code, 0, 64)), true);
    made.symbol("two", Some((code, 64, 16)), true);
    let inner = made.symbol("static_inner", Some((text, 16, 16)), true);
    made.symbol("static_other", Some((text, 0, 16)), true);
    let field = made.symbol("process.pid$state", None, false);
    let mut record = [0; 32];
    record[..16].copy_from_slice(&[1, 0, 0, 0, 4, 0, 0, 0, 8, 0, 0, 0, 16, 0, 0, 0]);
    let maps = made.section(".maps", &record);
    let counts = made.symbol("counts", Some((maps, 0, 32)), false);
    let constants = made.section(".rodata", &[0, 1, 2, 3, 4]);
    let constants = made.elf.section_symbol(constants);
    made.relocate(code, 0, field, 1);
    made.relocate(code, 2, counts, 1);
    made.relocate(code, 4, constants, 1);
    // As compilers write a call of a function symbol: the distance is -1.
    let call = Instruction { opcode: 0x85, src: 1, imm: -1, ..Instruction::default() };
    made.elf.section_mut(code).data_mut()[48..56].copy_from_slice(&call.to_bytes());
    made.relocate(code, 6, inner, 10);
    made
}

#[test]
fn what_a_compiler_makes_is_put_together() {
    let file = made().read().unwrap();
    assert_eq!(file.rules.len(), 2);
    let program = &file.rules[0].programs[0];
    assert_eq!((program.name.as_str(), program.family.as_str()), ("one", "process"));
    assert_eq!(program.classes, ["process.exec"]);
    let expected = "lddw r1, 0\nlddw_map_index r2, 0\nlddw_map_value_index r3, 1\ncall local +1\nexit\nmov r0, 2\nexit";
    let mut expected = assemble(expected).unwrap().code;
    expected[5].imm = 4;
    assert_eq!(program.code, expected);
    assert_eq!(program.relocations, [Relocation { pc: 0, kind: RelocationKind::StateOffset(0) }]);
    assert_eq!(program.fields, [FieldRef { name: "process.pid".into(), ty: FieldType::Scalar(Scalar::Int) }]);
    let maps: Vec<_> = program.maps.iter().map(|map| (map.name.as_str(), map.kind, map.contents.len())).collect();
    assert_eq!(maps, [("counts", MapKind::Hash, 0), (".rodata", MapKind::Data, 5)]);
}

/// `made` with the map declared by types: zeros in `.maps`, and a `.BTF` that says what it is.
fn made_of_types(with_btf: bool) -> Made {
    let mut made = Made::new();
    let code = made.code("rule/process.exec", "lddw r1, 0\nmov r0, 0\nexit");
    made.symbol("one", Some((code, 0, 32)), true);
    let maps = made.section(".maps", &[0; 32]);
    let counts = made.symbol("counts", Some((maps, 0, 32)), false);
    made.relocate(code, 0, counts, 1);
    if with_btf {
        let strings = b"\0type\0max_entries\0key\0value\0counts\0";
        // 1 int; 2, 3 a number 9; 4, 5 a number 16; 6 pointer to int; 7 array of three; 8 pointer to it; 9 the map
        let (ty, entries, key, value, counts) = (1, 6, 18, 22, 28);
        let types: &[u32] = &[
            0,
            1 << 24,
            4,
            32, // int
            0,
            3 << 24,
            0,
            1,
            1,
            9,
            0,
            2 << 24,
            2, // __uint(type, 9)
            0,
            3 << 24,
            0,
            1,
            1,
            16,
            0,
            2 << 24,
            4, // __uint(max_entries, 16)
            0,
            2 << 24,
            1, // __type(key, int)
            0,
            3 << 24,
            0,
            1,
            1,
            3,
            0,
            2 << 24,
            7, // __type(value, int[3])
            0,
            4 << 24 | 4,
            32,
            ty,
            3,
            0,
            entries,
            5,
            64,
            key,
            6,
            128,
            value,
            8,
            192,
            counts,
            14 << 24,
            9,
            1,
        ];
        let types: Vec<u8> = types.iter().flat_map(|word| word.to_le_bytes()).collect();
        let mut btf = vec![0x9f, 0xeb, 1, 0];
        for word in [24, 0, types.len() as u32, types.len() as u32, strings.len() as u32] {
            btf.extend_from_slice(&word.to_le_bytes());
        }
        btf.extend(types);
        btf.extend(strings);
        made.section(".BTF", &btf);
    }
    made
}

#[test]
fn maps_declared_by_types_are_maps() {
    let file = made_of_types(true).read().unwrap();
    let expected = MapDecl { value_len: 12, entries: 16, ..map("counts", MapKind::LruHash) };
    assert_eq!(file.rules[0].programs[0].maps, [expected]);
    let error = made_of_types(false).error();
    assert!(
        error.starts_with(
            "section `.maps`, symbol `counts`: a map declared by types (`__uint`, `__type`): the file has no types \
             (`.BTF`): compile it with `-g`; or declare it with `TL_ARRAY`"
        ),
        "{error}"
    );
}

#[test]
fn what_is_not_supported_is_refused_by_name() {
    let mut bad = made();
    bad.section("trapline.rules", b"rule: one\0rule: three\0");
    assert_eq!(
        bad.error(),
        "section `rule/process.exec`, symbol `two`, offset 0x40: no rule of `trapline.rules` has this program; it should \
         be named after one"
    );
    let mut bad = made();
    bad.section("trapline.rules", b"rule: one\0rule: two\0rule: three\0");
    let what = "the rule has no program: no function of a section `rule/CLASS` is named after it";
    assert_eq!(bad.error(), format!("section `trapline.rules`, symbol `three`: {what}"));
    let mut bad = made();
    bad.code("xdp", "exit");
    let what = "programs for this are unknown: sections are `rule/CLASS` (or `rule/FAMILY`), `raw` and `.text`";
    assert_eq!(bad.error(), format!("section `xdp`: {what}"));
    for (ty, what) in [(2, "type 2"), (3, "type 3"), (4, "type 4"), (99, "type 99")] {
        let mut bad = made();
        let section = bad.code("raw", "exit");
        let symbol = bad.symbol("raw", Some((section, 0, 8)), true);
        bad.relocate(section, 0, symbol, ty);
        let text = format!(
            "section `raw`, symbol `raw`, offset 0x0: relocations of {what} are not supported; R_BPF_64_64 and \
             R_BPF_64_32 are"
        );
        assert_eq!(bad.error(), text);
    }
    // (instruction, symbol and its section, type of relocation, what is said)
    let named = |name: &'static str, section: Option<&'static str>, text: &str, ty: u32| {
        let mut bad = Made::new();
        let code = bad.code("rule/process.exec", text);
        bad.symbol("one", Some((code, 0, assemble(text).unwrap().code.len() as u64 * 8)), true);
        let place = section.map(|section| match section {
            ".text" => (bad.code(".text", "exit\nexit"), 8, 0),
            other => (bad.section(other, &[1; 64]), 0, 8),
        });
        let symbol = bad.symbol(name, place, false);
        bad.relocate(code, 0, symbol, ty);
        bad.error()
    };
    let at = "section `rule/process.exec`, symbol";
    let load = "lddw r1, 0\nexit";
    assert_eq!(
        named("process.none", None, load, 1),
        format!(
            "{at} `process.none`, offset 0x0: neither a field of `process` events nor a predicate; `trapline fields` \
             lists the fields"
        )
    );
    assert_eq!(
        named("p$true", None, load, 1),
        format!(
            "{at} `p$true`, offset 0x0: predicate: there is no `p` in `trapline.predicates`; `TL_PREDICATE` declares one"
        )
    );
    assert_eq!(
        named("process.pid", None, "lddw r1, 1\nexit", 1),
        format!("{at} `one`, offset 0x0: an offset cannot be added to a number that linking knows")
    );
    assert_eq!(
        named("bpf_kfunc", None, "call local +0\nexit", 10),
        format!(
            "{at} `bpf_kfunc`, offset 0x0: the function is not defined: helpers are called by number, as `trapline.h` \
             declares them"
        )
    );
    assert_eq!(
        named("middle", Some(".text"), "call local +0\nexit", 10),
        format!("{at} `middle`, offset 0x0: the call does not lead to the beginning of a function")
    );
    assert_eq!(
        named("f", Some(".text"), load, 1),
        format!("{at} `one`, offset 0x0: addresses of functions are not supported")
    );
    assert_eq!(
        named("m", Some(".maps"), load, 1),
        "section `.maps`, symbol `m`: this is no map: each map of `.maps` is a symbol of 32 bytes, as `TL_MAP` declares it"
    );
    assert_eq!(
        named("d", Some(".data"), "lddw r1, 64\nexit", 1),
        "section `.data`, symbol `d`: the address at 64 is outside the data"
    );
    assert_eq!(
        named("c", Some("kconfig"), load, 1),
        format!("{at} `one`, offset 0x0: programs have no access to this section")
    );
    assert_eq!(
        named("p", Some("trapline.predicates"), load, 1),
        format!("{at} `one`, offset 0x0: a predicate has no address: `tl_true` and `tl_known` test it")
    );
    assert_eq!(
        named("d", Some(".data"), "exit\nexit", 1),
        format!("{at} `one`, offset 0x0: a relocation of type 1 belongs on a wide load")
    );
    assert_eq!(
        named("d", Some(".data"), load, 10),
        format!("{at} `one`, offset 0x0: a relocation of type 10 belongs on a call")
    );
}

#[test]
fn shapes_that_make_no_sense_are_refused() {
    let with = |section: &str, text: &str, from: u64, to: u64| {
        let mut bad = Made::new();
        let code = bad.code(section, text);
        bad.symbol("one", Some((code, from, to - from)), true);
        bad
    };
    assert!(with("rule/process.exec", "exit", 0, 8).read().is_ok());
    let covers = "the function does not cover whole instructions of its section";
    for (from, to) in [(0, 7), (4, 8), (0, 16), (0, 0)] {
        let error = with("rule/process.exec", "exit", from, to).error();
        assert_eq!(error, format!("section `rule/process.exec`, symbol `one`, offset {from:#x}: {covers}"));
    }
    let mut bad = Made::new();
    let code = bad.code("rule/process.exec", "exit\nexit");
    bad.symbol("one", Some((code, 0, 16)), true);
    bad.symbol("two", Some((code, 8, 8)), true);
    assert_eq!(bad.error(), "section `rule/process.exec`, symbol `two`, offset 0x8: the function begins within `one`");
    let out = with("rule/process.exec", "ja +1\nexit\nexit", 0, 16).error();
    assert_eq!(out, "section `rule/process.exec`, symbol `one`, offset 0x0: the jump leaves its function");
    let none = "there is no class or family of events `x`";
    assert!(with("rule/process.exec,x", "exit", 0, 8).error().ends_with(none));
    let families = "a program reads events of one family: write one function for each";
    assert!(with("rule/process.exec,file.open", "exit", 0, 8).error().ends_with(families));
    let all = with("rule/process", "exit", 0, 8).read().unwrap();
    assert_eq!(all.rules[0].programs[0].classes, ["process.exec", "process.exit"]);
    let raw = with("raw", "exit", 0, 8).read().unwrap();
    assert_eq!((raw.rules.len(), raw.raw[0].name.as_str()), (0, "one"));
    let nothing = "there is no program: programs are global functions in sections `rule/CLASS` or `raw`";
    assert_eq!(with(".text", "exit", 0, 8).error(), nothing);
    assert!(read(b"", &catalogue()).unwrap_err().to_string().starts_with("not a BPF object file"));
}

#[test]
fn what_c_takes_a_field_for_must_fit_its_type() {
    for (kind, good) in [("number", true), ("string", false)] {
        let mut made = made();
        made.section("trapline.fields", format!("process.pid\0{kind}\0").as_bytes());
        assert_eq!(made.read().is_ok(), good);
        if !good {
            let text = "the program takes `process.pid` for a string, the catalogue has it as int";
            assert!(made.error().ends_with(text), "{}", made.error());
        }
    }
}

#[test]
fn tables_at_and_over_their_size() {
    // A null section, the code, its symbols and strings are there already.
    let mut few = Made::new();
    let code = few.code("rule/process", "exit");
    few.symbol("one", Some((code, 0, 8)), true);
    let bytes = few.elf.write().unwrap();
    let header: &object::elf::FileHeader64<object::LittleEndian> = object::pod::from_bytes(&bytes).unwrap().0;
    let there = usize::from(header.e_shnum.get(object::LittleEndian));
    for (count, good) in [(SECTIONS_MAX - 1, true), (SECTIONS_MAX, true), (SECTIONS_MAX + 1, false)] {
        let mut many = Made::new();
        let code = many.code("rule/process", "exit");
        many.symbol("one", Some((code, 0, 8)), true);
        (there..count).for_each(|_| _ = many.section("x", b""));
        assert_eq!(many.read().is_ok(), good, "{count} sections");
    }
    for (count, good) in [(SYMBOLS_MAX - 1, true), (SYMBOLS_MAX, true), (SYMBOLS_MAX + 1, false)] {
        let mut many = Made::new();
        let code = many.code("rule/process", "exit");
        many.symbol("one", Some((code, 0, 8)), true);
        (2..count).for_each(|_| _ = many.symbol("x", None, false));
        assert_eq!(many.read().is_ok(), good, "{count} symbols");
    }
    for (len, good) in [(FILE_LEN_MAX - 1, true), (FILE_LEN_MAX, true), (FILE_LEN_MAX + 1, false)] {
        let mut bytes = few.elf.write().unwrap();
        bytes.resize(len, 0);
        assert_eq!(read(&bytes, &catalogue()).is_ok(), good, "{len} bytes");
    }
}

#[test]
fn slots_of_all_programs_at_and_over_their_number() {
    let max = super::super::CODE_LEN_MAX;
    for (last, good) in [(max - 1, true), (max, true), (max + 1, false)] {
        let mut many = Made::new();
        let exit = |slots: usize| Instruction::to_section(&vec![assemble("exit").unwrap().code[0]; slots]);
        for (number, slots) in [max, max, max, last].into_iter().enumerate() {
            let code = many.section(&format!("raw/{number}"), &exit(slots));
            many.symbol(&format!("p{number}"), Some((code, 0, slots as u64 * 8)), true);
        }
        // The fourth is both at the limit of a program and of all.
        assert_eq!(many.read().is_ok(), good, "{last}");
    }
    let mut many = Made::new();
    for number in 0..5 {
        let slots = if number < 4 { max } else { 1 };
        let code =
            many.section(&format!("raw/{number}"), &Instruction::to_section(&vec![Instruction::default(); slots]));
        many.symbol(&format!("p{number}"), Some((code, 0, slots as u64 * 8)), true);
    }
    assert!(many.error().starts_with(&format!("{} instruction slots of all programs", SLOTS_TOTAL_MAX + 1)));
}

/// In the table of what our compiler wrote, and as the code of other compilers names them.
#[test]
fn maps_of_a_program_at_and_over_their_number() {
    for (count, good) in [(PROGRAM_MAPS_MAX - 1, true), (PROGRAM_MAPS_MAX, true), (PROGRAM_MAPS_MAX + 1, false)] {
        let mut one = object("process", "mov r0, 0\nexit");
        one.maps = (0..count).map(|number| map(&format!("m{number}"), MapKind::Hash)).collect();
        let written = read(&write(&[rule(vec![one])], "").unwrap(), &catalogue());

        let mut many = Made::new();
        let code = many.code("raw", &("lddw r1, 0\n".repeat(count) + "exit"));
        many.symbol("one", Some((code, 0, count as u64 * 16 + 8)), true);
        let mut record = [0; 32];
        record[..16].copy_from_slice(&[1, 0, 0, 0, 4, 0, 0, 0, 8, 0, 0, 0, 16, 0, 0, 0]);
        let maps = many.section(".maps", &record.repeat(count));
        for number in 0..count as u64 {
            let symbol = many.symbol(&format!("m{number}"), Some((maps, number * 32, 32)), false);
            many.relocate(code, number * 2, symbol, 1);
        }
        for file in [written, many.read()] {
            match file {
                Ok(file) => {
                    let rules = file.rules.iter().flat_map(|rule| &rule.programs).map(|program| program.maps.len());
                    let maps: Vec<usize> = rules.chain(file.raw.iter().map(|raw| raw.maps.len())).collect();
                    assert!(good && maps == [count], "{count}: {maps:?}");
                }
                Err(error) => {
                    let told = error.to_string();
                    assert!(!good && told.contains(&format!("{count} maps of one program")), "{told}");
                }
            }
        }
    }
}

#[test]
fn whatever_the_bytes_reading_ends() {
    let catalogue = catalogue();
    let mut good = 0;
    for bytes in
        [write(&[sample()], "MIT").unwrap(), made().elf.write().unwrap(), made_of_types(true).elf.write().unwrap()]
    {
        for at in 0..bytes.len() {
            good += usize::from(read(&bytes[..at], &catalogue).is_ok());
            for value in [0, 1, 0x7f, 0x80, 0xff] {
                let mut changed = bytes.clone();
                changed[at] = value;
                good += usize::from(read(&changed, &catalogue).is_ok());
            }
        }
    }
    // Else this tests nothing but headers.
    assert!(good > 1000, "{good}");
}
