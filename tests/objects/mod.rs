//! A catalogue of one family with as many fields as a test wants, and programs written by hand for it.
#![allow(dead_code, reason = "each test file uses its part")]

use std::sync::Arc;

use trapline_engine::{Domain, Generation, GenerationBuilder, Instance, LinkOptions, Linked, Outcome, ReadyProgram};
use trapline_vm::isa::assemble;
use trapline_vm::predicate::{FieldRef, Predicate, Scope, StrOp, Test};
use trapline_vm::program::{Line, Object, Relocation, RelocationKind, Verdict};
use trapline_vm::record::{
    Catalogue, Cell, Class, Family, FamilyId, Field, FieldId, FieldType, Os, OsSet, RecordHeader, RecordWriter, Scalar,
    Slot, Value,
};
use trapline_vm::trap::Trap;

pub(crate) const STR: FieldType = FieldType::Scalar(Scalar::Str);
pub(crate) const FAMILY: FamilyId = FamilyId(0);

/// Family `ipc`, classes `ipc.create` and `ipc.connect`, fields `f1` to `f<count>` of type str, open prefix `raw.`.
pub(crate) fn catalogue(count: u16) -> Arc<Catalogue> {
    let field = |number| Field {
        name: format!("f{number}"),
        ty: STR,
        doc: String::new(),
        bytes_max: 1024,
        windows_folds_case: false,
        example: String::new(),
    };
    let class = |name: &str| Class { name: name.to_owned(), family: FAMILY, doc: String::new() };
    let family = Family { name: "ipc".to_owned(), fields: (0..count).map(FieldId).collect() };
    let fields = (1..=count).map(field).collect();
    let classes = vec![class("ipc.create"), class("ipc.connect")];
    let open = vec!["raw.".to_owned()];
    Arc::new(Catalogue::new(1, fields, vec![], vec![], classes, vec![family], open).unwrap())
}

/// A rule of class `ipc.create` from assembly, with what its relocations name.
pub(crate) fn object(catalogue: &Catalogue, name: &str, assembly: &str) -> Object {
    let assembly = assemble(assembly).unwrap();
    Object {
        name: name.to_owned(),
        catalogue_digest: catalogue.digest(),
        family: "ipc".to_owned(),
        classes: vec!["ipc.create".to_owned()],
        os: OsSet::ANY,
        lines: (0..).zip(&assembly.lines).map(|(pc, line)| Line { pc, line: *line }).collect(),
        maps: Vec::new(),
        code: assembly.code,
        fields: vec![],
        predicates: vec![],
        relocations: vec![],
        predicate_texts: vec![],
    }
}

/// Matches if the field has a value that is not empty: reads its state and its slot.
pub(crate) fn reads(catalogue: &Catalogue, name: &str, field: &str) -> Object {
    let assembly =
        "mov r0, 0\nldxb r4, [r1+0]\njeq r4, 0, done\nldxw r4, [r1+4]\njeq r4, 0, done\nmov r0, 1\ndone: exit";
    Object {
        fields: vec![FieldRef { name: field.to_owned(), ty: STR }],
        relocations: vec![
            Relocation { pc: 1, kind: RelocationKind::State(0) },
            Relocation { pc: 3, kind: RelocationKind::Slot(0) },
        ],
        ..object(catalogue, name, assembly)
    }
}

/// Matches if the field contains the literal, cannot tell if that is unknown.
pub(crate) fn contains(catalogue: &Catalogue, name: &str, field: &str, literal: &str) -> Object {
    let assembly = "ldxb r4, [r2+0]\nmov r5, r4\nmov r0, 2\nand r5, 0\njeq r5, 0, done\nmov r0, 0\nand r4, 0\n\
                    jeq r4, 0, done\nmov r0, 1\ndone: exit";
    let kinds = [
        (0, RelocationKind::PredicateByte(0)),
        (3, RelocationKind::PredicateKnown(0)),
        (6, RelocationKind::PredicateTrue(0)),
    ];
    Object {
        predicates: vec![Predicate {
            field: FieldRef { name: field.to_owned(), ty: STR },
            scope: Scope::Any,
            test: Test::Str { op: StrOp::Contains, literals: vec![literal.to_owned()], fold: false },
        }],
        predicate_texts: vec![format!("{field} contains \"{literal}\"")],
        relocations: kinds.into_iter().map(|(pc, kind)| Relocation { pc, kind }).collect(),
        ..object(catalogue, name, assembly)
    }
}

pub(crate) fn link(domain: &mut Domain, object: &Object) -> Linked {
    domain.link(object, &LinkOptions::default()).unwrap_or_else(|error| panic!("{}: {error}", object.name))
}

pub(crate) fn verified(domain: &mut Domain, object: &Object) -> Arc<ReadyProgram> {
    Arc::new(link(domain, object).verify().unwrap_or_else(|error| panic!("{error}")))
}

pub(crate) fn unverified(domain: &mut Domain, object: &Object) -> Arc<ReadyProgram> {
    Arc::new(ReadyProgram::unverified_for_tests(link(domain, object)).unwrap())
}

pub(crate) fn generation(domain: &Domain, programs: &[Arc<ReadyProgram>]) -> Arc<Generation> {
    let mut builder = GenerationBuilder::new(domain).event_fuel_budget(u64::MAX);
    programs.iter().for_each(|program| _ = builder.add(program.clone()));
    Arc::new(builder.build().unwrap())
}

/// Writes an `ipc.create` record with this many slots into the buffer.
pub(crate) fn write(buffer: &mut [u8], catalogue: &Catalogue, slots: u16, cells: &[(Slot, &str)]) -> u32 {
    // What an earlier event may have left behind.
    buffer[..4096].fill(0xaa);
    let header =
        RecordHeader { digest: catalogue.short_digest(), class: 0, os: Some(Os::Windows), time_ns: 1, sequence: 1 };
    let mut writer = RecordWriter::new(buffer, slots, &header).unwrap();
    for (slot, value) in cells {
        writer.set(*slot, 1024, &Cell::Present(Value::Str(value)));
    }
    writer.finish()
}

/// What each program of the instance says of a record with this many slots.
pub(crate) fn run(instance: &mut Instance, slots: u16, cells: &[(Slot, &str)]) -> Vec<(String, Result<Verdict, Trap>)> {
    let generation = instance.generation().clone();
    let len = write(instance.record_buffer_mut(), generation.layouts().catalogue(), slots, cells);
    let event = instance.run(len).unwrap();
    let said = |run: &trapline_engine::Run| {
        let name = generation.program(run.program).unwrap().name().to_owned();
        match run.outcome {
            Outcome::Verdict(verdict) => (name, Ok(verdict)),
            Outcome::Trap(trapped) => (name, Err(trapped.stop.trap)),
        }
    };
    event.runs().iter().map(said).collect()
}

/// The same with names that need not be kept.
pub(crate) fn said(runs: &[(String, Result<Verdict, Trap>)]) -> Vec<(&str, Result<Verdict, Trap>)> {
    runs.iter().map(|(name, said)| (name.as_str(), *said)).collect()
}
