//! `trapline demo`, `man` and `completions`, as people run them: from any folder, with nothing but the binary.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

/// Refreshed by `UPDATE_EXPECT=1`.
const EXPECTED: &str = include_str!("demo.expected");

/// Runs the binary in an empty folder.
fn run(args: &[&str]) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let output = run_in(folder.path(), args);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "{args:?} left files behind");
    output
}

fn run_in(folder: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_trapline"))
        .args(args)
        .current_dir(folder)
        .env_remove("NO_COLOR")
        .env_remove("CLICOLOR_FORCE")
        .output()
        .unwrap()
}

#[track_caller]
fn printed(output: Output) -> String {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!((output.status.code(), &*stderr), (Some(0), ""));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_demo_goes_as_told() {
    let text = printed(run(&["demo"]));
    // A new stock rule is no change of the demo.
    let count = text.split_once(" stock rules").unwrap().0.rsplit(' ').next().unwrap();
    assert!(count.parse::<u32>().is_ok_and(|count| count > 0), "{count}");
    let text = text.replacen(&format!("{count} stock rules"), "NN stock rules", 1);
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        fs::write(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/demo.expected"), text).unwrap();
    } else {
        assert!(text == EXPECTED.replace("\r\n", "\n"), "UPDATE_EXPECT=1 accepts this:\n{text}");
    }
}

#[test]
fn the_demo_fits_a_terminal_and_is_plain_where_colours_are_not_wanted() {
    let plain = printed(run(&["demo"]));
    let widest = plain.lines().max_by_key(|line| line.chars().count()).unwrap();
    assert!(widest.chars().count() <= 100, "{widest}");
    assert!(plain.lines().all(|line| line.trim_end() == line), "blanks at the end of a line");
    assert!(!plain.contains('\x1b'));
    let coloured = printed(run(&["demo", "--color", "always"]));
    assert!(coloured.contains('\x1b'));
}

#[test]
fn each_act_can_be_played_alone() {
    let all = printed(run(&["demo"]));
    for act in 1..=4 {
        let one = printed(run(&["demo", "--act", &act.to_string()]));
        assert_eq!(one.matches("== Act ").count(), 1, "{one}");
        assert!(all.contains(&one), "{one}");
    }
    for number in ["0", "5", "x"] {
        assert_eq!(run(&["demo", "--act", number]).status.code(), Some(2), "{number}");
    }
}

#[test]
fn completions_for_each_shell_know_the_commands() {
    for shell in ["bash", "zsh", "fish", "powershell"] {
        let script = printed(run(&["completions", shell]));
        for word in ["demo", "replay", "completions", "summary"] {
            assert!(script.contains(word), "{shell}: {word}");
        }
    }
    assert_eq!(run(&["completions", "cmd"]).status.code(), Some(2));
}

#[test]
fn the_main_manual_page_goes_to_standard_output() {
    let page = printed(run(&["man"]));
    assert!(page.contains(".SH NAME\ntrapline"), "{page}");
    assert!(page.contains("trapline\\-replay(1)") && page.contains("Exit codes:"), "{page}");
}

#[test]
fn manual_pages_go_where_they_are_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let output = run_in(folder.path(), &["man", "--dir", "share/man1"]);
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(0), &b""[..]));
    let pages: Vec<_> = fs::read_dir(folder.path().join("share/man1")).unwrap().collect();
    assert!(pages.len() > 8, "{pages:?}");
    let replay = fs::read_to_string(folder.path().join("share/man1/trapline-replay.1")).unwrap();
    assert!(replay.contains("\\-\\-fail\\-on"), "{replay}");
    // A file where the folder should be.
    fs::write(folder.path().join("taken"), "").unwrap();
    let output = run_in(folder.path(), &["man", "--dir", "taken"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("taken"));
}
