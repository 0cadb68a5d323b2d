-- Every commit of the books moves it: what was decided without the head's lock is written only where it has not moved.
ALTER TABLE ledger_head ADD COLUMN revision BIGINT NOT NULL DEFAULT 0 CHECK (revision >= 0);
