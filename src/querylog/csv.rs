//! Lines of CSV (RFC 4180) that are safe to open in a spreadsheet.

use std::borrow::Cow;

/// One line, with its end (CR LF).
///
/// A cell that a spreadsheet would take for a formula (it begins with `=`, `+`, `-`, `@`, a tab or a line end) gets an
/// apostrophe in front, which spreadsheets take as "this is text".
#[must_use]
pub fn line<T: AsRef<str>>(cells: impl IntoIterator<Item = T>) -> String {
    let mut line = String::new();
    for (at, cell) in cells.into_iter().enumerate() {
        if at > 0 {
            line.push(',');
        }
        line.push_str(&quoted(&harmless(cell.as_ref())));
    }
    line.push_str("\r\n");
    line
}

fn harmless(cell: &str) -> Cow<'_, str> {
    // Spreadsheets skip spaces in front.
    if cell
        .trim_start_matches(' ')
        .starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠'])
    {
        Cow::Owned(format!("'{cell}"))
    } else {
        Cow::Borrowed(cell)
    }
}

fn quoted(cell: &str) -> Cow<'_, str> {
    if cell.contains([',', '"', '\r', '\n', ';', '\t'])
        || cell.starts_with([' ', '\u{feff}'])
        || cell.ends_with(' ')
    {
        Cow::Owned(format!("\"{}\"", cell.replace('"', "\"\"")))
    } else {
        Cow::Borrowed(cell)
    }
}

/// The rows of a text of CSV, each with the number of its first line, from 1. Empty lines are left out, and what
/// [`line()`] put before a cell that would be a formula is taken off again.
///
/// A quote that is never closed reaches to the end of the text.
#[must_use]
pub fn rows(text: &str) -> Vec<(usize, Vec<String>)> {
    let text = text.trim_start_matches('\u{feff}');
    let (mut rows, mut row, mut cell, mut within) = (Vec::new(), Vec::new(), String::new(), false);
    let (mut number, mut first) = (1, 1);
    let mut chars = text.chars().peekable();
    let mut end = |row: &mut Vec<String>, cell: &mut String, first: usize| {
        row.push(as_written(&std::mem::take(cell)));
        let whole = std::mem::take(row);
        if whole.len() > 1 || whole.iter().any(|cell| !cell.is_empty()) {
            rows.push((first, whole));
        }
    };
    while let Some(c) = chars.next() {
        number += usize::from(c == '\n');
        match c {
            '"' if within && chars.peek() == Some(&'"') => {
                chars.next();
                cell.push('"');
            }
            '"' if within => within = false,
            '"' if cell.is_empty() => within = true,
            ',' if !within => row.push(as_written(&std::mem::take(&mut cell))),
            '\r' if !within => {}
            '\n' if !within => {
                end(&mut row, &mut cell, first);
                first = number;
            }
            c => cell.push(c),
        }
    }
    end(&mut row, &mut cell, first);
    rows
}

/// A cell without the mark that makes it harmless.
fn as_written(cell: &str) -> String {
    match cell.strip_prefix('\'') {
        Some(rest) if harmless(rest) != rest => rest.to_owned(),
        _ => cell.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn cells_are_quoted_where_they_must_be() {
        assert_eq!(line(["a", "b c", ""]), "a,b c,\r\n");
        assert_eq!(
            line(["a,b", "say \"no\"", "two\nlines"]),
            "\"a,b\",\"say \"\"no\"\"\",\"two\nlines\"\r\n"
        );
    }

    #[test]
    fn no_cell_is_a_formula() {
        for cell in ["=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\r=x", " =1", "＝1"] {
            let made = line([cell]);
            assert!(made.trim_start_matches('"').starts_with('\''), "{cell:?}: {made:?}");
        }
        assert_eq!(line(["a=1", "b-c.example"]), "a=1,b-c.example\r\n");
    }

    /// Reads what RFC 4180 says.
    #[test]
    fn what_people_write_is_read() {
        let text = "\u{feff}action,name\n\nallow,\"a, \"\"b\"\"\nc\"\r\nblock,'=x.example\n'tis,\"open";
        let expected = [
            (1, vec!["action", "name"]),
            (3, vec!["allow", "a, \"b\"\nc"]),
            (5, vec!["block", "=x.example"]),
            (6, vec!["'tis", "open"]),
        ];
        let read = rows(text);
        assert_eq!(read.len(), expected.len(), "{read:?}");
        for ((number, row), (line, cells)) in read.iter().zip(expected) {
            assert_eq!((*number, row.iter().map(String::as_str).collect::<Vec<_>>()), (line, cells));
        }
        assert!(rows("").is_empty() && rows("\n\r\n").is_empty());
    }

    proptest! {
        #[test]
        fn what_is_written_can_be_read_again(
            written in proptest::collection::vec(proptest::collection::vec("[a-c=+@,\"\r\n -]{0,6}", 1..4), 0..4),
        ) {
            let text: String = written.iter().map(line).collect();
            let again: Vec<_> = rows(&text).into_iter().map(|(_, row)| row).collect();
            // A line without anything is no row; a quote of ours in front is one that a person may have written.
            let expected: Vec<_> = written.into_iter().filter(|row| *row != [""]).collect();
            prop_assert_eq!(again, expected);
        }

        #[test]
        fn what_was_read_of_anything_is_read_again_after_it_was_written(
            text in "([a-c=+'@,;\"\r\n\t -]|\u{feff}|＝|\\PC){0,40}",
        ) {
            let cells = |text: &str| rows(text).into_iter().map(|(_, row)| row).collect::<Vec<_>>();
            let read = cells(&text);
            let written: String = read.iter().map(line).collect();
            prop_assert_eq!(cells(&written), read);
        }
    }
}
