//! A school's policy on a data folder, and what its lists say: the same for all tests that need no network of their own.

use std::{fs, path::Path, process::Output};

use hickory_proto::rr::RecordType;
use serde_json::Value;

use super::{Running, command_on, ede, err, out};

/// There is no internet here: names that are open fail soon.
pub const QUICK: &str = "[resolver]\ntime_limit_ms = 500\n";

/// Clients on the loopback are pupils, and staff asks from elsewhere; `more` stands behind it.
pub fn policy(more: &str) -> String {
    format!(
        r#"
version = 1
school = "Elm Lane Primary"
timezone = "Europe/London"
fallback_profile = "pupils"

[[profile]]
id = "pupils"
name = "Pupils"
subnets = ["127.0.0.0/8", "::1/128"]
audience = "pupil"
block_with = "nxdomain"
[profile.categories]
gambling = "block"
games = "block"
shopping = "block"

[[profile]]
id = "staff"
name = "Staff"
subnets = ["10.9.0.0/16"]
audience = "staff"
[profile.categories]
gambling = "allow"
{more}"#
    )
}

/// A list that is a file.
pub fn file_list(id: &str, category: &str, file: &Path) -> String {
    format!("[[list]]\nid = {id:?}\ncategory = {category:?}\nfile = {file:?}\n")
}

/// Imports a policy.
pub fn import(data: &Path, policy: &str) -> Output {
    let file = data.join("import.toml");
    fs::write(&file, policy).expect("written");
    command_on(data, &["policy", "import", file.to_str().expect("text")])
}

/// Puts these lists in force, and gives what was said of it.
pub fn subscribe(data: &Path, lists: &str) -> String {
    let output = import(data, &policy(lists));
    assert!(output.status.success(), "{}", err(&output));
    out(&output)
}

/// Runs a command that succeeds, and gives what it says.
pub fn done(data: &Path, args: &[&str]) -> String {
    let output = command_on(data, args);
    assert!(output.status.success(), "{args:?}: {}{}", out(&output), err(&output));
    out(&output)
}

/// Runs a command with `--json`, and gives what it says.
pub fn json(data: &Path, args: &[&str]) -> Value {
    let output = command_on(data, &[args, &["--json"]].concat());
    serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{args:?}: {e}: {}", err(&output)))
}

/// What `lists status` says of a list.
pub fn list(data: &Path, id: &str) -> Value {
    let report = json(data, &["lists", "status"]);
    report["lists"].as_array().expect("there").iter().find(|list| list["id"] == id).expect("there").clone()
}

/// Whether a pupil's question for a name is blocked by a list.
pub fn is_listed(running: &Running, name: &str) -> bool {
    ede(&running.ask(name, RecordType::A)).iter().any(|(code, _)| *code == 17)
}
