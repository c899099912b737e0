//! Numbers, over-approximated: sets of 64-bit values that can be joined, computed with, and compared.
//!
//! ```text
//! bits       the width of an operation: all of this works at any, so that tests can try all values of a small one
//! tnum       what is known of each bit
//! interval   unsigned and signed bounds
//! scalar     all of these of one value, kept in agreement; what the rest of the verifier uses
//! ```

mod bits;
mod interval;
mod scalar;
mod tnum;

pub use bits::Bits;
pub use interval::{Signed, Unsigned};
pub use scalar::Scalar;
pub use tnum::Tnum;
