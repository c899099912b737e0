//! The verifier.
pub mod assertion;
pub mod bits;
mod capability;
pub mod interval;
mod reason;
pub mod scalar;
pub mod state;
pub mod tnum;
mod transfer;
