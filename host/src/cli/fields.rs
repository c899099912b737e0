//! `trapline fields`: the event catalogue, as authors of rules need it.

use std::io::{self, Write};

use anstyle::Style;
use clap::Args;
use serde_json::{Map, Value, json};
use trapline_programs::catalogue::{catalogue, taxonomy};
use trapline_vm::record::{Catalogue, ClassId, Element, Field, FieldId, FieldType, Scalar};

use super::{Format, Outcome, OutputError};
use crate::agent::alert::hex;
use crate::sink::json;

const NAME: Style = Style::new().bold();
const DIM: Style = Style::new().dimmed();

/// List the fields and classes that rules can use
#[derive(Args, Debug)]
pub(super) struct Fields {
    /// Only names that contain this text
    filter: Option<String>,

    /// Only fields of this class of events, such as process.exec
    #[arg(long, value_name = "CLASS")]
    class: Option<String>,

    /// List the classes instead of the fields
    #[arg(long, conflicts_with = "class")]
    classes: bool,

    /// Text for people or JSON for programs
    #[arg(long, default_value = "text")]
    format: Format,
}

impl Fields {
    pub(super) fn run(self) -> anyhow::Result<Outcome> {
        let catalogue = catalogue();
        let filter = self.filter.as_deref().unwrap_or("").to_lowercase();
        let page = if self.classes {
            classes(catalogue, &filter)
        } else {
            let class = match &self.class {
                None => None,
                Some(name) => Some(catalogue.class_id(name).ok_or_else(|| unknown_class(catalogue, name))?),
            };
            fields(catalogue, &filter, class)
        };
        if page.entries.is_empty() {
            anyhow::bail!("nothing in the catalogue is called `{}`", self.filter.unwrap_or_default());
        }
        let mut out = anstream::stdout().lock();
        match self.format {
            Format::Text => page.write_text(&mut out),
            Format::Json => page.write_json(&mut out, catalogue),
        }
        .map_err(OutputError)?;
        Ok(Outcome::Done)
    }
}

fn unknown_class(catalogue: &Catalogue, name: &str) -> anyhow::Error {
    let family = name.split('.').next().unwrap_or(name);
    let related: Vec<&str> =
        catalogue.classes.iter().map(|class| class.name.as_str()).filter(|class| class.starts_with(family)).collect();
    if related.is_empty() {
        anyhow::anyhow!("there is no class `{name}`; `trapline fields --classes` lists all")
    } else {
        anyhow::anyhow!("there is no class `{name}`; of this family there are {}", related.join(", "))
    }
}

/// What is listed: fields, or classes.
struct Page {
    kind: &'static str,
    entries: Vec<Entry>,
}

struct Entry {
    name: String,
    ty: Option<String>,
    doc: String,
    example: String,
    /// Which families have it, which profiles supply it.
    places: Vec<Places>,
    /// Members of the elements of a list of records: name, type, sentence.
    members: Vec<(String, String, String)>,
}

/// Where a field or class occurs.
struct Places {
    label: &'static str,
    names: Vec<String>,
    /// Whether these are all there are.
    all: bool,
}

impl Places {
    fn families(catalogue: &Catalogue, field: FieldId) -> Self {
        let with = catalogue.families.iter().filter(|family| family.fields.contains(&field));
        let names: Vec<String> = with.map(|family| family.name.clone()).collect();
        Self { label: "families", all: names.len() == catalogue.families.len(), names }
    }

    fn profiles(supplies: impl Fn(&str) -> bool) -> Self {
        let names: Vec<String> = taxonomy::profiles()
            .iter()
            .filter(|profile| supplies(profile))
            .map(|profile| (*profile).to_owned())
            .collect();
        Self { label: "profiles", all: names.len() == taxonomy::profiles().len(), names }
    }
}

fn fields(catalogue: &Catalogue, filter: &str, class: Option<ClassId>) -> Page {
    let ids = (0u16..).map(FieldId).zip(&catalogue.fields);
    let entries = ids
        .filter(|(_, field)| field.name.to_lowercase().contains(filter))
        .filter(|(id, _)| class.is_none_or(|class| catalogue.slot(catalogue.class(class).family, *id).is_some()))
        .map(|(id, field)| entry(catalogue, id, field, class))
        .collect();
    Page { kind: "fields", entries }
}

