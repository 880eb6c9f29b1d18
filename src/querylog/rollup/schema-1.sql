-- Roll-ups: what charts and reports are made from. Each table is there twice, by the hour and by the UTC day; `period`
-- is the number of hours, or of days, since 1970.

CREATE TABLE word (id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE) STRICT; -- profiles, categories, actions, sources
CREATE TABLE name (id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE) STRICT; -- the last label first, as in day files
CREATE TABLE client (id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE) STRICT; -- an address or a pseudonym

-- The periods that are complete.
CREATE TABLE hour_done (period INTEGER PRIMARY KEY) STRICT;
CREATE TABLE day_done (period INTEGER PRIMARY KEY) STRICT;

CREATE TABLE hour_count (
    period    INTEGER NOT NULL,
    profile   INTEGER NOT NULL,
    category  INTEGER NOT NULL,
    action    INTEGER NOT NULL,
    questions INTEGER NOT NULL,
    PRIMARY KEY (period, profile, category, action)
) STRICT, WITHOUT ROWID;
CREATE TABLE day_count (
    period    INTEGER NOT NULL,
    profile   INTEGER NOT NULL,
    category  INTEGER NOT NULL,
    action    INTEGER NOT NULL,
    questions INTEGER NOT NULL,
    PRIMARY KEY (period, profile, category, action)
) STRICT, WITHOUT ROWID;

CREATE TABLE hour_latency (
    period    INTEGER NOT NULL,
    source    INTEGER NOT NULL,
    bucket    INTEGER NOT NULL, -- took less than 2^bucket microseconds, and at least half of that
    questions INTEGER NOT NULL,
    PRIMARY KEY (period, source, bucket)
) STRICT, WITHOUT ROWID;
CREATE TABLE day_latency (
    period    INTEGER NOT NULL,
    source    INTEGER NOT NULL,
    bucket    INTEGER NOT NULL,
    questions INTEGER NOT NULL,
    PRIMARY KEY (period, source, bucket)
) STRICT, WITHOUT ROWID;

-- What was asked for most, of what was allowed and of what was blocked.
CREATE TABLE hour_name (
    period    INTEGER NOT NULL,
    profile   INTEGER NOT NULL,
    action    INTEGER NOT NULL,
    name      INTEGER NOT NULL,
    questions INTEGER NOT NULL,
    clients   INTEGER NOT NULL, -- how many asked; 3 are three or more
    PRIMARY KEY (period, profile, action, name)
) STRICT, WITHOUT ROWID;
CREATE TABLE day_name (
    period    INTEGER NOT NULL,
    profile   INTEGER NOT NULL,
    action    INTEGER NOT NULL,
    name      INTEGER NOT NULL,
    questions INTEGER NOT NULL,
    clients   INTEGER NOT NULL,
    PRIMARY KEY (period, profile, action, name)
) STRICT, WITHOUT ROWID;

-- Who asked most. These rows go with the rows of the day files that they were made from.
CREATE TABLE hour_client (
    period    INTEGER NOT NULL,
    profile   INTEGER NOT NULL,
    action    INTEGER NOT NULL,
    client    INTEGER NOT NULL,
    questions INTEGER NOT NULL,
    PRIMARY KEY (period, profile, action, client)
) STRICT, WITHOUT ROWID;
CREATE TABLE day_client (
    period    INTEGER NOT NULL,
    profile   INTEGER NOT NULL,
    action    INTEGER NOT NULL,
    client    INTEGER NOT NULL,
    questions INTEGER NOT NULL,
    PRIMARY KEY (period, profile, action, client)
) STRICT, WITHOUT ROWID;
