//! The texts of `/proc`, from bytes: `stat`, `status`, and the numbers of terminals. Reading is total.

use super::value::Known;

/// What `/proc/PID/stat` says of a process, as far as it is used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stat {
    /// Its own name, which it can change: for threads of the kernel, the only one.
    pub(super) comm: Box<str>,
    /// Whether it has ended, and only its parent has not looked yet.
    pub(super) ended: bool,
    /// Whether it is a thread of the kernel.
    pub(super) of_kernel: bool,
    pub(super) parent: u32,
    pub(super) session: u32,
    /// Number of its terminal, 0 for none.
    pub(super) tty: u32,
    pub(super) threads: u32,
    /// When it started, in ticks since the host did.
    pub(super) start_ticks: u64,
    /// Where its stack begins: another place each time it runs a program. 0 for who may not know.
    pub(super) stack: u64,
}

/// `PF_KTHREAD`
const OF_KERNEL: u64 = 0x0020_0000;

/// Reads `/proc/PID/stat`: `4242 (name) S 1 ...`. The name may contain anything, also blanks and brackets.
pub(super) fn stat(text: &[u8]) -> Option<Stat> {
    let open = memchr::memchr(b'(', text)?;
    let close = memchr::memrchr(b')', text)?;
    let comm = text.get(open + 1..close)?;
    let rest = std::str::from_utf8(text.get(close + 1..)?).ok()?;
    let mut fields = rest.split_ascii_whitespace();
    let state = fields.next()?;
    let mut place = 0;
    // The fields are numbered from 1 in proc_pid_stat(5); the state is the third.
    let mut number = |wanted: usize| {
        let field = fields.nth(wanted.checked_sub(place + 1)?)?;
        place = wanted;
        Some(field)
    };
    let parent = number(1)?.parse().ok()?;
    let session = number(3)?.parse().ok()?;
    // Printed as a signed number.
    let tty = number(4)?.parse::<i32>().ok()?.cast_unsigned();
    let flags: u64 = number(6)?.parse().ok()?;
    let threads = number(17)?.parse().ok()?;
    let start_ticks = number(19)?.parse().ok()?;
    let stack = number(25).and_then(|stack| stack.parse().ok()).unwrap_or(0);
    Some(Stat {
        comm: String::from_utf8_lossy(comm).into(),
        ended: matches!(state, "Z" | "X" | "x"),
        of_kernel: flags & OF_KERNEL != 0,
        parent,
        session,
        tty,
        threads,
        start_ticks,
        stack,
    })
}

/// Users and groups that a process acts for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Owner {
    pub(super) uid: u32,
    pub(super) effective_uid: u32,
    /// Lost once it may have changed: no event tells of that one.
    pub(super) saved_uid: Known<u32>,
    pub(super) gid: u32,
    pub(super) effective_gid: u32,
}

/// Reads the users and groups in `/proc/PID/status`.
pub(super) fn owner(status: &[u8]) -> Option<Owner> {
    let line = |name: &[u8]| {
        let line = status.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(name))?;
        let mut numbers = std::str::from_utf8(line).ok()?.split_ascii_whitespace().map(|number| number.parse().ok());
        Some([numbers.next()??, numbers.next()??, numbers.next()??])
    };
    let ([uid, effective_uid, saved_uid], [gid, effective_gid, _]) = (line(b"Uid:")?, line(b"Gid:")?);
    Some(Owner { uid, effective_uid, saved_uid: Known::Is(saved_uid), gid, effective_gid })
}

/// The path of a terminal by its number; None for 0.
pub(super) fn tty(number: u32) -> Option<String> {
    if number == 0 {
        return None;
    }
    let major = number >> 8 & 0xfff;
    let minor = number & 0xff | number >> 12 & 0xfff00;
    Some(match (major, minor) {
        (136..=143, _) => format!("/dev/pts/{}", u64::from(major - 136) * 256 + u64::from(minor)),
        (4, 0..=63) => format!("/dev/tty{minor}"),
        (4, _) => format!("/dev/ttyS{}", minor - 64),
        (5, 1) => "/dev/console".to_owned(),
        (166, _) => format!("/dev/ttyACM{minor}"),
        (188, _) => format!("/dev/ttyUSB{minor}"),
        (204, 64..=191) => format!("/dev/ttyAMA{}", minor - 64),
        (229, _) => format!("/dev/hvc{minor}"),
        // A link of this name leads to the device.
        _ => format!("/dev/char/{major}:{minor}"),
    })
}

