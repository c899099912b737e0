//! The Trapline machine: a verified, bounded eBPF machine for user space.
#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod isa;
pub mod predicate;
pub mod program;
pub mod record;
