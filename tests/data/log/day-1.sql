-- A day file of version 1, as the program of that version wrote it. Never to be changed: such files lie on boxes.
PRAGMA application_id = 1397189735;
PRAGMA user_version = 1;
BEGIN TRANSACTION;
CREATE TABLE about (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO "about" VALUES('day','2026-11-25');
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
INSERT INTO "asker" VALUES(1,'127.0.0.1','ks2','','','subnet','low',0,0,NULL);
CREATE TABLE asker_span (asker INTEGER NOT NULL, span INTEGER NOT NULL, PRIMARY KEY (asker, span)) STRICT, WITHOUT ROWID;
INSERT INTO "asker_span" VALUES(1,1);
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
INSERT INTO "fate" VALUES(1,'udp','A','NOERROR','blocked','category','gambling','starter-gambling','','','','gambling','','policy',1);
INSERT INTO "fate" VALUES(2,'udp','A','NOERROR','blocked','category','games','starter-games','','','','games','','policy',0);
INSERT INTO "fate" VALUES(3,'udp','A','NXDOMAIN','blocked','canary','','','','','','','','policy',0);
INSERT INTO "fate" VALUES(4,'udp','HTTPS','NOERROR','blocked','category','gambling','starter-gambling','','','','gambling','','policy',1);
CREATE TABLE fate_span (fate INTEGER NOT NULL, span INTEGER NOT NULL, PRIMARY KEY (fate, span)) STRICT, WITHOUT ROWID;
INSERT INTO "fate_span" VALUES(1,1);
INSERT INTO "fate_span" VALUES(2,1);
INSERT INTO "fate_span" VALUES(3,1);
INSERT INTO "fate_span" VALUES(4,1);
CREATE TABLE hour_count (
    hour      INTEGER NOT NULL, -- 0 to 23, UTC
    profile   TEXT    NOT NULL,
    category  TEXT    NOT NULL, -- that decided, or the first that the name has; empty where it is on no list
    action    TEXT    NOT NULL,
    questions INTEGER NOT NULL,
    PRIMARY KEY (hour, profile, category, action)
) STRICT, WITHOUT ROWID;
INSERT INTO "hour_count" VALUES(23,'ks2','','blocked',1);
INSERT INTO "hour_count" VALUES(23,'ks2','gambling','blocked',3);
INSERT INTO "hour_count" VALUES(23,'ks2','games','blocked',1);
CREATE TABLE hour_latency (
    hour      INTEGER NOT NULL,
    source    TEXT    NOT NULL,
    bucket    INTEGER NOT NULL, -- took less than 2^bucket microseconds, and at least half of that
    questions INTEGER NOT NULL,
    PRIMARY KEY (hour, source, bucket)
) STRICT, WITHOUT ROWID;
INSERT INTO "hour_latency" VALUES(23,'policy',9,5);
CREATE TABLE name (
    id       INTEGER PRIMARY KEY,
    reversed TEXT NOT NULL UNIQUE, -- a digest (`locked:…`) for a name that must not be shown
    sealed   BLOB                  -- such a name, encrypted with the box's key
) STRICT;
INSERT INTO "name" VALUES(1,'com.bet365.www',NULL);
INSERT INTO "name" VALUES(2,'com.bet365',NULL);
INSERT INTO "name" VALUES(3,'com.roblox',NULL);
INSERT INTO "name" VALUES(4,'net.use-application-dns',NULL);
CREATE TABLE name_span (name INTEGER NOT NULL, span INTEGER NOT NULL, PRIMARY KEY (name, span)) STRICT, WITHOUT ROWID;
INSERT INTO "name_span" VALUES(1,1);
INSERT INTO "name_span" VALUES(2,1);
INSERT INTO "name_span" VALUES(3,1);
INSERT INTO "name_span" VALUES(4,1);
CREATE TABLE question (
    at    INTEGER PRIMARY KEY,
    asker INTEGER NOT NULL,
    name  INTEGER NOT NULL,
    fate  INTEGER NOT NULL,
    took  INTEGER NOT NULL -- microseconds
) STRICT;
INSERT INTO "question" VALUES(21897720832,1,1,1,364);
INSERT INTO "question" VALUES(21897735168,1,2,1,365);
INSERT INTO "question" VALUES(21897750784,1,3,2,323);
INSERT INTO "question" VALUES(21897769216,1,4,3,327);
INSERT INTO "question" VALUES(21897783808,1,2,4,395);
CREATE TABLE span (
    number INTEGER PRIMARY KEY, -- counts up from 1
    first  INTEGER NOT NULL     -- the smallest `at` in it; it ends where the next one begins
) STRICT;
INSERT INTO "span" VALUES(1,0);
CREATE TABLE unkept (
    id         INTEGER PRIMARY KEY,
    from_ms    INTEGER NOT NULL, -- milliseconds since 1970
    until_ms   INTEGER NOT NULL,
    questions  INTEGER NOT NULL,
    reason     TEXT    NOT NULL  -- queue-full, disk-full, damaged or flood
) STRICT;
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
COMMIT;
