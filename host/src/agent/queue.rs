//! The queue between sensor and worker: events, gaps and rule changes in one order.
//!
//! ```text
//! sensor thread ── push(event | gap) ──► [ e e g e S e e ] ── pop ──► worker thread
//! whoever changes rules ── swap ───────────────────^
//! ```
//!
//! It is bounded in events and in bytes. Who pushes never waits: an event that finds the queue full is dropped and
//! becomes part of a gap at that place, so that the loss is counted and can be located. A change of rules is never
//! dropped; there can be only so many at a time. A gap takes no room worth counting: there is at most one between two
//! other items.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc};

use super::load::Ruleset;
use super::worker::Item;
use crate::source::sensor::{Gap, Received};

/// The most events that wait: at a thousand processes a second, a minute's.
pub const QUEUE_EVENTS_MAX: usize = 65_536;
/// The most bytes that waiting events may hold.
pub const QUEUE_BYTES_MAX: usize = 64 * 1024 * 1024;
/// The most changes of rules that wait: each is a full set of rules.
pub const QUEUE_SWAPS_MAX: usize = 8;
/// Bytes that an event takes up beside its own.
const EVENT_OVERHEAD: usize = 128;
/// What the gap says when the queue was full.
pub const QUEUE_FULL: &str = "the queue was full: judging or output could not keep up";

/// How much waits at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueLimits {
    /// Events.
    pub events: usize,
    /// Bytes of events.
    pub bytes: usize,
    /// Changes of rules.
    pub swaps: usize,
}

impl Default for QueueLimits {
    fn default() -> Self {
        Self { events: QUEUE_EVENTS_MAX, bytes: QUEUE_BYTES_MAX, swaps: QUEUE_SWAPS_MAX }
    }
}

/// Why a change of rules is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SwapError {
    /// Nothing more is taken.
    #[error("the agent is stopping")]
    Closed,
    /// The worker has not got to the earlier ones.
    #[error("{0} changes of rules wait already: the agent's output is blocked, or it cannot keep up")]
    Full(usize),
}

/// What went in so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueueCounts {
    /// Events that wait.
    pub waiting: usize,
    /// Events taken.
    pub taken: u64,
    /// Events that did not arrive or found the queue full.
    pub lost: u64,
    /// Whether `lost` is more than there can have been.
    pub lost_at_most: bool,
}

/// Events, gaps and rule changes in order.
#[derive(Debug, Default)]
pub struct Queue {
    limits: QueueLimits,
    state: Mutex<State>,
    ready: Condvar,
}

#[derive(Debug, Default)]
struct State {
    items: VecDeque<Item>,
    bytes: usize,
    swaps: usize,
    closed: bool,
    counts: QueueCounts,
}

