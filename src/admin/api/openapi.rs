//! The description of the API (`OpenAPI` 3.1), made from the table of routes.

use std::sync::OnceLock;

use axum::http::{Method, StatusCode};
use schemars::{SchemaGenerator, generate::SchemaSettings};
use serde_json::{Map, Value, json};

use super::doc::{Doc, Tag};
use crate::{
    accounts::Scope,
    admin::{access::Right, failure::Problem, routes::Entry},
};

/// What stands before all schemas.
const SCHEMAS: &str = "#/components/schemas/";

/// What is put behind the name of a schema that is another one when it is sent than when it is answered.
const WHEN_SENT: &str = "Sent";

/// The description of this program's API.
pub(super) fn shipped() -> &'static Value {
    static MADE: OnceLock<Value> = OnceLock::new();
    MADE.get_or_init(|| describe(crate::admin::routes().entries()))
}

/// A generator of schemas, for what is sent or for what is answered.
fn generator(sent: bool) -> SchemaGenerator {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.definitions_path = "/components/schemas".into();
        settings.meta_schema = None;
    });
    if sent { settings.for_deserialize().into_generator() } else { settings.for_serialize().into_generator() }
}

fn describe(entries: &[Entry]) -> Value {
    let (mut sent, mut answered) = (generator(true), generator(false));
    let mut calls = Vec::new();
    for entry in entries {
        if let Some(doc) = &entry.doc {
            calls.push((entry, operation(entry, doc, &mut sent, &mut answered)));
        }
    }
    answered.subschema_for::<Problem>();
    let mut schemas = answered.take_definitions(true);
    let of_sent = sent.take_definitions(true);
    let other: Vec<String> = of_sent
        .iter()
        .filter(|(name, schema)| schemas.get(*name).is_some_and(|answered| answered != *schema))
        .map(|(name, _)| name.clone())
        .collect();
    let other = with_users(&of_sent, other);
    for (name, mut schema) in of_sent {
        rename(&mut schema, &other);
        let name = if other.contains(&name) { format!("{name}{WHEN_SENT}") } else { name };
        schemas.insert(name, schema);
    }
    let mut paths: Map<String, Value> = Map::new();
    for (entry, (mut operation, request)) in calls {
        if let Some(mut request) = request {
            rename(&mut request, &other);
            operation.insert(String::from("requestBody"), request);
        }
        if let Some(parameters) = operation.get_mut("parameters") {
            rename(parameters, &other);
        }
        let path = paths.entry(entry.path).or_insert_with(|| json!({}));
        path[entry.method.as_str().to_ascii_lowercase()] = Value::Object(operation);
    }
    let tags: Vec<Value> = Tag::ALL.iter().map(|tag| json!({ "name": tag.title() })).collect();
    let mut whole = json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Schoolgate",
            "version": env!("CARGO_PKG_VERSION"),
            "summary": "DNS filtering for schools",
            "description": "Whatever the pages do, for programs. Changes of the policy name the revision that was seen \
                in If-Match, and are answered with the new one as ETag. Errors are problems (RFC 9457).",
            "license": { "name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0" },
        },
        "servers": [{ "url": "/" }],
        "tags": tags,
        "security": [{ "token": [] }, { "session": [] }],
        "paths": paths,
        "components": {
            "securitySchemes": {
                "token": { "type": "http", "scheme": "bearer", "description": "An API token: sgt_…" },
                "session": {
                    "type": "apiKey", "in": "cookie", "name": "__Host-schoolgate",
                    "description": "The session of somebody who signed in at a page of the box.",
                },
            },
            "responses": {
                "Problem": {
                    "description": "It was not done; the problem says why.",
                    "content": { "application/problem+json": { "schema": { "$ref": "#/components/schemas/Problem" } } },
                },
            },
            "schemas": schemas,
        },
    });
    tidy(&mut whole);
    whole
}

