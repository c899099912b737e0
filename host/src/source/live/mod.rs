//! What happens on this host, now: the live sources, and how one is chosen.
//!
//! ```text
//! process connector ──► message ──┐                          ┌─► event (JSON) ──► RawEvent
//!                                 ├─► Table of processes ────┤
//! /proc ───────────────► stat ────┘     (who started whom)   └─► Gap: what never arrived
//! ```
//!
//! The kernel's messages have numbers in them and nothing else. What a program is called, where it runs and with which
//! arguments is read from `/proc` the moment its message arrives, in the order in which it vanishes; the rest is in
//! the table. What could not be read in time is named in the event as lost, never left out in silence.
//!
//! Messages, tables and events are plain data here, and tested everywhere; only the two sensors are Linux, and the
//! calls they make stand in [`crate::sys`].

#![cfg_attr(not(target_os = "linux"), allow(dead_code, reason = "the sensors that use it are for Linux"))]

mod accounts;
mod event;
mod message;
mod silence;
mod stat;
mod table;
mod value;

#[cfg(target_os = "linux")]
mod connector;
#[cfg(target_os = "linux")]
mod look;
#[cfg(all(test, target_os = "linux"))]
mod testing;
#[cfg(target_os = "linux")]
mod watcher;

use super::sensor::Sensor;

/// Which live source to use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Choice {
    /// The process connector where the kernel grants it, else `/proc`.
    #[default]
    Auto,
    /// The kernel's process connector.
    Connector,
    /// Watching `/proc`.
    Proc,
}

/// Why there is no live source.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct OpenError(String);

/// Opens a live source. It has looked at all processes when this returns, and tells of what happens from then on.
#[cfg(target_os = "linux")]
pub fn open(choice: Choice) -> Result<Box<dyn Sensor>, OpenError> {
    match choice {
        Choice::Connector => match connector::ConnectorSensor::open() {
            Ok(sensor) => Ok(Box::new(sensor)),
            Err(reason) => Err(OpenError(format!("the kernel's process connector is not available: {reason}"))),
        },
        Choice::Proc => open_proc(None),
        Choice::Auto => match connector::ConnectorSensor::open() {
            Ok(sensor) => Ok(Box::new(sensor)),
            Err(reason) => open_proc(Some(reason)),
        },
    }
}

#[cfg(target_os = "linux")]
fn open_proc(instead_because: Option<String>) -> Result<Box<dyn Sensor>, OpenError> {
    match watcher::ProcSensor::open(instead_because) {
        Ok(sensor) => Ok(Box::new(sensor)),
        Err(reason) => Err(OpenError(format!("/proc cannot be watched: {reason}"))),
    }
}

/// Opens a live source: there is none for this system yet.
#[cfg(not(target_os = "linux"))]
pub fn open(_: Choice) -> Result<Box<dyn Sensor>, OpenError> {
    Err(OpenError("this system has no live source yet: only Linux has; recorded events can be replayed".to_owned()))
}
