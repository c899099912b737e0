//! A library through its changes.

use trapline_programs::catalogue::catalogue;
use trapline_programs::lang;
use trapline_vm::record::Os;

use super::*;
use crate::agent::supply::SourceSupply;

const FOLDER: &str = "/etc/rules";

fn rule(name: &str, pid: u64) -> String {
    format!("rule {name} {{ severity: low on process.exec where process.pid == {pid} }}\n")
}

/// A rule that Sysmon cannot serve.
fn tty(name: &str) -> String {
    format!("rule {name} {{ severity: low on process.exec where process.tty.name == \"x\" }}\n")
}

fn file(name: &str, text: &str, origin: Origin) -> File {
    File::new(RuleText { source: Source::new(name, text), ruleset: name.to_owned() }, origin)
}

fn folder(name: &str, text: &str) -> File {
    file(&format!("{FOLDER}/{name}"), text, Origin::Folder(FOLDER.into()))
}

fn open(files: Vec<File>) -> (Library, Opening) {
    let supply = SourceSupply::new(catalogue(), ["sysmon"], [Some(Os::Windows)]);
    Library::open(Loader::new(catalogue().clone(), Some(supply)), true, files).unwrap()
}

fn library(files: Vec<File>) -> Library {
    let (library, opened) = open(files);
    assert!(opened.refused.is_empty(), "{:?}", opened.diagnostics);
    library
}

fn request(files: &[(&str, &str)]) -> Vec<RuleFile> {
    files.iter().map(|(name, text)| RuleFile { name: (*name).into(), text: (*text).into() }).collect()
}

/// What a folder holds now.
fn now(files: &[(&str, &str)]) -> Vec<Arc<Source>> {
    files.iter().map(|(name, text)| Source::new(format!("{FOLDER}/{name}"), *text)).collect()
}

fn running(library: &Library) -> Vec<&str> {
    library.current().ruleset.rules.iter().map(|rule| rule.info.name.as_str()).collect()
}

/// Edits the folder, brings what passed into force, and returns the files that did not.
fn edit(library: &mut Library, files: &[(&str, &str)]) -> Vec<String> {
    let edited = library.edit(FOLDER, now(files), &[]);
    if let Some(change) = edited.change {
        library.commit(change);
    }
    edited.refused.into_iter().map(|(name, _)| name).collect()
}

fn load(library: &mut Library, files: &[(&str, &str)]) -> Result<Changed, Box<Refused>> {
    let change = library.load(request(files))?;
    let changed = change.changed.clone();
    library.commit(change);
    Ok(changed)
}

#[test]
fn a_change_says_what_is_new_what_is_other_and_what_is_gone() {
    let mut library = library(vec![file("stock/s.trap", &rule("s", 1), Origin::Stock)]);
    let two = format!("{}{}", rule("a", 1), rule("b", 1));
    let first = load(&mut library, &[("/a.trap", &two)]).unwrap();
    assert_eq!((first.generation, first.loaded, first.replaced), (2, vec!["a".into(), "b".into()], vec![]));
    let other = format!("{}{}", rule("a", 1), rule("c", 1));
    let second = load(&mut library, &[("/a.trap", &other)]).unwrap();
    assert_eq!((second.loaded, second.replaced, second.unloaded), (vec!["c".into()], vec![], vec!["b".into()]));
    let third = load(&mut library, &[("/a.trap", &rule("a", 2))]).unwrap();
    assert_eq!((third.replaced, third.unloaded), (vec!["a".into()], vec!["c".into()]));
    let since = |name| library.current().since(name);
    assert_eq!((since("s"), since("a")), (1, 4));
    // Not before it is committed.
    drop(library.load(request(&[("/b.trap", &rule("d", 1))])).unwrap());
    assert_eq!(running(&library), ["s", "a"]);
}

#[test]
fn a_list_that_changes_makes_another_rule_of_the_same_text() {
    let mut library = library(vec![]);
    let text = |name: &str| {
        let rule = "rule r { severity: low on process.exec where process.name in names }";
        format!("list names = [\"{name}\"]\n{rule}\n")
    };
    load(&mut library, &[("/a.trap", &text("x"))]).unwrap();
    let changed = load(&mut library, &[("/a.trap", &text("y"))]).unwrap();
    assert_eq!(changed.replaced, ["r"]);
}

