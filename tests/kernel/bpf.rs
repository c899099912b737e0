//! The few commands of bpf(2) that an oracle needs, safe to call. The only unsafe code of the tests.
//!
//! See `man 2 bpf`; the layouts are those of `union bpf_attr` in `linux/bpf.h`. A command gets its attributes zeroed to
//! the size it says; the kernel takes the rest of the union for zero.

#![allow(unsafe_code, reason = "bpf(2) has no safe wrapper among the project's dependencies")]

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

const MAP_CREATE: u32 = 0;
const MAP_LOOKUP: u32 = 1;
const MAP_UPDATE: u32 = 2;
const PROG_LOAD: u32 = 5;
const PROG_TEST_RUN: u32 = 10;

const PROG_TYPE_SOCKET_FILTER: u32 = 1;
/// `BPF_MAP_TYPE_HASH`.
pub(crate) const MAP_TYPE_HASH: u32 = 1;
/// `BPF_MAP_TYPE_ARRAY`.
pub(crate) const MAP_TYPE_ARRAY: u32 = 2;

/// Bytes of the verifier's log that are kept.
const LOG_LEN: usize = 1 << 20;
/// A test run needs an Ethernet header.
const PACKET_LEN: usize = 64;

#[repr(C)]
#[derive(Default)]
struct MapCreate {
    map_type: u32,
    key_size: u32,
    value_size: u32,
    max_entries: u32,
}

#[repr(C)]
struct MapElement {
    map_fd: u32,
    _pad: u32,
    key: u64,
    value: u64,
    flags: u64,
}

#[repr(C)]
struct ProgLoad {
    prog_type: u32,
    insn_cnt: u32,
    insns: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log_buf: u64,
}

#[repr(C)]
struct ProgTestRun {
    prog_fd: u32,
    retval: u32,
    data_size_in: u32,
    data_size_out: u32,
    data_in: u64,
    data_out: u64,
    repeat: u32,
    duration: u32,
}

fn address<T>(from: *const T) -> u64 {
    from.addr() as u64
}

