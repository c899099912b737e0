//! Reads the taxonomies from their files. See `windows.toml` for the shape of the data.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde::Deserialize;
use trapline_vm::record::{Catalogue, EnumId, FamilyId, FieldId, FieldType, Scalar};

use super::{Constant, Conversion, HashName, Header, Kind, Mapping, Raw, Row, Table, Taxonomy};
use crate::catalogue::catalogue;

/// Why data is not a taxonomy.
#[derive(Debug, thiserror::Error)]
#[error("{profile}: {what}")]
pub struct TaxonomyError {
    /// The profile, or file, with the mistake.
    pub profile: String,
    /// The mistake.
    pub what: String,
}

/// `windows.toml` comes first: the tables and sets in it are there for all others.
const SHARED: &str = include_str!("windows.toml");
const PROFILES: [&str; 10] = [
    include_str!("sysmon.toml"),
    include_str!("windows-security.toml"),
    include_str!("windows-system.toml"),
    include_str!("windows-powershell.toml"),
    include_str!("windows-taskscheduler.toml"),
    include_str!("windows-defender.toml"),
    include_str!("windows-wmi.toml"),
    include_str!("windows-dns.toml"),
    include_str!("windows-firewall.toml"),
    include_str!("windows-terminalservices.toml"),
];

/// A row of the data: `[raw, field]` or `[raw, field, conversion]`.
type RowText = Vec<String>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    profile: String,
    #[serde(default)]
    providers: Vec<String>,
    #[serde(default)]
    channels: Vec<String>,
    #[serde(default)]
    constants: BTreeMap<String, String>,
    #[serde(default)]
    tables: HashMap<String, HashMap<String, String>>,
    #[serde(default)]
    sets: HashMap<String, Vec<RowText>>,
    #[serde(default)]
    event: Vec<Event>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Event {
    #[serde(default)]
    ids: Vec<u32>,
    class: String,
    #[serde(default)]
    action: Option<String>,
    #[serde(default)]
    outcome: Option<String>,
    /// `["EventType", "CreateKey", …]`: only where this entry has one of these values.
    #[serde(default)]
    when: Vec<String>,
    /// Instead of those of the file.
    #[serde(default)]
    providers: Vec<String>,
    #[serde(default)]
    channels: Vec<String>,
    #[serde(default)]
    sets: Vec<String>,
    #[serde(default)]
    rows: Vec<RowText>,
}

pub(super) fn windows() -> Result<Taxonomy, TaxonomyError> {
    from_texts(SHARED, &PROFILES)
}

pub(super) fn from_texts(shared: &str, profiles: &[&str]) -> Result<Taxonomy, TaxonomyError> {
    let shared = parse(shared)?;
    let mut loader = Loader {
        catalogue: catalogue(),
        shared: &shared,
        mappings: Vec::new(),
        kinds: Vec::new(),
        headers: HashMap::new(),
        tables: HashMap::new(),
    };
    let [generic] = shared.event.as_slice() else {
        return Err(error(&shared.profile, "the shared file describes one event: the fallback".to_owned()));
    };
    let default = loader.mapping(&shared, generic)?;
    for text in profiles {
        loader.file(&parse(text)?)?;
    }
    let Loader { mappings, kinds, .. } = loader;
    let mut by_event_id: HashMap<u32, Vec<u16>> = HashMap::new();
    let mut plain = Vec::new();
    for (index, (id, kind)) in (0u16..).zip(kinds) {
        by_event_id.entry(id).or_default().push(index);
        plain.push(kind);
    }
    let fallback =
        Kind { providers: Vec::new(), channels: Vec::new(), discriminator: None, cases: Vec::new(), default };
    Ok(Taxonomy { mappings, kinds: plain, by_event_id, fallback })
}

fn parse(text: &str) -> Result<File, TaxonomyError> {
    toml::from_str(text).map_err(|cause| error("taxonomy", cause.to_string()))
}

fn error(profile: &str, what: String) -> TaxonomyError {
    TaxonomyError { profile: profile.to_owned(), what }
}

struct Loader<'a> {
    catalogue: &'static Catalogue,
    shared: &'a File,
    mappings: Vec<Mapping>,
    kinds: Vec<(u32, Kind)>,
    /// The rows of the header by family, and tables by profile, name and type: the same for many events.
    headers: HashMap<FamilyId, Vec<Row>>,
    tables: HashMap<(String, String, FieldType), Table>,
}