#[test]
fn a_rule_that_is_served_on_some_of_its_events_says_on_which_it_is_not() {
    let mut library = library(vec![]);
    let text = "rule r { severity: low on process.exec, authentication.login where user.name == \"x\" }\n";
    let change = library.load(request(&[("/r.trap", text)])).unwrap();
    let notes = &change.changed.notes;
    assert_eq!(notes[0], "`r` matches nothing here on authentication.login: the source does not serve it");
}

#[test]
fn all_files_of_a_request_or_none() {
    let mut library = library(vec![]);
    let error = load(&mut library, &[("/a.trap", &rule("a", 1)), ("/b.trap", "rule b { nonsense }")]).unwrap_err();
    assert!(!error.diagnostics.is_empty() && error.diagnostics.iter().all(|text| text.contains("/b.trap")));
    let error = load(&mut library, &[("/a.trap", &rule("a", 1)), ("/b.trap", &tty("b"))]).unwrap_err();
    assert_eq!(error.reason, "`b` can match nothing here: no process.tty.name");
    assert_eq!(error.diagnostics, ["/b.trap:1: b: no process.tty.name (sysmon)"]);
    assert!(load(&mut library, &[]).unwrap_err().reason.contains("no file"));
    assert!(running(&library).is_empty());
}

#[test]
fn only_an_agent_for_developers_takes_rules_that_nobody_signed() {
    let loader = Loader::new(catalogue().clone(), None);
    let stock = vec![file("stock/s.trap", &rule("s", 1), Origin::Stock)];
    let (mut library, _) = Library::open(loader, false, stock).unwrap();
    assert!(load(&mut library, &[("/a.trap", &rule("a", 1))]).unwrap_err().reason.contains("--dev"));
    // Taking out is no matter of signatures.
    let change = library.unload(&["s".into()]).unwrap();
    assert_eq!(change.changed.notes, ["no rule is in force now"]);
}

#[test]
fn unloading_by_name_by_id_and_by_file() {
    let id = "0a6c0d2e-8f0a-4f0e-9a2b-6d3f6a8f1c01";
    let with_id = format!("rule a {{ id: \"{id}\" version: \"1.0.0\" severity: low on process.exec }}\n");
    let mut library = library(vec![
        file("stock/s.trap", &format!("# é\n{}{}", rule("s", 1), rule("t", 1)), Origin::Stock),
        folder("f.trap", &format!("{with_id}{}", tty("inert"))),
    ]);
    load(&mut library, &[("/r.trap", &rule("r", 1))]).unwrap();
    let unload = |library: &mut Library, names: &[&str]| {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        library.unload(&names).map(|change| library.commit(change))
    };
    assert!(unload(&mut library, &["s", "nobody"]).unwrap_err().reason.contains("`nobody`"));
    assert!(unload(&mut library, &[]).is_err());
    assert_eq!(running(&library), ["s", "t", "a", "r"]);
    unload(&mut library, &["s", id, "inert"]).unwrap();
    assert_eq!(running(&library), ["t", "r"]);
    assert!(library.current().inert.is_empty());
    // Its name is free now, and it stays off.
    load(&mut library, &[("/s.trap", &rule("s", 2))]).unwrap();
    assert_eq!(running(&library), ["t", "r", "s"]);
    unload(&mut library, &["stock/s.trap", "/r.trap"]).unwrap();
    assert_eq!(running(&library), ["s"]);
    assert!(unload(&mut library, &["/r.trap"]).is_err(), "it is not known any more");
    // Whoever asks for a file again wants its rules.
    load(&mut library, &[("/s.trap", &format!("{}{}", rule("s", 2), rule("u", 2)))]).unwrap();
    unload(&mut library, &["u"]).unwrap();
    assert_eq!(running(&library), ["s"]);
    load(&mut library, &[("/s.trap", &format!("{}{}", rule("s", 2), rule("u", 2)))]).unwrap();
    assert_eq!(running(&library), ["s", "u"]);
}

#[test]
fn a_folder_that_is_edited_keeps_the_last_good_text_of_what_is_broken() {
    let mut library = library(vec![folder("a.trap", &rule("a", 1)), folder("b.trap", &rule("b", 1))]);
    let (a, b) = (rule("a", 1), rule("b", 1));
    assert!(library.edit(FOLDER, now(&[("a.trap", &a), ("b.trap", &b)]), &[]).change.is_none(), "nothing is different");
    let broken = edit(&mut library, &[("a.trap", "rule a {"), ("b.trap", &rule("b", 2)), ("c.trap", &rule("c", 1))]);
    assert_eq!(broken, [format!("{FOLDER}/a.trap")]);
    assert_eq!(running(&library), ["a", "b", "c"]);
    assert_eq!(library.current().ruleset.number, 2);
    assert_eq!((library.current().since("a"), library.current().since("b")), (1, 2));
    // Repaired, and another one gone.
    assert!(edit(&mut library, &[("a.trap", &rule("a", 3)), ("c.trap", &rule("c", 1))]).is_empty());
    assert_eq!(running(&library), ["a", "c"]);
    assert!(edit(&mut library, &[]).is_empty());
    assert!(running(&library).is_empty());
}

