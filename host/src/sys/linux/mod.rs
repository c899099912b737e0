//! Linux: the process connector, `/proc`, clocks, priority.

pub(crate) mod clock;
pub(crate) mod connector;
pub(crate) mod proc;
pub(crate) mod promptness;

/// The host's name, as `uname -n` says it.
pub(crate) fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// Whether the process acts as root.
pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}