impl Loader<'_> {
    fn file(&mut self, file: &File) -> Result<(), TaxonomyError> {
        for event in &file.event {
            let fail = |what: String| Err(error(&file.profile, format!("event {:?}: {what}", event.ids)));
            let index = self.mapping(file, event)?;
            let or_files = |own: &Vec<String>, files: &Vec<String>| if own.is_empty() { files } else { own }.clone();
            let providers = or_files(&event.providers, &file.providers);
            let channels = or_files(&event.channels, &file.channels);
            if event.ids.is_empty() || providers.is_empty() {
                return fail("needs ids and providers".to_owned());
            }
            for id in &event.ids {
                let known = self.kinds.iter_mut().find(|(known, kind)| known == id && kind.providers == providers);
                match (event.when.as_slice(), known) {
                    ([], None) => {
                        let (providers, channels) = (providers.clone(), channels.clone());
                        let kind = Kind { providers, channels, discriminator: None, cases: Vec::new(), default: index };
                        self.kinds.push((*id, kind));
                    }
                    ([], Some(_)) => return fail(format!("{id} is described twice")),
                    ([_], _) => return fail("`when` names a field, then values".to_owned()),
                    ([..], None) => return fail(format!("the event without `when` comes first for {id}")),
                    ([field, values @ ..], Some((_, kind))) => {
                        if kind.discriminator.as_ref().is_some_and(|known| known != field) {
                            return fail(format!("{id} is told apart by two fields"));
                        }
                        kind.discriminator = Some(field.clone());
                        kind.cases.extend(values.iter().map(|value| (value.clone(), index)));
                    }
                }
            }
        }
        Ok(())
    }

    fn mapping(&mut self, file: &File, event: &Event) -> Result<u16, TaxonomyError> {
        let fail = |what: String| error(&file.profile, format!("event {:?}: {what}", event.ids));
        let unknown = |what: &str| fail(format!("`{what}` is not known"));
        let class = self.catalogue.class_id(&event.class).ok_or_else(|| unknown(&event.class))?;
        let family = self.catalogue.class(class).family;
        let index = u16::try_from(self.mappings.len()).map_err(|_| fail("too many mappings".to_owned()))?;

        let mut rows = Vec::new();
        self.rows(file, family, &event.rows, &mut rows).map_err(fail)?;
        for name in &event.sets {
            let set = file.sets.get(name).or_else(|| self.shared.sets.get(name)).ok_or_else(|| unknown(name))?;
            self.rows(file, family, set, &mut rows).map_err(fail)?;
        }
        if let Some(header) = self.headers.get(&family) {
            rows.extend_from_slice(header);
        } else {
            let set = self.shared.sets.get("header").ok_or_else(|| unknown("header"))?;
            let mut header = Vec::new();
            self.rows(self.shared, family, set, &mut header).map_err(fail)?;
            rows.extend_from_slice(&header);
            self.headers.insert(family, header);
        }

        let action = event.action.as_deref().unwrap_or(event.class.split_once('.').map_or("", |(_, last)| last));
        let mut named = vec![("event.action", action)];
        named.extend(event.outcome.as_deref().map(|outcome| ("event.outcome", outcome)));
        named.extend(file.constants.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        named.extend(self.shared.constants.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        let mut constants: Vec<(FieldId, Constant)> = Vec::new();
        for (name, value) in named {
            let field = self.field(family, name).map_err(fail)?;
            if constants.iter().any(|(known, _)| *known == field) {
                continue;
            }
            let constant = match self.catalogue.field(field).ty {
                FieldType::Scalar(Scalar::Str) => Constant::Str(value.to_owned()),
                FieldType::Scalar(Scalar::Enum(id)) => Constant::Enum(self.variant(id, value).map_err(fail)?),
                _ => return Err(fail(format!("`{name}` cannot be constant"))),
            };
            constants.push((field, constant));
        }
        self.mappings.push(Mapping { index, class, profile: file.profile.clone(), constants, rows });
        Ok(index)
    }

    fn field(&self, family: FamilyId, name: &str) -> Result<FieldId, String> {
        let id = self.catalogue.field_id(name).ok_or_else(|| format!("the catalogue has no field `{name}`"))?;
        if self.catalogue.slot(family, id).is_none() {
            return Err(format!("family `{}` has no field `{name}`", self.catalogue.family(family).name));
        }
        Ok(id)
    }

    fn variant(&self, id: EnumId, name: &str) -> Result<u32, String> {
        let enumeration = self.catalogue.enums.get(usize::from(id.0)).ok_or("an enum without entry")?;
        let index = enumeration.variants.iter().position(|variant| variant == name);
        let index = index.ok_or_else(|| format!("`{name}` is no variant of `{}`", enumeration.name))?;
        u32::try_from(index).map_err(|_| "too many variants".to_owned())
    }

    fn rows(&mut self, file: &File, family: FamilyId, from: &[RowText], into: &mut Vec<Row>) -> Result<(), String> {
        for row in from {
            let (raw, target, conversion) = match row.as_slice() {
                [raw, target] => (raw, target, None),
                [raw, target, conversion] => (raw, target, Some(conversion.as_str())),
                _ => return Err(format!("{row:?} is neither [raw, field] nor [raw, field, conversion]")),
            };
            let raw = raw_name(raw)?;
            if let (Some(prefix), Some(conversion)) = (target.strip_suffix('*'), conversion) {
                let parts = parts(conversion).ok_or_else(|| format!("`{conversion}` does not fill several fields"))?;
                for (name, conversion) in parts {
                    // Not everything that has hashes is an image with an import hash.
                    let optional = conversion == &Conversion::Hash(HashName::Imphash);
                    match self.field(family, &format!("{prefix}{name}")) {
                        Ok(field) => into.push(self.row(raw.clone(), field, conversion.clone())?),
                        Err(_) if optional => {}
                        Err(what) => return Err(what),
                    }
                }
                continue;
            }
            let field = self.field(family, target)?;
            let conversion = self.conversion(file, self.catalogue.field(field).ty, conversion)?;
            into.push(self.row(raw, field, conversion)?);
        }
        Ok(())
    }

    fn row(&self, raw: Raw, field: FieldId, conversion: Conversion) -> Result<Row, String> {
        let entry = self.catalogue.field(field);
        if !conversion.fits(entry.ty) {
            return Err(format!("{conversion:?} does not give a value for `{}` ({:?})", entry.name, entry.ty));
        }
        Ok(Row { raw, field, conversion })
    }

    /// The conversion of this name; without a name, the plain one for the type.
    fn conversion(&mut self, file: &File, ty: FieldType, name: Option<&str>) -> Result<Conversion, String> {
        let Some(name) = name else {
            return match ty {
                FieldType::Scalar(Scalar::Str | Scalar::Path) => Ok(Conversion::Text),
                FieldType::Scalar(Scalar::Int) => Ok(Conversion::Int),
                FieldType::Scalar(Scalar::Bool) => Ok(Conversion::Bool),
                FieldType::Scalar(Scalar::Ip) => Ok(Conversion::Ip),
                FieldType::Scalar(Scalar::Time) => Ok(Conversion::Time),
                FieldType::Scalar(Scalar::Bytes) => Ok(Conversion::Hex),
                FieldType::Scalar(Scalar::Enum(id)) => Ok(Conversion::Variant(id)),
                FieldType::List(Scalar::Str) => Ok(Conversion::Lines),
                _ => Err(format!("a field of type {ty:?} needs a conversion")),
            };
        };
        if let Some((word, argument)) = name.split_once(':') {
            return match word {
                "account_name" => Ok(Conversion::PropertyAccountName(argument.to_owned())),
                "account_domain" => Ok(Conversion::PropertyAccountDomain(argument.to_owned())),
                "property" => Ok(Conversion::Property(argument.to_owned())),
                "element" => Ok(Conversion::Element(argument.to_owned())),
                "table" => self.table(file, ty, argument),
                _ => Err(format!("no conversion is called `{word}`")),
            };
        }
        let outcome = || match ty {
            FieldType::Scalar(Scalar::Enum(id)) => Ok((self.variant(id, "success")?, self.variant(id, "failure")?)),
            _ => Err(format!("`{name}` is for outcomes")),
        };
        Ok(match name {
            "verbatim" => Conversion::Verbatim,
            "pe_text" => Conversion::PeText,
            "guid" => Conversion::Guid,
            "sid" => Conversion::Sid,
            "basename" => Conversion::Basename,
            "stream_name" => Conversion::StreamName,
            "registry_type" => Conversion::RegistryType,
            "registry_integer" => Conversion::RegistryInteger,
            "signature_valid" => Conversion::SignatureValid,
            "whole" => Conversion::Whole,
            "lines" => Conversion::Lines,
            "arguments" => Conversion::Arguments,
            "arguments_count" => Conversion::ArgumentsCount,
            "dns_addresses" => Conversion::DnsAddresses,
            "dns_answers" => Conversion::DnsAnswers,
            "audit_outcome" => {
                let (success, failure) = outcome()?;
                Conversion::AuditOutcome { success, failure }
            }
            "status_outcome" => {
                let (success, failure) = outcome()?;
                Conversion::StatusOutcome { success, failure }
            }
            _ => return Err(format!("no conversion is called `{name}`")),
        })
    }

    fn table(&mut self, file: &File, ty: FieldType, name: &str) -> Result<Conversion, String> {
        let key = (file.profile.clone(), name.to_owned(), ty);
        if let Some(table) = self.tables.get(&key) {
            return Ok(Conversion::Table(table.clone()));
        }
        let entries = file.tables.get(name).or_else(|| self.shared.tables.get(name));
        let entries = entries.ok_or_else(|| format!("no table is called `{name}`"))?;
        let entries = entries.iter().map(|(raw, text)| (raw.to_ascii_lowercase(), text));
        let table = match ty {
            FieldType::Scalar(Scalar::Enum(id)) => {
                let entries: Result<_, String> =
                    entries.map(|(raw, text)| Ok((raw, self.variant(id, text)?))).collect();
                Table::Variant(Arc::new(entries?), id)
            }
            _ => Table::Text(Arc::new(entries.map(|(raw, text)| (raw, text.clone())).collect())),
        };
        self.tables.insert(key, table.clone());
        Ok(Conversion::Table(table))
    }
}

/// Conversions that fill several fields below one prefix.
fn parts(name: &str) -> Option<&'static [(&'static str, Conversion)]> {
    Some(match name {
        "image" => &[("executable", Conversion::Text), ("name", Conversion::Basename)],
        "library" => &[("path", Conversion::Text), ("name", Conversion::Basename)],
        "account" => &[("name", Conversion::AccountName), ("domain", Conversion::AccountDomain)],
        "arguments" => &[("args", Conversion::Arguments), ("args_count", Conversion::ArgumentsCount)],
        "file" => &[
            ("path", Conversion::FilePath),
            ("name", Conversion::FileName),
            ("extension", Conversion::FileExtension),
            ("directory", Conversion::FileDirectory),
        ],
        "previous_file" => {
            &[("path", Conversion::FilePath), ("name", Conversion::FileName), ("extension", Conversion::FileExtension)]
        }
        "hashes" => &[
            ("hash.sha256", Conversion::Hash(HashName::Sha256)),
            ("hash.sha1", Conversion::Hash(HashName::Sha1)),
            ("hash.md5", Conversion::Hash(HashName::Md5)),
            ("pe.imphash", Conversion::Hash(HashName::Imphash)),
        ],
        "registry_key" => {
            &[("path", Conversion::RegistryPath), ("hive", Conversion::RegistryHive), ("key", Conversion::RegistryKey)]
        }
        "registry_value" => &[
            ("path", Conversion::RegistryPath),
            ("hive", Conversion::RegistryHive),
            ("key", Conversion::RegistryValueKey),
            ("value", Conversion::RegistryValue),
        ],
        _ => return None,
    })
}

fn raw_name(name: &str) -> Result<Raw, String> {
    if let Some(header) = name.strip_prefix("System.") {
        return Ok(Raw::Header(match header {
            "Provider" => Header::Provider,
            "ProviderGuid" => Header::ProviderGuid,
            "EventID" => Header::EventId,
            "Version" => Header::Version,
            "Level" => Header::Level,
            "Task" => Header::Task,
            "Opcode" => Header::Opcode,
            "Keywords" => Header::Keywords,
            "EventRecordID" => Header::EventRecordId,
            "ActivityID" => Header::ActivityId,
            "ProcessID" => Header::ProcessId,
            "ThreadID" => Header::ThreadId,
            "Channel" => Header::Channel,
            "Computer" => Header::Computer,
            "UserID" => Header::UserId,
            "Message" => Header::Message,
            _ => return Err(format!("the header has no field `{header}`")),
        }));
    }
    if let Some((first, second)) = name.split_once('\\') {
        return Ok(Raw::Joined(first.to_owned(), second.to_owned()));
    }
    if name.is_empty() || name.contains(' ') {
        return Err(format!("`{name}` is not a raw name: blanks are dropped"));
    }
    Ok(Raw::Data(name.to_owned()))
}
