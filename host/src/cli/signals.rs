//! Signals that ask the agent to stop. The first one asks; a second one ends the process at once, whatever it is doing.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Exit code of a process that a second signal ended: that of one which died of SIGINT.
#[cfg(unix)]
const EXIT_AT_ONCE: i32 = 130;

/// Whether we were asked to stop.
#[derive(Debug)]
pub(super) struct Signals {
    asked: Arc<AtomicBool>,
}

impl Signals {
    /// From now on SIGINT and SIGTERM ask; where there are none, nobody does, and Ctrl-C ends the process.
    pub(super) fn catch() -> io::Result<Self> {
        let asked = Arc::new(AtomicBool::new(false));
        #[cfg(unix)]
        for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
            // In this order: the first signal finds the flag unset.
            signal_hook::flag::register_conditional_shutdown(signal, EXIT_AT_ONCE, asked.clone())?;
            signal_hook::flag::register(signal, asked.clone())?;
        }
        Ok(Self { asked })
    }

    /// Whether we were asked to stop.
    pub(super) fn asked(&self) -> bool {
        self.asked.load(Ordering::Acquire)
    }
}
