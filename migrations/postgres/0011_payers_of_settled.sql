-- Who paid: of transfers that wait to be settled the index of those serves, so that following a chain writes one less.
DROP INDEX transfer_payer;
CREATE INDEX transfer_payer ON transfer (chain_id, counterparty, position)
    WHERE direction = 'in' AND (NOT needs_work OR settled);
