//! The description of the API, for programs as JSON and for people as a page.

use std::sync::OnceLock;

use askama::Template;
use axum::{
    http::{HeaderName, StatusCode},
    response::{IntoResponse, Response},
};
use serde_json::Value;

use super::{doc::Tag, openapi};
use crate::admin::{
    access::Right,
    failure::Failure,
    page::{Page, html},
    routes::Routes,
    visit::Visit,
};

pub(super) fn routes(routes: Routes) -> Routes {
    routes.get("/api/v1/openapi.json", Right::Open, description).get("/api/docs", Right::Open, show)
}

async fn description() -> Response {
    static TEXT: OnceLock<Vec<u8>> = OnceLock::new();
    // What was parsed from a table of this program can be written.
    let text = TEXT.get_or_init(|| serde_json::to_vec(openapi::shipped()).unwrap_or_default());
    let kind = [(HeaderName::from_static("content-type"), "application/json")];
    (StatusCode::OK, kind, text.as_slice()).into_response()
}

/// One part of the API.
struct Part {
    title: String,
    anchor: String,
    calls: Vec<CallDoc>,
}

/// One call.
struct CallDoc {
    method: String,
    path: String,
    anchor: String,
    summary: String,
    says: String,
    parameters: Vec<Row>,
    /// What is sent: its kind, and what it is.
    sent: Option<(String, Kind)>,
    example: String,
    status: String,
    given: Option<(String, Kind)>,
}

/// One parameter, or one field of an object.
struct Row {
    name: String,
    /// `path`, `query`, `header`; empty for fields.
    place: String,
    kind: Kind,
    is_required: bool,
    says: String,
}

/// What a value is, in words, with the name of its schema where it has one.
#[derive(Default)]
struct Kind {
    before: String,
    /// The name of a schema that is described on the page.
    schema: String,
}

/// One schema.
struct SchemaDoc {
    name: String,
    says: String,
    fields: Vec<Row>,
    /// The ways that it can be, where it is not one object.
    choices: Vec<Choice>,
}

struct Choice {
    kind: Kind,
    says: String,
    fields: Vec<Row>,
}

/// All that the page shows.
struct Docs {
    parts: Vec<Part>,
    schemas: Vec<SchemaDoc>,
}

#[derive(Template)]
#[template(path = "api_docs.html")]
struct Show<'a> {
    p: Page,
    docs: &'a Docs,
}

