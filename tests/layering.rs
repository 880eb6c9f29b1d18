//! Keeps the floors of the architecture: a module imports only from floors below its own.
//!
//! ARCHITECTURE.md has the table. A new module needs a line here, which is the moment to think about where it belongs.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Each module of the library with its floor.
const FLOORS: &[(&str, u8)] = &[
    ("name", 0),
    ("background", 0),
    ("memory", 0),
    ("category", 0),
    ("clock", 0),
    ("disk", 0),
    ("ede", 0),
    ("spelling", 0),
    ("places", 0),
    ("lists", 1),
    ("clients", 1),
    ("delegation", 1),
    ("machine", 1),
    ("tls", 1),
    ("vault", 1),
    ("versions", 1),
    ("policy", 2),
    ("accounts", 3),
    ("feeds", 3),
    ("mail", 3),
    ("resolver", 3),
    ("school", 3),
    ("seen", 3),
    ("accounts", 3),
    ("store", 3),
    ("backup", 4),
    ("querylog", 4),
    ("dns", 5),
    ("control", 5),
    ("admin", 6),
    ("config", 7),
    ("appliance", 7),
    ("cli", 7),
];

/// Pairs on one floor or against the rule that are wanted, each with its reason.
const ALLOWED: &[(&str, &str, &str)] = &[
    ("cli", "config", "the whole: subcommands read the settings"),
    ("cli", "appliance", "the whole: `serve` starts it"),
    ("appliance", "config", "the whole: it is started from the settings"),
];

/// Pairs that the floors allow and that are not wanted, each with its reason.
const UNWANTED: &[(&str, &str, &str)] =
    &[("admin", "dns", "pages ask `control`, and never reach into the answering of questions")];

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("src is readable") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
}

/// The modules that a text imports by `crate::name` or within `use crate::{…}`.
fn imports(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find("crate::") {
        rest = &rest[at + "crate::".len()..];
        if let Some(group) = rest.strip_prefix('{') {
            let mut depth = 1;
            let mut word = String::new();
            let mut fresh = true;
            for c in group.chars() {
                match c {
                    '{' => depth += 1,
                    '}' => depth -= 1,
                    _ => {}
                }
                if depth == 0 {
                    break;
                }
                if depth == 1 && c == ',' {
                    fresh = true;
                    word.clear();
                } else if fresh && (c.is_alphanumeric() || c == '_') {
                    word.push(c);
                } else if fresh && !word.is_empty() {
                    found.push(std::mem::take(&mut word));
                    fresh = false;
                }
            }
            if fresh && !word.is_empty() {
                found.push(word);
            }
        } else {
            let word: String = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            found.push(word);
        }
    }
    found
}

/// The text without comments, so that a link in a doc comment is not an import.
fn code_of(text: &str) -> String {
    text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

fn floor(module: &str) -> Option<u8> {
    FLOORS.iter().find(|(name, _)| *name == module).map(|(_, floor)| *floor)
}

#[test]
fn modules_import_only_from_floors_below() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    assert!(files.len() > 10, "the sources were found");
    let mut wrong = Vec::new();
    for file in &files {
        let path = file.strip_prefix(&root).expect("below src");
        let first = path.iter().next().expect("not empty").to_string_lossy().into_owned();
        let module = first.trim_end_matches(".rs").to_owned();
        if module == "lib" || module == "main" {
            continue;
        }
        let Some(own) = floor(&module) else {
            wrong.push(format!("{}: module {module} has no floor in tests/layering.rs", path.display()));
            continue;
        };
        let text = fs::read_to_string(file).expect("a source is text");
        for used in imports(&code_of(&text)) {
            let Some(other) = floor(&used) else { continue };
            let allowed = ALLOWED.iter().any(|(from, to, _)| *from == module && *to == used);
            if let Some((.., why)) = UNWANTED.iter().find(|(from, to, _)| *from == module && *to == used) {
                wrong.push(format!("{}: {module} imports {used}: {why}", path.display()));
            }
            if used != module && other >= own && !allowed {
                wrong.push(format!(
                    "{}: {module} (floor {own}) imports {used} (floor {other})",
                    path.display()
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_imports_of_a_group_are_seen() {
    assert_eq!(imports("use crate::{\n    dns::{Server, Handler},\n    name::Key,\n};"), ["dns", "name"]);
    assert_eq!(imports("let x = crate::policy::decide();"), ["policy"]);
}
