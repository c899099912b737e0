//! Many programs over one stream of events.
//!
//! ```text
//! Object --link--> Linked --verify--> VerifiedRule --GenerationBuilder--> Generation
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
mod link;
pub mod predicate;
mod supply;
#[cfg(test)]
mod testing;

pub use domain::Domain;
pub use link::{LinkError, LinkOptions, Linked, LinkedPredicate, RelocationError, RuleLink};
pub use supply::{LoadError, LoadOptions, MissingField, MissingReason, Supply, SupplyError, check_supply};
