//! `schoolgate log verify`: whether a package is as it was signed.

use std::{fs::File, io::BufReader, path::PathBuf};

use serde::Serialize;

use super::{Context, Failure};
use crate::{
    querylog::evidence::{self, Findings, VerifyError},
    vault::{KEY_FILE, Vault},
};

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// The package
    file: PathBuf,
    /// The fingerprint of the key that must have signed it
    #[arg(long, value_name = "FINGERPRINT")]
    key: Option<String>,
}

#[derive(Debug, Serialize)]
struct Report {
    /// It is as it was signed, and by the key that was given, if one was.
    sound: bool,
    /// Whether this box signed it; none where this machine has no key.
    by_this_box: Option<bool>,
    #[serde(flatten)]
    findings: Findings,
}

pub(super) fn run(context: &Context, args: &Args) -> Result<bool, Failure> {
    let name = args.file.display();
    let file = File::open(&args.file).map_err(|error| Failure::could_not(format!("{name}: {error}")))?;
    let wanted = args.key.as_deref().map(fingerprint).transpose()?;
    let mut findings = evidence::verify(BufReader::new(file)).map_err(|error| match error {
        VerifyError::NotAZip => Failure::bad(format!("{name}: {error}")),
        VerifyError::Io(error) => Failure::could_not(format!("{name}: {error}")),
    })?;
    if let (Some(wanted), Some(by)) = (&wanted, &findings.signed_by)
        && wanted != by
    {
        findings.problems.push(format!("it was signed by key {by}, not by {wanted}"));
    }
    let own = own_key(context);
    let report = Report {
        sound: findings.is_sound(),
        by_this_box: own.as_ref().zip(findings.signed_by.as_ref()).map(|(own, by)| own == by),
        findings,
    };
    context.print(&report, || text(&report, wanted.is_some()))?;
    Ok(report.sound)
}

/// The fingerprint of this box's key, if there is one on this machine. None is made.
fn own_key(context: &Context) -> Option<String> {
    let data = context.settings().ok()?.data;
    if !data.join(KEY_FILE).is_file() {
        return None;
    }
    Vault::open(&data).ok().map(|vault| vault.signing_key().public().fingerprint())
}

/// A fingerprint as people type it: with or without hyphens, in capitals or not.
fn fingerprint(text: &str) -> Result<String, Failure> {
    let digits: Vec<u8> = text
        .bytes()
        .filter(|byte| !matches!(byte, b'-' | b' ' | b':'))
        .map(|byte| byte.to_ascii_lowercase())
        .collect();
    if digits.len() != 32 || !digits.iter().all(u8::is_ascii_hexdigit) {
        return Err(Failure::bad(format!(
            "--key: {text:?} is no fingerprint; it has 8 groups of 4 digits, as `log export` prints it"
        )));
    }
    let groups: Vec<String> =
        digits.chunks(4).map(|group| String::from_utf8_lossy(group).into_owned()).collect();
    Ok(groups.join("-"))
}

fn text(report: &Report, key_given: bool) -> String {
    let mut lines = Vec::new();
    let Report { sound, by_this_box, findings } = report;
    if let Some(manifest) = findings.manifest.as_ref().filter(|_| *sound) {
        lines.push(String::from("Whole, and as it was signed."));
        for (word, value) in [
            ("School", &manifest.school),
            ("Box", &manifest.machine),
            ("Made", &manifest.made_at.to_string()),
            ("By", &manifest.by),
            ("Reason", &manifest.reason),
            ("From", &manifest.from.to_string()),
            ("To", &manifest.to.to_string()),
            ("Rows", &manifest.rows.to_string()),
        ] {
            lines.push(format!("  {word:<8}{}", printable(value)));
        }
        if !manifest.complete {
            lines.push(String::from("  Something is known to be missing: summary.txt says what."));
        }
    } else {
        lines.push(String::from("NOT as it was signed:"));
        lines.extend(findings.problems.iter().map(|problem| format!("  - {}", printable(problem))));
    }
    if let Some(by) = &findings.signed_by {
        lines.push(format!("Signed by key {by}"));
        lines.push(String::from(match by_this_box {
            Some(true) => "  which is this box's.",
            Some(false) => "  which is not this box's.",
            None if key_given => "  (this machine has no key of its own to compare).",
            None => "  Compare it with the key that the school has on record: anybody can sign with a key of their own.",
        }));
    }
    lines.join("\n")
}

/// A text from a file that may be anybody's, without anything that a terminal would obey.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_is_read_however_it_is_typed() {
        let own = "0123-4567-89ab-cdef-0123-4567-89ab-cdef";
        for text in [own, &own.to_uppercase(), &own.replace('-', ""), &own.replace('-', ":")] {
            assert_eq!(fingerprint(text).unwrap(), own);
        }
        for text in ["", "0123", &own[1..], &own.replace('0', "g")] {
            assert_eq!(fingerprint(text).unwrap_err().code, 2, "{text}");
        }
    }
}
