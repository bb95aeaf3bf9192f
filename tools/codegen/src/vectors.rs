//! Makes `proto/vectors.json`: frames as bytes and as JSON, for the tests of every codec.
//!
//! The values follow from the schema, so that a new message or field is covered automatically:
//! every kind of message, every field with a value and without, every case of a `oneof`, every name
//! of an enum.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context as _, Result};
use prost_reflect::prost::Message as _;
use prost_reflect::{
    Cardinality, DescriptorPool, DynamicMessage, FieldDescriptor, Kind, MessageDescriptor,
    ReflectMessage as _, Value,
};
use serde_json::json;

/// The top-level messages; everything else is nested in these.
const FRAMES: [&str; 2] = ["tidings.v1.ClientFrame", "tidings.v1.ServerFrame"];
/// Larger than 32 bits; every client can represent integers below 2^53.
const LONG: u64 = 1_700_000_000_000;

/// The text of `proto/vectors.json`: a list of `{ type, hex, json }`, the JSON in proto3's
/// canonical mapping.
pub(crate) fn vectors(root: &Path) -> Result<String> {
    let files = protox::compile(["tidings.proto"], [root.join("proto")])?;
    let pool = DescriptorPool::from_file_descriptor_set(files)?;
    let mut lines = Vec::new();
    for name in FRAMES {
        let frame = pool
            .get_message_by_name(name)
            .with_context(|| format!("proto/tidings.proto has no message {name}"))?;
        let messages = frame
            .get_field_by_name("messages")
            .with_context(|| format!("{name} has no field \"messages\""))?;
        lines.push(line(&DynamicMessage::new(frame.clone()))?);
        for content in samples(&messages)? {
            let mut sample = filled(&frame)?;
            sample.set_field(&messages, Value::List(vec![content]));
            lines.push(line(&sample)?);
        }
    }
    Ok(format!("[\n{}\n]\n", lines.join(",\n")))
}

fn line(message: &DynamicMessage) -> Result<String> {
    let mut hex = String::new();
    for byte in message.encode_to_vec() {
        let _ = write!(hex, "{byte:02x}");
    }
    let vector = json!({
        "type": message.descriptor().name(),
        "hex": hex,
        "json": serde_json::to_value(message)?,
    });
    Ok(serde_json::to_string(&vector)?)
}

/// An empty message, then one for each possible difference.
fn variants(message: &MessageDescriptor) -> Result<Vec<DynamicMessage>> {
    let full = filled(message)?;
    let mut list = vec![DynamicMessage::new(message.clone())];
    if message.fields().next().is_some() {
        list.push(full.clone());
    }
    for field in message.fields() {
        for value in samples(&field)? {
            let mut variant = full.clone();
            let is_list = field.cardinality() == Cardinality::Repeated;
            let value = if is_list {
                Value::List(vec![value])
            } else {
                value
            };
            variant.set_field(&field, value);
            if !list.contains(&variant) {
                list.push(variant);
            }
        }
    }
    Ok(list)
}

/// A message with a value in every field, and the first case of every `oneof`. A list has two
/// entries, of which the second is empty: it must not get lost.
fn filled(message: &MessageDescriptor) -> Result<DynamicMessage> {
    let mut whole = DynamicMessage::new(message.clone());
    let is_first_case = |field: &FieldDescriptor| {
        field
            .containing_oneof()
            .is_none_or(|oneof| oneof.fields().next().as_ref() == Some(field))
    };
    for field in message.fields().filter(is_first_case) {
        let value = match (field.kind(), field.cardinality()) {
            (Kind::Message(inner), Cardinality::Repeated) => Value::List(vec![
                Value::Message(filled(&inner)?),
                Value::Message(DynamicMessage::new(inner)),
            ]),
            (Kind::Message(inner), _) => Value::Message(filled(&inner)?),
            (_, Cardinality::Repeated) => {
                let mut values = samples(&field)?;
                values.reverse();
                Value::List(values)
            }
            _ => samples(&field)?.pop().context("a scalar has samples")?,
        };
        whole.set_field(&field, value);
    }
    Ok(whole)
}

/// Possible values of one entry of the field; the last is not the default.
fn samples(field: &FieldDescriptor) -> Result<Vec<Value>> {
    let number = field.number();
    Ok(match field.kind() {
        Kind::Message(inner) => variants(&inner)?.into_iter().map(Value::Message).collect(),
        Kind::Enum(names) => names
            .values()
            .map(|name| Value::EnumNumber(name.number()))
            .collect(),
        Kind::Bool => vec![Value::Bool(false), Value::Bool(true)],
        Kind::Uint32 => vec![Value::U32(0), Value::U32(u32::MAX), Value::U32(number)],
        Kind::Uint64 => vec![
            Value::U64(0),
            Value::U64(u64::from(number)),
            Value::U64(LONG + u64::from(number)),
        ],
        Kind::String => vec![
            Value::String(String::new()),
            Value::String(format!("{} \u{e4}\u{1f600}", field.name())),
        ],
        Kind::Bytes => vec![
            Value::Bytes(Vec::new().into()),
            Value::Bytes(vec![0xff, 0, 0x80, u8::try_from(number)?].into()),
        ],
        other => anyhow::bail!(
            "{} is a {other:?}, for which tools/xtask/src/vectors.rs has no values yet; add some",
            field.full_name()
        ),
    })
}
