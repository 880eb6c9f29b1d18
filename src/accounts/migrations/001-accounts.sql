-- Times are milliseconds since 1970, UTC. Passwords and the break-glass code lie as argon2id hashes; what the box made
-- itself and nobody could guess (sessions, tokens, recovery codes) as SHA-256 digests.

CREATE TABLE user (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    name        TEXT    NOT NULL UNIQUE,    -- what is typed to sign in, in lower case
    full_name   TEXT    NOT NULL,
    role        TEXT    NOT NULL,
    ends        TEXT,                       -- the last day of access, as 2026-12-31
    disabled    INTEGER NOT NULL DEFAULT 0,
    password    TEXT    NOT NULL,           -- a PHC string
    must_change INTEGER NOT NULL,
    made_ms     INTEGER NOT NULL,
    password_ms INTEGER NOT NULL,
    seen_ms     INTEGER,
    totp        BLOB,                       -- the secret of the second factor, sealed
    totp_step   INTEGER,                    -- the step of the last code that was used
    pardon_ms   INTEGER NOT NULL DEFAULT 0  -- guesses of before do not count any more
) STRICT;

CREATE TABLE recovery (
    user INTEGER NOT NULL REFERENCES user (id) ON DELETE CASCADE,
    hash BLOB    NOT NULL,
    PRIMARY KEY (user, hash)
) STRICT;

CREATE TABLE session (
    id       INTEGER PRIMARY KEY AUTOINCREMENT,
    hash     BLOB    NOT NULL UNIQUE,
    user     INTEGER REFERENCES user (id) ON DELETE CASCADE, -- none: opened by the break-glass code
    stage    TEXT    NOT NULL,
    made_ms  INTEGER NOT NULL,
    used_ms  INTEGER NOT NULL,
    fresh_ms INTEGER NOT NULL,
    ends_ms  INTEGER NOT NULL,
    address  TEXT    NOT NULL,
    agent    TEXT    NOT NULL,
    tries    INTEGER NOT NULL DEFAULT 0,    -- wrong codes
    proposed BLOB                           -- a second factor that is being set up, sealed
) STRICT;

CREATE INDEX session_user ON session (user);

CREATE TABLE token (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    hash    BLOB    NOT NULL UNIQUE,
    user    INTEGER NOT NULL REFERENCES user (id) ON DELETE CASCADE,
    name    TEXT    NOT NULL,
    scopes  TEXT    NOT NULL,               -- words with a space between them
    made_ms INTEGER NOT NULL,
    ends    TEXT,                           -- the last day, as 2026-12-31
    used_ms INTEGER
) STRICT;

CREATE TABLE break_glass (
    id        INTEGER PRIMARY KEY CHECK (id = 1),
    hash      TEXT,                         -- none once it was used
    made_ms   INTEGER NOT NULL,
    used_ms   INTEGER,
    used_from TEXT
) STRICT;

CREATE TABLE access_review (
    id    INTEGER PRIMARY KEY AUTOINCREMENT,
    at_ms INTEGER NOT NULL,
    who   TEXT    NOT NULL
) STRICT;
