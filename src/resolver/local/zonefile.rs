//! Reads zone files (RFC 1035, section 5), with the file and line of whatever is wrong.
//!
//! The entries are cut here, so that each has its place; what is within an entry is hickory's business.

use std::{
    fs,
    path::{Path, PathBuf},
};

use hickory_proto::{
    rr::{Name, Record, RecordType},
    serialize::txt::Parser,
};

use super::{LocalZoneError, Place};

/// How deep files may include each other.
const MAX_INCLUDES: usize = 8;
/// The largest zone file, so that a wrong path (a disk image, say) is noticed before it fills the memory.
const MAX_FILE: u64 = 64 * 1024 * 1024;
/// The time to live of records in a file without `$TTL`, in seconds.
const DEFAULT_TTL: u32 = 3_600;

/// Reads a zone file and what it includes.
pub(super) fn read(path: &Path, origin: &Name) -> Result<Vec<(Record, Place)>, LocalZoneError> {
    let mut reader = Reader { open: Vec::new(), records: Vec::new() };
    reader.file(path, origin.clone(), &Place::Setting(format!("resolver.zone {:?}", text(origin))))?;
    Ok(reader.records)
}

/// Reads the entries of a zone file that is in memory; `$INCLUDE` is relative to `path`.
#[cfg(test)]
pub(super) fn parse(
    content: &str,
    path: &Path,
    origin: &Name,
) -> Result<Vec<(Record, Place)>, LocalZoneError> {
    let mut reader = Reader { open: vec![path.to_path_buf()], records: Vec::new() };
    reader.content(content, path, origin.clone())?;
    Ok(reader.records)
}

/// One record from its text, for `[[resolver.record]]`.
pub(super) fn record(
    name: &Name,
    ttl: u32,
    rtype: RecordType,
    value: &str,
    place: &Place,
) -> Result<Record, LocalZoneError> {
    let wrong = |reason: String| LocalZoneError::Entry { place: place.clone(), reason };
    if value.contains(['\n', '\r']) {
        return Err(wrong("the value has a line break".into()));
    }
    let entry = format!("{} {ttl} IN {rtype} {value}\n", name.to_ascii());
    let mut records = entry_records(&entry, &Name::root()).map_err(wrong)?;
    match (records.pop(), records.is_empty()) {
        (Some(record), true) => Ok(record),
        _ => Err(wrong(format!("{value:?} is not one {rtype} record"))),
    }
}

struct Reader {
    /// The files that are being read, the innermost last.
    open: Vec<PathBuf>,
    records: Vec<(Record, Place)>,
}

impl Reader {
    fn file(&mut self, path: &Path, origin: Name, asked_at: &Place) -> Result<(), LocalZoneError> {
        let read =
            |source| LocalZoneError::Read { place: asked_at.clone(), path: path.to_path_buf(), source };
        let full = path.canonicalize().map_err(read)?;
        if self.open.contains(&full) {
            return Err(LocalZoneError::Entry {
                place: asked_at.clone(),
                reason: format!("{} is included by itself; take the $INCLUDE out", path.display()),
            });
        }
        if self.open.len() > MAX_INCLUDES {
            return Err(LocalZoneError::Entry {
                place: asked_at.clone(),
                reason: format!("files include each other more than {MAX_INCLUDES} deep"),
            });
        }
        if fs::metadata(&full).map_err(read)?.len() > MAX_FILE {
            return Err(LocalZoneError::Entry {
                place: asked_at.clone(),
                reason: format!("{} is too large for a zone file (over 64 MiB)", path.display()),
            });
        }
        let content = String::from_utf8_lossy(&fs::read(&full).map_err(read)?).into_owned();
        self.open.push(full);
        self.content(&content, path, origin)?;
        self.open.pop();
        Ok(())
    }

