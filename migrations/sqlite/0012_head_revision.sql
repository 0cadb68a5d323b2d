-- Every commit of the books moves it: what was decided on what the last batch left behind is written only where it has not
-- moved.
ALTER TABLE ledger_head ADD COLUMN revision INTEGER NOT NULL DEFAULT 0 CHECK (revision >= 0);
