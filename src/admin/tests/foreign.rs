//! Whatever browsers and programs send is read or refused, and the box goes on.

use proptest::prelude::*;

use super::TestBox;
use crate::accounts::{Role, Scope};

#[path = "../../../tests/support/foreign.rs"]
#[allow(unreachable_pub, reason = "the fuzz target uses it, from outside")]
mod support;

use support::{MARKUP, WAYS, check, request};

/// Pieces that the readers know, and some that they should not trip over.
const PIECES: &[&str] = &[
    MARKUP,
    "\0",
    "\n",
    "\r\n",
    "\t",
    ",",
    ";",
    "\"",
    "=",
    "'=",
    "*",
    "/",
    "//",
    "\\",
    "%",
    "10.20.2.0/24",
    "10.20.2.0/255.255.255.0",
    "0.0.0.0/0",
    "2001:db8::/64",
    "fd00::",
    "Key Stage 2",
    "ks2",
    "bbc.co.uk",
    "*.example",
    "xn--",
    "xn--bcher-kva.example",
    "bücher.example",
    "https://user:pass@site.example:8443/a?b#c",
    "allow",
    "block",
    "action,name,profiles,clients,reason,owner,until\n",
    "2026-11-26T14:05",
    "9999-12-31",
    "-9999-01-01",
    "yesterday 14:30",
    "99999999999d",
    "2h",
    "locked:3fa9c0ffee12",
    "20779.22118400",
    "9223372036854775807",
    "-1",
    "\"1\"",
    "W/\"1\"",
    "en;q=0.1",
    "cy, en-GB;q=1",
    "schoolgate=",
    "Bearer sgt_",
    "https://schoolgate.local",
    "done-saved",
    "-----BEGIN CERTIFICATE-----\n",
    "MIIB",
    "\n-----END CERTIFICATE-----\n",
    "-----BEGIN PRIVATE KEY-----\n",
    "{\"edits\":[",
    "]}",
    "{\"rules\":[{\"action\":\"block\",\"name\":\"a.example\"}]}",
    "{\"set-subnets\":{\"profile\":\"ks2\",\"subnets\":[\"10.20.2.0/24\"]}}",
    "{\"text\":\"version = 1\"}",
    "\u{202e}",
    "\u{feff}",
];

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        4 => prop::sample::select(PIECES).prop_map(|piece| piece.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 1..8),
        1 => "[ -~]{1,12}".prop_map(String::into_bytes),
    ];
    prop::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat())
}

#[test]
fn whatever_is_sent_is_read_or_refused_and_the_box_goes_on() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let school = runtime.block_on(TestBox::new());
    let token = school.token(Role::Head, &Scope::ALL);
    let before = school.admin.control.policy_file().unwrap().file;
    proptest!(ProptestConfig::with_cases(1_000), |(way in prop::sample::select(WAYS), data in bytes())| {
        if let Some(request) = request(way, &data, &token) {
            let answer = runtime.block_on(school.send(request));
            check(way, answer.status, &answer.headers, &answer.body);
        }
    });
    assert_eq!(
        school.admin.control.policy_file().unwrap().file,
        before,
        "nothing that was sent asked for a change"
    );
}