impl Queue {
    /// An empty queue.
    pub fn new(limits: QueueLimits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// Takes what a sensor hands over. Never waits. After the queue was closed, an event is lost like any other that
    /// has no room.
    pub fn push(&self, received: Received) {
        let mut state = self.lock();
        match received {
            Received::Event(raw) => {
                let bytes = raw.payload.bytes().len().saturating_add(EVENT_OVERHEAD);
                let room = !state.closed
                    && state.counts.waiting < self.limits.events
                    && state.bytes.saturating_add(bytes) <= self.limits.bytes;
                if room {
                    state.bytes += bytes;
                    state.counts.waiting += 1;
                    state.counts.taken += 1;
                    state.items.push_back(Item::Raw(raw));
                } else {
                    state.lose(Gap { count: 1, exact: true, reason: QUEUE_FULL });
                }
            }
            Received::Gap(gap) => state.lose(gap),
        }
        drop(state);
        self.ready.notify_one();
    }

    /// Takes a change of rules, which holds from the next event on; `reply` gets the sequence number of that event
    /// when the worker has got there.
    pub fn swap(&self, ruleset: Arc<Ruleset>, reply: mpsc::Sender<u64>) -> Result<(), SwapError> {
        let mut state = self.lock();
        if state.closed {
            return Err(SwapError::Closed);
        }
        if state.swaps >= self.limits.swaps {
            return Err(SwapError::Full(state.swaps));
        }
        state.swaps += 1;
        state.items.push_back(Item::Swap { ruleset, reply: Some(reply) });
        drop(state);
        self.ready.notify_one();
        Ok(())
    }

    /// The next item; waits for one. None: closed and empty.
    pub fn pop(&self) -> Option<Item> {
        let mut state = self.lock();
        loop {
            if let Some(item) = state.items.pop_front() {
                match &item {
                    Item::Raw(raw) => {
                        state.bytes = state.bytes.saturating_sub(raw.payload.bytes().len() + EVENT_OVERHEAD);
                        state.counts.waiting = state.counts.waiting.saturating_sub(1);
                    }
                    Item::Swap { .. } => state.swaps = state.swaps.saturating_sub(1),
                    Item::Gap(_) => {}
                }
                return Some(item);
            }
            if state.closed {
                return None;
            }
            state = self.ready.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.lock().items.is_empty()
    }

    /// Takes nothing more; what waits can still be had.
    pub fn close(&self) {
        self.lock().closed = true;
        self.ready.notify_all();
    }

    /// Takes nothing more and forgets what waits, which is lost: there is nobody left to judge it.
    pub fn abandon(&self) {
        let mut state = self.lock();
        state.closed = true;
        let waiting = std::mem::take(&mut state.counts.waiting);
        state.counts.lost = state.counts.lost.saturating_add(waiting as u64);
        state.items.clear();
        (state.bytes, state.swaps) = (0, 0);
        drop(state);
        self.ready.notify_all();
    }

    /// What went in so far.
    pub fn counts(&self) -> QueueCounts {
        self.lock().counts
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing that is done under the lock can leave the state half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn lose(&mut self, gap: Gap) {
        self.counts.lost = self.counts.lost.saturating_add(gap.count);
        self.counts.lost_at_most |= !gap.exact;
        if self.closed {
            return;
        }
        match self.items.back_mut() {
            // Two reasons in turn do not make the queue longer than one gap after an event: the last one is told.
            Some(Item::Gap(last)) => {
                last.count = last.count.saturating_add(gap.count);
                last.exact &= gap.exact;
                last.reason = gap.reason;
            }
            _ => self.items.push_back(Item::Gap(gap)),
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use trapline_programs::catalogue::catalogue;

    use super::*;
    use crate::agent::load::load;
    use crate::source::{Payload, Position, RawEvent, SourceId};

    fn event(sequence: u64, bytes: usize) -> Received {
        Received::Event(RawEvent {
            source: SourceId(0),
            sequence,
            position: Position { file: "test".into(), record: sequence },
            payload: Payload::Json(Bytes::from(vec![b' '; bytes])),
        })
    }

    fn gap(count: u64, exact: bool, reason: &'static str) -> Received {
        Received::Gap(Gap { count, exact, reason })
    }

    fn queue(events: usize, bytes: usize) -> Queue {
        Queue::new(QueueLimits { events, bytes, swaps: 2 })
    }

    fn ruleset() -> Arc<Ruleset> {
        Arc::new(load(&[], catalogue()).unwrap().ruleset)
    }

    /// What is in the queue: numbers of events, `-n` for gaps, `S` for swaps.
    fn content(queue: &Queue) -> String {
        queue.close();
        let mut content = Vec::new();
        while let Some(item) = queue.pop() {
            content.push(match item {
                Item::Raw(raw) => raw.sequence.to_string(),
                Item::Gap(gap) => format!("-{}{}", gap.count, if gap.exact { "" } else { "?" }),
                Item::Swap { .. } => "S".to_owned(),
            });
        }
        content.join(" ")
    }

    #[test]
    fn events_below_at_and_over_the_limit() {
        for (count, expected) in [(2, "0 1"), (3, "0 1 2"), (4, "0 1 2 -1"), (6, "0 1 2 -3")] {
            let queue = queue(3, usize::MAX);
            (0..count).for_each(|number| queue.push(event(number, 0)));
            let counts = queue.counts();
            assert_eq!((counts.taken, counts.lost), (count.min(3), count.saturating_sub(3)));
            assert!(!counts.lost_at_most);
            assert_eq!(content(&queue), expected);
        }
    }

    #[test]
    fn bytes_below_at_and_over_the_limit() {
        let limit = 2 * (EVENT_OVERHEAD + 100);
        for (bytes, expected) in [(99, "0 1"), (100, "0 1"), (101, "0 -1")] {
            let queue = queue(10, limit);
            queue.push(event(0, 100));
            queue.push(event(1, bytes));
            assert_eq!(content(&queue), expected, "{bytes}");
        }
        let queue = queue(10, limit);
        for round in 0..100 {
            queue.push(event(round, 200));
            assert!(matches!(queue.pop(), Some(Item::Raw(_))), "what was taken out has given its room back");
        }
    }

    #[test]
    fn room_that_is_made_is_used_and_each_loss_stays_in_its_place() {
        let queue = queue(2, usize::MAX);
        (0..4).for_each(|number| queue.push(event(number, 0)));
        assert!(matches!(queue.pop(), Some(Item::Raw(raw)) if raw.sequence == 0));
        (4..6).for_each(|number| queue.push(event(number, 0)));
        assert_eq!(queue.counts(), QueueCounts { waiting: 2, taken: 3, lost: 3, lost_at_most: false });
        assert_eq!(content(&queue), "1 -2 4 -1");
    }

    #[test]
    fn gaps_join_and_one_that_is_not_exact_makes_the_sum_so() {
        let queue = queue(2, usize::MAX);
        queue.push(gap(5, true, "a"));
        queue.push(gap(7, false, "b"));
        queue.push(event(0, 0));
        queue.push(gap(1, true, "a"));
        assert_eq!(queue.counts().lost, 13);
        assert!(queue.counts().lost_at_most);
        assert_eq!(content(&queue), "-12? 0 -1");
    }

    #[test]
    fn a_change_of_rules_finds_a_full_queue_open_and_keeps_its_place() {
        let queue = queue(1, usize::MAX);
        let (reply, _wait) = mpsc::channel();
        (0..2).for_each(|number| queue.push(event(number, 0)));
        queue.swap(ruleset(), reply.clone()).unwrap();
        queue.push(event(2, 0));
        queue.swap(ruleset(), reply.clone()).unwrap();
        assert_eq!(queue.swap(ruleset(), reply.clone()), Err(SwapError::Full(2)));
        assert!(matches!(queue.pop(), Some(Item::Raw(_))));
        queue.push(event(3, 0));
        assert_eq!(content(&queue), "-1 S -1 S 3");
        assert_eq!(queue.swap(ruleset(), reply), Err(SwapError::Closed));
    }

    #[test]
    fn after_the_end_what_waits_is_had_and_what_comes_is_lost() {
        let closed = queue(4, usize::MAX);
        closed.push(event(0, 0));
        closed.close();
        closed.push(event(1, 0));
        assert_eq!(closed.counts().lost, 1);
        assert_eq!(content(&closed), "0");
        let abandoned = queue(4, usize::MAX);
        (0..3).for_each(|number| abandoned.push(event(number, 0)));
        abandoned.abandon();
        assert_eq!((abandoned.counts().waiting, abandoned.counts().lost), (0, 3));
        assert_eq!(content(&abandoned), "");
    }

    #[test]
    fn who_waits_gets_what_comes() {
        let queue = Arc::new(queue(4, usize::MAX));
        let waiting = std::thread::spawn({
            let queue = queue.clone();
            move || (queue.pop().is_some(), queue.pop().is_some())
        });
        queue.push(event(0, 0));
        queue.close();
        assert_eq!(waiting.join().unwrap(), (true, false));
    }
}
