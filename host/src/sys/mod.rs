//! What is asked of the operating system and differs between systems, behind safe functions.

#[cfg(unix)]
pub mod unix;
