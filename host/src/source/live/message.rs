//! Messages of the kernel's process connector, from bytes.
//!
//! ```text
//! nlmsghdr 16   length u32, type u16, flags u16, sequence u32, port u32
//! cn_msg   20   index u32, value u32, sequence u32, ack u32, length u16, flags u16
//! proc_event    what u32, cpu u32, nanoseconds u64 (CLOCK_MONOTONIC), then up to 24 bytes that depend on `what`
//! ```
//!
//! All numbers are in the byte order of the host. Reading is total: what is too short, or is no message of the
//! connector, is none.

/// The connector's index and value for process events.
const INDEX: u32 = 1;
const VALUE: u32 = 1;
const NETLINK_HEADER_BYTES: usize = 16;
const CONNECTOR_HEADER_BYTES: usize = 20;
const EVENT_HEADER_BYTES: usize = 16;
/// A netlink message that ends a run of messages and says nothing else.
const NLMSG_DONE: u16 = 3;
/// The request to be told.
const LISTEN: u32 = 1;

/// Room that holds any message: they have 76 bytes.
pub(super) const MESSAGE_BYTES_MAX: usize = 4096;

/// Bytes of the name that `prctl` gives a thread.
pub(super) const COMM_BYTES: usize = 16;

/// A task: a thread, and the process it belongs to. The first thread of a process has its number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Task {
    pub(super) thread: u32,
    pub(super) process: u32,
}

impl Task {
    /// Whether it stands for its process.
    pub(super) fn is_process(self) -> bool {
        self.thread == self.process
    }
}

/// One message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Message {
    /// Counts the messages of one processor, from whatever the kernel had counted before.
    pub(super) sequence: u32,
    /// The processor that it comes from.
    pub(super) cpu: u32,
    /// When, on the clock that stops while the host sleeps.
    pub(super) time_ns: u64,
    pub(super) what: What,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// An answer to somebody's request: 0, or an error number. `to` is one more than what the request said.
    Answer { error: u32, to: u32 },
    /// A task made another one.
    Fork { parent: Task, child: Task },
    /// A task runs another program now.
    Exec(Task),
    /// The user that a task acts for changed.
    Uid { task: Task, real: u32, effective: u32 },
    /// The group that a task acts for changed.
    Gid { task: Task, real: u32, effective: u32 },
    /// A task began a session of its own.
    Session(Task),
    /// A task was given another name, other than by running a program.
    Name { task: Task, name: [u8; COMM_BYTES] },
    /// A task left a core dump.
    CoreDump(Task),
    /// A task ended, with this status as `wait` has it.
    Exit { task: Task, status: u32 },
    /// Something that this program does not use.
    Other(u32),
}

/// The request to be told of all process events. Its answer has `mark + 1`, and all who listen get it.
pub(super) fn request_to_listen(mark: u32) -> Vec<u8> {
    let mut request = Vec::new();
    let length = NETLINK_HEADER_BYTES + CONNECTOR_HEADER_BYTES + size_of::<u32>();
    request.extend(u32::try_from(length).unwrap_or_default().to_ne_bytes());
    request.extend(NLMSG_DONE.to_ne_bytes());
    request.extend(0u16.to_ne_bytes());
    for number in [0, 0, INDEX, VALUE, 0, mark] {
        request.extend(u32::to_ne_bytes(number));
    }
    request.extend(4u16.to_ne_bytes());
    request.extend(0u16.to_ne_bytes());
    request.extend(LISTEN.to_ne_bytes());
    request
}

