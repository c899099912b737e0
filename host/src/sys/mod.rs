//! The operating system, called directly: the only place where that happens. `rustix` gives safe forms of all that is
//! needed, so there is no `unsafe` here either.
//!
//! What is here carries bytes and file handles; what they mean is read elsewhere, where it can be tested without a
//! kernel. On other systems the parts of one system are missing, and who uses them has to say so in plain words.

#[cfg(target_os = "linux")]
pub(crate) mod linux;
#[cfg(unix)]
pub mod unix;