fn entry(catalogue: &Catalogue, id: FieldId, field: &Field, class: Option<ClassId>) -> Entry {
    // Without a class asked for: whether the profile supplies the field in any of its classes.
    let supplies = |profile: &str| match class {
        Some(class) => taxonomy::supplies(profile, class, id),
        None => taxonomy::classes(profile).into_iter().any(|class| taxonomy::supplies(profile, class, id)),
    };
    let members = match field.ty {
        FieldType::Records(element) => {
            catalogue.elements.get(usize::from(element.0)).map_or_else(Vec::new, |element| {
                let of = |member: &Field| (member.name.clone(), type_name(catalogue, member.ty), member.doc.clone());
                element.members.iter().map(of).collect()
            })
        }
        _ => Vec::new(),
    };
    Entry {
        name: field.name.clone(),
        ty: Some(type_name(catalogue, field.ty)),
        doc: field.doc.clone(),
        example: field.example.clone(),
        places: vec![Places::families(catalogue, id), Places::profiles(supplies)],
        members,
    }
}

fn classes(catalogue: &Catalogue, filter: &str) -> Page {
    let ids = (0u16..).map(ClassId).zip(&catalogue.classes);
    let entries = ids
        .filter(|(_, class)| class.name.to_lowercase().contains(filter))
        .map(|(id, class)| Entry {
            name: class.name.clone(),
            ty: None,
            doc: class.doc.clone(),
            example: String::new(),
            places: vec![Places::profiles(|profile| taxonomy::classes(profile).contains(&id))],
            members: Vec::new(),
        })
        .collect();
    Page { kind: "classes", entries }
}

/// A type as authors write it.
fn type_name(catalogue: &Catalogue, ty: FieldType) -> String {
    match ty {
        FieldType::Scalar(scalar) => scalar_name(catalogue, scalar),
        FieldType::List(scalar) => format!("list<{}>", scalar_name(catalogue, scalar)),
        FieldType::Records(id) => {
            let name = catalogue.elements.get(usize::from(id.0)).map_or("record", |Element { name, .. }| name.as_str());
            format!("list<{name}>")
        }
    }
}

fn scalar_name(catalogue: &Catalogue, scalar: Scalar) -> String {
    let Scalar::Enum(id) = scalar else { return scalar.name().to_owned() };
    let variants = catalogue.enums.get(usize::from(id.0)).map_or(&[][..], |enumeration| &enumeration.variants);
    format!("enum {{{}}}", variants.join(", "))
}

impl Page {
    fn write_text(&self, out: &mut impl Write) -> io::Result<()> {
        for entry in &self.entries {
            write!(out, "{NAME}{}{NAME:#}", entry.name)?;
            if let Some(ty) = &entry.ty {
                write!(out, "  {ty}")?;
            }
            writeln!(out, "\n    {}", entry.doc)?;
            if !entry.example.is_empty() {
                writeln!(out, "    {DIM}such as{DIM:#} {}", entry.example)?;
            }
            for (name, ty, doc) in &entry.members {
                writeln!(out, "      .{name}  {ty}  {DIM}{doc}{DIM:#}")?;
            }
            for places in &entry.places {
                if !places.names.is_empty() {
                    let names = if places.all { "all" } else { &places.names.join(", ") };
                    writeln!(out, "    {DIM}{:<9} {names}{DIM:#}", places.label)?;
                }
            }
        }
        out.flush()
    }

    fn write_json(&self, out: &mut impl Write, catalogue: &Catalogue) -> io::Result<()> {
        let entries: Vec<Value> = self.entries.iter().map(Entry::to_json).collect();
        let page = json!({
            "catalogue": { "version": catalogue.version, "digest": hex(&catalogue.digest()) },
            self.kind: entries,
        });
        json::write(out, &page)?;
        writeln!(out)?;
        out.flush()
    }
}

impl Entry {
    fn to_json(&self) -> Value {
        let mut entry = Map::new();
        entry.insert("name".into(), json!(self.name));
        if let Some(ty) = &self.ty {
            entry.insert("type".into(), json!(ty));
        }
        entry.insert("doc".into(), json!(self.doc));
        if !self.example.is_empty() {
            entry.insert("example".into(), json!(self.example));
        }
        for places in &self.places {
            entry.insert(places.label.into(), json!(places.names));
        }
        if !self.members.is_empty() {
            let members = self.members.iter().map(|(name, ty, doc)| json!({ "name": name, "type": ty, "doc": doc }));
            entry.insert("members".into(), members.collect());
        }
        Value::Object(entry)
    }
}
