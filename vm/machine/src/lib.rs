//! The Trapline machine: a verified, bounded eBPF machine for user space.
#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod record;
