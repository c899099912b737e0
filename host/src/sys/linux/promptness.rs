//! Lets a thread run the moment it has something to do.
//!
//! A process that lives for a millisecond can be looked at only within that millisecond, and on a busy host an
//! ordinary thread may wait longer for its turn, whatever its nice value. With the lowest real-time priority it does
//! not wait: measured under a storm of short processes, an eighth of which were gone before they were looked at, less
//! than a hundredth are. That is granted to root alone; for others nothing changes.
//!
//! Nobody else gets a turn while such a thread runs, so it has a limit: if it takes more than [`SHARE_MAX`] of a
//! [`WINDOW`], it is an ordinary thread again for the time of a [`REST`]. Should a bug of ours ever keep it from that,
//! the kernel ends the agent after [`LOOP_MAX`] rather than let it have the processor.

use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::time::{ClockId, clock_gettime};
use thread_priority::unix::{
    NormalThreadSchedulePolicy, RealtimeThreadSchedulePolicy, ThreadSchedulePolicy, set_thread_priority_and_policy,
    thread_native_id,
};
use thread_priority::{ThreadPriority, ThreadPriorityValue};

/// Over which time it is watched how much the thread takes.
const WINDOW: Duration = Duration::from_secs(1);
/// One part of so many may be taken before others.
const SHARE_MAX: u32 = 3;
/// How long it is an ordinary thread after it took too much.
const REST: Duration = Duration::from_secs(10);

/// The longest that a real-time thread may run without ever waiting; then the kernel sends SIGXCPU, which ends the
/// process. Far more than a window, after which the thread gives the priority up by itself.
const LOOP_MAX: Duration = Duration::from_secs(5);

/// Nice value 0, on a scale from 0 to 99.
const ORDINARY: u8 = 47;

/// Of one thread: the one that [tends](Self::tend) it.
#[derive(Debug)]
pub(crate) struct Promptness {
    state: State,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// Nothing was asked for yet.
    New,
    /// It runs before others since a moment at which it had taken this much.
    Prompt { since: Instant, taken: Duration },
    /// It took too much.
    Resting { until: Instant },
    /// It is not granted.
    Refused,
}

impl Promptness {
    pub(crate) fn new() -> Self {
        Self { state: State::New }
    }

    /// To be called within work that takes long: it can take the priority away, and never gives it.
    pub(crate) fn tend_long_work(&mut self) {
        if let State::Prompt { .. } = self.state {
            self.tend();
        }
    }

    /// To be called again and again by the thread itself.
    pub(crate) fn tend(&mut self) {
        let now = Instant::now();
        self.state = match self.state {
            State::New => begin(now),
            State::Resting { until } if until <= now => begin(now),
            State::Prompt { since, .. } if now.duration_since(since) < WINDOW => return,
            State::Prompt { since, taken } => {
                let total = taken_by_thread();
                if is_too_much(total.saturating_sub(taken), now.duration_since(since)) {
                    set(ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Other));
                    State::Resting { until: now + REST }
                } else {
                    State::Prompt { since: now, taken: total }
                }
            }
            State::Resting { .. } | State::Refused => return,
        };
    }
}

fn begin(now: Instant) -> State {
    if limit_loops() && set(ThreadSchedulePolicy::Realtime(RealtimeThreadSchedulePolicy::RoundRobin)) {
        State::Prompt { since: now, taken: taken_by_thread() }
    } else {
        State::Refused
    }
}

/// Sets the limit of the process to [`LOOP_MAX`], unless it is lower already. Without it there is no priority.
fn limit_loops() -> bool {
    let limit = u64::try_from(LOOP_MAX.as_micros()).unwrap_or(u64::MAX);
    let known = getrlimit(Resource::Rttime);
    if known.current.is_some_and(|current| current <= limit) {
        return true;
    }
    setrlimit(Resource::Rttime, Rlimit { current: Some(limit), maximum: known.maximum }).is_ok()
}

fn set(policy: ThreadSchedulePolicy) -> bool {
    let priority = match policy {
        ThreadSchedulePolicy::Realtime(_) => ThreadPriority::Min,
        ThreadSchedulePolicy::Normal(_) => match ThreadPriorityValue::try_from(ORDINARY) {
            Ok(ordinary) => ThreadPriority::Crossplatform(ordinary),
            Err(_) => return false,
        },
    };
    set_thread_priority_and_policy(thread_native_id(), priority, policy).is_ok()
}

fn is_too_much(taken: Duration, of: Duration) -> bool {
    taken.saturating_mul(SHARE_MAX) > of
}

/// Processor time that the calling thread has taken.
fn taken_by_thread() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_third_is_not_too_much() {
        let ms = Duration::from_millis;
        for (taken, too_much) in [(0, false), (332, false), (333, false), (334, true), (1000, true)] {
            assert_eq!(is_too_much(ms(taken), ms(999)), too_much, "{taken}");
        }
    }

    #[test]
    fn it_is_asked_for_once_and_given_up_when_it_takes_too_much() {
        // A thread of its own: its priority goes with it.
        let thread = std::thread::spawn(|| {
            let mut promptness = Promptness::new();
            promptness.tend();
            if matches!(promptness.state, State::Refused) {
                eprintln!("skipped: real-time priority is not granted");
                return;
            }
            let policy = || thread_priority::unix::thread_schedule_policy().unwrap();
            assert_eq!(policy(), ThreadSchedulePolicy::Realtime(RealtimeThreadSchedulePolicy::RoundRobin));
            let limit = getrlimit(Resource::Rttime).current.map(Duration::from_micros);
            assert!(limit.is_some_and(|limit| limit <= LOOP_MAX), "{limit:?}");
            // As if all its work so far had been done within the window that is over now.
            while taken_by_thread() <= WINDOW / SHARE_MAX + Duration::from_millis(50) {
                std::hint::spin_loop();
            }
            promptness.state =
                State::Prompt { since: Instant::now().checked_sub(WINDOW).unwrap(), taken: Duration::ZERO };
            promptness.tend();
            assert!(matches!(promptness.state, State::Resting { .. }), "{:?}", promptness.state);
            assert_eq!(policy(), ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Other));
            assert_eq!(rustix::process::getpriority_process(None), Ok(0));
            promptness.state = State::Resting { until: Instant::now() };
            promptness.tend_long_work();
            assert!(matches!(promptness.state, State::Resting { .. }), "{:?}", promptness.state);
            promptness.tend();
            assert!(matches!(promptness.state, State::Prompt { .. }), "it has rested");
        });
        thread.join().unwrap();
    }
}
