//! The Trapline machine: a verified, bounded eBPF machine for user space.
#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod helper;
pub mod interp;
pub mod isa;
pub mod map;
pub mod memory;
pub mod predicate;
pub mod program;
pub mod record;
pub mod text;
pub mod trap;
pub mod verifier;
