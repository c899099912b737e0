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
#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod domain;
mod generation;
mod instance;
mod link;
pub mod predicate;
mod program;
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
pub use supply::{LoadError, LoadOptions, MissingField, MissingReason, Supply, SupplyError, check_supply};