    fn content(&mut self, content: &str, path: &Path, mut origin: Name) -> Result<(), LocalZoneError> {
        let mut ttl = DEFAULT_TTL;
        let mut owner: Option<String> = None;
        for entry in entries(content) {
            let place = Place::File { path: path.to_path_buf(), line: entry.line };
            let wrong = |reason: String| LocalZoneError::Entry { place: place.clone(), reason };
            let text = entry.text.map_err(|reason| wrong(reason.into()))?;
            let mut words = text.split_whitespace();
            let first = words.next().unwrap_or_default();
            match first.to_ascii_uppercase().as_str() {
                "$ORIGIN" => {
                    let name = words.next().ok_or_else(|| wrong("$ORIGIN needs a name".into()))?;
                    origin = parse_name(name, &origin).map_err(wrong)?;
                    continue;
                }
                "$TTL" => {
                    let value = words.next().ok_or_else(|| wrong("$TTL needs a time".into()))?;
                    ttl = hickory_proto::serialize::txt::parse_ttl(value).map_err(|_| {
                        wrong(format!("{value:?} is not a time; write for example 3600 or 1h"))
                    })?;
                    continue;
                }
                "$INCLUDE" => {
                    let file = words.next().ok_or_else(|| wrong("$INCLUDE needs a file".into()))?;
                    let file = path.parent().unwrap_or_else(|| Path::new("")).join(file.trim_matches('"'));
                    let inner = match words.next() {
                        Some(name) => parse_name(name, &origin).map_err(wrong)?,
                        None => origin.clone(),
                    };
                    self.file(&file, inner, &place)?;
                    continue;
                }
                word if word.starts_with('$') => {
                    return Err(wrong(format!("{first} is not known; $ORIGIN, $TTL and $INCLUDE are")));
                }
                _ => {}
            }
            let line = if text.starts_with([' ', '\t']) {
                let owner = owner.as_deref().ok_or_else(|| {
                    wrong("the first record has no name; write the name at the start of the line".into())
                })?;
                format!("{owner}{text}\n")
            } else {
                // Kept with its origin, which a later $ORIGIN must not change.
                owner = Some(parse_name(first, &origin).map_err(wrong)?.to_ascii());
                format!("{text}\n")
            };
            let records = entry_records(&format!("$TTL {ttl}\n{line}"), &origin).map_err(wrong)?;
            if records.is_empty() {
                return Err(wrong("this is not a record: name, time to live, IN, type, value".into()));
            }
            self.records.extend(records.into_iter().map(|record| (record, place.clone())));
        }
        Ok(())
    }
}

fn entry_records(entry: &str, origin: &Name) -> Result<Vec<Record>, String> {
    let (_, sets) =
        Parser::new(entry, None, Some(origin.clone())).parse().map_err(|error| error.to_string())?;
    Ok(sets.into_values().flat_map(|set| set.into_parts().records).collect())
}

fn parse_name(text: &str, origin: &Name) -> Result<Name, String> {
    if text == "@" {
        return Ok(origin.clone());
    }
    let mut name =
        Name::parse(text, Some(origin)).map_err(|error| format!("{text:?} is not a name: {error}"))?;
    name.set_fqdn(true);
    Ok(name)
}

fn text(name: &Name) -> String {
    name.to_ascii().trim_end_matches('.').to_owned()
}

/// An entry of a zone file: usually a line, more where parentheses span lines.
struct Entry {
    /// The line that it starts in, from 1.
    line: usize,
    /// Its text in one line, without comments; or what is wrong with it.
    text: Result<String, &'static str>,
}

