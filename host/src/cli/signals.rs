//! Signals that ask the agent to stop. The first one asks; one that comes later ends the process at once, whatever it is
//! doing. Signals that come together are one: a terminal, `sudo` and `timeout` each may pass on the same one.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// For so long after the first signal another one means the same.
#[cfg(unix)]
const TOGETHER: std::time::Duration = std::time::Duration::from_secs(1);
/// Exit code of a process that a later signal ended: that of one which died of SIGINT.
#[cfg(unix)]
const EXIT_AT_ONCE: i32 = 130;

/// Whether we were asked to stop.
#[derive(Debug)]
pub(super) struct Signals {
    asked: Arc<AtomicBool>,
}

impl Signals {
    /// From now on SIGINT and SIGTERM ask; where there are none, nobody does, and Ctrl-C ends the process.
    #[cfg(unix)]
    pub(super) fn catch() -> io::Result<Self> {
        use signal_hook::consts::{SIGINT, SIGTERM};

        let (asked, armed) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        for signal in [SIGINT, SIGTERM] {
            // In the handler itself, so that no thread that hangs can be in the way.
            signal_hook::flag::register_conditional_shutdown(signal, EXIT_AT_ONCE, armed.clone())?;
        }
        let mut signals = signal_hook::iterator::Signals::new([SIGINT, SIGTERM])?;
        let flag = asked.clone();
        std::thread::Builder::new().name("trapline-signals".to_owned()).spawn(move || {
            if signals.forever().next().is_some() {
                flag.store(true, Ordering::Release);
                std::thread::sleep(TOGETHER);
                armed.store(true, Ordering::Release);
            }
        })?;
        Ok(Self { asked })
    }

    /// Nobody asks here: Ctrl-C ends the process.
    #[cfg(not(unix))]
    pub(super) fn catch() -> io::Result<Self> {
        Ok(Self { asked: Arc::default() })
    }

    /// Whether we were asked to stop.
    pub(super) fn asked(&self) -> bool {
        self.asked.load(Ordering::Acquire)
    }
}
