-- A key signs for the host name that it was added under, and for no other.
CREATE TABLE security_key (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    user       INTEGER NOT NULL REFERENCES user (id) ON DELETE CASCADE,
    host       TEXT    NOT NULL,
    name       TEXT    NOT NULL,            -- what its owner calls it
    credential BLOB    NOT NULL UNIQUE,     -- what the key calls itself
    public_key TEXT    NOT NULL,            -- and what else is known of the key, as JSON
    counter    INTEGER NOT NULL DEFAULT 0,  -- what it said last of how often it was used
    made_ms    INTEGER NOT NULL,
    used_ms    INTEGER
) STRICT;

CREATE INDEX security_key_user ON security_key (user);
