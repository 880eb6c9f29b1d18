//! Values made from schemas: mostly as they say, now and then as nobody should send them.

use serde_json::{Map, Value, json};

/// Numbers that are the same at every run.
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number below `below`.
    pub(super) fn roll(&mut self, below: usize) -> usize {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % below.max(1) as u64) as usize
    }

    /// True in one of so many cases.
    pub(super) fn one_in(&mut self, many: usize) -> bool {
        self.roll(many) == 0
    }

    pub(super) fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.roll(of.len())]
    }
}

/// What texts may well be.
const LIKELY: &[&str] = &[
    "secondary",
    "staff",
    "primary",
    "games",
    "adult",
    "newly-seen",
    "youtube",
    "bbc.co.uk",
    "=chat.example",
    "*.example",
    "service:youtube",
    "10.20.2.0/24",
    "10.20.2.31",
    "02:00:5e:00:53:01",
    "Library 1",
    "device-0123456789ab",
    "2026-11-22",
    "2026-11-26T11:15:00Z",
    "2h",
    "yesterday 14:30",
    "12:00",
    "mon-fri",
    "Europe/London",
    "hold-1",
    "own-list",
    "because it was decided",
    "A",
    "allowed",
    "https://127.0.0.1:1/list.txt",
    "version = 1\n",
    "20779.22118400",
];

/// What nobody should send.
const HOSTILE: &[&str] = &[
    "",
    " ",
    "\0",
    "a\nb\r\nSet-Cookie: x=y",
    "<script>alert(1)</script>",
    "\"><img src=x onerror=alert(1)>",
    "../../../../etc/passwd",
    "..%2f..%2fetc%2fpasswd",
    "'; DROP TABLE audit; --",
    "{{7*7}}",
    "%00%ff%zz",
    "\u{202e}moc.live",
    "\u{1f980}\u{301}\u{0}",
    "null",
    "-1",
    "NaN",
    "1e999",
    "99999-99-99",
    "9999-12-31T23:59:59.999999999Z",
    "-009999-01-01T00:00:00Z",
    "18446744073709551616",
    "0.0.0.0/0",
    "::/0",
    "::ffff:10.0.0.0/104",
    "xn--\u{e4}",
    ".",
    "..",
    "*",
    "=",
    "a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a",
    "65535.9223372036854775807",
    "99999999.-9223372036854775808",
    "1000000000w",
    "[[list]]\nid = 3",
];

/// A text, mostly a likely one.
pub(super) fn text(dice: &mut Dice) -> String {
    match dice.roll(12) {
        0..=6 => (*dice.pick(LIKELY)).to_owned(),
        7..=10 => (*dice.pick(HOSTILE)).to_owned(),
        _ => dice.pick(&["a", "\u{e9}", "1", "."]).repeat(1 + dice.roll(1_500)),
    }
}

/// A value as a schema says, or now and then another one.
pub(super) fn value(spec: &Value, schema: &Value, dice: &mut Dice, depth: usize) -> Value {
    if dice.one_in(25) {
        return dice
            .pick(&[json!(null), json!([]), json!({}), json!(-1), json!(1e300), json!(true), json!("x")])
            .clone();
    }
    if let Some(to) = schema["$ref"].as_str().and_then(|to| spec.pointer(to.strip_prefix('#')?)) {
        return value(spec, to, dice, depth);
    }
    if !schema["const"].is_null() {
        return schema["const"].clone();
    }
    if let Some(words) = schema["enum"].as_array() {
        return dice.pick(words).clone();
    }
    for several in ["oneOf", "anyOf"] {
        if let Some(choices) = schema[several].as_array() {
            let choice = value(spec, dice.pick(choices), dice, depth);
            // What is said beside the choice holds as well.
            return if schema["properties"].is_null() {
                choice
            } else {
                merged(choice, object(spec, schema, dice, depth))
            };
        }
    }
    if let Some(parts) = schema["allOf"].as_array() {
        let own = if schema["properties"].is_null() { json!({}) } else { object(spec, schema, dice, depth) };
        return parts.iter().fold(own, |own, part| merged(own, value(spec, part, dice, depth)));
    }
    let kinds: Vec<&str> = match &schema["type"] {
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect(),
        kind => kind.as_str().into_iter().collect(),
    };
    let kind = if kinds.is_empty() { "string" } else { *dice.pick(&kinds) };
    match kind {
        "null" => Value::Null,
        "boolean" => json!(dice.one_in(2)),
        "integer" | "number" => {
            let numbers: [i64; 10] = [0, 1, 2, 3, 5, 7, 30, 1_000, -1, i64::MAX];
            json!(dice.pick(&numbers))
        }
        "array" => {
            let many = if depth > 5 { 0 } else { dice.roll(4) };
            (0..many).map(|_| value(spec, &schema["items"], dice, depth + 1)).collect()
        }
        "object" => object(spec, schema, dice, depth),
        _ => {
            let moments = ["2026-11-26T11:15:00Z", "2026-11-27T09:00:00Z", "2026-11-20T09:00:00+01:00"];
            match schema["format"].as_str() {
                Some("date-time") if !dice.one_in(5) => json!(dice.pick(&moments)),
                Some("date") if !dice.one_in(5) => {
                    json!(dice.pick(&["2026-11-22", "2027-07-31", "2026-02-28"]))
                }
                _ => json!(text(dice)),
            }
        }
    }
}

fn object(spec: &Value, schema: &Value, dice: &mut Dice, depth: usize) -> Value {
    let mut made = Map::new();
    let required: Vec<&str> =
        schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        let is_there = if required.contains(&name.as_str()) { !dice.one_in(30) } else { dice.one_in(3) };
        if is_there && depth < 8 {
            made.insert(name.clone(), value(spec, property, dice, depth + 1));
        }
    }
    if schema["additionalProperties"].is_object() && depth < 6 {
        for _ in 0..dice.roll(3) {
            let inner = value(spec, &schema["additionalProperties"], dice, depth + 1);
            made.insert(text(dice), inner);
        }
    }
    if dice.one_in(40) {
        made.insert(text(dice), json!("nobody asked for this"));
    }
    Value::Object(made)
}

fn merged(mut one: Value, other: Value) -> Value {
    match (&mut one, other) {
        (Value::Object(one), Value::Object(other)) => one.extend(other),
        (one, other) => *one = other,
    }
    one
}
