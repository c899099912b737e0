//! The storm itself: many short processes at a steady rate.

use std::collections::VecDeque;
use std::fs;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How hard and how long it blows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Size {
    /// Processes a second.
    pub(crate) rate: u32,
    /// For so long.
    pub(crate) length: Duration,
}

impl Size {
    /// Processes in all.
    pub(crate) fn count(self) -> u32 {
        self.rate * u32::try_from(self.length.as_secs()).expect("a storm of seconds")
    }
}

/// What a storm was.
#[derive(Debug, Default)]
pub(crate) struct Blown {
    /// The processes, in the order in which they were started.
    pub(crate) pids: Vec<u32>,
    /// Time it took.
    pub(crate) took: Duration,
    /// Processor time that it used itself, its processes included.
    pub(crate) used: Duration,
}

/// Processes that may run at once before the oldest is waited for.
const RUNNING_MAX: usize = 64;

/// Starts the processes, calls `at` before each with its number, and waits for all of them to end.
pub(crate) fn blow(size: Size, mut at: impl FnMut(u32)) -> Blown {
    let mut running: VecDeque<Child> = VecDeque::new();
    let mut blown = Blown::default();
    let (begin, before) = (Instant::now(), used());
    for number in 0..size.count() {
        at(number);
        let due = begin + Duration::from_secs(1) * number / size.rate;
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        let mut command = Command::new("/bin/true");
        command.arg(format!("storm-{number}")).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().expect("a process starts");
        blown.pids.push(child.id());
        running.push_back(child);
        while running.len() > RUNNING_MAX
            || running.front_mut().is_some_and(|child| matches!(child.try_wait(), Ok(Some(_))))
        {
            let mut oldest = running.pop_front().expect("there is one");
            oldest.wait().expect("a child of ours");
        }
    }
    for mut child in running {
        child.wait().expect("a child of ours");
    }
    blown.took = begin.elapsed();
    blown.used = used().saturating_sub(before);
    blown
}

/// Processor time that this process and its ended children have used.
///
/// Not that of the whole machine: the kernel takes that at its ticks, and a storm that starts a process every
/// millisecond keeps step with them.
fn used() -> Duration {
    let stat = fs::read_to_string("/proc/self/stat").expect("/proc is mounted");
    let after_name = stat.rsplit_once(')').expect("the name is in parentheses").1;
    let fields: Vec<&str> = after_name.split_ascii_whitespace().collect();
    let ticks: u64 = fields.iter().skip(11).take(4).filter_map(|field| field.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 10)
}
