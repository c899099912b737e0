//! The agent: rules in, events through, alerts out.
//!
//! ```text
//! rule text ── load ──► Generation ─┐  (swapped at a marker in the stream)
//! raw events ───────────────────────┴─► worker ── Alert ──► sink
//! ```
//!
//! [`load`] turns rules into proved programs; nothing else makes a program that runs. [`worker`] is one thread's
//! share of the stream: it decodes a raw event into the record that programs read, runs the generation over it, and
//! decodes the whole event once more when something matched. [`supply`] answers which rules the sources can serve.
//!
//! While it runs: [`live`] has the threads, with a [`queue`] between sensor and worker; [`library`] knows the rules in
//! force and what a change would make of them; [`control`] is how others ask for a change, [`watch`] tells of folders
//! that were edited.

pub mod alert;
pub mod control;
pub mod library;
pub mod live;
pub mod load;
pub mod message;
pub mod queue;
pub mod summary;
pub mod supply;
pub mod synthetic;
pub mod trial;
pub mod watch;
pub mod worker;
