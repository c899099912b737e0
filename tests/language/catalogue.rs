//! A small catalogue of the tests' own: goldens do not change when the real one grows.

use trapline_vm::record::{
    Catalogue, Class, Element, ElementId, EnumId, Enumeration, Family, FamilyId, Field, FieldId, FieldType, Scalar,
};

use FieldType::{List, Records, Scalar as One};

/// Name, type, whether Windows ignores its case.
type Row = (&'static str, FieldType, bool);

const OUTCOME: EnumId = EnumId(0);

const PROCESS: &[Row] = &[
    ("event.outcome", One(Scalar::Enum(OUTCOME)), false),
    ("process.name", One(Scalar::Str), true),
    ("process.executable", One(Scalar::Path), true),
    ("process.command_line", One(Scalar::Str), true),
    ("process.args", List(Scalar::Str), true),
    ("process.pid", One(Scalar::Int), false),
    ("process.start", One(Scalar::Time), false),
    ("process.elapsed", One(Scalar::Duration), false),
    ("process.entropy", One(Scalar::Decimal), false),
    ("process.interactive", One(Scalar::Bool), false),
    ("process.hash.sha256", One(Scalar::Bytes), false),
    ("process.supplemental_groups", List(Scalar::Int), false),
    ("process.working_directory", One(Scalar::Path), true),
    ("process.parent.name", One(Scalar::Str), true),
    ("process.parent.executable", One(Scalar::Path), true),
    ("process.parent.pid", One(Scalar::Int), false),
    ("process.parent.start", One(Scalar::Time), false),
    ("process.parent.user.name", One(Scalar::Str), true),
    ("process.ancestors", Records(ElementId(0)), false),
    ("user.name", One(Scalar::Str), true),
    ("host.ip", List(Scalar::Ip), false),
    ("message", One(Scalar::Str), false),
];

const FILE: &[Row] = &[
    ("file.path", One(Scalar::Path), true),
    ("file.name", One(Scalar::Str), true),
    ("file.size", One(Scalar::Int), false),
    ("file.hash.sha256", One(Scalar::Bytes), false),
];

const NETWORK: &[Row] = &[
    ("source.ip", One(Scalar::Ip), false),
    ("destination.ip", One(Scalar::Ip), false),
    ("destination.port", One(Scalar::Int), false),
];

const REGISTRY: &[Row] = &[("registry.path", One(Scalar::Str), true), ("registry.value", One(Scalar::Str), true)];

fn field(row: &Row) -> Field {
    Field {
        name: row.0.to_owned(),
        ty: row.1,
        doc: "A field.".to_owned(),
        bytes_max: 1024,
        windows_folds_case: row.2,
        example: String::new(),
    }
}

pub(crate) fn catalogue() -> Catalogue {
    let rows: Vec<&Row> = [PROCESS, FILE, NETWORK, REGISTRY].into_iter().flatten().collect();
    let id = |name: &str| {
        let index = rows.iter().position(|row| row.0 == name).expect("it is in one of the tables");
        FieldId(u16::try_from(index).expect("the tables are small"))
    };
    let own = |table: &[Row]| table.iter().map(|row| id(row.0)).collect::<Vec<_>>();
    // Events of files, networks and the registry have the process that caused them.
    let families: Vec<Family> = [("process", PROCESS), ("file", FILE), ("network", NETWORK), ("registry", REGISTRY)]
        .into_iter()
        .map(|(name, table)| {
            let mut fields = own(PROCESS);
            if name != "process" {
                fields.extend(own(table));
            }
            Family { name: name.to_owned(), fields }
        })
        .collect();
    let classes = [
        ("process.exec", 0),
        ("process.exit", 0),
        ("file.create", 1),
        ("file.delete", 1),
        ("network.connect", 2),
        ("registry.set", 3),
    ]
    .into_iter()
    .map(|(name, family)| Class { name: name.to_owned(), family: FamilyId(family), doc: "A class.".to_owned() })
    .collect();
    let members = [
        ("name", One(Scalar::Str), true),
        ("executable", One(Scalar::Path), true),
        ("pid", One(Scalar::Int), false),
        ("interactive", One(Scalar::Bool), false),
    ];
    let element = Element { name: "process".to_owned(), members: members.iter().map(field).collect() };
    let variants = ["success", "failure", "unknown"].map(str::to_owned).to_vec();
    let outcome = Enumeration { name: "outcome".to_owned(), variants };
    let open = vec!["winlog.event_data.".to_owned()];
    let fields = rows.into_iter().map(field).collect();
    Catalogue::new(1, fields, vec![outcome], vec![element], classes, families, open).expect("the tables agree")
}
