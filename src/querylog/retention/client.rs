//! Which lines of the log are a device's.

use rusqlite::Connection;

use crate::querylog::{day::rows::AskerRow, privacy::DayKey, who::Who};

/// Whether an asker is the device, as far as the log says so. Who stands behind a pseudonym is known with the key of the
/// day.
fn is(wanted: &Who, asker: &AskerRow, key: Option<&DayKey>) -> bool {
    let behind = || asker.sealed.as_deref().zip(key).and_then(|(sealed, key)| key.open(sealed));
    wanted.is_asker(asker, key) || behind().is_some_and(|who| wanted.is(&who.address, &who.device, &who.mac))
}

/// The askers of a day file that are the device: number and what stands for it, in the order of the numbers.
pub(super) fn askers_of(
    connection: &Connection,
    wanted: &Who,
    key: Option<&DayKey>,
) -> rusqlite::Result<Vec<(i64, AskerRow)>> {
    let mut found = Vec::new();
    let sql = format!("SELECT id, {} FROM asker ORDER BY id", AskerRow::COLUMNS);
    let mut statement = connection.prepare(&sql)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (id, asker) = (row.get(0)?, AskerRow::read(row, 1)?);
        if is(wanted, &asker, key) {
            found.push((id, asker));
        }
    }
    Ok(found)
}
