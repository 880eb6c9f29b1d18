//! `schoolgate.toml`: what the box is. Read once at start and never changed while it runs.
//!
//! Each module owns its own table; this file composes them. Every key is optional, and an empty file is the embedded
//! default. What the school decides (profiles, rules, lists) is not here but in the policy.

use std::{
    fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use serde::Deserialize;

use crate::{admin, dns, feeds, machine, querylog, resolver, spelling::nearest};

/// What the variables of the environment that override keys start with.
pub const ENV_PREFIX: &str = "SCHOOLGATE_";

/// Variables that start with the prefix and are not keys.
const NOT_KEYS: &[&str] = &[
    "SCHOOLGATE_LIST_DATA",
    "SCHOOLGATE_LOG",
    "SCHOOLGATE_INTERNET",
    "SCHOOLGATE_CONFIG",
    "SCHOOLGATE_SUPERVISED",
    // Read by the command that it is for, which also reads the settings.
    "SCHOOLGATE_BACKUP_PASSPHRASE",
];

/// All settings of the box.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The folder for everything that outlasts a restart.
    pub data: PathBuf,
    /// Where and to whom DNS is served.
    pub dns: dns::Config,
    /// How names are resolved.
    pub resolver: resolver::Config,
    /// How lists come to the box.
    pub lists: feeds::Config,
    /// Where the web pages are.
    pub admin: admin::Config,
    /// The query log.
    pub log: querylog::Config,
    /// Where the appliance's helpers are.
    pub machine: machine::Config,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            data: PathBuf::from("./schoolgate-data"),
            dns: dns::Config::default(),
            resolver: resolver::Config::default(),
            lists: feeds::Config::default(),
            admin: admin::Config::default(),
            log: querylog::Config::default(),
            machine: machine::Config::default(),
        }
    }
}

impl Config {
    /// Reads the settings: the file, then the environment over it.
    ///
    /// Without a file the embedded default holds. Relative paths are relative to the working folder.
    ///
    /// # Errors
    ///
    /// Names the file and line, or the variable, that is wrong and says what would be right.
    pub fn load(
        file: Option<&Path>,
        env: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        let (origin, text) = match file {
            Some(path) => {
                let text = fs::read_to_string(path)
                    .map_err(|source| ConfigError::Read { file: path.to_owned(), source })?;
                (path.display().to_string(), text)
            }
            None => (String::from("the embedded default"), String::new()),
        };
        Self::from_parts(&origin, &text, env)
    }

    /// Checks what the types can't.
    ///
    /// # Errors
    ///
    /// Names the first key whose value can't be used.
    pub fn check(&self) -> Result<(), ConfigError> {
        self.dns.check()?;
        // Who is bound second would only hear that the port is in use, by this very program.
        for (dns, wanted) in [("dns.tls", &self.dns.tls), ("dns.https", &self.dns.https)] {
            let pages = [("admin.listen", &self.admin.listen), ("admin.block_page", &self.admin.block_page)];
            for (pages, theirs) in pages {
                if let Some(address) = wanted.iter().find(|one| theirs.iter().any(|other| meet(one, other))) {
                    return Err(ConfigError::Twice { address: *address, dns, pages });
                }
            }
        }
        Ok(())
    }

    fn from_parts(
        origin: &str,
        text: &str,
        env: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        // Read once as it stands, so that an error carries the file's own line.
        let config: Self =
            toml::from_str(text).map_err(|e| ConfigError::Key(describe(origin, text, &e, None)))?;
        let mut table: toml::Table =
            text.parse().map_err(|e| ConfigError::Key(describe(origin, text, &e, None)))?;
        let mut changed = false;
        for (name, value) in env {
            if !name.starts_with(ENV_PREFIX) || NOT_KEYS.contains(&name.as_str()) {
                continue;
            }
            override_key(&mut table, &name, &value)?;
            let merged = toml::to_string(&table).unwrap_or_default();
            toml::from_str::<Self>(&merged)
                .map_err(|e| ConfigError::Key(describe(origin, &merged, &e, Some(&name))))?;
            changed = true;
        }
        if changed {
            let merged = toml::to_string(&table).unwrap_or_default();
            return toml::from_str(&merged)
                .map_err(|e| ConfigError::Key(describe(origin, &merged, &e, None)));
        }
        Ok(config)
    }
}

