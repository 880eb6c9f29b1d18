//! What the roll-ups have of single clients.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;
use serde::Serialize;

use super::Rollup;
use crate::{clock::Day, querylog::error::LogError};

/// How much a client asked on a day on which it was among those that asked most.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ClientCount {
    /// The UTC day.
    pub day: Date,
    /// An address or a pseudonym.
    pub client: String,
    /// The profile's identifier.
    pub profile: String,
    /// What happened to the questions: `allowed` or `blocked`.
    pub action: String,
    /// How many.
    pub questions: u64,
}

impl Rollup {
    /// The counts of these clients on these days.
    ///
    /// # Errors
    ///
    /// When the roll-ups can't be read.
    pub fn of_clients(&self, wanted: &BTreeMap<Day, BTreeSet<String>>) -> Result<Vec<ClientCount>, LogError> {
        let Some(connection) = self.open_to_read()? else { return Ok(Vec::new()) };
        let read = || -> rusqlite::Result<Vec<ClientCount>> {
            let mut statement = connection.prepare(
                "SELECT profile.text, action.text, questions FROM day_client
                 JOIN client ON client.id = day_client.client
                 JOIN word AS profile ON profile.id = day_client.profile
                 JOIN word AS action ON action.id = day_client.action
                 WHERE period = ?1 AND client.text = ?2 ORDER BY profile.text, action.text",
            )?;
            let mut counts = Vec::new();
            for (day, clients) in wanted {
                for client in clients {
                    let mut rows = statement.query((day.number(), client))?;
                    while let Some(row) = rows.next()? {
                        counts.push(ClientCount {
                            day: day.date(),
                            client: client.clone(),
                            profile: row.get(0)?,
                            action: row.get(1)?,
                            questions: row.get::<_, i64>(2)?.unsigned_abs(),
                        });
                    }
                }
            }
            Ok(counts)
        };
        read().map_err(|source| LogError::database(&self.file, source))
    }
}
