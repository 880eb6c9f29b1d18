//! Whether a value is as a schema says: as much of JSON Schema 2020-12 as the description uses. A word that is not known
//! here is a mistake, so that nothing is passed over.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

/// What says something to people, or says what is not checked.
const PASSED_OVER: &[&str] = &["description", "title", "default", "format", "example", "examples", "$defs"];

/// Says what is wrong with a value, and where.
pub(super) fn check(spec: &Value, schema: &Value, value: &Value) -> Result<(), String> {
    at(spec, schema, value, "").map(|_| ())
}

/// Checks, and says which properties of an object were spoken of.
fn at(spec: &Value, schema: &Value, value: &Value, place: &str) -> Result<BTreeSet<String>, String> {
    let schema = match schema {
        Value::Bool(true) => return Ok(BTreeSet::new()),
        Value::Bool(false) => return Err(format!("{place}: nothing is allowed here")),
        Value::Object(schema) => schema,
        other => return Err(format!("{place}: {other} is no schema")),
    };
    let mut spoken_of = BTreeSet::new();
    for (word, says) in schema {
        match word.as_str() {
            "$ref" => {
                let to = says.as_str().and_then(|to| spec.pointer(to.strip_prefix('#')?));
                let to = to.ok_or_else(|| format!("{place}: {says} leads nowhere"))?;
                spoken_of.extend(at(spec, to, value, place)?);
            }
            "type" => {
                let kinds = says.as_array().cloned().unwrap_or_else(|| vec![says.clone()]);
                if !kinds.iter().filter_map(Value::as_str).any(|kind| is_a(value, kind)) {
                    return Err(format!("{place}: {value} is not {says}"));
                }
            }
            "enum" => {
                if !says.as_array().is_some_and(|words| words.contains(value)) {
                    return Err(format!("{place}: {value} is none of {says}"));
                }
            }
            "const" => {
                if says != value {
                    return Err(format!("{place}: {value} is not {says}"));
                }
            }
            "allOf" => {
                for part in says.as_array().into_iter().flatten() {
                    spoken_of.extend(at(spec, part, value, place)?);
                }
            }
            "anyOf" | "oneOf" => {
                let tried: Vec<_> =
                    says.as_array().into_iter().flatten().map(|one| at(spec, one, value, place)).collect();
                let fitting = tried.iter().filter(|tried| tried.is_ok()).count();
                if fitting == 0 || (word == "oneOf" && fitting > 1) {
                    return Err(format!("{place}: {value} fits {fitting} of {word}: {tried:?}"));
                }
                spoken_of.extend(tried.into_iter().filter_map(Result::ok).flatten());
            }
            "minimum" => bound(value, says, |value, bound| value >= bound, place)?,
            "maximum" => bound(value, says, |value, bound| value <= bound, place)?,
            "minItems" | "maxItems" => {
                let items = value.as_array().map(Vec::len).unwrap_or_default() as u64;
                let bound = says.as_u64().unwrap_or_default();
                if value.is_array() && (if word == "minItems" { items < bound } else { items > bound }) {
                    return Err(format!("{place}: {items} items, {word} {bound}"));
                }
            }
            "items" => {
                let before = schema.get("prefixItems").and_then(Value::as_array).map_or(0, Vec::len);
                for (number, item) in value.as_array().into_iter().flatten().enumerate().skip(before) {
                    at(spec, says, item, &format!("{place}/{number}"))?;
                }
            }
            "prefixItems" => {
                let items = value.as_array().into_iter().flatten();
                for (number, (item, says)) in items.zip(says.as_array().into_iter().flatten()).enumerate() {
                    at(spec, says, item, &format!("{place}/{number}"))?;
                }
            }
            "required" => {
                if let Some(object) = value.as_object() {
                    let missing = says.as_array().into_iter().flatten().filter_map(Value::as_str);
                    if let Some(missing) = missing.into_iter().find(|name| !object.contains_key(*name)) {
                        return Err(format!("{place}: {missing} is missing"));
                    }
                }
            }
            "properties" => spoken_of.extend(properties(spec, says, value, place)?),
            // After all others.
            "additionalProperties" | "unevaluatedProperties" => {}
            word if PASSED_OVER.contains(&word) => {}
            word => return Err(format!("{place}: the schema's {word:?} is not known here")),
        }
    }
    others(spec, schema, value, place, &mut spoken_of)?;
    Ok(spoken_of)
}

fn properties(spec: &Value, says: &Value, value: &Value, place: &str) -> Result<BTreeSet<String>, String> {
    let mut spoken_of = BTreeSet::new();
    for (name, says) in says.as_object().into_iter().flatten() {
        if let Some(property) = value.get(name) {
            at(spec, says, property, &format!("{place}/{name}"))?;
            spoken_of.insert(name.clone());
        }
    }
    Ok(spoken_of)
}

/// Properties that no word spoke of.
fn others(
    spec: &Value,
    schema: &Map<String, Value>,
    value: &Value,
    place: &str,
    spoken_of: &mut BTreeSet<String>,
) -> Result<(), String> {
    let Some(object) = value.as_object() else { return Ok(()) };
    let own: BTreeSet<String> = schema
        .get("properties")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
        .map(|(name, _)| name.clone())
        .collect();
    for (word, known) in [("additionalProperties", own), ("unevaluatedProperties", spoken_of.clone())] {
        let Some(says) = schema.get(word) else { continue };
        for (name, property) in object.iter().filter(|(name, _)| !known.contains(*name)) {
            at(spec, says, property, &format!("{place}/{name}"))?;
            spoken_of.insert(name.clone());
        }
    }
    Ok(())
}

fn is_a(value: &Value, kind: &str) -> bool {
    match kind {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        _ => false,
    }
}

fn bound(value: &Value, says: &Value, holds: fn(f64, f64) -> bool, place: &str) -> Result<(), String> {
    match (value.as_f64(), says.as_f64()) {
        (Some(number), Some(bound)) if !holds(number, bound) => {
            Err(format!("{place}: {number} is out of the bound {bound}"))
        }
        _ => Ok(()),
    }
}

#[test]
fn what_is_not_as_the_schema_says_is_found() {
    use serde_json::json;
    let spec = json!({ "s": { "type": "object", "properties": { "a": { "type": "integer", "minimum": 1 } },
        "required": ["a"], "additionalProperties": false } });
    let schema = json!({ "$ref": "#/s" });
    assert_eq!(check(&spec, &schema, &json!({ "a": 1 })), Ok(()));
    for wrong in [json!({}), json!({ "a": 0 }), json!({ "a": "1" }), json!({ "a": 1, "b": 2 }), json!(null)] {
        assert!(check(&spec, &schema, &wrong).is_err(), "{wrong}");
    }
    let one = json!({ "oneOf": [{ "const": "x" }, { "type": "string" }] });
    assert!(check(&spec, &one, &json!("y")).is_ok() && check(&spec, &one, &json!("x")).is_err());
    let flat = json!({ "allOf": [{ "properties": { "a": {} } }], "unevaluatedProperties": false });
    assert!(check(&spec, &flat, &json!({ "a": 1 })).is_ok());
    assert!(check(&spec, &flat, &json!({ "b": 1 })).is_err());
    assert!(check(&spec, &json!({ "pattern": "a" }), &json!("a")).is_err(), "an unknown word is told");
}
