-- Who may write what follows from a chain.

-- One row for each chain that was ever followed. Its number grows with every change of holder, and it is kept for good:
-- a holder that was paused must not come back under a number that is given out again.
CREATE TABLE lease (
    chain_id   BIGINT  PRIMARY KEY CHECK (chain_id >= 0),
    holder     TEXT COLLATE "C" NOT NULL,
    fencing    BIGINT  NOT NULL CHECK (fencing > 0),
    -- Whether the holder has found the stored window on the chain.
    checked    BOOLEAN NOT NULL,
    -- By the clock of this database.
    expires_at BIGINT  NOT NULL,
    -- What a batch of the books holds fast until it is committed: makes these columns the row's key, so that renewing
    -- the lease, which changes neither, does not wait for a batch, and taking it over does.
    CONSTRAINT lease_holding_key UNIQUE (chain_id, fencing, checked)
) WITH (fillfactor = 50);
CREATE FUNCTION refuse_older_fencing() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.chain_id <> OLD.chain_id OR NEW.fencing < OLD.fencing THEN
        RAISE EXCEPTION 'UPDATE on lease is refused: fencing numbers only grow'
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER lease_grows BEFORE UPDATE OF chain_id, fencing ON lease
    FOR EACH ROW EXECUTE FUNCTION refuse_older_fencing();
CREATE TRIGGER lease_stays BEFORE DELETE ON lease FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER leases_all_stay BEFORE TRUNCATE ON lease FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- The holding under which the cursor may be moved: a copy of the lease's, so that the statement that moves the cursor
-- finds out by the row that it changes.
ALTER TABLE cursor ADD COLUMN fencing BIGINT NOT NULL DEFAULT 0;

-- A chain that was followed without a lease is not credited by before its next follower has looked at it.
INSERT INTO lease (chain_id, holder, fencing, checked, expires_at)
    SELECT chain_id, 'a release without leases', 1, FALSE, 0 FROM cursor;
UPDATE cursor SET fencing = 1;
