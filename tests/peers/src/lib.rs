//! Trapline beside other engines for Sigma: the same rules on the same events, and every difference explained.
//!
//! ```text
//! rules (YAML) ──┬─► rule ──► judge          what the specification says, naively
//!                ├─► Trapline                 compiled, proved, run
//!                └─► rsigma, sigma-rust       on flat events, routed by SigmaHQ's own table of log sources
//! events ── EVTX, JSON ──► event, route       Sigma's names, rules that the event is for
//! differences ──► cause                       traced to a leaf and to a neutral change that ends it
//! ```
//!
//! It promises that no difference passes in silence: one that no cause explains fails the run. It is not a benchmark.

pub mod cause;
pub mod compare;
pub mod condition;
pub mod engines;
pub mod event;
pub mod judge;
pub mod pattern;
pub mod route;
pub mod rule;
