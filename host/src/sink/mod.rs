//! Where alerts go.
//!
//! A sink gets alerts in order. Sinks decide how an alert looks, never
//! whether there is one. [`text`] is for people, [`json`] for other programs; both are safe on a terminal, whatever
//! the event contained ([`terminal`]).

pub mod json;
pub mod terminal;
pub mod text;

use std::io;

use crate::agent::alert::Alert;

/// Takes alerts.
pub trait Sink {
    /// Delivers one alert.
    fn alert(&mut self, alert: &Alert) -> io::Result<()>;

    /// Passes on what was delivered so far, so that a reader sees it.
    fn flush(&mut self) -> io::Result<()>;

    /// Writes what is outstanding; called once, after the last alert.
    fn finish(&mut self) -> io::Result<()>;
}
