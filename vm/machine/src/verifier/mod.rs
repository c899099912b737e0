//! The verifier.
pub mod assertion;
pub mod bits;
pub mod interval;
pub mod scalar;
pub mod state;
pub mod tnum;
