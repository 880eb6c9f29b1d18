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
    if cell.contains([',', '"', '\r', '\n', ';', '\t']) || cell.starts_with(' ') || cell.ends_with(' ') {
        Cow::Owned(format!("\"{}\"", cell.replace('"', "\"\"")))
    } else {
        Cow::Borrowed(cell)
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
    fn read(text: &str) -> Vec<Vec<String>> {
        let (mut rows, mut row, mut cell, mut within) = (Vec::new(), Vec::new(), String::new(), false);
        let mut chars = text.chars().peekable();
        while let Some(c) = chars.next() {
            match c {
                '"' if within && chars.peek() == Some(&'"') => {
                    chars.next();
                    cell.push('"');
                }
                '"' => within = !within,
                ',' if !within => row.push(std::mem::take(&mut cell)),
                '\r' if !within => {}
                '\n' if !within => {
                    row.push(std::mem::take(&mut cell));
                    rows.push(std::mem::take(&mut row));
                }
                c => cell.push(c),
            }
        }
        rows
    }

    proptest! {
        #[test]
        fn what_is_written_can_be_read_again(
            rows in proptest::collection::vec(proptest::collection::vec("[a-c=+@,\"\r\n -]{0,6}", 1..4), 0..4),
        ) {
            let text: String = rows.iter().map(line).collect();
            let again = read(&text);
            prop_assert_eq!(again.len(), rows.len());
            for (again, row) in again.iter().flatten().zip(rows.iter().flatten()) {
                let expected = harmless(row).into_owned();
                prop_assert_eq!(again, &expected);
            }
        }
    }
}