/// How many processes and threads were made since the host started: `processes` in `/proc/stat`.
pub(super) fn made(stat: &[u8]) -> Option<u64> {
    let line = stat.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(b"processes "))?;
    std::str::from_utf8(line).ok()?.trim().parse().ok()
}

/// The number that was last given to a process or thread: the last word of `/proc/loadavg`.
pub(super) fn last_pid(loadavg: &[u8]) -> Option<u32> {
    std::str::from_utf8(loadavg).ok()?.split_ascii_whitespace().last()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = "4242 (a) b (c) S 17 4242 4000 34816 4242 4194560 1 2 3 4 5 6 7 8 20 0 3 0 123456 1 2 3 4 5 \
                        140720000000000 0 0";

    #[test]
    fn stat_is_read_past_any_name() {
        let found = stat(LINE.as_bytes()).unwrap();
        let expected = Stat {
            comm: "a) b (c".into(),
            ended: false,
            of_kernel: false,
            parent: 17,
            session: 4000,
            tty: 34816,
            threads: 3,
            start_ticks: 123_456,
            stack: 140_720_000_000_000,
        };
        assert_eq!(found, expected);
        assert!(stat(LINE.replace(" S ", " Z ").as_bytes()).unwrap().ended);
        let of_kernel = LINE.replace("4194560", "2129984");
        assert!(stat(of_kernel.as_bytes()).unwrap().of_kernel);
        assert_eq!(stat(b"1 (\xff) S 0 1 1 -1 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 5").unwrap().comm.as_ref(), "\u{fffd}");
    }

    #[test]
    fn what_is_no_stat_is_nothing() {
        // Shorter by any number of bytes: nothing, or what is still whole.
        for length in 0..LINE.len() {
            let found = stat(&LINE.as_bytes()[..length]);
            assert!(found.is_none_or(|found| found.parent == 17 && found.threads == 3), "{length}");
        }
        for text in ["", "()", ")(", "1 (x)", "1 (x) S a b"] {
            assert_eq!(stat(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn owners_are_read() {
        let status = b"Name:\tUid:\nUmask:\t0022\nUid:\t1000\t0\t0\t0\nGid:\t1000\t5\t5\t5\n";
        let expected = Owner { uid: 1000, effective_uid: 0, saved_uid: Known::Is(0), gid: 1000, effective_gid: 5 };
        assert_eq!(owner(status), Some(expected));
        assert_eq!(owner(b"Uid:\t1\t2\n"), None);
        assert_eq!(owner(b""), None);
    }

    #[test]
    fn terminals_have_paths() {
        let of = |major: u32, minor: u32| tty(major << 8 | minor & 0xff | (minor & 0xfff00) << 12).unwrap();
        assert_eq!(tty(0), None);
        assert_eq!(of(136, 0), "/dev/pts/0");
        assert_eq!(of(136, 300), "/dev/pts/300");
        assert_eq!(of(137, 4), "/dev/pts/260");
        assert_eq!(of(4, 1), "/dev/tty1");
        assert_eq!(of(4, 64), "/dev/ttyS0");
        assert_eq!(of(5, 1), "/dev/console");
        assert_eq!(of(250, 3), "/dev/char/250:3");
        assert!(tty(u32::MAX).is_some());
    }

    #[test]
    fn counters_are_read() {
        assert_eq!(made(b"cpu  1 2\nctxt 9\nprocesses 1234\nprocs_running 1\n"), Some(1234));
        assert_eq!(made(b"cpu  1 2\n"), None);
        assert_eq!(last_pid(b"0.1 0.2 0.3 1/200 4242\n"), Some(4242));
        assert_eq!(last_pid(b"\n"), None);
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_stop_the_readers(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
            let _ = (stat(&bytes), owner(&bytes), made(&bytes), last_pid(&bytes));
        }
    }
}