/// Runs a command. The result is not negative.
///
/// # Safety
///
/// Every address in `attributes` must be valid for what `command` reads and writes there while the call lasts.
unsafe fn bpf<T>(command: u32, attributes: &mut T) -> io::Result<i64> {
    // SAFETY: the attributes are a live object of the size that is passed; what they point to is the caller's promise.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, std::ptr::from_mut(attributes), size_of::<T>()) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// A descriptor that a command returned.
///
/// # Safety
///
/// The descriptor must be new and nobody else's.
unsafe fn descriptor(raw: i64) -> OwnedFd {
    let raw = i32::try_from(raw).expect("the kernel returns a descriptor");
    // SAFETY: the caller promises that it is new and unowned.
    unsafe { OwnedFd::from_raw_fd(raw) }
}

fn number(fd: &OwnedFd) -> u32 {
    fd.as_raw_fd().cast_unsigned()
}

/// A map.
pub(crate) struct Map {
    fd: OwnedFd,
    key_len: usize,
    value_len: usize,
}

impl Map {
    /// A map of `map_type`.
    pub(crate) fn new(map_type: u32, key_len: u32, value_len: u32, entries: u32) -> io::Result<Self> {
        let mut attributes = MapCreate { map_type, key_size: key_len, value_size: value_len, max_entries: entries };
        // SAFETY: the attributes hold no address.
        let raw = unsafe { bpf(MAP_CREATE, &mut attributes) }?;
        // SAFETY: the command returns a new descriptor.
        let fd = unsafe { descriptor(raw) };
        Ok(Self { fd, key_len: key_len as usize, value_len: value_len as usize })
    }

    /// An array of one value.
    pub(crate) fn cell(value_len: u32) -> io::Result<Self> {
        Self::new(MAP_TYPE_ARRAY, 4, value_len, 1)
    }

    /// Its descriptor, for a wide load.
    pub(crate) fn number(&self) -> i32 {
        self.fd.as_raw_fd()
    }

    fn element(&self, command: u32, key: &[u8], value: *mut u8) -> io::Result<()> {
        assert_eq!(key.len(), self.key_len);
        let mut attributes = MapElement {
            map_fd: number(&self.fd),
            _pad: 0,
            key: address(key.as_ptr()),
            value: address(value),
            flags: 0,
        };
        // SAFETY: the key has the map's key length (asserted); `value` has its value length (both callers see to it),
        // and is written to by a look-up only, which is given a buffer of its own.
        unsafe { bpf(command, &mut attributes) }.map(drop)
    }

    /// Sets the value at a key.
    pub(crate) fn set(&self, key: &[u8], value: &[u8]) -> io::Result<()> {
        let mut value = value.to_vec();
        assert_eq!(value.len(), self.value_len);
        self.element(MAP_UPDATE, key, value.as_mut_ptr())
    }

    /// The value at a key; None if there is none.
    pub(crate) fn get(&self, key: &[u8]) -> io::Result<Option<Vec<u8>>> {
        // Values are copied in units of eight bytes.
        let mut value = vec![0; self.value_len.next_multiple_of(8)];
        match self.element(MAP_LOOKUP, key, value.as_mut_ptr()) {
            Ok(()) => {
                value.truncate(self.value_len);
                Ok(Some(value))
            }
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// A program that the kernel's verifier accepted.
pub(crate) struct Loaded(OwnedFd);

/// Why the kernel refused a program.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) error: io::Error,
    pub(crate) log: String,
}

/// Asks the kernel's verifier. `code` is instruction slots as bytes.
pub(crate) fn load(code: &[[u8; 8]]) -> Result<Loaded, Refusal> {
    match load_logged(code, 0) {
        // Once more, for the log.
        Err(_) => load_logged(code, 1),
        loaded => loaded,
    }
}

fn load_logged(code: &[[u8; 8]], level: u32) -> Result<Loaded, Refusal> {
    let mut log = vec![0u8; if level > 0 { LOG_LEN } else { 0 }];
    let license = c"GPL";
    let mut attributes = ProgLoad {
        prog_type: PROG_TYPE_SOCKET_FILTER,
        insn_cnt: u32::try_from(code.len()).expect("programs are short"),
        insns: address(code.as_ptr()),
        license: address(license.as_ptr()),
        log_level: level,
        log_size: u32::try_from(log.len()).expect("a constant"),
        log_buf: if level > 0 { address(log.as_mut_ptr()) } else { 0 },
    };
    // SAFETY: code, license and log live until the call returns, and have the lengths that are passed; the license is
    // terminated by zero. Only the log is written to.
    let result = unsafe { bpf(PROG_LOAD, &mut attributes) };
    match result {
        // SAFETY: the command returns a new descriptor.
        Ok(raw) => Ok(Loaded(unsafe { descriptor(raw) })),
        Err(error) => {
            let end = log.iter().position(|byte| *byte == 0).unwrap_or(log.len());
            Err(Refusal { error, log: String::from_utf8_lossy(&log[..end]).into_owned() })
        }
    }
}

impl Loaded {
    /// Runs it once on a packet of zeros.
    pub(crate) fn run(&self) -> io::Result<()> {
        let packet = [0u8; PACKET_LEN];
        let mut attributes = ProgTestRun {
            prog_fd: number(&self.0),
            retval: 0,
            data_size_in: PACKET_LEN as u32,
            data_size_out: 0,
            data_in: address(packet.as_ptr()),
            data_out: 0,
            repeat: 1,
            duration: 0,
        };
        // SAFETY: the packet lives until the call returns and has the length that is passed; nothing is written, as no
        // output buffer is given.
        unsafe { bpf(PROG_TEST_RUN, &mut attributes) }.map(drop)
    }
}
