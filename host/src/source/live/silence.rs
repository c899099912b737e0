//! Notices that the kernel has stopped telling.
//!
//! On kernels before 6.6 there is one count of those who listen, and any process of root can lower it by saying that it
//! listens no more: then nobody is told anything, and no number is missing anywhere. But the kernel also counts the
//! processes and threads it makes, and each of those is a message. If that count went up and no message came, none
//! will.

/// Watches for a silence that cannot be.
#[derive(Debug, Default)]
pub(super) struct Silence {
    /// How many processes and threads had been made when it began, and at the last look.
    made: Option<(u64, u64)>,
}

impl Silence {
    /// To be called in turn: whether a message came since the last call, and if not, how many processes and threads
    /// have been made. How many of them were not told, if that is sure.
    pub(super) fn look(&mut self, heard: bool, made: impl FnOnce() -> Option<u64>) -> Option<u64> {
        let now = if heard { None } else { made() };
        let Some(now) = now else {
            self.made = None;
            return None;
        };
        let (first, last) = self.made.unwrap_or((now, now));
        // Only what had been made by the last look: the message of another may be on its way.
        if last > first {
            self.made = Some((now, now));
            return Some(now.saturating_sub(first));
        }
        self.made = Some((first, now));
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processes_without_messages_are_told_once_their_messages_had_time_to_come() {
        let mut silence = Silence::default();
        assert_eq!(silence.look(false, || Some(10)), None);
        assert_eq!(silence.look(false, || Some(10)), None, "nothing happened, and nothing was told");
        assert_eq!(silence.look(false, || Some(11)), None, "it may be on its way");
        assert_eq!(silence.look(false, || Some(13)), Some(3));
        assert_eq!(silence.look(false, || Some(13)), None, "once");
        assert_eq!(silence.look(false, || Some(14)), None);
        assert_eq!(silence.look(true, || None), None, "it came");
        assert_eq!(silence.look(false, || Some(90)), None, "what was made meanwhile was told");
        assert_eq!(silence.look(false, || None), None);
        assert_eq!(silence.look(false, || Some(95)), None, "nobody knows");
    }
}
