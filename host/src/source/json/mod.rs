//! JSON as events arrive in it: cut into objects ([`Framer`]), and parsed into a tree that borrows ([`Node`]).

mod frame;
mod node;

pub(crate) use frame::Framer;
pub(crate) use node::{Node, NodeError, parse};

/// The longest object that is read, in bytes from `{` to `}`.
pub const EVENT_BYTES_MAX: usize = 4 * 1024 * 1024;