/// Those schemas and all that refer to one of them: they are other ones as well.
fn with_users(schemas: &Map<String, Value>, mut names: Vec<String>) -> Vec<String> {
    loop {
        let refers = |schema: &Value| {
            let text = schema.to_string();
            names.iter().any(|name| text.contains(&format!("\"{SCHEMAS}{name}\"")))
        };
        let more: Vec<String> = schemas
            .iter()
            .filter(|(name, schema)| !names.contains(name) && refers(schema))
            .map(|(name, _)| name.clone())
            .collect();
        if more.is_empty() {
            return names;
        }
        names.extend(more);
    }
}

/// Has references to these schemas lead to those of what is sent.
fn rename(value: &mut Value, names: &[String]) {
    match value {
        Value::Object(object) => {
            for (key, value) in object {
                if let (true, Value::String(to)) = (key == "$ref", &mut *value) {
                    if to.strip_prefix(SCHEMAS).is_some_and(|name| names.iter().any(|known| known == name)) {
                        to.push_str(WHEN_SENT);
                    }
                } else {
                    rename(value, names);
                }
            }
        }
        Value::Array(values) => values.iter_mut().for_each(|value| rename(value, names)),
        _ => {}
    }
}

/// What is said of one call, and what is sent with it.
fn operation(
    entry: &Entry,
    doc: &Doc,
    sent: &mut SchemaGenerator,
    answered: &mut SchemaGenerator,
) -> (Map<String, Value>, Option<Value>) {
    let takes = doc.takes(sent);
    let gives = doc.gives(answered);
    let mut parameters = Vec::new();
    let mut request = None;
    if let Some(takes) = takes {
        let names = entry.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
        for (name, schema) in names.zip(takes.path) {
            parameters.push(json!({ "name": name, "in": "path", "required": true, "schema": schema }));
        }
        parameters.extend(of_query(takes.query.as_value()));
        request = takes.body.map(|(kind, schema)| {
            let mut content = json!({ "schema": schema });
            if let Some(example) = &doc.example {
                content["example"] = example.clone();
            }
            json!({ "required": true, "content": { kind: content } })
        });
    }
    if doc.is_conditional() {
        parameters.push(json!({
            "name": "If-Match", "in": "header", "required": true,
            "description": "The ETag of what you have seen, or * for whatever is there.",
            "schema": { "type": "string" },
        }));
    }
    let mut responses = json!({ "default": { "$ref": "#/components/responses/Problem" } });
    if let Some(gives) = gives {
        let mut response = json!({ "description": said(gives.status) });
        if let Some((kind, schema)) = gives.body {
            response["content"] = json!({ kind: { "schema": schema } });
        }
        if gives.tagged {
            response["headers"] = json!({
                "ETag": { "description": "The revision of the policy.", "schema": { "type": "string" } },
            });
        }
        responses[gives.status.as_str()] = response;
    }
    if doc.is_conditional() {
        responses["202"] = json!({
            "description": "It opens something that who asks may not open alone: it waits for approval, and nothing has changed yet.",
            "content": { "application/problem+json": { "schema": { "$ref": "#/components/schemas/Problem" } } },
        });
    }
    let mut operation = Map::new();
    operation.insert(String::from("operationId"), Value::String(name_of(&entry.method, entry.path)));
    operation.insert(String::from("tags"), json!([doc.tag.title()]));
    operation.insert(String::from("summary"), json!(doc.summary));
    let details = if doc.details.is_empty() { String::new() } else { format!("{} ", doc.details) };
    operation.insert(String::from("description"), json!(format!("{details}{}", needed(entry.right))));
    if !parameters.is_empty() {
        operation.insert(String::from("parameters"), Value::Array(parameters));
    }
    if entry.right == Right::Open {
        operation.insert(String::from("security"), json!([]));
    }
    operation.insert(String::from("responses"), responses);
    (operation, request)
}

/// Who may do it, for people.
fn needed(right: Right) -> String {
    if right == Right::Open {
        return String::from("Open to everyone on the network.");
    }
    let roles: Vec<&str> = right.roles().iter().map(|role| role.word()).collect();
    let scope: Scope = right.scope();
    format!("For {}; a token needs the scope {}.", roles.join(", "), scope.word())
}

