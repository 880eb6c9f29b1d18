//! squidGuard and UT1 folders: a folder for each category with `domains`, `urls`, `expressions` and `usage`.
//!
//! Walking folders and archives is [`source`](crate::lists::source)'s; here is what their files mean.

use std::io::{self, BufRead};

use super::{
    MatchMode, Out, Skip, SkipReason,
    lines::{self, Line},
};

/// Reads a line of a `domains` file, where every name stands for what is below it too.
pub(super) fn line(line: &str, out: Out<'_>) {
    super::domains::line(line, MatchMode::Subdomains, out);
}

/// A file of a category's folder, by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum File {
    /// Names; mirrors split long files into `domains.0`, `domains.1`.
    Domains,
    /// Hosts with paths. Never cut down to the host: that would block a whole hosting service for one page.
    Urls,
    /// Regular expressions over URLs.
    Expressions,
    /// What the category is meant for.
    Usage,
}

impl File {
    /// The kind of a file, by its name; none for a file that squidGuard would not read.
    pub(crate) fn of(name: &str) -> Option<Self> {
        match name {
            "domains" => Some(Self::Domains),
            "urls" => Some(Self::Urls),
            "expressions" => Some(Self::Expressions),
            "usage" => Some(Self::Usage),
            _ => {
                let part = name.strip_prefix("domains.")?;
                (!part.is_empty() && part.bytes().all(|b| b.is_ascii_digit())).then_some(Self::Domains)
            }
        }
    }

    /// Why each line of the file is skipped; none for files of names.
    pub(crate) fn skipped(self) -> Option<SkipReason> {
        match self {
            Self::Urls => Some(SkipReason::Path),
            Self::Expressions => Some(SkipReason::Regex),
            Self::Domains | Self::Usage => None,
        }
    }
}

/// What a category is meant for, as its `usage` file says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Usage {
    /// To be blocked; also what a category without the file is for.
    Black,
    /// To be allowed. Imported as a block list it would block children's sites, banks and updates.
    White,
    /// Either, as the school likes; read as one to be blocked.
    Both,
}

impl Usage {
    /// Reads a `usage` file: one word a line, and words in which the authors describe the category.
    pub(crate) fn parse(text: &str) -> Self {
        let says = |word: &str| text.lines().any(|line| line.trim().eq_ignore_ascii_case(word));
        match (says("black"), says("white")) {
            (true, true) => Self::Both,
            (false, true) => Self::White,
            _ => Self::Black,
        }
    }
}

/// Hands each line of a file whose lines can't be followed to `sink` as skipped.
pub(crate) fn skip_all(
    input: &mut dyn BufRead,
    reason: SkipReason,
    sink: &mut dyn FnMut(u64, Skip<'_>),
) -> io::Result<()> {
    lines::for_each(input, &mut |number, line| match line {
        Line::TooLong(text) => sink(number, Skip { reason: SkipReason::LineTooLong, text }),
        Line::Whole(text) => {
            if !matches!(text.trim_ascii().first(), None | Some(b'#')) {
                sink(number, Skip { reason, text });
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usage_tells_black_from_white() {
        assert_eq!(Usage::parse("black\nporn adult\n"), Usage::Black);
        assert_eq!(Usage::parse("white\r\nchild\r\n"), Usage::White);
        assert_eq!(Usage::parse("white\nblack\n"), Usage::Both);
        assert_eq!(Usage::parse("something white-ish\n"), Usage::Black);
        assert_eq!(Usage::parse(""), Usage::Black);
    }

    #[test]
    fn split_files_of_names_are_names() {
        assert_eq!(File::of("domains.0"), Some(File::Domains));
        assert_eq!(File::of("domains.txt"), None);
        assert_eq!(File::of("very_restrictive_expression"), None);
    }
}
