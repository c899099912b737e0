//! The clocks that the kernel stamps processes with, and what they mean in wall-clock time.

use rustix::time::{ClockId, Timespec, clock_gettime};

/// Nanoseconds of a second.
const SECOND_NS: i64 = 1_000_000_000;

/// What has to be added to the kernel's clocks to get nanoseconds since 1970, as of one moment. It changes when the
/// wall clock is set, and when the host sleeps.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Offsets {
    /// For the clock that stops while the host sleeps: it stamps events.
    pub(crate) monotonic: i64,
    /// For the clock that does not: it stamps the start of processes.
    pub(crate) boot: i64,
}

impl Offsets {
    /// Those of now.
    pub(crate) fn now() -> Self {
        let mut best = Self::read();
        for _ in 1..READS_MAX {
            if best.1 <= READ_TAKES_NS {
                break;
            }
            let next = Self::read();
            if next.1 < best.1 {
                best = next;
            }
        }
        best.0
    }

    /// Reads the clocks one after the other; how long that took is how wrong their distance can be.
    fn read() -> (Self, i64) {
        let begin = monotonic();
        let wall = nanoseconds(clock_gettime(ClockId::Realtime));
        let boot = nanoseconds(clock_gettime(ClockId::Boottime));
        let end = monotonic();
        (Self { monotonic: wall.saturating_sub(begin), boot: wall.saturating_sub(boot) }, end.saturating_sub(begin))
    }
}

/// The clocks are read again if that took longer: the thread was interrupted between them.
const READ_TAKES_NS: i64 = 20_000;
/// How often they are read at most.
const READS_MAX: u32 = 4;

/// Nanoseconds on the clock that stamps events.
pub(crate) fn monotonic() -> i64 {
    nanoseconds(clock_gettime(ClockId::Monotonic))
}

/// How many nanoseconds one tick of the times in `/proc` is.
pub(crate) fn tick_ns() -> i64 {
    let per_second = i64::try_from(rustix::param::clock_ticks_per_second()).unwrap_or(0).clamp(1, SECOND_NS);
    SECOND_NS / per_second
}

fn nanoseconds(time: Timespec) -> i64 {
    time.tv_sec.saturating_mul(SECOND_NS).saturating_add(time.tv_nsec)
}
