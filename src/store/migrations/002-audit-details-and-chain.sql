-- What a setting was and what it is now, why, and from which address: for changes that say so.
ALTER TABLE audit ADD COLUMN was     TEXT;
ALTER TABLE audit ADD COLUMN became  TEXT;
ALTER TABLE audit ADD COLUMN reason  TEXT;
ALTER TABLE audit ADD COLUMN address TEXT;
-- SHA-256 over the row before this one's and the fields of this one (src/store/audit.rs says in which form).
ALTER TABLE audit ADD COLUMN chain   BLOB;