/// Calls `on` with each message in a datagram.
pub(super) fn parse(datagram: &[u8], on: &mut dyn FnMut(Message)) {
    let mut rest = datagram;
    // Each turn takes at least a header off.
    while let Some(length) = u32_at(rest, 0).and_then(|length| usize::try_from(length).ok()) {
        let Some(message) = rest.get(..length).filter(|_| length >= NETLINK_HEADER_BYTES) else { return };
        if let Some(message) = message.get(NETLINK_HEADER_BYTES..).and_then(connector_message) {
            on(message);
        }
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
}

fn connector_message(bytes: &[u8]) -> Option<Message> {
    if (u32_at(bytes, 0)?, u32_at(bytes, 4)?) != (INDEX, VALUE) {
        return None;
    }
    let sequence = u32_at(bytes, 8)?;
    let length = usize::from(u16::from_ne_bytes(bytes.get(16..18)?.try_into().ok()?));
    let event = bytes.get(CONNECTOR_HEADER_BYTES..)?.get(..length)?;
    let time_ns = u64::from_ne_bytes(event.get(8..16)?.try_into().ok()?);
    Some(Message {
        sequence,
        cpu: u32_at(event, 4)?,
        time_ns,
        what: what(u32_at(event, 0)?, u32_at(bytes, 12)?, event)?,
    })
}

fn what(kind: u32, ack: u32, event: &[u8]) -> Option<What> {
    let number = |index: usize| u32_at(event, EVENT_HEADER_BYTES + 4 * index);
    let task = |index: usize| Some(Task { thread: number(index)?, process: number(index + 1)? });
    Some(match kind {
        0 => What::Answer { error: number(0)?, to: ack },
        0x1 => What::Fork { parent: task(0)?, child: task(2)? },
        0x2 => What::Exec(task(0)?),
        0x4 => What::Uid { task: task(0)?, real: number(2)?, effective: number(3)? },
        0x40 => What::Gid { task: task(0)?, real: number(2)?, effective: number(3)? },
        0x80 => What::Session(task(0)?),
        0x200 => {
            let name = event.get(EVENT_HEADER_BYTES + 8..)?.get(..COMM_BYTES)?;
            What::Name { task: task(0)?, name: name.try_into().ok()? }
        }
        0x4000_0000 => What::CoreDump(task(0)?),
        0x8000_0000 => What::Exit { task: task(0)?, status: number(2)? },
        other => What::Other(other),
    })
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..)?.get(..4)?.try_into().ok()?))
}

/// Finds holes in the sequences of messages: how many were lost.
#[derive(Debug, Default)]
pub(super) struct Holes {
    /// By processor, the sequence that its next message has.
    next: Vec<Option<u32>>,
}

/// Processors that are told apart; the messages of others are not counted.
pub(super) const CPUS_MAX: usize = 8192;
/// A leap longer than this is a counter that began anew.
const LEAP_MAX: u32 = 1 << 31;

