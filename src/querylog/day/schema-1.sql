-- One day of the query log. Every table but `question` is small: words are kept once and pointed to.
-- `at` is the millisecond of the UTC day times 256, plus a number that tells questions of one millisecond apart.

CREATE TABLE about (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- The names asked for, the last label first (`uk.co.bbc.www`), so that all names below a domain lie side by side.
CREATE TABLE name (
    id       INTEGER PRIMARY KEY,
    reversed TEXT NOT NULL UNIQUE, -- a digest (`locked:…`) for a name that must not be shown
    sealed   BLOB                  -- such a name, encrypted with the box's key
) STRICT;

-- Who asked, and how that is known.
CREATE TABLE asker (
    id          INTEGER PRIMARY KEY,
    client      TEXT    NOT NULL, -- an address, or a pseudonym (`device-…`)
    profile     TEXT    NOT NULL, -- the profile's identifier; empty where the question was refused before it was known
    device      TEXT    NOT NULL, -- the name that the school gave the device; empty where it has none
    mac         TEXT    NOT NULL, -- its link-layer address, where the neighbour table had it; else empty
    known_by    TEXT    NOT NULL, -- mac, address, subnet, fallback or nothing
    confidence  TEXT    NOT NULL, -- high, medium, low or none: how sure it is that it was this device
    lease_from  INTEGER NOT NULL, -- seconds since 1970: the lease that the address was held under; 0 where unknown
    lease_until INTEGER NOT NULL,
    sealed      BLOB,             -- behind a pseudonym: address, device and mac, encrypted with the key of the day
    UNIQUE (client, profile, device, mac, known_by, lease_from, lease_until)
) STRICT;

-- What became of questions: one row for each combination that occurred. Lists are joined by a space, empty is none.
CREATE TABLE fate (
    id         INTEGER PRIMARY KEY,
    transport  TEXT    NOT NULL, -- udp, tcp, tls, https or quic
    qtype      TEXT    NOT NULL,
    rcode      TEXT    NOT NULL,
    action     TEXT    NOT NULL, -- allowed, blocked, rewritten, refused, limited or failed
    reason     TEXT    NOT NULL, -- what decided, in a word (docs/query-log.md)
    category   TEXT    NOT NULL, -- the category that decided
    list       TEXT    NOT NULL, -- the list that decided
    rule       TEXT    NOT NULL, -- the school's rule, service, lesson or schedule that decided
    detail     TEXT    NOT NULL, -- the alias, address or name server that decided
    would      TEXT    NOT NULL, -- in a profile that only watches: the reason for which it would have been blocked
    categories TEXT    NOT NULL, -- all categories of the name
    dnssec     TEXT    NOT NULL, -- secure, insecure, bogus, indeterminate, or empty for what was not looked up
    source     TEXT    NOT NULL, -- policy, local, cache, stale or upstream
    alert      INTEGER NOT NULL, -- 1 where somebody may have to look at it
    UNIQUE (transport, qtype, rcode, action, reason, category, list, rule, detail, would, categories, dnssec, source,
            alert)
) STRICT;

CREATE TABLE question (
    at    INTEGER PRIMARY KEY,
    asker INTEGER NOT NULL,
    name  INTEGER NOT NULL,
    fate  INTEGER NOT NULL,
    took  INTEGER NOT NULL -- microseconds
) STRICT;

-- The index: stretches of about a thousand questions, and which askers, names and fates occur in each. It costs a few
-- bytes a question where an index of every row would cost forty.
CREATE TABLE span (
    number INTEGER PRIMARY KEY, -- counts up from 1
    first  INTEGER NOT NULL     -- the smallest `at` in it; it ends where the next one begins
) STRICT;
CREATE TABLE asker_span (asker INTEGER NOT NULL, span INTEGER NOT NULL, PRIMARY KEY (asker, span)) STRICT, WITHOUT ROWID;
CREATE TABLE name_span (name INTEGER NOT NULL, span INTEGER NOT NULL, PRIMARY KEY (name, span)) STRICT, WITHOUT ROWID;
CREATE TABLE fate_span (fate INTEGER NOT NULL, span INTEGER NOT NULL, PRIMARY KEY (fate, span)) STRICT, WITHOUT ROWID;

-- Questions that are counted but have no row: lost to a full queue or a full disk, or not to be kept by name.
CREATE TABLE unkept (
    id         INTEGER PRIMARY KEY,
    from_ms    INTEGER NOT NULL, -- milliseconds since 1970
    until_ms   INTEGER NOT NULL,
    questions  INTEGER NOT NULL,
    reason     TEXT    NOT NULL  -- queue-full, disk-full, damaged or flood
) STRICT;

-- Counts of each hour, of all questions whether or not they have a row.
CREATE TABLE hour_count (
    hour      INTEGER NOT NULL, -- 0 to 23, UTC
    profile   TEXT    NOT NULL,
    category  TEXT    NOT NULL, -- that decided, or the first that the name has; empty where it is on no list
    action    TEXT    NOT NULL,
    questions INTEGER NOT NULL,
    PRIMARY KEY (hour, profile, category, action)
) STRICT, WITHOUT ROWID;
CREATE TABLE hour_latency (
    hour      INTEGER NOT NULL,
    source    TEXT    NOT NULL,
    bucket    INTEGER NOT NULL, -- took less than 2^bucket microseconds, and at least half of that
    questions INTEGER NOT NULL,
    PRIMARY KEY (hour, source, bucket)
) STRICT, WITHOUT ROWID;

-- For people with sqlite3: SELECT * FROM log ORDER BY time DESC LIMIT 20;
CREATE VIEW log AS
SELECT (SELECT value FROM about WHERE key = 'day') || 'T'
           || strftime('%H:%M:%f', question.at / 256000.0, 'unixepoch') || 'Z' AS time,
       asker.client, asker.device, asker.profile, asker.known_by, asker.confidence,
       name.reversed, fate.qtype, fate.rcode, fate.action, fate.reason, fate.category, fate.list, fate.rule,
       fate.detail, fate.would, fate.dnssec, fate.source, fate.transport, question.took AS took_us
FROM question
JOIN asker ON asker.id = question.asker
JOIN name ON name.id = question.name
JOIN fate ON fate.id = question.fate;