#[test]
fn of_many_files_that_are_edited_at_once_the_bad_ones_cost_little() {
    let name = |number: usize| format!("f{number:03}.trap");
    let files = |pid: u64| (0..200).map(move |number| (name(number), rule(&format!("r{number}"), pid)));
    let first: Vec<File> = files(1).map(|(name, text)| folder(&name, &text)).collect();
    let mut library = library(first);
    let mut edited: Vec<(String, String)> = files(2).collect();
    for bad in [0, 50, 100, 150, 199] {
        edited[bad].1 = if bad == 0 { "rule r {".to_owned() } else { format!("rule x{bad} {{") };
    }
    // One that is bad only beside a bad one, and one that is the second of its name.
    edited[198].1 = rule("r", 2);
    edited.push((name(200), rule("r7", 9)));
    let edited: Vec<(&str, &str)> = edited.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    let came = library.edit(FOLDER, now(&edited), &[]);
    let refused: Vec<&str> = came.refused.iter().map(|(name, _)| &name[FOLDER.len() + 1..]).collect();
    assert_eq!(refused, ["f000.trap", "f050.trap", "f100.trap", "f150.trap", "f199.trap", "f200.trap"]);
    for (_, refused) in &came.refused {
        assert_eq!(refused.diagnostics.len(), 1, "{refused:?}");
    }
    let changed = &came.change.unwrap().changed;
    assert_eq!((changed.replaced.len(), &changed.loaded), (194, &vec!["r".to_owned()]));
    assert!(came.attempts <= 5, "{}", came.attempts);
}

#[test]
fn an_edit_is_tried_only_so_often() {
    let fields = ["name", "executable", "command_line", "parent.name", "parent.executable", "parent.command_line"];
    let pairs = fields.iter().flat_map(|left| fields.iter().map(move |right| (left, right)));
    let tests: Vec<String> = pairs
        .filter(|(left, right)| left != right)
        .map(|(left, right)| format!("process.{left} contains process.{right}"))
        .collect();
    let dear = |number| format!("rule r{number} {{ severity: low on process.exec where {} }}\n", tests.join(" or "));
    let files: Vec<(String, String)> = (0..100).map(|number| (format!("{number:03}.trap"), dear(number))).collect();
    let files: Vec<(&str, &str)> = files.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    let mut library = library(vec![]);
    let edited = library.edit(FOLDER, now(&files), &[]);
    assert_eq!(edited.attempts, EDIT_ATTEMPTS_MAX);
    assert!(edited.refused.last().unwrap().1.reason.contains("did not pass in"), "{:?}", edited.refused.last());
    let count = edited.change.unwrap().ruleset().rules.len();
    assert!(count > 2 && count + edited.refused.len() == 100, "{count}");
}

#[test]
fn without_dev_no_way_leads_in_for_rules_that_nobody_signed() {
    let loader = || Loader::new(catalogue().clone(), None);
    let stock = || file("stock/s.trap", &rule("s", 1), Origin::Stock);
    for origin in [Origin::Named, Origin::Folder(FOLDER.into()), Origin::Requested] {
        let files = vec![stock(), file("stock/a.trap", &rule("a", 1), origin)];
        let error = Library::open(loader(), false, files).unwrap_err();
        assert!(matches!(error, OpenError::Unsigned(name) if name == "stock/a.trap"));
    }
    let (mut library, _) = Library::open(loader(), false, vec![stock()]).unwrap();
    assert!(load(&mut library, &[("/a.trap", &rule("a", 1))]).unwrap_err().reason.contains("--dev"));
    let edited = library.edit(FOLDER, now(&[("a.trap", &rule("a", 1))]), &[]);
    assert!(edited.change.is_none() && edited.refused[0].1.reason.contains("--dev"));
}

