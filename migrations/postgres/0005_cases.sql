-- What a person of the finance has to look at, and which assets nothing is credited of meanwhile.

-- Kept for good: a case is opened with the facts that it was found by, and resolved once.
CREATE TABLE finance_case (
    id          BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind        TEXT COLLATE "C" NOT NULL CHECK (kind <> ''),
    subject     TEXT COLLATE "C" NOT NULL CHECK (subject <> ''),
    opened_at   BIGINT NOT NULL,
    body        TEXT   NOT NULL,
    resolved_at BIGINT,
    resolution  TEXT,
    CHECK ((resolved_at IS NULL) = (resolution IS NULL))
);
CREATE UNIQUE INDEX finance_case_open ON finance_case (kind, subject) WHERE resolved_at IS NULL;
CREATE TRIGGER finance_case_facts_stay BEFORE UPDATE OF id, kind, subject, opened_at, body ON finance_case
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER finance_case_is_resolved_once BEFORE UPDATE ON finance_case
    FOR EACH ROW WHEN (OLD.resolved_at IS NOT NULL) EXECUTE FUNCTION refuse_change();
CREATE TRIGGER finance_case_stays BEFORE DELETE ON finance_case FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER finance_case_all_stay BEFORE TRUNCATE ON finance_case
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- One row for each treasury of an asset whose transfers are not known to be whole. While there is one, nothing of that
-- asset is credited; the row goes when they are whole again, and the case stays.
CREATE TABLE asset_halt (
    chain_id  BIGINT NOT NULL CHECK (chain_id >= 0),
    token     BYTEA  NOT NULL CHECK (octet_length(token) = 20),
    treasury  BYTEA  NOT NULL CHECK (octet_length(treasury) = 20),
    halted_at BIGINT NOT NULL,
    -- The block at whose end it was found last: only as high up can it be found to be over.
    found_at  BIGINT NOT NULL CHECK (found_at >= 0),
    why       TEXT   NOT NULL,
    PRIMARY KEY (chain_id, token, treasury)
);