/// Cuts a file into entries: joins what is in parentheses, drops comments and empty lines.
fn entries(content: &str) -> Vec<Entry> {
    let mut found = Vec::new();
    let (mut text, mut start, mut depth, mut quoted) = (String::new(), 1, 0_usize, false);
    for (index, line) in content.lines().enumerate() {
        if depth == 0 && !quoted {
            start = index + 1;
        }
        let mut chars = line.chars();
        while let Some(c) = chars.next() {
            match c {
                '\\' => {
                    text.push(c);
                    text.extend(chars.next());
                }
                '"' => {
                    quoted = !quoted;
                    text.push(c);
                }
                ';' if !quoted => break,
                '(' if !quoted => {
                    depth += 1;
                    text.push(' ');
                }
                ')' if !quoted => {
                    if depth == 0 {
                        found.push(Entry { line: index + 1, text: Err("a ')' without its '('") });
                        return found;
                    }
                    depth -= 1;
                    text.push(' ');
                }
                _ => text.push(c),
            }
        }
        if quoted {
            found.push(Entry { line: index + 1, text: Err("a '\"' without its closing '\"'") });
            return found;
        }
        if depth == 0 {
            if text.trim().is_empty() {
                text.clear();
            } else {
                found.push(Entry { line: start, text: Ok(std::mem::take(&mut text)) });
            }
        } else {
            text.push(' ');
        }
    }
    if depth > 0 {
        found.push(Entry { line: start, text: Err("a '(' without its ')'") });
    }
    found
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn origin() -> Name {
        Name::from_ascii("school.example.").unwrap()
    }

    fn read_text(content: &str) -> Result<Vec<(Record, Place)>, LocalZoneError> {
        parse(content, Path::new("school.zone"), &origin())
    }

    fn lines(content: &str) -> Vec<String> {
        read_text(content).unwrap().into_iter().map(|(record, _)| record.to_string()).collect()
    }

    #[test]
    fn a_zone_file_is_read() {
        let records = lines(
            "$TTL 1h\n\
             @ IN SOA ns hostmaster ( 1 ; serial\n  7200 3600\n 1209600 300 )\n\
             \tNS ns\n\
             ns 60 A 10.0.0.1\n\
             text TXT \"a; b (c)\" second\n\
             $ORIGIN lab\n\
             pc1 A 10.0.1.1\n\
             _ldap._tcp SRV 0 100 389 pc1\n",
        );
        assert_eq!(records.len(), 6, "{records:?}");
        assert!(records[0].starts_with("school.example. 3600 IN SOA ns.school.example."), "{records:?}");
        assert_eq!(records[1], "school.example. 3600 IN NS ns.school.example.");
        assert_eq!(records[2], "ns.school.example. 60 IN A 10.0.0.1");
        assert!(records[3].contains("a; b (c)"));
        assert_eq!(records[4], "pc1.lab.school.example. 3600 IN A 10.0.1.1");
        assert!(records[5].ends_with("SRV 0 100 389 pc1.lab.school.example."), "{records:?}");
    }

    #[test]
    fn an_error_names_file_and_line() {
        for (content, line, text) in [
            ("@ A 10.0.0.1\n\nwww A 10.0.0\n", 3, ""),
            ("a A 10.0.0.1\nb ( A\n 10.0.0.2\n", 2, "without its ')'"),
            ("a A 10.0.0.1 )\n", 1, "without its '('"),
            ("a TXT \"open\n", 1, "closing"),
            (" A 10.0.0.1\n", 1, "no name"),
            ("$GENERATE 1-9 pc$ A 10.0.0.$\n", 1, "$GENERATE"),
            ("$TTL soon\n", 1, "not a time"),
            ("a BLAH x\n", 1, ""),
            ("a IN\n", 1, "not a record"),
        ] {
            let error = read_text(content).unwrap_err().to_string();
            assert!(error.starts_with(&format!("school.zone:{line}: ")), "{content:?}: {error}");
            assert!(error.contains(text), "{content:?}: {error}");
        }
    }

    #[test]
    fn a_file_that_includes_itself_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let (one, two) = (folder.path().join("one.zone"), folder.path().join("two.zone"));
        fs::write(&one, "a A 10.0.0.1\n$INCLUDE two.zone\n").unwrap();
        fs::write(&two, "b A 10.0.0.2\n\n$INCLUDE one.zone sub\n").unwrap();
        let error = read(&one, &origin()).unwrap_err().to_string();
        assert!(error.contains("two.zone:3: ") && error.contains("included by itself"), "{error}");
        fs::write(&two, "b A 10.0.0.2\n").unwrap();
        assert_eq!(read(&one, &origin()).unwrap().len(), 2);
        fs::remove_file(&two).unwrap();
        let error = read(&one, &origin()).unwrap_err().to_string();
        assert!(error.contains("one.zone:2: could not read"), "{error}");
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(content in "[ -~\n\t\\\\\"();@$]{0,200}") {
            let _ = read_text(&content);
        }

        #[test]
        fn any_value_is_read_or_refused(value in "[ -~]{0,80}", rtype in 0_u16..300) {
            let place = Place::Setting("test".into());
            let _ = record(&origin(), 1, RecordType::from(rtype), &value, &place);
        }
    }
}
