-- What buyers have shown: wallets that are proven for accounts, and chain transactions that they claim.

CREATE TABLE wallet_challenge (
    nonce      TEXT COLLATE "C" PRIMARY KEY CHECK (octet_length(nonce) BETWEEN 8 AND 64),
    account    TEXT COLLATE "C" NOT NULL,
    chain_id   BIGINT NOT NULL CHECK (chain_id >= 0),
    wallet     BYTEA  NOT NULL CHECK (octet_length(wallet) = 20),
    issued_at  BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    used_at    BIGINT
);
CREATE TRIGGER wallet_challenge_facts_stay
    BEFORE UPDATE OF nonce, account, chain_id, wallet, issued_at, expires_at ON wallet_challenge
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER wallet_challenge_is_used_once BEFORE UPDATE ON wallet_challenge
    FOR EACH ROW WHEN (OLD.used_at IS NOT NULL) EXECUTE FUNCTION refuse_change();
CREATE TRIGGER wallet_challenge_stays BEFORE DELETE ON wallet_challenge
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER wallet_challenge_all_stay BEFORE TRUNCATE ON wallet_challenge
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- Kept for good: a wallet that is let go of may be proven again, by anybody who can.
CREATE TABLE wallet (
    id          BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account     TEXT COLLATE "C" NOT NULL,
    chain_id    BIGINT NOT NULL CHECK (chain_id >= 0),
    wallet      BYTEA  NOT NULL CHECK (octet_length(wallet) = 20),
    proof       TEXT   NOT NULL CHECK (proof IN ('key', 'contract')),
    linked_at   BIGINT NOT NULL,
    unlinked_at BIGINT
);
CREATE UNIQUE INDEX wallet_owner ON wallet (chain_id, wallet) WHERE unlinked_at IS NULL;
CREATE INDEX wallet_account ON wallet (account, id);
CREATE TRIGGER wallet_facts_stay BEFORE UPDATE OF id, account, chain_id, wallet, proof, linked_at ON wallet
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER wallet_is_let_go_once BEFORE UPDATE ON wallet
    FOR EACH ROW WHEN (OLD.unlinked_at IS NOT NULL) EXECUTE FUNCTION refuse_change();
CREATE TRIGGER wallet_stays BEFORE DELETE ON wallet FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER wallet_all_stay BEFORE TRUNCATE ON wallet FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TABLE payment_claim (
    tx_hash    BYTEA  NOT NULL CHECK (octet_length(tx_hash) = 32),
    order_id   UUID   NOT NULL,
    chain_id   BIGINT NOT NULL CHECK (chain_id >= 0),
    claimed_at BIGINT NOT NULL,
    PRIMARY KEY (tx_hash, order_id)
);
CREATE INDEX payment_claim_order ON payment_claim (order_id, claimed_at);
CREATE TRIGGER payment_claim_row_stays BEFORE UPDATE OR DELETE ON payment_claim
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER payment_claim_all_stay BEFORE TRUNCATE ON payment_claim
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- Transfers that something new was shown for since they were judged. A row goes once it was looked at.
CREATE TABLE rejudgement (
    transfer_id BYTEA  PRIMARY KEY CHECK (octet_length(transfer_id) = 32),
    chain_id    BIGINT NOT NULL CHECK (chain_id >= 0)
);
CREATE INDEX rejudgement_chain ON rejudgement (chain_id);

-- By who paid, and by who might have been paid for.
CREATE INDEX transfer_payer ON transfer (chain_id, counterparty, position) WHERE direction = 'in';
CREATE INDEX orders_unpaid ON orders (account, in_time_until) WHERE state <> 'paid';
