//! Many programs over one stream of events.
//!
//! ```text
//! Object --link--> Linked --verify--> ReadyProgram --GenerationBuilder--> Generation
//!                    (Domain: slots and predicate numbers, append-only)        |
//! record buffer <- decoder                                                     v
//!       Instance: predicates of the class, once -> programs of the class, each with its own fuel -> outcomes
//! ```
//!
//! A [`Domain`] gives slots and predicate numbers and never takes one back, so loading a rule never changes another
//! rule's code. A [`Generation`] is an immutable set of verified programs with what must be evaluated and decoded for
//! each class of events; it is shared between threads and swapped as a whole. An [`Instance`] is the mutable scratch
//! of one thread: memory, predicate bits, accounts.
//!
//! What it promises: every distinct predicate is evaluated at most once an event; a trap or an exhausted program
//! never changes what another program sees or says; content and events never panic it.
//! What it is not: it reads no input, knows no rule language and no alert format, and has no threads of its own.
//!
//! # Example
//!
//! One rule by hand (a compiler writes such objects): does the event's `name` contain `evil`?
//!
//! ```
//! use std::sync::Arc;
//! use trapline_engine::{Domain, GenerationBuilder, Instance, LinkOptions};
//! use trapline_vm::isa::assemble;
//! use trapline_vm::predicate::{FieldRef, Predicate, Scope, StrOp, Test};
//! use trapline_vm::program::{Object, Relocation, RelocationKind};
//! use trapline_vm::record::*;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let ty = FieldType::Scalar(Scalar::Str);
//! let (name, doc, example) = ("name".to_owned(), String::new(), String::new());
//! let field = Field { name, ty, doc, bytes_max: 1024, windows_folds_case: false, example };
//! let class = Class { name: "demo.seen".to_owned(), family: FamilyId(0), doc: String::new() };
//! let family = Family { name: "demo".to_owned(), fields: vec![FieldId(0)] };
//! let catalogue = Arc::new(Catalogue::new(1, vec![field], vec![], vec![], vec![class], vec![family], vec![])?);
//!
//! let code = assemble("ldxb r0, [r2+0]\nand r0, 0\njeq r0, 0, done\nmov r0, 1\ndone: exit").unwrap().code;
//! let object = Object {
//!     name: "evil-name".to_owned(),
//!     catalogue_digest: catalogue.digest(),
//!     family: "demo".to_owned(),
//!     classes: vec!["demo.seen".to_owned()],
//!     os: OsSet::ANY,
//!     code,
//!     fields: vec![],
//!     predicates: vec![Predicate {
//!         field: FieldRef { name: "name".to_owned(), ty },
//!         scope: Scope::Any,
//!         test: Test::Str { op: StrOp::Contains, literals: vec!["evil".to_owned()], fold: true },
//!     }],
//!     relocations: vec![
//!         Relocation { pc: 0, kind: RelocationKind::PredicateByte(0) },
//!         Relocation { pc: 1, kind: RelocationKind::PredicateTrue(0) },
//!     ],
//!     lines: vec![],
//!     maps: vec![],
//!     predicate_texts: vec!["name contains~ \"evil\"".to_owned()],
//! };
//!
//! let mut domain = Domain::new(catalogue.clone());
//! let ready = domain.link(&object, &LinkOptions::default())?.verify()?;
//! let mut builder = GenerationBuilder::new(&domain);
//! let program = builder.add(ready);
//! let mut instance = Instance::new(Arc::new(builder.build()?))?;
//!
//! let header = RecordHeader { digest: catalogue.short_digest(), class: 0, os: None, time_ns: 0, sequence: 0 };
//! let mut writer = RecordWriter::new(instance.record_buffer_mut(), 1, &header).unwrap();
//! writer.set(Slot(0), 1024, &Cell::Present(Value::Str("An EVIL thing")));
//! let len = writer.finish();
//!
//! let event = instance.run(len)?;
//! assert_eq!(event.matches().collect::<Vec<_>>(), [program]);
//! assert_eq!(event.evidence(program).next().unwrap().text, "name contains~ \"evil\"");
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod domain;
mod generation;
mod instance;
mod link;
pub mod predicate;
mod program;
mod state;
#[cfg(test)]
mod stateful;
mod supply;
#[cfg(test)]
mod testing;

pub use domain::Domain;
pub use generation::{
    BudgetError, BuildError, EVENT_FUEL_BUDGET_DEFAULT, Generation, GenerationBuilder, ProgramIndex, SlotSet,
};
pub use instance::{Account, Event, Evidence, Instance, Outcome, RecordError, Run, Totals, Trapped};
pub use link::{LinkError, LinkOptions, Linked, LinkedPredicate, RelocationError, RuleLink};
pub use program::{ReadyProgram, VerifyError};
pub use state::{STATE_BYTES_MAX_DEFAULT, StateError};
pub use supply::{LoadError, LoadOptions, MissingField, MissingReason, Supply, SupplyError, check_supply};