#[test]
fn files_at_the_start_below_at_and_over_the_limit() {
    for (count, good) in [(FILES_MAX - 1, true), (FILES_MAX, true), (FILES_MAX + 1, false)] {
        let files = (0..count).map(|number| folder(&format!("{number}.trap"), "")).collect();
        let opened = Library::open(Loader::new(catalogue().clone(), None), true, files);
        assert_eq!(opened.is_ok(), good, "{count}");
    }
}

#[test]
fn a_file_of_a_folder_that_is_asked_for_is_the_folders() {
    let mut library = library(vec![folder("a.trap", &rule("a", 1))]);
    // Asked for by name it must be of use, though the folder may hold it.
    let refused = load(&mut library, &[(&format!("{FOLDER}/a.trap"), &tty("a"))]).unwrap_err();
    assert!(refused.reason.contains("can match nothing here"), "{}", refused.reason);
    // Before the folder was looked at.
    load(&mut library, &[(&format!("{FOLDER}/b.trap"), &rule("b", 1))]).unwrap();
    assert!(edit(&mut library, &[("a.trap", &rule("a", 1)), ("b.trap", &rule("b", 1))]).is_empty());
    assert_eq!(running(&library), ["a", "b"]);
    assert!(edit(&mut library, &[("a.trap", &rule("a", 1))]).is_empty());
    assert_eq!(running(&library), ["a"]);
}

#[test]
fn what_cannot_be_read_is_not_gone() {
    let files = ["a.trap", "sub/b.trap", "subway.trap"];
    let file = |name: &&str| folder(name, &rule(&name.replace(['.', '/'], "_"), 1));
    for (unread, stay) in
        [("a.trap", vec!["a_trap"]), ("sub", vec!["sub_b_trap"]), ("", vec!["a_trap", "sub_b_trap", "subway_trap"])]
    {
        let mut library = library(files.iter().map(file).collect());
        let unread = format!("{FOLDER}/{unread}");
        let edited = library.edit(FOLDER, Vec::new(), &[&unread]);
        edited.change.into_iter().for_each(|change| library.commit(change));
        assert_eq!(running(&library), stay, "{unread}");
    }
}

#[test]
fn no_file_takes_over_the_rule_of_another_one() {
    let mut library = library(vec![folder("a.trap", &rule("a", 1)), folder("b.trap", &rule("b", 1))]);
    let both = format!("{}{}", rule("a", 1), rule("b", 2));
    assert_eq!(edit(&mut library, &[("a.trap", &both), ("b.trap", &rule("b", 1))]), [format!("{FOLDER}/a.trap")]);
    let refused = load(&mut library, &[(&format!("{FOLDER}/a.trap"), &both)]).unwrap_err();
    assert!(refused.reason.ends_with("b.trap runs already"), "{}", refused.reason);
    assert_eq!(library.current().ruleset.number, 1);
    // Unless that one lets it go.
    assert!(edit(&mut library, &[("a.trap", &both), ("b.trap", "")]).is_empty());
}

#[test]
fn what_is_unloaded_does_not_come_back_from_another_file() {
    let twice = vec![folder("a.trap", &rule("a", 1)), folder("b.trap", &format!("{}{}", rule("a", 2), rule("b", 1)))];
    let (mut library, opened) = open(twice);
    assert_eq!(opened.refused.len(), 1);
    let change = library.unload(&["a".into()]).unwrap();
    assert_eq!(
        (change.changed.unloaded.as_slice(), change.changed.replaced.as_slice()),
        (&["a".to_owned()][..], &[][..])
    );
    library.commit(change);
    assert_eq!(running(&library), ["b"]);
}

#[test]
fn a_rule_may_move_from_file_to_file_and_one_that_exists_twice_is_refused() {
    let mut library = library(vec![folder("a.trap", &rule("a", 1)), folder("b.trap", &rule("b", 1))]);
    let moved = format!("{}{}", rule("b", 1), rule("a", 1));
    assert!(edit(&mut library, &[("a.trap", ""), ("b.trap", &moved)]).is_empty());
    assert_eq!(running(&library), ["b", "a"]);
    // Beside a broken file, too, and whatever the order.
    let back = [("a.trap", moved.as_str()), ("b.trap", ""), ("c.trap", "rule")];
    assert_eq!(edit(&mut library, &back), [format!("{FOLDER}/c.trap")]);
    assert_eq!(running(&library), ["b", "a"]);
    assert_eq!(library.current().ruleset.rules[0].rule.source.name, format!("{FOLDER}/a.trap"));
    let twice = [("a.trap", moved.as_str()), ("b.trap", ""), ("c.trap", &rule("a", 9))];
    assert_eq!(edit(&mut library, &twice), [format!("{FOLDER}/c.trap")]);
    assert_eq!(running(&library), ["b", "a"]);
}

