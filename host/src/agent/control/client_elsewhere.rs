//! Stands for the client where there are no sockets in the file system.

use super::place::Place;
use super::{Request, Response};

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// Not on this system.
    #[error("a running agent can be controlled only on Unix systems so far")]
    Unsupported,
}

impl AskError {
    /// Whether the failure is Trapline's own.
    pub fn is_ours(&self) -> bool {
        false
    }
}

/// Fails.
pub fn ask(_: &Place, _: Request) -> Result<Response, AskError> {
    Err(AskError::Unsupported)
}
