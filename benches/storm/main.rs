//! A storm of short-lived processes with a live agent beside it: what it saw, what was lost, what it cost.
//!
//! ```text
//! cargo build --release -p trapline
//! cargo bench --bench storm -- --rate 1000 --seconds 60
//! ```
//!
//! Three storms of the same size, one after the other: alone, with `trapline run` on its stock rules, and with a rule
//! of our own that is loaded, changed, broken and unloaded while it blows. That rule matches on the parent only, which
//! the agent knows however quickly a process is gone, so each process must have raised exactly one alert, of exactly
//! the rule that was in force; what differs is counted and listed. Without `--bench` (as a test) the storm is short.

#[cfg(target_os = "linux")]
mod agent;
#[cfg(target_os = "linux")]
mod storm;

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    use std::path::PathBuf;
    use std::process::ExitCode;
    use std::time::Duration;

    let mut arguments = std::env::args().skip(1);
    let mut size = storm::Size { rate: 100, length: Duration::from_secs(2) };
    let mut binary = std::env::current_exe().ok().and_then(|path| Some(path.parent()?.parent()?.join("trapline")));
    while let Some(argument) = arguments.next() {
        let mut number = || arguments.next().and_then(|text| text.parse::<u32>().ok()).expect("a number follows");
        match argument.as_str() {
            "--bench" => size = storm::Size { rate: 1000, length: Duration::from_secs(10) },
            "--rate" => size.rate = number(),
            "--seconds" => size.length = Duration::from_secs(number().into()),
            "--trapline" => binary = arguments.next().map(PathBuf::from),
            // What test runners pass.
            _ => {}
        }
    }
    let Some(binary) = binary.filter(|path| path.is_file()) else {
        println!("skipped: the binary `trapline` is not built");
        return ExitCode::SUCCESS;
    };
    if agent::run(&binary, size) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

#[cfg(not(target_os = "linux"))]
fn main() {
    println!("skipped: live sources are on Linux only");
}
