-- Lots change in place: an index whose condition names what a spend changes would be written anew by every spend.

ALTER TABLE lot ADD COLUMN is_left BOOLEAN NOT NULL GENERATED ALWAYS AS (credits_left > 0) STORED;
ALTER TABLE lot SET (fillfactor = 70);
DROP INDEX lot_account;
DROP INDEX lot_expiry;
DROP INDEX lot_to_warn;
CREATE INDEX lot_account ON lot (account, expires_at, entry_seq, lot_index) WHERE is_left;
CREATE INDEX lot_expiry ON lot (expires_at, entry_seq, lot_index) WHERE is_left;
CREATE INDEX lot_to_warn ON lot (expires_at, entry_seq, lot_index) WHERE is_left AND NOT warned;
