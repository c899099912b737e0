//! Event input: files in, events out. Every piece of bad input is counted, located, and costs only itself.

mod bad;
mod evtx;
mod log;
mod shapes;
mod support;
