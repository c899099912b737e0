//! Stands for the server where there are no sockets in the file system.

use std::path::Path;
use std::sync::Arc;

use super::limits::Limits;
use super::place::Place;
use super::{Counts, Handler};

/// Why there is no server.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Not on this system.
    #[error("a running agent can be controlled only on Unix systems so far")]
    Unsupported,
}

/// Never there.
#[derive(Debug)]
pub enum Server {}

impl Server {
    /// Fails.
    pub fn start(_: &Place, _: Arc<dyn Handler>) -> Result<Self, StartError> {
        Err(StartError::Unsupported)
    }

    /// Fails.
    pub fn start_with(_: &Place, _: Arc<dyn Handler>, _: Limits) -> Result<Self, StartError> {
        Err(StartError::Unsupported)
    }

    /// Where it listens.
    pub fn path(&self) -> &Path {
        match *self {}
    }

    /// What has happened so far.
    pub fn counts(&self) -> Counts {
        match *self {}
    }

    /// Stops.
    pub fn stop(self) -> Counts {
        match self {}
    }
}
