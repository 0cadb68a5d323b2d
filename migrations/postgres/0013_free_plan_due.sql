-- Free plans that proven wallets have brought and the books may not have yet. A row goes once they have it.
CREATE TABLE free_plan_due (
    wallet     BYTEA  PRIMARY KEY CHECK (octet_length(wallet) = 20),
    account    TEXT COLLATE "C" NOT NULL,
    credits    BIGINT NOT NULL CHECK (credits > 0),
    expires_at BIGINT NOT NULL
);
