//! The taxonomies are complete and their conversions total.

use std::net::{Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;
use trapline_vm::record::{Cell, EnumId, FieldType, LIST_LEN_MAX, Scalar, Value};

use super::*;

const SYSMON: &str = "Microsoft-Windows-Sysmon";
const SECURITY: &str = "Microsoft-Windows-Security-Auditing";

fn class_of(provider: &str, channel: &str, id: u32, data: &[(&str, &str)]) -> String {
    let mapping = Taxonomy::windows().classify(provider, channel, id, |name| value_of(data, name));
    catalogue().class(mapping.class).name.clone()
}

fn value_of<'d>(data: &[(&str, &'d str)], name: &str) -> Option<&'d str> {
    data.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
}

/// What the rows of an event give for one field, read as a decoder would.
fn field_of(provider: &str, id: u32, data: &[(&str, &str)], field: &str) -> Option<String> {
    let mapping = Taxonomy::windows().classify(provider, "", id, |name| value_of(data, name));
    let field = catalogue().field_id(field).unwrap();
    mapping.rows.iter().filter(|row| row.field == field).find_map(|row| {
        let raw = match &row.raw {
            Raw::Data(name) => value_of(data, name)?.to_owned(),
            Raw::Joined(first, second) => {
                let first = value_of(data, first)?;
                value_of(data, second).map_or_else(|| first.to_owned(), |second| format!("{first}\\{second}"))
            }
            Raw::Header(_) => return None,
        };
        let value = row.conversion.apply(&raw).ok().flatten()?;
        Some(shown(&value))
    })
}

fn shown(value: &Converted<'_>) -> String {
    match value {
        Converted::Str(text) => text.to_string(),
        Converted::Int(value) | Converted::Time(value) => value.to_string(),
        Converted::Bool(value) => value.to_string(),
        Converted::Ip(value) => value.to_string(),
        Converted::Bytes(bytes) => bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
        Converted::Enum(value) => format!("{value:?}"),
        Converted::List(items) | Converted::CutList(items) => items.iter().map(shown).collect::<Vec<_>>().join("|"),
    }
}

#[test]
fn all_sysmon_events_have_a_class() {
    let expected = [
        "process.exec",
        "file.attribute",
        "network.connect",
        "log.sensor",
        "process.exit",
        "driver.load",
        "library.load",
        "process.inject",
        "disk.raw_access",
        "process.access",
        "file.create",
        "registry.create",
        "registry.set",
        "registry.rename",
        "file.stream",
        "log.sensor",
        "pipe.create",
        "pipe.connect",
        "wmi.filter",
        "wmi.consumer",
        "wmi.binding",
        "dns.query",
        "file.delete",
        "clipboard.change",
        "process.tamper",
        "file.delete",
        "file.create",
        "file.delete",
        "file.create",
    ];
    for (id, class) in (1u32..).zip(expected) {
        assert_eq!(class_of(SYSMON, "Microsoft-Windows-Sysmon/Operational", id, &[]), class, "event {id}");
    }
}

#[test]
fn one_entry_tells_classes_of_an_event_apart() {
    let registry = |event_type| class_of(SYSMON, "", 12, &[("EventType", event_type)]);
    assert_eq!(registry("CreateKey"), "registry.create");
    assert_eq!(registry("DeleteKey"), "registry.delete");
    assert_eq!(registry("deletevalue"), "registry.delete");
    assert_eq!(registry("CreateValue"), "registry.create");
    assert_eq!(registry("SomethingNew"), "registry.create");
    assert_eq!(class_of(SYSMON, "", 3, &[("Initiated", "true")]), "network.connect");
    assert_eq!(class_of(SYSMON, "", 3, &[("Initiated", "False")]), "network.accept");
    assert_eq!(class_of(SECURITY, "", 5156, &[("Direction", "%%14592")]), "network.accept");
    assert_eq!(class_of(SECURITY, "", 4657, &[("OperationType", "%%1906")]), "registry.delete");
    let kind = Taxonomy::windows().kind(SYSMON, "", 12);
    assert_eq!(kind.discriminator(), Some("EventType"));
}

