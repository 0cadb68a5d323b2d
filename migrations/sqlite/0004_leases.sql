-- Who may write what follows from a chain.

-- One row for each chain that was ever followed. Its number grows with every change of holder, and it is kept for good:
-- a holder that was paused must not come back under a number that is given out again.
CREATE TABLE lease (
    chain_id   INTEGER PRIMARY KEY CHECK (chain_id >= 0),
    holder     TEXT    NOT NULL,
    fencing    INTEGER NOT NULL CHECK (fencing > 0),
    -- Whether the holder has found the stored window on the chain.
    checked    INTEGER NOT NULL CHECK (checked IN (0, 1)),
    -- By the clock that this database asks.
    expires_at INTEGER NOT NULL
) STRICT;
CREATE TRIGGER lease_grows BEFORE UPDATE OF chain_id, fencing, rowid, _rowid_, oid ON lease
WHEN NEW.chain_id <> OLD.chain_id OR NEW.fencing < OLD.fencing BEGIN
    SELECT RAISE(ABORT, 'UPDATE on lease is refused: fencing numbers only grow');
END;
CREATE TRIGGER lease_is_not_dropped BEFORE DELETE ON lease BEGIN
    SELECT RAISE(ABORT, 'DELETE on lease is refused: its rows are kept for good');
END;
CREATE TRIGGER lease_is_not_replaced BEFORE INSERT ON lease BEGIN
    SELECT RAISE(ABORT, 'UNIQUE constraint failed: lease.chain_id') WHERE EXISTS (
        SELECT 1 FROM lease WHERE chain_id = NEW.chain_id);
END;

-- The holding under which the cursor may be moved: a copy of the lease's, so that the statement that moves the cursor
-- finds out by the row that it changes.
ALTER TABLE cursor ADD COLUMN fencing INTEGER NOT NULL DEFAULT 0;

-- A chain that was followed without a lease is not credited by before its next follower has looked at it.
INSERT INTO lease (chain_id, holder, fencing, checked, expires_at)
    SELECT chain_id, 'a release without leases', 1, 0, 0 FROM cursor;
UPDATE cursor SET fencing = 1;
