//! One instruction: what must hold before it, whether a state entails that, and what holds after it.
//!
//! ```text
//! assertion    the demands, as data
//! check        does the state entail one? `capability`: may the bytes be touched?
//! transfer     the state afterwards; never judges
//! context      what all of them know beside the state: the program's kind, helpers and maps
//! ```

mod assertion;
mod capability;
mod check;
mod context;
pub(super) mod transfer;

pub use assertion::{Assertion, Mode, Place};
pub(super) use assertion::{assertions, helper_number, place};
pub(super) use capability::region_len;
pub use check::POINTER_OFFSET_MAX;
pub(super) use context::Context;
