//! The shape of a program: its blocks, where they lead, its functions, and its loops in an order to look at them.

mod cfg;
mod wto;

pub(super) use cfg::{Cfg, FunctionId};
pub(super) use wto::Component;
pub use wto::LOOP_NESTING_MAX;