#[test]
fn windows_events_that_detections_rest_on_have_a_class() {
    let security = [
        (4624, "authentication.login"),
        (4625, "authentication.login"),
        (4634, "authentication.logout"),
        (4648, "authentication.explicit"),
        (4656, "object.handle"),
        (4660, "object.delete"),
        (4662, "directory.access"),
        (4663, "object.access"),
        (4672, "privilege.assign"),
        (4673, "privilege.use"),
        (4688, "process.exec"),
        (4689, "process.exit"),
        (4697, "service.install"),
        (4698, "task.create"),
        (4719, "log.policy_change"),
        (4720, "account.create"),
        (4726, "account.delete"),
        (4728, "account.group_member_added"),
        (4732, "account.group_member_added"),
        (4740, "account.lock"),
        (4768, "authentication.ticket"),
        (4776, "authentication.validate"),
        (4778, "authentication.session"),
        (4799, "account.enumerate"),
        (5136, "directory.change"),
        (5140, "share.access"),
        (5145, "share.access"),
        (5158, "network.listen"),
        (5379, "account.credential_access"),
    ];
    for (id, class) in security {
        assert_eq!(class_of(SECURITY, "Security", id, &[]), class, "event {id}");
    }
    for (provider, channel, id, class) in [
        ("Microsoft-Windows-Eventlog", "Security", 1102, "log.cleared"),
        ("Microsoft-Windows-Eventlog", "System", 104, "log.cleared"),
        ("Service Control Manager", "System", 7045, "service.install"),
        ("Service Control Manager", "System", 7036, "service.state"),
        ("Microsoft-Windows-PowerShell", "", 4104, "script.execute"),
        ("Microsoft-Windows-PowerShell", "", 4103, "script.command"),
        ("PowerShell", "Windows PowerShell", 400, "script.engine"),
        ("PowerShell", "Windows PowerShell", 800, "script.command"),
        ("Microsoft-Windows-TaskScheduler", "", 106, "task.create"),
        ("Microsoft-Windows-Windows Defender", "", 1116, "malware.alert"),
        ("Microsoft-Windows-Windows Defender", "", 5001, "malware.setting"),
        ("Microsoft-Windows-WMI-Activity", "", 5861, "wmi.binding"),
        ("Microsoft-Windows-DNS-Client", "", 3008, "dns.query"),
    ] {
        assert_eq!(class_of(provider, channel, id, &[]), class, "{provider} {id}");
    }
}

#[test]
fn the_provider_decides_and_the_channel_only_without_it() {
    assert_eq!(class_of("MICROSOFT-WINDOWS-SYSMON", "ForwardedEvents", 1, &[]), "process.exec");
    assert_eq!(class_of("", "security", 4688, &[]), "process.exec");
    assert_eq!(class_of("Some Application", "Security", 4688, &[]), "generic.log");
    assert_eq!(class_of(SECURITY, "Security", 1, &[]), "generic.log");
    assert_eq!(class_of("", "", 4688, &[]), "generic.log");
    assert_eq!(class_of("", "", u32::MAX, &[]), "generic.log");
}

