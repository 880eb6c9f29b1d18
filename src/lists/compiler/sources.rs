//! Adding whole sources: files of any format, compressed or not, archives, folders.

use xxhash_rust::xxh3::Xxh3;

use super::{CompileError, Compiler, Source};
use crate::lists::{
    format::{Format, MatchMode, Rule, Subject},
    source::{self, Contents},
};

impl Compiler {
    /// Adds a list from a source; its version is the checksum of all its rules and skipped lines.
    ///
    /// Without a `format`, it is detected. With `allow`, its rules open names, as those of an allow-list do.
    ///
    /// # Errors
    ///
    /// With [`CompileError::Source`] the list is left out and others can be added; after another error the compiler
    /// is of no use.
    pub fn add_source(
        &mut self,
        about: Source,
        from: &source::Source,
        format: Option<Format>,
        mode: MatchMode,
        allow: bool,
    ) -> Result<Contents, CompileError> {
        let list = self.start(about, String::new(), 0, true)?;
        let mut sum = Xxh3::new();
        let mut failed = None;
        let read = from.read(format, mode, &mut |_, outcome| match outcome {
            Ok(rule) => {
                let rule = Rule { allow: rule.allow || allow, ..rule };
                digest(&mut sum, &rule);
                if failed.is_none() {
                    failed = self.push(list, rule).err();
                }
            }
            Err(skip) => {
                sum.update(skip.text);
                self.skip(list, skip.reason.to_string());
            }
        });
        if let Some(source) = failed {
            return Err(CompileError::Sort { id: self.id(list), source });
        }
        match read {
            Ok(contents) => {
                self.lists[list].summary.meta.version = format!("{:032x}", sum.digest128());
                Ok(contents)
            }
            Err(source) => {
                self.lists[list].discarded = true;
                Err(CompileError::Source { id: self.id(list), source })
            }
        }
    }
}

fn digest(sum: &mut Xxh3, rule: &Rule) {
    match &rule.subject {
        Subject::Name { key, mode } => {
            sum.update(key.as_bytes());
            sum.update(&[0, u8::from(*mode == MatchMode::Exact), u8::from(rule.allow)]);
        }
        Subject::Address(net) => {
            sum.update(net.to_string().as_bytes());
            sum.update(&[0, 2, u8::from(rule.allow)]);
        }
    }
}
