//! Rows as CSV (RFC 4180) that a spreadsheet opens without doing anything that a name in it says.

use std::io::{self, Write};

/// Writes a row, its cells divided by commas, with CR LF behind it.
///
/// A cell that a spreadsheet would take for a formula (it begins with `=`, `+`, `-`, `@`, a tab, a line end, or one of
/// the wide forms of these) gets an apostrophe in front, which spreadsheets take as the sign of a text. Names that
/// clients ask for are anybody's to choose, so such cells do occur.
pub(in crate::querylog) fn row<'a>(
    to: &mut impl Write,
    cells: impl IntoIterator<Item = &'a str>,
) -> io::Result<()> {
    for (place, cell) in cells.into_iter().enumerate() {
        if place > 0 {
            to.write_all(b",")?;
        }
        write_cell(to, cell)?;
    }
    to.write_all(b"\r\n")
}

fn write_cell(to: &mut impl Write, cell: &str) -> io::Result<()> {
    let tame: &[u8] = if is_active(cell) { b"'" } else { b"" };
    if !cell.bytes().any(|byte| matches!(byte, b',' | b'"' | b'\r' | b'\n')) {
        to.write_all(tame)?;
        return to.write_all(cell.as_bytes());
    }
    to.write_all(b"\"")?;
    to.write_all(tame)?;
    for (place, part) in cell.split('"').enumerate() {
        if place > 0 {
            to.write_all(b"\"\"")?;
        }
        to.write_all(part.as_bytes())?;
    }
    to.write_all(b"\"")
}

fn is_active(cell: &str) -> bool {
    // Spreadsheets pass over spaces in front.
    cell.trim_start_matches(' ').starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠'])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(cells: &[&str]) -> String {
        let mut bytes = Vec::new();
        row(&mut bytes, cells.iter().copied()).unwrap();
        String::from_utf8(bytes).unwrap()
    }

    /// A strict reader of one row.
    fn read(mut text: &str) -> Option<Vec<String>> {
        let mut cells = Vec::new();
        loop {
            let mut cell = String::new();
            if let Some(quoted) = text.strip_prefix('"') {
                text = quoted;
                loop {
                    let at = text.find('"')?;
                    cell.push_str(&text[..at]);
                    text = &text[at + 1..];
                    match text.strip_prefix('"') {
                        Some(rest) => {
                            cell.push('"');
                            text = rest;
                        }
                        None => break,
                    }
                }
            } else {
                let end = text.find([',', '\r', '\n', '"'])?;
                cell.push_str(&text[..end]);
                text = &text[end..];
            }
            cells.push(cell);
            match text {
                "\r\n" => return Some(cells),
                _ => text = text.strip_prefix(',')?,
            }
        }
    }

    #[test]
    fn cells_are_quoted_where_they_must_be_and_formulas_are_tamed() {
        assert_eq!(text(&["a", "", "b c"]), "a,,b c\r\n");
        assert_eq!(
            text(&["a,b", "say \"no\"", "two\nlines"]),
            "\"a,b\",\"say \"\"no\"\"\",\"two\nlines\"\r\n"
        );
        assert_eq!(text(&["=1+1", "+1", "-1", "@x", "\tx", "a=b"]), "'=1+1,'+1,'-1,'@x,'\tx,a=b\r\n");
        assert_eq!(text(&["=cmd(\"x\",1)", " =1", "＝1"]), "\"'=cmd(\"\"x\"\",1)\",' =1,'＝1\r\n");
    }

    proptest! {
        #[test]
        fn any_cells_come_back_and_none_of_them_is_a_formula(
            cells in proptest::collection::vec("[-=+@a,\"\t\r\n ＝]{0,8}", 1..6),
        ) {
            let borrowed: Vec<&str> = cells.iter().map(String::as_str).collect();
            let read = read(&text(&borrowed)).expect("strict CSV");
            prop_assert_eq!(read.len(), cells.len());
            for (read, cell) in read.iter().zip(&cells) {
                prop_assert!(!is_active(read), "{:?}", read);
                let own = if is_active(cell) { read.strip_prefix('\'') } else { Some(read.as_str()) };
                prop_assert_eq!(own, Some(cell.as_str()));
            }
        }
    }
}