#[test]
fn rules_of_a_folder_that_cannot_be_served_are_set_aside_and_those_of_a_named_file_are_told() {
    let named = file("/n.trap", &tty("n"), Origin::Named);
    let (mut library, opened) = open(vec![folder("a.trap", &tty("a")), named]);
    let unserved: Vec<&str> = opened.unserved.iter().map(|aside| aside.info.name.as_str()).collect();
    assert_eq!(unserved, ["n"]);
    let edited = library.edit(FOLDER, now(&[("a.trap", &tty("a")), ("b.trap", &tty("b"))]), &[]);
    assert!(edited.refused.is_empty());
    let change = edited.change.unwrap();
    let notes = &change.changed.notes;
    assert_eq!(notes.first().unwrap(), "`b` is set aside: no process.tty.name");
    assert!(notes.iter().any(|note| note.ends_with("b.trap:1: rule `b` has no title [missing-key]")), "{notes:?}");
    assert_eq!(notes.last().unwrap(), "no rule is in force now");
    assert_eq!(change.next().inert.len(), 3);
}

#[test]
fn what_was_broken_from_the_start_is_no_reason_to_refuse_what_comes_later() {
    let (mut library, opened) = open(vec![folder("a.trap", &format!("{}rule x {{ }}", rule("a", 1)))]);
    assert_eq!(opened.refused.len(), 1);
    assert_eq!(running(&library), ["a"]);
    load(&mut library, &[("/r.trap", &rule("r", 1))]).unwrap();
    assert_eq!(running(&library), ["a", "r"]);
}

#[test]
fn text_below_at_and_over_the_limit() {
    let mut library = library(vec![]);
    let pad = |bytes: usize| "#".repeat(bytes.saturating_sub(1)) + "\n";
    let part = lang::limits::FILE_LEN_MAX;
    let parts = TEXT_BYTES_MAX / part;
    for (over, good) in [(-1isize, true), (0, true), (1, false)] {
        let files: Vec<RuleFile> = (0..=parts)
            .map(|number| {
                let bytes = if number == 0 {
                    part - 8
                } else if number == parts {
                    (8 + over) as usize
                } else {
                    part
                };
                RuleFile { name: format!("/{number}.trap"), text: pad(bytes) }
            })
            .collect();
        let loaded = library.load(files);
        assert_eq!(loaded.is_ok(), good, "{over} {:?}", loaded.err());
    }
}

#[test]
fn a_refusal_carries_so_many_diagnostics_and_counts_the_rest() {
    let max = DIAGNOSTICS_SHOWN_MAX;
    for (mistakes, shown, more) in [(max - 1, max - 1, false), (max, max, false), (max + 1, max + 1, true)] {
        let mut library = library(vec![]);
        let bad = |number| format!("rule r{number} {{ severity: low on process.exec where process.nmae == \"\" }}\n");
        let text: String = (0..mistakes).map(bad).collect();
        let refused = load(&mut library, &[("/r.trap", &text)]).unwrap_err();
        assert_eq!(refused.diagnostics.len(), shown, "{mistakes}");
        assert_eq!(refused.diagnostics.last().unwrap() == "and 1 more", more);
        assert!(refused.reason.ends_with(&format!("and {} more", mistakes - 1)), "{}", refused.reason);
    }
}

#[test]
fn rules_below_at_and_over_the_limit() {
    let mut library = library(vec![file("stock/s.trap", &rule("s", 1), Origin::Stock)]);
    library.rules_max = 3;
    for (count, good) in [(1, true), (2, true), (3, false)] {
        let text: String = (0..count).map(|number| rule(&format!("r{number}"), 1)).collect();
        let loaded = library.load(request(&[("/r.trap", &text)]));
        assert_eq!(loaded.is_ok(), good, "{count}");
        if let Err(refused) = loaded {
            assert_eq!(refused.reason, "that would be 4 rules; 3 are allowed");
        }
    }
}

#[test]
fn a_stock_file_is_not_replaced() {
    let mut library = library(vec![file("stock/s.trap", &rule("s", 1), Origin::Stock)]);
    let refused = load(&mut library, &[("stock/s.trap", &rule("s", 2))]).unwrap_err();
    assert!(refused.reason.contains("part of the binary"));
}