/// Whether two addresses can't both be listened at.
fn meet(one: &SocketAddr, other: &SocketAddr) -> bool {
    let is_everywhere = one.ip().is_unspecified() || other.ip().is_unspecified();
    // A port of 0 is whichever is free.
    one.port() == other.port()
        && one.port() != 0
        && one.is_ipv4() == other.is_ipv4()
        && (is_everywhere || one.ip() == other.ip())
}

/// Puts a variable's value at the key that its name spells: `SCHOOLGATE_DNS__LISTEN` is `dns.listen`.
fn override_key(table: &mut toml::Table, name: &str, value: &str) -> Result<(), ConfigError> {
    let path: Vec<String> = name[ENV_PREFIX.len()..].split("__").map(str::to_ascii_lowercase).collect();
    let Some((last, parents)) = path.split_last() else { return Ok(()) };
    let mut at = table;
    for parent in parents {
        at = at
            .entry(parent.clone())
            .or_insert_with(|| toml::Value::Table(toml::Table::new()))
            .as_table_mut()
            .ok_or_else(|| ConfigError::Variable {
                name: name.to_owned(),
                why: format!("{parent} is not a table"),
            })?;
    }
    // Keys that hold a list may be given as `a,b`, since that is how people write variables.
    let parsed = format!("v = {value}").parse::<toml::Table>().ok().and_then(|mut t| t.remove("v"));
    let known_list = matches!(
        last.as_str(),
        "listen"
            | "allow"
            | "tls"
            | "https"
            | "quic"
            | "trusted_forwarders"
            | "forwarders"
            | "block_page"
            | "page_addresses"
            | "names"
            | "metrics_from"
    );
    let value = match parsed {
        Some(list @ toml::Value::Array(_)) => list,
        _ if known_list => toml::Value::Array(
            value
                .split(',')
                .map(str::trim)
                .filter(|part| !part.is_empty())
                .map(|part| toml::Value::String(part.trim_matches('"').to_owned()))
                .collect(),
        ),
        Some(other) => other,
        None => toml::Value::String(value.to_owned()),
    };
    at.insert(last.clone(), value);
    Ok(())
}

/// One line for an error in a settings file: where, what, and what would be right.
fn describe(origin: &str, text: &str, error: &toml::de::Error, variable: Option<&str>) -> String {
    let place = match (variable, error.span()) {
        (Some(name), _) => format!("variable {name}"),
        (None, Some(span)) => {
            let line = text[..span.start.min(text.len())].matches('\n').count() + 1;
            format!("{origin}, line {line}")
        }
        (None, None) => origin.to_owned(),
    };
    let message = error.message().replace('\n', " ");
    let hint = unknown_and_known(&message)
        .and_then(|(word, known)| nearest(word, known).map(|k| format!("; did you mean `{k}`?")))
        .unwrap_or_default();
    format!("{place}: {message}{hint}")
}

/// The word that serde did not know and those that it expected.
fn unknown_and_known(message: &str) -> Option<(&str, Vec<&str>)> {
    let mut quoted = message.split('`').skip(1).step_by(2);
    let word = quoted.next()?;
    message.starts_with("unknown").then(|| (word, quoted.collect()))
}

