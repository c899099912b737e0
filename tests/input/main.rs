//! Event input: files in, events out. Every piece of bad input is counted, located, and costs only itself.

mod bad;
mod evtx;
mod shapes;
mod support;