#[test]
fn files_below_at_and_over_the_limit() {
    let mut library = library(vec![]);
    for (count, good) in [(FILES_MAX - 1, true), (FILES_MAX, true), (FILES_MAX + 1, false)] {
        let files = (0..count).map(|number| RuleFile { name: format!("/{number}.trap"), text: String::new() });
        assert_eq!(library.load(files.collect()).is_ok(), good, "{count}");
    }
}

#[test]
fn a_set_that_could_use_too_much_fuel_on_one_event_is_refused() {
    let fields = ["name", "executable", "command_line", "parent.name", "parent.executable", "parent.command_line"];
    let pairs = fields.iter().flat_map(|left| fields.iter().map(move |right| (left, right)));
    let tests = pairs.filter(|(left, right)| left != right);
    let tests: Vec<String> = tests.map(|(left, right)| format!("process.{left} contains process.{right}")).collect();
    let dear = |count: usize| -> String {
        let rule =
            |number| format!("rule r{number} {{ severity: low on process.exec where {} }}\n", tests.join(" or "));
        (0..count).map(rule).collect()
    };
    let mut library = library(vec![]);
    load(&mut library, &[("/r.trap", &dear(2))]).unwrap();
    let refused = load(&mut library, &[("/r.trap", &dear(20))]).unwrap_err();
    assert!(refused.reason.contains("one `process.exec` event can use"), "{}", refused.reason);
    assert_eq!((refused.generation, running(&library)), (2, vec!["r0", "r1"]));
    load(&mut library, &[("/r.trap", &dear(3))]).unwrap();
}

/// A document of Sigma.
fn sigma(title: &str, id: u32, image: &str) -> String {
    format!(
        "title: {title}\nid: 00000000-0000-4000-8000-{id:012}\nlogsource: {{product: windows, category: process_creation}}\n\
         detection: {{one: {{Image|endswith: {image}}}, condition: one}}\nlevel: low\n"
    )
}

#[test]
fn single_rules_of_sigma_are_unloaded_and_stay_off() {
    let both = format!("{}---\n{}", sigma("First", 1, "x"), sigma("Second", 2, "y"));
    let mut library = library(vec![folder("two.yml", &both)]);
    assert_eq!(running(&library), ["first", "second"]);
    let change = library.unload(&["first".to_owned()]).unwrap();
    assert_eq!(change.changed.unloaded, ["first"]);
    library.commit(change);
    assert_eq!(running(&library), ["second"]);
    let edited = both.replace("low", "high");
    assert_eq!(edit(&mut library, &[("two.yml", &edited)]), [""; 0]);
    assert_eq!(running(&library), ["second"]);
    let change = library.unload(&["00000000-0000-4000-8000-000000000002".to_owned()]).unwrap();
    library.commit(change);
    assert_eq!(running(&library), [""; 0]);
}

#[test]
fn rules_of_sigma_of_one_name_and_without_ids_are_not_unloaded_one_by_one() {
    let without_id = |image: &str| {
        let text = sigma("Title", 1, image);
        text.lines().filter(|line| !line.starts_with("id:")).map(|line| format!("{line}\n")).collect::<String>()
    };
    let both = format!("{}---\n{}", without_id("x"), without_id("y"));
    let mut library = library(vec![folder("two.yml", &both)]);
    let names: Vec<String> = running(&library).into_iter().map(str::to_owned).collect();
    let [first, second] = names.try_into().unwrap();
    for name in [&first, &second] {
        assert!(library.unload(std::slice::from_ref(name)).is_err(), "{name}");
    }
    assert!(library.unload(&[second]).unwrap_err().reason.contains("give it an `id`"));
    let change = library.unload(&[format!("{FOLDER}/two.yml")]).unwrap();
    library.commit(change);
    assert!(running(&library).is_empty());
}

#[test]
fn a_rule_of_sigma_is_the_same_when_another_one_of_its_title_goes() {
    let files = [("a.yml", &*sigma("Title", 1, "x")), ("b.yml", &*sigma("Title", 2, "y"))];
    let mut library = library(files.iter().map(|(name, text)| folder(name, text)).collect());
    assert_eq!(running(&library), ["title", "title_00000000"]);
    let change = library.unload(&["title".to_owned()]).unwrap();
    library.commit(change);
    assert_eq!(running(&library), ["title"]);
    assert_eq!(library.current().ruleset.rules[0].info.id, "00000000-0000-4000-8000-000000000002");
    assert_eq!(edit(&mut library, &files[1..]), [""; 0]);
    assert_eq!(running(&library), ["title"]);
}