/// What is wrong with the settings.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file can't be read.
    #[error("{file}: {source}", file = file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A key or its value is wrong.
    #[error("{0}")]
    Key(String),
    /// The `[dns]` table is wrong.
    #[error(transparent)]
    Dns(#[from] dns::ConfigError),
    /// Two settings want the same address.
    #[error(
        "{dns} and {pages} both want {address}: give one of them another port, for example 8443 to the web pages, or \
         another address of the box"
    )]
    Twice {
        /// The address.
        address: SocketAddr,
        /// The key of DNS.
        dns: &'static str,
        /// The key of the pages.
        pages: &'static str,
    },
    /// A variable of the environment is wrong.
    #[error("variable {name}: {why}")]
    Variable {
        /// The variable.
        name: String,
        /// What is wrong with it.
        why: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Config, String> {
        Config::from_parts("schoolgate.toml", text, []).map_err(|e| e.to_string())
    }

    fn with_env(text: &str, env: &[(&str, &str)]) -> Result<Config, String> {
        let env = env.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
        Config::from_parts("schoolgate.toml", text, env).map_err(|e| e.to_string())
    }

    #[test]
    fn an_empty_file_is_the_embedded_default() {
        let config = read("").unwrap();
        assert_eq!(config.data, Path::new("./schoolgate-data"));
        let listen: Vec<String> = config.dns.listen.iter().map(ToString::to_string).collect();
        assert_eq!(listen, ["127.0.0.1:5353", "[::1]:5353"]);
        assert_eq!(config.log.retention_days, 90);
    }

    #[test]
    fn limits_of_the_log_are_days_that_can_be() {
        let limits = read("[log]\nretention_days = 14\n").unwrap().log.limits();
        assert_eq!((limits.allowed_days, limits.blocked_days, limits.rollup_days), (14, 365, 730));
        for key in ["retention_days", "blocked_retention_days", "rollup_retention_days"] {
            let error = read(&format!("[log]\n{key} = 0\n")).unwrap_err();
            assert_eq!(error, "schoolgate.toml, line 2: 0 days is out of range; write 1 to 3650");
        }
    }

    #[test]
    fn an_unknown_key_is_an_error_with_line_and_suggestion() {
        let error = read("[dns]\nlissten = []\n").unwrap_err();
        assert!(error.starts_with("schoolgate.toml, line 2: unknown field `lissten`"), "{error}");
        assert!(error.ends_with("did you mean `listen`?"), "{error}");
    }

    #[test]
    fn a_bad_value_is_an_error_with_its_line() {
        let error = read("\n\n[admin]\nlisten = [\"nonsense\"]\n").unwrap_err();
        assert!(error.contains("line 4"), "{error}");
    }

    #[test]
    fn an_address_that_dns_and_the_pages_want_is_told_with_both_keys() {
        let check = |text: &str| read(text).unwrap().check().map_err(|error| error.to_string());
        for (text, keys) in [
            (
                "[dns]\nhttps = ['0.0.0.0:443']\n[admin]\nlisten = ['0.0.0.0:443']\n",
                "dns.https and admin.listen",
            ),
            (
                "[dns]\nhttps = ['10.0.0.1:443']\n[admin]\nlisten = ['0.0.0.0:443']\n",
                "dns.https and admin.listen",
            ),
            (
                "[dns]\ntls = ['[::]:853']\n[admin]\nblock_page = ['[::1]:853']\n",
                "dns.tls and admin.block_page",
            ),
        ] {
            let error = check(text).unwrap_err();
            assert!(error.starts_with(keys) && error.contains("another port"), "{error}");
        }
        for text in [
            "[dns]\nhttps = ['10.0.0.1:443']\n[admin]\nlisten = ['10.0.0.2:443', '[::]:443']\n",
            "[dns]\nhttps = ['0.0.0.0:0']\ntls = ['0.0.0.0:0']\n[admin]\nlisten = ['0.0.0.0:0']\n",
            "[dns]\nquic = ['0.0.0.0:443']\n[admin]\nlisten = ['0.0.0.0:443']\n",
        ] {
            check(text).unwrap();
        }
    }

    #[test]
    fn variables_override_the_file() {
        let config = with_env(
            "[dns]\nlisten = [\"127.0.0.1:1\"]\n",
            &[
                ("SCHOOLGATE_DNS__LISTEN", "127.0.0.1:0,[::1]:0"),
                ("SCHOOLGATE_DATA", "/tmp/school"),
                ("SCHOOLGATE_LOG__RETENTION_DAYS", "7"),
                ("SCHOOLGATE_LIST_DATA", "/not/a/key"),
                ("PATH", "/bin"),
            ],
        )
        .unwrap();
        let listen: Vec<String> = config.dns.listen.iter().map(ToString::to_string).collect();
        assert_eq!(listen, ["127.0.0.1:0", "[::1]:0"]);
        assert_eq!(config.data, Path::new("/tmp/school"));
        assert_eq!(config.log.retention_days, 7);
    }

    #[test]
    fn a_variable_for_no_key_is_an_error_that_names_it() {
        let error = with_env("", &[("SCHOOLGATE_DNS__LISSTEN", "[]")]).unwrap_err();
        assert!(error.starts_with("variable SCHOOLGATE_DNS__LISSTEN: unknown field"), "{error}");
    }
}
