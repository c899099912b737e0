//! Cases on the interpreter of the rbpf crate, an independent machine.
//!
//! What it lacks is made up for where the terms of a case need it: it has no fuel, so a case that uses up its fuel on
//! our interpreter is not run; it does not set `r2`, so an instruction that does is put in front; where it panics, that
//! is a trap of the case; and one that does not end in time is left behind.

use std::panic;
use std::sync::Once;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::thread;
use std::time::Duration;

use trapline_vm::isa::Instruction;

use super::cases::{BadLine, Case};
use super::{Report, Terms, interpreter};

/// How long one case may take, beyond which it is taken for endless.
const TIME_MAX: Duration = Duration::from_secs(10);
/// The helper that returns its first argument.
const IDENTITY: u32 = 5;
/// Name of the threads that cases run on.
const THREAD: &str = "rbpf";

/// Whether this build can run it.
pub(super) fn available() -> anyhow::Result<()> {
    Ok(())
}

/// Runs one case.
pub(super) fn run(case: &Case, terms: Terms) -> Result<Report, BadLine> {
    let name = case.name.clone();
    let ours = interpreter::run(case, terms)?;
    if terms.verify && ours.outcome == "rejected" {
        return Ok(ours);
    }
    if ours.reason.as_deref().is_some_and(|reason| reason.starts_with("fuel-exhausted")) {
        return Ok(Report::trap(
            name,
            "fuel-exhausted: not run, because it has no fuel and would not end".to_owned(),
            None,
        ));
    }
    quiet_panics();
    let (sender, receiver) = sync_channel(1);
    let (mut mem, code) = (case.mem.clone(), with_length(&case.code, case.mem.len()));
    let spawned = thread::Builder::new().name(THREAD.to_owned()).spawn(move || {
        // The receiver may have gone on without us.
        drop(sender.send(execute(&code, &mut mem)));
    });
    if let Err(error) = spawned {
        return Ok(Report::rejected(name, format!("no thread to run it on: {error}")));
    }
    Ok(match receiver.recv_timeout(TIME_MAX) {
        Ok(Ok(r0)) => Report::result(name, r0, None),
        Ok(Err(End::Rejected(reason))) => Report::rejected(name, reason),
        Ok(Err(End::Trap(reason))) => Report::trap(name, reason, None),
        Err(RecvTimeoutError::Disconnected) => Report::trap(name, "it panicked".to_owned(), None),
        Err(RecvTimeoutError::Timeout) => Report::trap(name, format!("no end after {} s", TIME_MAX.as_secs()), None),
    })
}

enum End {
    Rejected(String),
    Trap(String),
}

fn execute(code: &[u8], mem: &mut [u8]) -> Result<u64, End> {
    let rejected = |error: std::io::Error| End::Rejected(error.to_string());
    let mut vm = rbpf::EbpfVmRaw::new(Some(code)).map_err(rejected)?;
    vm.register_helper(IDENTITY, |first, _, _, _, _| first).map_err(rejected)?;
    vm.execute_program(mem).map_err(|error| End::Trap(one_line(&error.to_string())))
}

/// The code after `mov r2, LENGTH`. Jumps and calls are relative, so nothing else changes.
fn with_length(code: &[u8], len: usize) -> Vec<u8> {
    let set = Instruction { opcode: 0xb7, dst: 2, src: 0, offset: 0, imm: i32::try_from(len).unwrap_or(i32::MAX) };
    [&set.to_bytes()[..], code].concat()
}

fn one_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}

/// A panic on one of our threads is an outcome, not something to tell about on standard error.
fn quiet_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let tell = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if thread::current().name() != Some(THREAD) {
                tell(info);
            }
        }));
    });
}

#[cfg(test)]
mod tests {
    use trapline_vm::isa::assemble;

    use super::*;

    fn ran(text: &str, mem: &[u8]) -> Report {
        let code = Instruction::to_section(&assemble(text).unwrap().code);
        let case = Case { name: "case".to_owned(), code, mem: mem.to_vec() };
        run(&case, Terms { verify: false, fuel: 1000 }).unwrap()
    }

    #[test]
    fn cases_keep_their_terms() {
        assert_eq!(ran("mov r0, r2\nexit", &[1, 2, 3]).r0.as_deref(), Some("0x3"));
        assert_eq!(ran("ldxb r0, [r1+2]\nexit", &[1, 2, 3]).r0.as_deref(), Some("0x3"));
        assert_eq!(ran("mov r1, 7\ncall 5\nexit", &[]).r0.as_deref(), Some("0x7"));
        assert_eq!(ran("mov r1, 3\nl: sub r1, 1\njne r1, 0, l\nmov r0, r1\nexit", &[]).r0.as_deref(), Some("0x0"));
        let endless = ran("ja -1\nexit", &[]);
        assert_eq!(endless.outcome, "trap");
        assert!(endless.reason.unwrap().contains("no fuel"));
        let outside = ran("lddw r1, 0\nldxb r0, [r1]\nexit", &[]);
        assert_eq!(outside.outcome, "trap");
        assert!(outside.reason.unwrap().contains("out of bounds"));
    }
}
