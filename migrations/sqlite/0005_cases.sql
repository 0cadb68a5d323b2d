-- What a person of the finance has to look at, and which assets nothing is credited of meanwhile.

-- Kept for good: a case is opened with the facts that it was found by, and resolved once.
CREATE TABLE finance_case (
    id          INTEGER PRIMARY KEY CHECK (id > 0),
    kind        TEXT    NOT NULL CHECK (kind <> ''),
    subject     TEXT    NOT NULL CHECK (subject <> ''),
    opened_at   INTEGER NOT NULL,
    body        TEXT    NOT NULL,
    resolved_at INTEGER,
    resolution  TEXT,
    CHECK ((resolved_at IS NULL) = (resolution IS NULL))
) STRICT;
CREATE UNIQUE INDEX finance_case_open ON finance_case (kind, subject) WHERE resolved_at IS NULL;
CREATE TRIGGER finance_case_facts_stay BEFORE UPDATE OF id, rowid, _rowid_, oid, kind, subject, opened_at, body
ON finance_case BEGIN
    SELECT RAISE(ABORT, 'UPDATE on finance_case is refused: its rows are kept as they were written');
END;
CREATE TRIGGER finance_case_is_resolved_once BEFORE UPDATE ON finance_case WHEN OLD.resolved_at IS NOT NULL BEGIN
    SELECT RAISE(ABORT, 'UPDATE on finance_case is refused: it is resolved');
END;
CREATE TRIGGER finance_case_is_not_dropped BEFORE DELETE ON finance_case BEGIN
    SELECT RAISE(ABORT, 'DELETE on finance_case is refused: its rows are kept as they were written');
END;
CREATE TRIGGER finance_case_is_not_replaced BEFORE INSERT ON finance_case BEGIN
    SELECT RAISE(ABORT, 'UNIQUE constraint failed: finance_case.id') WHERE EXISTS (
        SELECT 1 FROM finance_case WHERE id = NEW.id);
    SELECT RAISE(ABORT, 'UNIQUE constraint failed: finance_case.subject') WHERE EXISTS (
        SELECT 1 FROM finance_case WHERE kind = NEW.kind AND subject = NEW.subject AND resolved_at IS NULL);
END;

-- One row for each treasury of an asset whose transfers are not known to be whole. While there is one, nothing of that
-- asset is credited; the row goes when they are whole again, and the case stays.
CREATE TABLE asset_halt (
    chain_id  INTEGER NOT NULL CHECK (chain_id >= 0),
    token     BLOB    NOT NULL CHECK (length(token) = 20),
    treasury  BLOB    NOT NULL CHECK (length(treasury) = 20),
    halted_at INTEGER NOT NULL,
    -- The block at whose end it was found last: only as high up can it be found to be over.
    found_at  INTEGER NOT NULL CHECK (found_at >= 0),
    why       TEXT    NOT NULL,
    PRIMARY KEY (chain_id, token, treasury)
) STRICT, WITHOUT ROWID;
