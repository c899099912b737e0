//! What detection authors write, and how it becomes bytecode.
#![forbid(unsafe_code)]

pub mod catalogue;
pub mod codegen;
pub mod compile;
pub mod diagnostic;
pub mod hir;
pub mod lang;
pub mod mir;
pub mod object;
pub mod sigma;
pub mod stock;
pub mod write;
