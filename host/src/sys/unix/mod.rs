//! What Unix systems have in common: sockets in the file system, who is at their other end, waiting for them.

pub mod peer;
pub mod socket;
pub mod wait;
