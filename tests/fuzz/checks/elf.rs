//! Any bytes as an object file: an answer that names its place, and what was read of a file of ours is written and read
//! alike.

use trapline_vm::helper::RAW_HELPERS;
use trapline_vm::isa::assemble;
use trapline_vm::map::Placement;
use trapline_vm::predicate::FieldRef;
use trapline_vm::program::elf::{ObjectFile, RuleMeta, RuleObject, SourceLines, read, write};
use trapline_vm::program::{Line, Loaded, Object, Program, ProgramKind};
use trapline_vm::record::{Catalogue, Class, Family, FamilyId, Field, FieldId, FieldType, Os, OsSet, Scalar};

pub(crate) fn check(data: &[u8]) {
    let catalogue = catalogue();
    match read(data, &catalogue) {
        Ok(ObjectFile { rules, raw, license }) => {
            if let Ok(bytes) = write(&rules, &license) {
                let again = read(&bytes, &catalogue).expect("what was written is read");
                assert_eq!(again.license, license);
                assert_eq!(again.rules.len(), rules.len());
                for (again, rule) in again.rules.iter().zip(&rules) {
                    assert_eq!((&again.meta, &again.programs), (&rule.meta, &rule.programs));
                }
                // A line of which a foreign file has no text comes back with an empty one: from then on, all is alike.
                let bytes = write(&again.rules, &license).expect("what was read is written");
                assert_eq!(read(&bytes, &catalogue).as_ref(), Ok(&again));
            }
            for object in raw {
                let mut placement = Placement::default();
                let placed: Result<Vec<_>, _> = object.maps.into_iter().map(|decl| placement.place(decl)).collect();
                let Ok(maps) = placed else { continue };
                let kind = ProgramKind::Raw { memory_len: 64 };
                let program =
                    Program { name: object.name, kind, code: object.code, lines: object.lines, maps, fuel_limit: 1000 };
                if let Err(error) = Loaded::new(program, &RAW_HELPERS) {
                    assert!(!error.to_string().is_empty());
                }
            }
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

/// A file of ours, for the fuzzer to begin with.
#[allow(dead_code, reason = "for the tests, which write the fuzzer's first inputs")]
pub(crate) fn sample() -> Vec<u8> {
    let object = Object {
        name: "one".into(),
        catalogue_digest: catalogue().digest(),
        family: "process".into(),
        classes: vec!["process.exec".into()],
        os: OsSet::ANY.with(Os::Linux),
        code: assemble("ldxdw r3, [r1+48]\nmov r0, 0\njne r3, 0, out\nmov r0, 1\nout: exit")
            .expect("it assembles")
            .code,
        fields: vec![FieldRef { name: "process.pid".into(), ty: FieldType::Scalar(Scalar::Int) }],
        predicates: Vec::new(),
        maps: Vec::new(),
        relocations: Vec::new(),
        lines: vec![Line { pc: 0, line: 3 }],
        predicate_texts: Vec::new(),
    };
    let meta = RuleMeta { name: "one".into(), id: "x".into(), title: "A title".into(), ..RuleMeta::default() };
    let rule = RuleObject { meta, programs: vec![object], source: SourceLines::default() };
    write(&[rule], "MIT").expect("it can be written")
}

fn catalogue() -> Catalogue {
    let field = |name: &str, ty| Field {
        name: name.to_owned(),
        ty: FieldType::Scalar(ty),
        doc: String::new(),
        bytes_max: 1024,
        windows_folds_case: false,
        example: String::new(),
    };
    let class = Class { name: "process.exec".to_owned(), family: FamilyId(0), doc: String::new() };
    let family = Family { name: "process".to_owned(), fields: vec![FieldId(0), FieldId(1)] };
    Catalogue::new(
        1,
        vec![field("process.pid", Scalar::Int), field("process.name", Scalar::Str)],
        Vec::new(),
        Vec::new(),
        vec![class],
        vec![family],
        Vec::new(),
    )
    .expect("a sound catalogue")
}