fn said(status: StatusCode) -> &'static str {
    match status {
        StatusCode::CREATED => "It was made.",
        StatusCode::NO_CONTENT => "It was done.",
        _ => "What was asked for.",
    }
}

/// `getPolicyRevisionsByNumber`.
fn name_of(method: &Method, path: &str) -> String {
    let mut name = method.as_str().to_ascii_lowercase();
    for part in path.split('/').skip(3) {
        let (by, word) = match part.strip_prefix('{').and_then(|part| part.strip_suffix('}')) {
            Some(open) => ("By", open),
            None => ("", part),
        };
        name.push_str(by);
        for word in word.split(['-', '_', '.']) {
            let mut letters = word.chars();
            name.extend(letters.next().map(|first| first.to_ascii_uppercase()));
            name.push_str(letters.as_str());
        }
    }
    name
}

/// Each property of an object, as a parameter.
fn of_query(schema: &Value) -> Vec<Value> {
    let required: Vec<&str> =
        schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let properties = schema["properties"].as_object().into_iter().flatten();
    properties
        .map(|(name, schema)| {
            let mut schema = schema.clone();
            never_null(&mut schema);
            let description = schema.as_object_mut().and_then(|schema| schema.remove("description"));
            let mut parameter = json!({
                "name": name, "in": "query", "required": required.contains(&name.as_str()), "schema": schema,
            });
            if let Some(description) = description {
                parameter["description"] = description;
            }
            parameter
        })
        .collect()
}

/// A parameter is there or not, and never null.
fn never_null(schema: &mut Value) {
    if let Some(kinds) = schema.get_mut("type").and_then(Value::as_array_mut) {
        kinds.retain(|kind| kind != "null");
        if let [kind] = &kinds[..] {
            schema["type"] = kind.clone();
        }
    }
    if let Some(choices) = schema.get_mut("anyOf").and_then(Value::as_array_mut) {
        choices.retain(|choice| choice["type"] != "null");
        if let [choice] = &choices[..] {
            let choice = choice.clone();
            schema["allOf"] = json!([choice]);
            if let Some(schema) = schema.as_object_mut() {
                schema.remove("anyOf");
            }
        }
    }
    if schema.get("default").is_some_and(Value::is_null)
        && let Some(schema) = schema.as_object_mut()
    {
        schema.remove("default");
    }
}

/// Takes the links of the program's own documentation out of descriptions.
fn tidy(value: &mut Value) {
    match value {
        Value::Object(object) => {
            for (key, value) in object {
                match value {
                    Value::String(text) if key == "description" => *text = plain(text),
                    value => tidy(value),
                }
            }
        }
        Value::Array(values) => values.iter_mut().for_each(tidy),
        _ => {}
    }
}

/// A text whose links are the words that they stand on.
fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('[') {
        out.push_str(before);
        let Some((inner, behind)) = after.split_once(']') else {
            out.push('[');
            rest = after;
            continue;
        };
        let inner = inner.trim_matches('`');
        out.push_str(inner.rsplit("::").next().unwrap_or(inner));
        rest = match behind.strip_prefix('(').and_then(|behind| behind.split_once(')')) {
            Some((_, behind)) => behind,
            None => behind,
        };
    }
    out.push_str(rest);
    out.replace('\n', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_description_has_no_links_of_the_programs_own_documentation() {
        assert_eq!(plain("At most [`MOST`], see [the day](Self::day)."), "At most MOST, see the day.");
        assert_eq!(plain("an open [ bracket"), "an open [ bracket");
    }

    #[test]
    fn each_call_is_named_after_its_method_and_its_path() {
        let name = name_of(&Method::POST, "/api/v1/policy/revisions/{number}/undo");
        assert_eq!(name, "postPolicyRevisionsByNumberUndo");
    }
}