impl Holes {
    /// How many messages of its processor are missing before this one.
    pub(super) fn before(&mut self, message: &Message) -> u64 {
        let Ok(cpu) = usize::try_from(message.cpu) else { return 0 };
        if cpu >= CPUS_MAX {
            return 0;
        }
        if self.next.len() <= cpu {
            self.next.resize(cpu + 1, None);
        }
        let Some(next) = self.next.get_mut(cpu) else { return 0 };
        let missing = next.map_or(0, |next| message.sequence.wrapping_sub(next));
        *next = Some(message.sequence.wrapping_add(1));
        if missing < LEAP_MAX { u64::from(missing) } else { 0 }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A datagram as the kernel writes it.
    pub(in crate::source::live) fn datagram(sequence: u32, cpu: u32, time_ns: u64, kind: u32, data: &[u32]) -> Vec<u8> {
        let mut event = Vec::new();
        event.extend(kind.to_ne_bytes());
        event.extend(cpu.to_ne_bytes());
        event.extend(time_ns.to_ne_bytes());
        data.iter().for_each(|number| event.extend(number.to_ne_bytes()));
        event.resize(40, 0);
        let mut bytes = Vec::new();
        bytes.extend(u32::try_from(16 + 20 + event.len()).unwrap().to_ne_bytes());
        bytes.extend(3u16.to_ne_bytes());
        bytes.extend(0u16.to_ne_bytes());
        for number in [0, 0, 1, 1, sequence, 5] {
            bytes.extend(u32::to_ne_bytes(number));
        }
        bytes.extend(40u16.to_ne_bytes());
        bytes.extend(0u16.to_ne_bytes());
        bytes.extend(event);
        bytes
    }

    fn all(bytes: &[u8]) -> Vec<Message> {
        let mut found = Vec::new();
        parse(bytes, &mut |message| found.push(message));
        found
    }

    fn one(kind: u32, data: &[u32]) -> What {
        match all(&datagram(7, 3, 99, kind, data)).as_slice() {
            [Message { sequence: 7, cpu: 3, time_ns: 99, what }] => *what,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn each_kind_is_read() {
        let task = Task { thread: 10, process: 11 };
        assert_eq!(one(0, &[22]), What::Answer { error: 22, to: 5 });
        assert_eq!(one(1, &[10, 11, 12, 13]), What::Fork { parent: task, child: Task { thread: 12, process: 13 } });
        assert_eq!(one(2, &[10, 11]), What::Exec(task));
        assert_eq!(one(4, &[10, 11, 1000, 0]), What::Uid { task, real: 1000, effective: 0 });
        assert_eq!(one(0x40, &[10, 11, 100, 5]), What::Gid { task, real: 100, effective: 5 });
        assert_eq!(one(0x80, &[10, 11]), What::Session(task));
        let name = one(0x200, &[10, 11, u32::from_ne_bytes(*b"sshd"), 0, 0, 0]);
        assert_eq!(name, What::Name { task, name: *b"sshd\0\0\0\0\0\0\0\0\0\0\0\0" });
        assert_eq!(one(0x4000_0000, &[10, 11, 1, 1]), What::CoreDump(task));
        assert_eq!(one(0x8000_0000, &[10, 11, 0x100, 17, 1, 1]), What::Exit { task, status: 0x100 });
        assert_eq!(one(0x100, &[1]), What::Other(0x100));
    }

    #[test]
    fn several_messages_of_one_datagram() {
        let mut bytes = datagram(1, 0, 1, 2, &[5, 5]);
        bytes.extend(datagram(2, 0, 2, 2, &[6, 6]));
        let processes = |bytes: &[u8]| -> Vec<u32> { all(bytes).iter().map(|message| message.sequence).collect() };
        assert_eq!(processes(&bytes), [1, 2]);
        // One that is cut off is none, and costs nothing else.
        bytes.pop();
        assert_eq!(processes(&bytes), [1]);
    }

    #[test]
    fn what_is_not_of_the_connector_is_nothing() {
        let good = datagram(1, 0, 1, 2, &[5, 5]);
        for length in 0..good.len() {
            assert_eq!(all(&good[..length]), [], "{length}");
        }
        for at in [16, 20] {
            let mut other = good.clone();
            other[at] = 9;
            assert_eq!(all(&other), []);
        }
        // A length of the event that is longer than the message, or shorter than the event.
        for length in [0u16, 15, 23, 41, u16::MAX] {
            let mut other = good.clone();
            other[32..34].copy_from_slice(&length.to_ne_bytes());
            assert_eq!(all(&other), [], "{length}");
        }
        // A message without length does not stop the reader for ever.
        assert_eq!(all(&[0; 64]), []);
    }

    #[test]
    fn holes_are_counted_per_processor() {
        let mut holes = Holes::default();
        let mut before = |cpu, sequence| holes.before(&Message { sequence, cpu, time_ns: 0, what: What::Other(0) });
        assert_eq!(before(0, 100), 0, "the first says where counting begins");
        assert_eq!(before(0, 101), 0);
        assert_eq!(before(1, 7), 0);
        assert_eq!(before(0, 103), 1);
        assert_eq!(before(1, 18), 10);
        assert_eq!(before(1, 19), 0);
        // The counter goes round.
        assert_eq!(before(2, u32::MAX), 0);
        assert_eq!(before(2, 0), 0);
        assert_eq!(before(2, 3), 2);
        // A counter that began anew is no hole of four thousand million.
        assert_eq!(before(2, 1), 0);
        assert_eq!(before(2, 2), 0);
        let cpus_max = u32::try_from(CPUS_MAX).unwrap();
        for (cpu, counted) in [(cpus_max - 1, true), (cpus_max, false), (u32::MAX, false)] {
            before(cpu, 1);
            assert_eq!(before(cpu, 5) == 3, counted, "{cpu}");
        }
    }

    #[test]
    fn the_request_is_as_the_kernel_wants_it() {
        let request = request_to_listen(77);
        assert_eq!(request.len(), 40);
        assert_eq!(request[..4], 40u32.to_ne_bytes());
        assert_eq!(request[16..24], [1u32.to_ne_bytes(), 1u32.to_ne_bytes()].concat());
        assert_eq!(request[28..32], 77u32.to_ne_bytes());
        assert_eq!(request[32..34], 4u16.to_ne_bytes());
        assert_eq!(request[36..], 1u32.to_ne_bytes());
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_stop_the_reader(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
            all(&bytes);
        }

        #[test]
        fn nor_do_messages_with_a_few_bytes_changed(
            kind in proptest::num::u32::ANY,
            data in proptest::collection::vec(proptest::num::u32::ANY, 0..6),
            changes in proptest::collection::vec((0usize..76, proptest::num::u8::ANY), 0..4),
        ) {
            let mut bytes = datagram(1, 0, 1, kind, &data);
            for (at, byte) in changes {
                bytes[at] = byte;
            }
            proptest::prop_assert!(all(&bytes).len() <= 4);
        }
    }
}
