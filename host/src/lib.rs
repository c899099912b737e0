//! Trapline's host side: where events come from, the agent that runs rules over them, where alerts go, and the
//! command line. Depends on all other crates; nothing depends on it.

#![deny(unsafe_code)]

pub mod agent;
pub mod cli;
pub mod sink;
pub mod source;
pub mod sys;