async fn show(visit: Visit) -> Result<Response, Failure> {
    static DOCS: OnceLock<Docs> = OnceLock::new();
    let docs = DOCS.get_or_init(|| read(openapi::shipped()));
    html(&Show { p: visit.page("api-docs-title", ""), docs })
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn object(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn read(spec: &Value) -> Docs {
    let mut parts: Vec<Part> = Tag::ALL
        .iter()
        .map(|tag| Part { title: tag.title().to_owned(), anchor: anchor(tag.title()), calls: Vec::new() })
        .collect();
    for (path, methods) in object(&spec["paths"]) {
        for (method, call) in object(methods) {
            let title = call["tags"][0].as_str();
            if let Some(part) = parts.iter_mut().find(|part| Some(part.title.as_str()) == title) {
                part.calls.push(call_doc(method, path, call));
            }
        }
    }
    let schemas = object(&spec["components"]["schemas"]).map(|(name, schema)| schema_doc(name, schema));
    Docs { parts, schemas: schemas.collect() }
}

fn anchor(title: &str) -> String {
    title.to_lowercase().replace(|c: char| !c.is_ascii_alphanumeric(), "-")
}

fn call_doc(method: &str, path: &str, call: &Value) -> CallDoc {
    let parameters = list(&call["parameters"]).map(|parameter| Row {
        name: text(&parameter["name"]),
        place: text(&parameter["in"]),
        kind: kind(&parameter["schema"]),
        is_required: parameter["required"] == true,
        says: text(&parameter["description"]),
    });
    let content = |of: &Value| {
        object(&of["content"]).next().map(|(media, content)| (media.clone(), kind(&content["schema"])))
    };
    let example = object(&call["requestBody"]["content"]).next().map(|(_, content)| &content["example"]);
    let example = example.filter(|example| !example.is_null());
    let (status, given) = object(&call["responses"])
        .find(|(status, _)| !matches!(status.as_str(), "default" | "202"))
        .map_or_else(|| (String::new(), None), |(status, given)| (status.clone(), content(given)));
    CallDoc {
        method: method.to_uppercase(),
        path: path.to_owned(),
        anchor: text(&call["operationId"]),
        summary: text(&call["summary"]),
        says: text(&call["description"]),
        parameters: parameters.collect(),
        sent: content(&call["requestBody"]),
        example: example
            .map_or_else(String::new, |example| serde_json::to_string_pretty(example).unwrap_or_default()),
        status,
        given,
    }
}

fn schema_doc(name: &str, schema: &Value) -> SchemaDoc {
    let choices = list(&schema["oneOf"]).chain(list(&schema["anyOf"])).map(|choice| Choice {
        kind: kind(choice),
        says: text(&choice["description"]),
        fields: fields(choice),
    });
    let mut choices: Vec<Choice> = choices.collect();
    if choices.is_empty() && schema["properties"].is_null() {
        choices.push(Choice { kind: kind(schema), says: String::new(), fields: Vec::new() });
    }
    SchemaDoc { name: name.to_owned(), says: text(&schema["description"]), fields: fields(schema), choices }
}

fn fields(schema: &Value) -> Vec<Row> {
    let required: Vec<&str> = list(&schema["required"]).filter_map(Value::as_str).collect();
    let own = object(&schema["properties"]).map(|(name, field)| Row {
        name: name.clone(),
        place: String::new(),
        kind: kind(field),
        is_required: required.contains(&name.as_str()),
        says: text(&field["description"]),
    });
    own.collect()
}

/// What a value is, in a few words.
fn kind(schema: &Value) -> Kind {
    let plain = |before: String| Kind { before, schema: String::new() };
    if let Some(to) = schema["$ref"].as_str() {
        let name = to.rsplit('/').next().unwrap_or_default();
        return Kind { before: String::new(), schema: name.to_owned() };
    }
    if !schema["const"].is_null() {
        return plain(schema["const"].to_string());
    }
    if let Some(words) = schema["enum"].as_array() {
        return plain(words.iter().map(Value::to_string).collect::<Vec<_>>().join(", "));
    }
    for several in ["anyOf", "allOf", "oneOf"] {
        let mut choices = list(&schema[several]).filter(|choice| choice["type"] != "null");
        if let (Some(only), None) = (choices.next(), choices.next()) {
            return kind(only);
        }
    }
    let word = match &schema["type"] {
        Value::Array(kinds) => kinds.iter().find_map(|kind| kind.as_str().filter(|kind| *kind != "null")),
        kind => kind.as_str(),
    };
    match word {
        Some("array") => {
            let inner = kind(&schema["items"]);
            Kind { before: format!("list of {}", inner.before), schema: inner.schema }
        }
        Some("object") if schema["additionalProperties"].is_object() => {
            let inner = kind(&schema["additionalProperties"]);
            Kind { before: format!("by word: {}", inner.before), schema: inner.schema }
        }
        Some("string") => plain(match schema["format"].as_str() {
            Some("date-time") => String::from("moment, 2026-11-26T11:15:00Z"),
            Some("date") => String::from("day, 2026-11-26"),
            Some(format) => format!("text ({format})"),
            None => String::from("text"),
        }),
        Some("integer") => plain(String::from("whole number")),
        Some("boolean") => plain(String::from("true or false")),
        Some(word) => plain(word.to_owned()),
        None => plain(String::from("anything")),
    }
}
