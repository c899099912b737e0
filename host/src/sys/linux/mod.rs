//! Linux: the process connector, `/proc`, clocks.

pub(crate) mod clock;
pub(crate) mod connector;
pub(crate) mod proc;

/// How much sooner than others the calling thread is to run: nice values go from 19 down to -20.
const SENSOR_NICE: i32 = -15;

/// Lets the calling thread run before others, as far as that is granted; ordinary users are refused. A process that
/// lives for a millisecond can be looked at only by who runs within that millisecond.
pub(crate) fn raise_priority() -> bool {
    // On Linux this is the thread's own value, not that of its process.
    rustix::process::setpriority_process(None, SENSOR_NICE).is_ok()
}

/// The host's name, as `uname -n` says it.
pub(crate) fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// Whether the process acts as root.
pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}
