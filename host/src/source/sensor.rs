//! Live sources: what a sensor is to the agent.
//!
//! A [`Sensor`] hands over raw events as the operating system tells of them, with all that had to be read at that
//! moment already inside, and a [`Gap`] wherever it knows that events never reached it. It runs on a thread of its
//! own and judges nothing. What a sensor supplies is its *profile*: a table beside the taxonomies of recorded events,
//! against which rules are checked before they run.
//!
//! A new sensor (a kernel program, audit, a log) implements [`Sensor`], brings its profile, and is chosen in the same
//! place; nothing behind this seam changes.

use std::time::Duration;

use super::RawEvent;

/// What a sensor is, for the person who started it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// The supply profile of its events, which is its name too: `linux-connector`.
    pub profile: &'static str,
    /// In words: `the kernel's process connector`.
    pub title: String,
    /// What it cannot see, a sentence each, and why, if another sensor would have been better.
    pub blind: Vec<String>,
}

/// Something that a sensor hands over.
#[derive(Clone, Debug)]
pub enum Received {
    /// An event.
    Event(RawEvent),
    /// Events that happened and never arrived.
    Gap(Gap),
}

/// Events that happened and never arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// How many.
    pub count: u64,
    /// Whether that is their number, or the most that it can have been.
    pub exact: bool,
    /// What happened, in a few words.
    pub reason: &'static str,
}

/// A sensor that can tell of nothing any more.
#[derive(Debug, thiserror::Error)]
#[error("{profile}: {reason}")]
pub struct SensorError {
    /// Which sensor.
    pub profile: &'static str,
    /// What the system says.
    pub reason: String,
}

/// A live source.
pub trait Sensor: Send {
    /// What it is.
    fn facts(&self) -> &Facts;

    /// Hands over all that has arrived; if that is nothing, waits for `wait` at most. With a `wait` of zero it takes
    /// what is there and returns: so is a sensor drained. Returning without anything handed over is no end and no
    /// error.
    fn receive(&mut self, wait: Duration, on: &mut dyn FnMut(Received)) -> Result<(), SensorError>;
}