#[test]
fn sysmon_process_reads_as_its_catalogue_fields() {
    let event = [
        ("RuleName", "-"),
        ("UtcTime", "2020-08-07 14:32:45.881"),
        ("ProcessGuid", "{297BC33E-660D-5F2D-8407-000000000400}"),
        ("ProcessId", "6504"),
        ("Image", r"C:\Windows\System32\whoami.exe"),
        ("CommandLine", r#""C:\windows\system32\whoami.exe" /user "a b""#),
        ("User", r"THESHIRE\pgustavo"),
        ("IntegrityLevel", "High"),
        ("Hashes", "SHA1=8F1F9E265911956C7F8F3861C34DEF9B8FA63813,IMPHASH=00000000000000000000000000000000"),
        ("Description", "?"),
        ("ParentImage", r"C:\Windows\System32\cmd.exe"),
    ];
    let field = |name| field_of(SYSMON, 1, &event, name);
    assert_eq!(field("process.name").as_deref(), Some("whoami.exe"));
    assert_eq!(field("process.executable").as_deref(), Some(r"C:\Windows\System32\whoami.exe"));
    assert_eq!(field("process.pid").as_deref(), Some("6504"));
    assert_eq!(field("process.entity_id").as_deref(), Some("{297bc33e-660d-5f2d-8407-000000000400}"));
    assert_eq!(field("process.args").as_deref(), Some(r"C:\windows\system32\whoami.exe|/user|a b"));
    assert_eq!(field("process.args_count").as_deref(), Some("3"));
    assert_eq!(field("user.name").as_deref(), Some("pgustavo"));
    assert_eq!(field("user.domain").as_deref(), Some("THESHIRE"));
    assert_eq!(field("process.hash.sha1").as_deref(), Some("8f1f9e265911956c7f8f3861c34def9b8fa63813"));
    assert_eq!(field("process.pe.imphash"), None);
    assert_eq!(field("process.hash.md5"), None);
    assert_eq!(field("process.pe.description"), None);
    assert_eq!(field("rule.name"), None);
    assert_eq!(field("process.parent.name").as_deref(), Some("cmd.exe"));
    assert_eq!(field("process.start").as_deref(), Some("1596810765881000000"));
    let FieldType::Scalar(Scalar::Enum(levels)) = type_of("process.integrity_level") else { panic!("an enum") };
    let high = catalogue().enums[usize::from(levels.0)].variants.iter().position(|level| level == "high");
    assert_eq!(field("process.integrity_level"), Some(format!("{:?}", high.map(|at| u32::try_from(at).unwrap()))));
}

fn type_of(field: &str) -> FieldType {
    catalogue().field(catalogue().field_id(field).unwrap()).ty
}

#[test]
fn rows_give_way_to_later_ones_of_the_same_field() {
    // 4688: the user of the new process is the target if there is one, else the subject.
    let own = [("SubjectUserName", "alice"), ("TargetUserName", "-")];
    assert_eq!(field_of(SECURITY, 4688, &own, "process.user.name").as_deref(), Some("alice"));
    let other = [("SubjectUserName", "alice"), ("TargetUserName", "bob")];
    assert_eq!(field_of(SECURITY, 4688, &other, "process.user.name").as_deref(), Some("bob"));
    assert_eq!(field_of(SECURITY, 4688, &other, "user.name").as_deref(), Some("alice"));
}

#[test]
fn registry_paths_look_the_same_from_both_sources() {
    let sysmon = [("TargetObject", r"HKLM\SOFTWARE\Run\Updater"), ("Details", "DWORD (0x00000001)")];
    let audit = [("ObjectName", r"\REGISTRY\MACHINE\SOFTWARE\Run"), ("ObjectValueName", "Updater"), ("NewValue", "1")];
    for (provider, id, event) in [(SYSMON, 13, &sysmon[..]), (SECURITY, 4657, &audit[..])] {
        let field = |name| field_of(provider, id, event, name);
        assert_eq!(field("registry.path").as_deref(), Some(r"HKLM\SOFTWARE\Run\Updater"));
        assert_eq!(field("registry.hive").as_deref(), Some("HKLM"));
        assert_eq!(field("registry.key").as_deref(), Some(r"SOFTWARE\Run"));
        assert_eq!(field("registry.value").as_deref(), Some("Updater"));
    }
    assert_eq!(field_of(SYSMON, 13, &sysmon, "registry.data.type").as_deref(), Some("REG_DWORD"));
    assert_eq!(field_of(SYSMON, 13, &sysmon, "registry.data.integer").as_deref(), Some("1"));
    assert_eq!(field_of(SYSMON, 13, &sysmon, "registry.data.strings").as_deref(), Some("DWORD (0x00000001)"));
    let key = [("TargetObject", r"HKU\S-1-5-21\Software"), ("EventType", "DeleteKey")];
    assert_eq!(field_of(SYSMON, 12, &key, "registry.key").as_deref(), Some(r"S-1-5-21\Software"));
    assert_eq!(field_of(SYSMON, 12, &key, "registry.value"), None);
}

#[test]
fn powershell_context_is_read_by_its_lines() {
    let context = "        Severity = Informational\r\n        Host Name = ConsoleHost\r\n        \
                   Host Application = powershell.exe -c a\r\nb --x=1\r\n        Engine Version = 5.1\r\n        \
                   Script Name = \r\n        User = CORP\\alice\r\n";
    let event = [("ContextInfo", context)];
    let field = |name| field_of("Microsoft-Windows-PowerShell", 4103, &event, name);
    assert_eq!(field("script.host.application").as_deref(), Some("powershell.exe -c a\nb --x=1"));
    assert_eq!(field("script.host.name").as_deref(), Some("ConsoleHost"));
    assert_eq!(field("script.engine.version").as_deref(), Some("5.1"));
    assert_eq!(field("script.path"), None);
    assert_eq!(field("user.name").as_deref(), Some("alice"));
    assert_eq!(field("user.domain").as_deref(), Some("CORP"));
    let classic = [("param1", "Available"), ("param3", "\tNewEngineState=Available\n\tHostApplication=a.exe -v 2\n")];
    assert_eq!(field_of("PowerShell", 400, &classic, "script.host.application").as_deref(), Some("a.exe -v 2"));
    assert_eq!(field_of("PowerShell", 400, &classic, "script.engine.state").as_deref(), Some("Available"));
}

#[test]
fn task_definitions_tell_what_they_run() {
    let plain = "<Task><Exec><CommandLine/><Command>cmd.exe</Command><Arguments>/c a &amp; b</Arguments></Exec></Task>";
    let escaped = plain.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    for content in [plain, &escaped] {
        let event = [("TaskContent", content)];
        assert_eq!(field_of(SECURITY, 4698, &event, "task.action.command").as_deref(), Some("cmd.exe"));
        assert_eq!(field_of(SECURITY, 4698, &event, "task.action.arguments").as_deref(), Some("/c a & b"));
    }
    for content in ["<Command", "<Command>", "<Command/>", "&lt;Command&gt;", "</Command>", "<Commands>x</Commands>"] {
        assert_eq!(field_of(SECURITY, 4698, &[("TaskContent", content)], "task.action.command"), None, "{content}");
    }
}

#[test]
fn every_mapping_keeps_to_the_catalogue() {
    // The loader checks existence, family and type; here: nothing is mapped twice the same way, and all classes of
    // Windows are reached.
    for mapping in Taxonomy::windows().mappings() {
        let class = catalogue().class(mapping.class);
        for (at, row) in mapping.rows.iter().enumerate() {
            assert!(catalogue().slot(class.family, row.field).is_some());
            assert!(row.conversion.fits(catalogue().field(row.field).ty));
            assert!(!mapping.rows[..at].contains(row), "{} maps {row:?} twice", class.name);
        }
        assert!(mapping.constants.iter().any(|(field, _)| catalogue().field(*field).name == "event.action"));
    }
    let linux_only = ["process.fork", "file.open", "file.write", "file.rename", "module.load", "module.unload"];
    for (id, class) in (0u16..).map(ClassId).zip(&catalogue().classes) {
        let reached = Taxonomy::windows().mappings().iter().any(|mapping| mapping.class == id);
        assert!(reached || linux_only.contains(&class.name.as_str()), "no event is of class {}", class.name);
    }
}

#[test]
fn mistakes_in_the_data_are_named() {
    let shared = "profile = \"windows\"\n[sets]\nheader = []\n[[event]]\nclass = \"generic.log\"\n";
    let error = |event: &str| {
        let text = format!("profile = \"p\"\nproviders = [\"P\"]\n[[event]]\n{event}");
        load::from_texts(shared, &[&text]).unwrap_err().to_string()
    };
    assert!(error("ids = [1]\nclass = \"process.nothing\"").contains("`process.nothing` is not known"));
    assert!(
        error("ids = [1]\nclass = \"process.exec\"\nrows = [[\"A\", \"no.field\"]]").contains("no field `no.field`")
    );
    assert!(error("ids = [1]\nclass = \"process.exec\"\nrows = [[\"A\", \"dns.question.name\"]]").contains("family"));
    let wrong_type = "ids = [1]\nclass = \"process.exec\"\nrows = [[\"A\", \"process.pid\", \"basename\"]]";
    assert!(error(wrong_type).contains("does not give a value for `process.pid`"));
    assert!(error("ids = [1]\nclass = \"process.exec\"\nrows = [[\"A\"]]").contains("neither"));
    assert!(error("ids = [1]\nclass = \"process.exec\"\nrows = [[\"A B\", \"process.name\"]]").contains("blanks"));
    let no_conversion = "ids = [1]\nclass = \"process.exec\"\nrows = [[\"A\", \"process.name\", \"magic\"]]";
    assert!(error(no_conversion).contains("no conversion is called `magic`"));
    assert!(error("ids = [1, 1]\nclass = \"process.exec\"").contains("1 is described twice"));
    assert!(error("ids = [1]\nwhen = [\"A\", \"b\"]\nclass = \"process.exec\"").contains("comes first"));
    assert!(error("ids = [1]\nclass = \"process.exec\"\noutcome = \"fine\"").contains("no variant"));
    assert!(error("class = \"process.exec\"").contains("needs ids"));
    assert!(error("ids = [1]\nclass = \"process.exec\"\nsets = [\"none\"]").contains("`none` is not known"));
}

#[test]
fn supply_follows_from_the_mappings() {
    let field = |name: &str| catalogue().field_id(name).unwrap();
    let class = |name: &str| catalogue().class_id(name).unwrap();
    assert!(supplies("sysmon", class("process.exec"), field("process.command_line")));
    assert!(supplies("sysmon", class("process.exec"), field("host.os.type")));
    assert!(!supplies("sysmon", class("process.exec"), field("process.tty.name")));
    assert!(!supplies("sysmon", class("file.create"), field("process.command_line")));
    assert!(!supplies("sysmon", class("authentication.login"), field("user.name")));
    assert!(supplies("windows-security", class("authentication.login"), field("source.ip")));
    assert!(supplies(WINDOWS, class("generic.log"), field("winlog.event_id")));
    assert!(supplies(ECS, class("process.exec"), field("process.tty.name")));
    assert!(!supplies(ECS, class("process.exec"), field("dns.question.name")));
    assert!(!supplies("nothing", class("process.exec"), field("process.name")));
    assert!(supplies_open("sysmon", "winlog.event_data.Image"));
    assert!(!supplies_open("sysmon", "auditd.data.a0"));
    assert!(supplies_open(ECS, "labels.site"));
    assert!(!supplies_open(ECS, "process.name"));
    for profile in ["ecs", "windows", "sysmon", "windows-security", "windows-powershell"] {
        assert!(profiles().contains(&profile), "{profile}");
        assert!(!classes(profile).is_empty(), "{profile}");
    }
    assert_eq!(profiles().len(), 14);
    assert!(classes("nothing").is_empty());
}

#[test]
fn sensors_supply_what_their_files_say() {
    let (exec, exit) = (catalogue().class_id("process.exec").unwrap(), catalogue().class_id("process.exit").unwrap());
    let has = |profile, class, name| supplies(profile, class, catalogue().field_id(name).unwrap());
    for profile in ["linux-connector", "linux-proc"] {
        assert_eq!(sensor_profile(profile), Some(profile));
        assert_eq!(classes(profile), [exec, exit]);
        assert!(has(profile, exec, "process.working_directory") && !has(profile, exit, "process.working_directory"));
        assert!(has(profile, exec, "process.ancestors") && !has(profile, exec, "process.env_vars"));
        assert!(!supplies_open(profile, "raw.anything"));
    }
    assert!(has("linux-connector", exit, "process.exit_code"));
    assert!(!has("linux-proc", exit, "process.exit_code"), "nobody but the parent is told");
    assert_eq!(sensor_profile("ecs"), None);
}

#[test]
fn mistakes_in_the_file_of_a_sensor_are_named() {
    let error = |text: &str| sensor::load(text).err().unwrap().to_string();
    let class = |rest: &str| format!("profile = \"x\"\nclass = [{{ name = \"process.exec\", {rest} }}]");
    assert!(sensor::load(&class("fields = [\"process.pid\"]")).is_ok());
    assert_eq!(error(&class("fields = [\"process.pod\"]")), "x: `process.exec` has no field `process.pod`");
    assert_eq!(error(&class("fields = [\"file.path\"]")), "x: `process.exec` has no field `file.path`");
    assert_eq!(error(&class("sets = [\"who\"]")), "x: there is no set `who`");
    let twice = class("fields = [\"process.pid\", \"process.pid\"]");
    assert_eq!(error(&twice), "x: `process.exec` names `process.pid` twice");
    let no_class = "profile = \"x\"\nclass = [{ name = \"process.exe\" }]";
    assert_eq!(error(no_class), "x: the catalogue has no class `process.exe`");
    let classes = "profile = \"x\"\nclass = [{ name = \"process.exec\" }, { name = \"process.exec\" }]";
    assert_eq!(error(classes), "x: `process.exec` is described twice");
    assert!(error("profile = 1").starts_with("sensor: "));
}

#[test]
fn ecs_categorisation_gives_the_class() {
    ecs::load(include_str!("ecs.toml")).unwrap();
    for (categories, types, actions, class) in [
        (&["process"][..], &["start"][..], &["exec"][..], "process.exec"),
        (&["process"], &["start"], &["fork"], "process.fork"),
        (&["process"], &["start"], &["fork", "exec"], "process.exec"),
        (&["process"], &["start"], &["start"], "process.exec"),
        (&["process"], &["end"], &[], "process.exit"),
        (&["file"], &["change"], &["rename"], "file.rename"),
        (&["File"], &["Creation"], &[], "file.create"),
        (&["file"], &["change"], &["modification"], "file.write"),
        (&["network"], &["connection", "start"], &["connection_attempted"], "network.connect"),
        (&["network"], &["connection", "start"], &["connection_accepted"], "network.accept"),
        (&["network"], &["protocol"], &["lookup_requested"], "dns.query"),
        (&["network"], &["end"], &["disconnect_received"], "generic.log"),
        (&["authentication"], &["start"], &["login"], "authentication.login"),
        (&["authentication", "session"], &["end"], &["logged-out"], "authentication.logout"),
        (&["iam"], &["user", "creation"], &["added-user-account"], "account.create"),
        (&["registry"], &["change"], &["modification"], "registry.set"),
        (&["library"], &["start"], &["load"], "library.load"),
        (&["malware", "file"], &["info"], &[], "malware.alert"),
        (&["malware", "intrusion_detection"], &["info"], &[], "malware.alert"),
        (&["malware", "file"], &["change"], &["rename"], "malware.alert"),
        (&["wmi"], &[], &["consumer"], "wmi.consumer"),
        (&["configuration"], &["change"], &[], "generic.log"),
        (&[], &[], &[], "generic.log"),
        (&[""], &[""], &[""], "generic.log"),
    ] {
        let found = ecs_class(categories, types, actions);
        assert_eq!(catalogue().class(found).name, class, "{categories:?} {types:?} {actions:?}");
    }
}

#[test]
fn ecs_aliases_are_other_names() {
    let aliases = |name: &str| ecs_aliases(catalogue().field_id(name).unwrap());
    assert_eq!(aliases("file.previous.path"), ["file.Ext.original.path"]);
    assert!(aliases("process.name").is_empty());
    let error = |text: &str| ecs::load(text).err().unwrap().to_string();
    assert!(error("classes = []\naliases = [[\"a.b\", \"no.field\"]]").contains("no field `no.field`"));
    assert!(error("classes = []\naliases = [[\"file.path\", \"file.name\"]]").contains("is a field itself"));
    assert!(error("classes = [[\"no.class\", \"a\", [], []]]\naliases = []").contains("no class `no.class`"));
}

fn ok(conversion: &Conversion, raw: &str) -> Option<String> {
    conversion.apply(raw).unwrap().as_ref().map(shown)
}

#[test]
fn numbers() {
    let int = |raw| Conversion::Int.apply(raw);
    assert_eq!(int("0x3e7"), Ok(Some(Converted::Int(999))));
    assert_eq!(int(" 42 "), Ok(Some(Converted::Int(42))));
    assert_eq!(int("-1"), Ok(Some(Converted::Int(-1))));
    assert_eq!(int("9223372036854775807"), Ok(Some(Converted::Int(i64::MAX))));
    assert_eq!(int("9223372036854775808"), Ok(Some(Converted::Int(i64::MIN))));
    assert_eq!(int("0xffffffffffffffff"), Ok(Some(Converted::Int(-1))));
    assert!(int("0x10000000000000000").is_err());
    assert!(int("18446744073709551616").is_err());
    for bad in ["0x", "0x+1", "0x-1", "1.5", "%%1537", "١", "--1", "1 2", "\0"] {
        assert!(int(bad).is_err(), "{bad}");
    }
    for nothing in ["", "-", "%%1793"] {
        assert_eq!(int(nothing), Ok(None));
    }
}

#[test]
fn booleans_and_enums() {
    assert_eq!(Conversion::Bool.apply("TRUE"), Ok(Some(Converted::Bool(true))));
    assert_eq!(Conversion::Bool.apply("%%1843"), Ok(Some(Converted::Bool(false))));
    let remark = "false - rename failed with status 0xc0000022";
    assert_eq!(Conversion::Bool.apply(remark), Ok(Some(Converted::Bool(false))));
    assert!(Conversion::Bool.apply("maybe").is_err());
    let outcome = Conversion::AuditOutcome { success: 0, failure: 1 };
    assert_eq!(outcome.apply("0x8020000000000000"), Ok(Some(Converted::Enum(Some(0)))));
    assert_eq!(outcome.apply("-9218868437227405312"), Ok(Some(Converted::Enum(Some(1)))));
    assert_eq!(outcome.apply("Audit Failure"), Ok(Some(Converted::Enum(Some(1)))));
    assert_eq!(outcome.apply("0x8000000000000000"), Ok(None));
    assert_eq!(outcome.apply("Classic"), Ok(None));
    assert_eq!(Conversion::Variant(EnumId(u16::MAX)).apply("x"), Ok(Some(Converted::Enum(None))));
}

#[test]
fn addresses() {
    let v4 = |a, b, c, d| Ok(Some(Converted::Ip(Ipv4Addr::new(a, b, c, d).into())));
    assert_eq!(Conversion::Ip.apply("172.18.39.5"), v4(172, 18, 39, 5));
    assert_eq!(Conversion::Ip.apply("::ffff:172.18.39.5"), v4(172, 18, 39, 5));
    let link_local: Ipv6Addr = "fe80::1".parse().unwrap();
    assert_eq!(Conversion::Ip.apply("fe80::1%12"), Ok(Some(Converted::Ip(link_local.into()))));
    assert_eq!(Conversion::Ip.apply("-"), Ok(None));
    assert_eq!(Conversion::Ip.apply("LOCAL"), Ok(None));
    for bad in ["1.2.3", "1.2.3.4.5", "host", "::g", "1.2.3.4:80", "%"] {
        assert!(Conversion::Ip.apply(bad).is_err(), "{bad}");
    }
    assert_eq!(
        ok(&Conversion::DnsAddresses, "type:  5 a.example;::ffff:1.2.3.4;2001:db8::1;").unwrap(),
        "1.2.3.4|2001:db8::1"
    );
    assert_eq!(ok(&Conversion::DnsAnswers, "type:  5 a.example;::ffff:1.2.3.4;").unwrap(), "a.example|::ffff:1.2.3.4");
    assert_eq!(ok(&Conversion::DnsAnswers, "type: ;;type:5;-;"), None);
}

#[test]
fn hashes_and_guids() {
    let md5 = Conversion::Hash(HashName::Md5);
    assert_eq!(ok(&md5, "SHA1=00, md5=2EEEEC89E705F73FFBCA014CFCBD6A13").unwrap(), "2eeeec89e705f73ffbca014cfcbd6a13");
    assert_eq!(ok(&md5, "SHA1=8F1F9E265911956C7F8F3861C34DEF9B8FA63813"), None);
    assert_eq!(ok(&md5, "MD5=00000000000000000000000000000000"), None);
    assert_eq!(ok(&md5, "MD5="), None);
    assert_eq!(ok(&md5, "Unknown"), None);
    for bad in ["MD5=2E", "MD5=zz", "2EEEEC89E705F73FFBCA014CFCBD6A13", "MD5=2EEEEC89E705F73FFBCA014CFCBD6A1", "MD5=é"]
    {
        assert!(md5.apply(bad).is_err(), "{bad}");
    }
    let braced = "{297bc33e-660d-5f2d-8407-000000000400}";
    assert_eq!(ok(&Conversion::Guid, braced).unwrap(), braced);
    assert_eq!(ok(&Conversion::Guid, "297BC33E-660D-5F2D-8407-000000000400").unwrap(), braced);
    assert_eq!(ok(&Conversion::Guid, "{00000000-0000-0000-0000-000000000000}"), None);
    for bad in ["{", "{}", "297bc33e", "{297bc33e-660d-5f2d-8407-000000000400", "297bc33e-660d-5f2d-8407-00000000040g"]
    {
        assert!(Conversion::Guid.apply(bad).is_err(), "{bad}");
    }
    assert_eq!(ok(&Conversion::Sid, "S-1-0-0"), None);
    assert_eq!(ok(&Conversion::Sid, "S-1-5-18").unwrap(), "S-1-5-18");
}

#[test]
fn paths_and_accounts() {
    let cases = [
        (Conversion::Basename, r"C:\a\b.exe", Some("b.exe")),
        (Conversion::Basename, "System", Some("System")),
        (Conversion::Basename, "/usr/bin/id", Some("id")),
        (Conversion::Basename, r"C:\a\", None),
        (Conversion::FileName, r"C:\a\b.txt:Zone.Identifier", Some("b.txt")),
        (Conversion::FilePath, r"C:\a\b.txt:Zone.Identifier:$DATA", Some(r"C:\a\b.txt")),
        (Conversion::FilePath, r"C:\a\b.txt", Some(r"C:\a\b.txt")),
        (Conversion::FilePath, "C:", Some("C:")),
        (Conversion::FilePath, "C:b.txt:s", Some("C:b.txt")),
        (Conversion::StreamName, r"C:\a\b.txt:Zone.Identifier:$DATA", Some("Zone.Identifier")),
        (Conversion::StreamName, r"C:\a\b.txt", None),
        (Conversion::StreamName, r"C:\a\b.txt::$DATA", None),
        (Conversion::FileExtension, r"C:\a.d\b.TXT:s.x", Some("TXT")),
        (Conversion::FileExtension, r"C:\a.d\b", None),
        (Conversion::FileExtension, r"C:\.bashrc", None),
        (Conversion::FileExtension, r"C:\b.", None),
        (Conversion::FileDirectory, r"C:\a\b.txt", Some(r"C:\a")),
        (Conversion::FileDirectory, "b.txt", None),
        (Conversion::FileDirectory, r"\b.txt", None),
        (Conversion::AccountName, r"NT AUTHORITY\SYSTEM", Some("SYSTEM")),
        (Conversion::AccountDomain, r"NT AUTHORITY\SYSTEM", Some("NT AUTHORITY")),
        (Conversion::AccountName, "LocalSystem", Some("LocalSystem")),
        (Conversion::AccountDomain, "LocalSystem", None),
        (Conversion::RegistryPath, r"\REGISTRY\USER\S-1-5-18\Software", Some(r"HKU\S-1-5-18\Software")),
        (Conversion::RegistryPath, r"\registry\machine", Some("HKLM")),
        (Conversion::RegistryPath, r"\REGISTRY\MACHINERY\x", Some(r"\REGISTRY\MACHINERY\x")),
        (Conversion::RegistryKey, r"HKLM\", None),
        (Conversion::RegistryHive, "HKCR", Some("HKCR")),
        (Conversion::RegistryValue, r"HKLM\Run\(Default)", Some("(Default)")),
        (Conversion::RegistryInteger, "QWORD (0x00000001-0x00000002)", Some("4294967298")),
        (Conversion::RegistryInteger, "DWORD (0xffffffff)", Some("4294967295")),
        (Conversion::RegistryInteger, "DWORD (", None),
        (Conversion::RegistryInteger, "QWORD (0x1ffffffff-0x0)", None),
        (Conversion::RegistryType, "Binary Data", Some("REG_BINARY")),
        (Conversion::RegistryType, "cmd.exe", None),
        (Conversion::Verbatim, "-", Some("-")),
        (Conversion::Text, "-", None),
        (Conversion::Lines, "SeA\r\n\t\t\tSeB\r\n", Some("SeA|SeB")),
        (Conversion::Lines, "\r\n\t", None),
        (Conversion::Whole, "-", Some("-")),
        (Conversion::Whole, "", None),
    ];
    for (conversion, raw, expected) in cases {
        assert_eq!(ok(&conversion, raw).as_deref(), expected, "{conversion:?} of {raw}");
    }
}

#[test]
fn times() {
    let time = |raw| Conversion::Time.apply(raw);
    let at = |nanoseconds| Ok(Some(Converted::Time(nanoseconds)));
    assert_eq!(time("1970-01-01 00:00:00"), at(0));
    assert_eq!(time("2020-10-09 21:33:04.627"), at(1_602_279_184_627_000_000));
    assert_eq!(time("2020-10-09T21:33:04.627000001Z"), at(1_602_279_184_627_000_001));
    assert_eq!(time("2020-10-09T23:33:04.6270000019+02:00"), at(1_602_279_184_627_000_001));
    assert_eq!(time("2020-02-29T00:00:00Z"), at(1_582_934_400_000_000_000));
    assert_eq!(time("2016-12-31T23:59:60Z"), time("2016-12-31T23:59:59Z"));
    assert_eq!(time("1969-12-31 23:59:59.5"), at(-500_000_000));
    assert_eq!(time("1677-09-21T00:12:44Z"), at(-9_223_372_036_000_000_000));
    assert!(time("1677-09-21T00:12:43Z").is_err());
    assert_eq!(time("2262-04-11T23:47:16.854775807Z"), at(i64::MAX));
    assert!(time("2262-04-11T23:47:16.854775808Z").is_err());
    for bad in [
        "2021-02-29 00:00:00",
        "2020-13-01 00:00:00",
        "2020-00-01 00:00:00",
        "2020-01-00 00:00:00",
        "2020-01-01 24:00:00",
        "2020-01-01 00:60:00",
        "2020-01-01 00:00:61",
        "2020-01-01 00:00:00.",
        "2020-01-01 00:00:00 UTC",
        "2020-01-01",
        "20é0-01-01 00:00:00",
        "+020-01-01 00:00:00",
        "9999-99-99 99:99:99",
        "2020-01-01 00:00:00+24:00",
        "2020-01-01 00:00:00-00:60",
    ] {
        assert!(time(bad).is_err(), "{bad}");
    }
}

/// The examples of Microsoft's documentation of `CommandLineToArgvW`.
#[test]
fn command_lines_split_as_windows_does() {
    let split = |line| ok(&Conversion::Arguments, line).unwrap();
    assert_eq!(split(r#"p "abc" d e"#), "p|abc|d|e");
    assert_eq!(split(r#"p a\\b d"e f"g h"#), r"p|a\\b|de fg|h");
    assert_eq!(split(r#"p a\\\"b c d"#), r#"p|a\"b|c|d"#);
    assert_eq!(split(r#"p a\\\\"b c" d e"#), r"p|a\\b c|d|e");
    assert_eq!(split(r#""C:\Program Files\p.exe" /x  y"#), r"C:\Program Files\p.exe|/x|y");
    assert_eq!(split(r#"p "" x"#), "p||x");
    assert_eq!(split(r#"p "open"#), "p|open");
    assert_eq!(split(r#"p C:\dir\"#), r"p|C:\dir\");
    assert_eq!(ok(&Conversion::ArgumentsCount, "p  a\tb ").unwrap(), "3");
}

#[test]
fn lists_are_cut_at_the_limit_of_records() {
    let limit = LIST_LEN_MAX as usize;
    for (count, kept, cut) in [(limit - 1, limit - 1, false), (limit, limit, false), (limit + 1, limit, true)] {
        let raw = "x\n".repeat(count);
        let value = Conversion::Lines.apply(&raw).unwrap().unwrap();
        value.with_cell(|cell| match cell {
            Cell::Present(Value::List(items)) => assert!(!cut && items.len() == kept),
            Cell::Truncated(Value::List(items)) => assert!(cut && items.len() == kept),
            other => panic!("{other:?}"),
        });
    }
}

fn all_conversions() -> Vec<Conversion> {
    let mut all: Vec<Conversion> = Taxonomy::windows()
        .mappings()
        .iter()
        .flat_map(|mapping| &mapping.rows)
        .map(|row| row.conversion.clone())
        .collect();
    all.extend([Conversion::Hex, Conversion::Verbatim, Conversion::Variant(EnumId(0))]);
    let mut distinct: Vec<Conversion> = Vec::new();
    for conversion in all {
        if !distinct.contains(&conversion) {
            distinct.push(conversion);
        }
    }
    distinct
}

fn check_total(raw: &str) {
    for conversion in all_conversions() {
        if let Ok(Some(value)) = conversion.apply(raw) {
            value.with_cell(|cell| assert!(!matches!(cell, Cell::Absent), "{conversion:?}"));
        }
    }
}

#[test]
fn hostile_text_never_panics() {
    let long = "\\".repeat(200_000);
    let quotes = "\"".repeat(200_000);
    let tags = "<Command ".repeat(20_000);
    for raw in [
        "\0",
        "é",
        "\u{10ffff}",
        "\"",
        "\\\"",
        "p \\",
        ":",
        "C:",
        "C:é",
        "é:",
        "\\:",
        "=",
        ",",
        "=,=",
        "MD5==",
        ";",
        "type:",
        "0x",
        "%",
        "{",
        "}",
        "&",
        "&lt;",
        "<",
        ">",
        " ",
        "\t",
        "\r\n",
        "-0",
        "DWORD ()",
        "QWORD (-)",
        "\\REGISTRY\\MACHINE\\",
        "\\REGISTRÝ",
        "2020-10-09 21:33:04.é",
        "2020-10-09 21:33:04+é1:00",
        &long,
        &quotes,
        &tags,
    ] {
        check_total(raw);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_converts_or_is_refused(raw in any::<String>()) {
        check_total(&raw);
    }

    #[test]
    fn text_near_the_expected_forms_converts_or_is_refused(
        raw in r#"[-0-9a-fx:;.,=%\\/"{}<>&TZ MD5éCommandtype()+é]{0,60}"#
    ) {
        check_total(&raw);
    }

    #[test]
    fn times_agree_with_counting_days(days in -100_000i64..100_000, second in 0i64..86_400) {
        // Walk the calendar from 1970 by whole years and months.
        let leap = |year: i64| year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        let (mut year, mut rest) = (1970i64, days);
        while rest < 0 {
            year -= 1;
            rest += if leap(year) { 366 } else { 365 };
        }
        while rest >= if leap(year) { 366 } else { 365 } {
            rest -= if leap(year) { 366 } else { 365 };
            year += 1;
        }
        let months = [31, if leap(year) { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
        let mut month = 0;
        while rest >= months[month] {
            rest -= months[month];
            month += 1;
        }
        let text = format!(
            "{year:04}-{:02}-{:02} {:02}:{:02}:{:02}",
            month + 1, rest + 1, second / 3600, second / 60 % 60, second % 60
        );
        let expected = (days * 86_400 + second) * 1_000_000_000;
        prop_assert_eq!(Conversion::Time.apply(&text), Ok(Some(Converted::Time(expected))));
    }
}
