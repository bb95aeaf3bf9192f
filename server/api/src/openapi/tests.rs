//! The description has every route, and nothing else.

use std::collections::BTreeSet;

use serde_json::Value;

use super::*;

/// What the description has.
fn described() -> Value {
    let text = Description::openapi().to_json().expect("a description");
    serde_json::from_str(&text).expect("JSON")
}

#[test]
fn every_route_is_described_and_nothing_else() {
    let described = described();
    let described: BTreeSet<&str> = described["paths"]
        .as_object()
        .expect("paths")
        .keys()
        .map(String::as_str)
        .collect();
    let (_, routes) = crate::router::routes().into_parts();
    let routes: BTreeSet<&str> = routes.iter().map(String::as_str).collect();
    let missing: Vec<_> = routes.difference(&described).collect();
    let invented: Vec<_> = described.difference(&routes).collect();
    assert!(missing.is_empty(), "not described: {missing:?}");
    assert!(invented.is_empty(), "no routes: {invented:?}");
}

#[test]
fn whatever_a_description_refers_to_is_there() {
    let described = described();
    assert_eq!(described["openapi"], "3.1.0");
    let mut names = BTreeSet::new();
    collect(&described, &mut names);
    assert!(names.len() > 20, "{names:?}");
    for name in names {
        let schema = &described["components"]["schemas"][&name];
        assert!(schema.is_object(), "there is no schema {name}");
    }
}

#[test]
fn each_operation_has_a_name_of_its_own() {
    let described = described();
    let paths = described["paths"].as_object().expect("paths").values();
    let operations = paths.flat_map(|path| path.as_object().expect("operations").values());
    let names: Vec<_> = operations
        .map(|operation| {
            operation["operationId"]
                .as_str()
                .expect("a name")
                .to_owned()
        })
        .collect();
    let distinct: BTreeSet<_> = names.iter().collect();
    assert_eq!(distinct.len(), names.len());
}

fn collect(value: &Value, names: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            if let Some(Value::String(name)) = fields.get("$ref") {
                names.extend(name.rsplit('/').next().map(str::to_owned));
            }
            fields.values().for_each(|value| collect(value, names));
        }
        Value::Array(items) => items.iter().for_each(|value| collect(value, names)),
        _ => {}
    }
}
