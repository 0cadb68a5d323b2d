-- A block may be proven by two endpoints that tell the same, where its receipts have no standard root.

ALTER TABLE block DROP CONSTRAINT block_proof_check;
ALTER TABLE block ADD CONSTRAINT block_proof_check
    CHECK (proof IN ('bloom', 'receipts_root', 'second_endpoint', 'range'));
