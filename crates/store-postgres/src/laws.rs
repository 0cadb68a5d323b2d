//! The laws that are SQL: one query each, which returns rows only where a law is broken.
//!
//! Of each law at most a hundred rows are told. Never repairs: a row it returns is for people, as one text in the
//! column `broken`.

/// What an entry and the one before it show: who reads every entry need not ask. Entries without gaps have whatever is
/// not beyond their ends.
pub(crate) const ENTRY_LAWS: [(&str, &str); 4] = [
    ("entry_balances", ENTRY_BALANCES),
    ("entry_balances", POSTINGS_OF_ENTRIES),
    ("entries_chained", ENTRIES_CHAINED),
    ("lots_moved", MOVES_OF_ENTRIES),
];

/// Every other law with its query.
pub(crate) const LAWS: [(&str, &str); 17] = [
    ("entry_balances", POSTINGS_BEYOND),
    ("balances_equal_postings", BALANCES_EQUAL_POSTINGS),
    ("entries_chained", HEAD_IS_LAST),
    ("operations_once", OPERATIONS_ONCE),
    ("settled_once", SETTLED_ONCE),
    ("settled_flag", SETTLED_FLAG),
    ("settlement_posted", SETTLEMENT_POSTED),
    ("treasury_equals_settled", TREASURY_EQUALS_SETTLED),
    ("lots_moved", LOTS_MOVED),
    ("lots_moved", MOVES_BEYOND),
    ("lots_equal_balance", LOTS_EQUAL_BALANCE),
    ("holds_end_once", HOLDS_END_ONCE),
    ("usage_adds_up", USAGE_ADDS_UP),
    ("windows_add_up", WINDOWS_ADD_UP),
    ("events_gapless", EVENTS_GAPLESS),
    ("observations_agree", OBSERVATIONS_AGREE),
    ("order_progress", ORDER_PROGRESS),
];

/// Postings of an entry sum to zero per unit; every entry has some.
const ENTRY_BALANCES: &str = "SELECT FORMAT('entry %s is off by %s %s', p.entry_seq, \
         SUM(CASE p.side WHEN 'debit' THEN p.quantity ELSE -p.quantity END), b.unit) AS broken \
     FROM posting p LEFT JOIN book_account b ON b.number = p.account_number GROUP BY p.entry_seq, b.unit \
     HAVING SUM(CASE p.side WHEN 'debit' THEN p.quantity ELSE -p.quantity END) <> 0 \
     UNION ALL SELECT FORMAT('entry %s has no posting', e.seq) FROM entry e \
     WHERE NOT EXISTS (SELECT 1 FROM posting p WHERE p.entry_seq = e.seq) LIMIT 100";

/// No posting is without its entry.
const POSTINGS_OF_ENTRIES: &str = "SELECT FORMAT('posting %s/%s has no entry', p.entry_seq, p.line) AS broken \
     FROM posting p WHERE NOT EXISTS (SELECT 1 FROM entry e WHERE e.seq = p.entry_seq) LIMIT 100";

/// As [`POSTINGS_OF_ENTRIES`], where entries are known to have no gaps.
const POSTINGS_BEYOND: &str = "SELECT FORMAT('posting %s/%s has no entry', entry_seq, line) AS broken FROM posting \
     WHERE entry_seq < 1 \
     UNION ALL SELECT FORMAT('posting %s/%s has no entry', entry_seq, line) FROM posting \
     WHERE entry_seq > (SELECT COALESCE(MAX(seq), 0) FROM entry) LIMIT 100";

/// Balances equal the sum of postings, and every posting is on an account of the chart.
const BALANCES_EQUAL_POSTINGS: &str = "SELECT FORMAT('account %s (%s in %s): balance %s/%s, postings %s/%s', \
         COALESCE(b.number, p.account_number), b.account, b.unit, b.debits, b.credits, p.debits, p.credits) AS broken \
     FROM book_account b FULL JOIN (\
         SELECT account_number, COALESCE(SUM(quantity) FILTER (WHERE side = 'debit'), 0) AS debits, \
             COALESCE(SUM(quantity) FILTER (WHERE side = 'credit'), 0) AS credits \
         FROM posting GROUP BY account_number) AS p ON p.account_number = b.number \
     WHERE b.number IS NULL OR b.debits <> COALESCE(p.debits, 0) OR b.credits <> COALESCE(p.credits, 0) LIMIT 100";

/// Entries are numbered from one without gaps, and each carries the hash of the one before.
const ENTRIES_CHAINED: &str = "SELECT FORMAT('entry %s does not follow entry %s', seq, before_seq) AS broken FROM (\
         SELECT seq, previous_hash, booked_at, LAG(seq, 1, 0::bigint) OVER link AS before_seq, \
             LAG(hash, 1, decode(repeat('00', 32), 'hex')) OVER link AS before_hash, \
             LAG(booked_at, 1, booked_at) OVER link AS before_booked \
         FROM entry WINDOW link AS (ORDER BY seq)) AS links \
     WHERE seq <> before_seq + 1 OR previous_hash <> before_hash OR booked_at < before_booked LIMIT 100";

/// The head is the last entry.
const HEAD_IS_LAST: &str = "SELECT FORMAT('the head is at entry %s, the newest is %s', h.entry_seq, last.seq) AS broken \
     FROM ledger_head h LEFT JOIN (SELECT seq, hash FROM entry ORDER BY seq DESC LIMIT 1) AS last ON TRUE \
     WHERE h.entry_seq <> COALESCE(last.seq, 0) \
         OR h.entry_hash <> COALESCE(last.hash, decode(repeat('00', 32), 'hex')) \
     UNION ALL SELECT FORMAT('the head gave out account %s, the newest is %s', h.account_number, newest.number) \
     FROM ledger_head h CROSS JOIN (SELECT COALESCE(MAX(number), 0) AS number FROM book_account) AS newest \
     WHERE h.account_number <> newest.number LIMIT 100";

/// An entry has exactly one operation, and an operation that made an entry made that one. Where each of those made an
/// entry of its own key, entries without one are told by their number.
const OPERATIONS_ONCE: &str = "SELECT FORMAT('operation %s made entry %s, which is of operation %s', \
         o.key, o.entry_seq, e.operation_key) AS broken \
     FROM operation o LEFT JOIN entry e ON e.seq = o.entry_seq \
     WHERE o.entry_seq IS NOT NULL AND e.operation_key IS DISTINCT FROM o.key \
     UNION ALL SELECT FORMAT('entry %s is of operation %s, which made another one or none', e.seq, e.operation_key) \
     FROM entry e WHERE (SELECT COUNT(*) FROM entry) <> (SELECT COUNT(entry_seq) FROM operation) AND NOT EXISTS (\
         SELECT 1 FROM operation o WHERE o.key = e.operation_key AND o.entry_seq = e.seq) LIMIT 100";

/// Each generation of a transfer but the last was reversed before the next was settled.
const SETTLED_ONCE: &str = "SELECT FORMAT('transfer %s has %s settlements in force', \
         encode(s.transfer_id, 'hex'), COUNT(*)) AS broken \
     FROM settlement s LEFT JOIN reversal r ON r.transfer_id = s.transfer_id AND r.generation = s.generation \
     WHERE r.transfer_id IS NULL GROUP BY s.transfer_id HAVING COUNT(*) > 1 \
     UNION ALL SELECT FORMAT('reversal %s/%s has nothing to take back', encode(r.transfer_id, 'hex'), r.generation) \
     FROM reversal r WHERE NOT EXISTS (\
         SELECT 1 FROM settlement s WHERE s.transfer_id = r.transfer_id AND s.generation = r.generation) LIMIT 100";

/// A transfer's row says what its settlement in force says, and its generation counts its reversals.
const SETTLED_FLAG: &str = "SELECT FORMAT('transfer %s at generation %s: row says %s, settlement says %s', \
         encode(COALESCE(t.id, s.transfer_id), 'hex'), t.generation, encode(t.settled_block_hash, 'hex'), encode(s.block_hash, 'hex')) AS broken \
     FROM transfer t FULL JOIN (\
         SELECT s.transfer_id, s.generation, s.block_hash FROM settlement s WHERE NOT EXISTS (\
             SELECT 1 FROM reversal r WHERE r.transfer_id = s.transfer_id AND r.generation = s.generation)) AS s \
         ON s.transfer_id = t.id AND s.generation = t.generation \
     WHERE t.id IS NULL OR t.settled_block_hash IS DISTINCT FROM s.block_hash \
     UNION ALL SELECT FORMAT('transfer %s is at generation %s after %s reversals', \
         encode(t.id, 'hex'), t.generation, COALESCE(r.reversals, 0)) \
     FROM transfer t LEFT JOIN (SELECT transfer_id, COUNT(*) AS reversals FROM reversal GROUP BY transfer_id) AS r \
         ON r.transfer_id = t.id \
     WHERE t.generation <> COALESCE(r.reversals, 0) LIMIT 100";

/// A settlement has an entry about its transfer or a reason to be ignored; so has what takes it back.
const SETTLEMENT_POSTED: &str = "SELECT FORMAT('settlement %s/%s of kind %s has entry %s', \
         encode(s.transfer_id, 'hex'), s.generation, s.kind, s.entry_seq) AS broken \
     FROM settlement s LEFT JOIN entry e ON e.seq = s.entry_seq AND e.transfer_id = s.transfer_id \
     WHERE (s.kind = 'ignored') <> (s.entry_seq IS NULL) OR (s.entry_seq IS NOT NULL AND e.seq IS NULL) \
     UNION ALL SELECT FORMAT('reversal %s/%s has entry %s', encode(r.transfer_id, 'hex'), r.generation, r.entry_seq) \
     FROM reversal r JOIN settlement s ON s.transfer_id = r.transfer_id AND s.generation = r.generation \
     LEFT JOIN entry e ON e.seq = r.entry_seq AND e.transfer_id = r.transfer_id AND e.reverses = s.entry_seq \
     WHERE (s.kind = 'ignored') <> (r.entry_seq IS NULL) OR (r.entry_seq IS NOT NULL AND e.seq IS NULL) LIMIT 100";

/// What the books say the treasuries hold of an asset is what was settled in, less what was settled out.
const TREASURY_EQUALS_SETTLED: &str = "SELECT FORMAT('%s: the books say %s, settlements say %s', \
         COALESCE(b.unit, s.unit), b.held, s.held) AS broken \
     FROM (SELECT unit, debits - credits AS held FROM book_account WHERE account = 'treasury') AS b \
     FULL JOIN (\
         SELECT FORMAT('eip155:%s/erc20:0x%s', t.chain_id, encode(t.token, 'hex')) AS unit, \
             SUM(CASE s.kind WHEN 'withdrawal' THEN -s.base_units WHEN 'ignored' THEN 0 ELSE s.base_units END) AS held \
         FROM settlement s JOIN transfer t ON t.id = s.transfer_id \
         WHERE NOT EXISTS (\
             SELECT 1 FROM reversal r WHERE r.transfer_id = s.transfer_id AND r.generation = s.generation) \
         GROUP BY t.chain_id, t.token) AS s ON s.unit = b.unit \
     WHERE COALESCE(b.held, 0) <> COALESCE(s.held, 0) LIMIT 100";

/// A lot's parts are what was granted and what entries moved, and an entry granted it.
const LOTS_MOVED: &str = "SELECT FORMAT('lot %s/%s: %s left, %s held, %s spent, %s expired, %s taken of %s', \
         l.entry_seq, l.lot_index, l.credits_left, l.held, l.spent, l.expired, l.taken, l.granted) AS broken \
     FROM lot l LEFT JOIN (SELECT lot_entry_seq, lot_index, \
         SUM(CASE 'left' WHEN to_bucket THEN credits WHEN from_bucket THEN -credits ELSE 0 END) AS to_left, \
         SUM(CASE 'held' WHEN to_bucket THEN credits WHEN from_bucket THEN -credits ELSE 0 END) AS to_held, \
         SUM(CASE 'spent' WHEN to_bucket THEN credits WHEN from_bucket THEN -credits ELSE 0 END) AS to_spent, \
         SUM(CASE 'expired' WHEN to_bucket THEN credits WHEN from_bucket THEN -credits ELSE 0 END) AS to_expired, \
         SUM(CASE 'taken' WHEN to_bucket THEN credits WHEN from_bucket THEN -credits ELSE 0 END) AS to_taken \
         FROM lot_move GROUP BY lot_entry_seq, lot_index) AS m \
         ON m.lot_entry_seq = l.entry_seq AND m.lot_index = l.lot_index \
     WHERE l.credits_left <> l.granted + COALESCE(m.to_left, 0) OR l.held <> COALESCE(m.to_held, 0) \
         OR l.spent <> COALESCE(m.to_spent, 0) OR l.expired <> COALESCE(m.to_expired, 0) \
         OR l.taken <> COALESCE(m.to_taken, 0) \
         OR NOT EXISTS (SELECT 1 FROM entry e WHERE e.seq = l.entry_seq) \
     UNION ALL SELECT FORMAT('entry %s moves lot %s/%s, which is not there', \
         m.entry_seq, m.lot_entry_seq, m.lot_index) \
     FROM lot_move m WHERE NOT EXISTS (\
         SELECT 1 FROM lot l WHERE l.entry_seq = m.lot_entry_seq AND l.lot_index = m.lot_index) LIMIT 100";

/// An entry moved what was moved.
const MOVES_OF_ENTRIES: &str = "SELECT FORMAT('a lot is moved by entry %s, which is not there', m.entry_seq) AS broken \
     FROM lot_move m WHERE NOT EXISTS (SELECT 1 FROM entry e WHERE e.seq = m.entry_seq) LIMIT 100";

/// As [`MOVES_OF_ENTRIES`], where entries are known to have no gaps.
const MOVES_BEYOND: &str = "SELECT FORMAT('a lot is moved by entry %s, which is not there', entry_seq) AS broken \
     FROM lot_move WHERE entry_seq < 1 \
     UNION ALL SELECT FORMAT('a lot is moved by entry %s, which is not there', entry_seq) FROM lot_move \
     WHERE entry_seq > (SELECT COALESCE(MAX(seq), 0) FROM entry) LIMIT 100";

/// What an account's lots have left adds up to its credits, and what they have in holds to its held credits.
const LOTS_EQUAL_BALANCE: &str = "SELECT FORMAT('%s: posted %s, lots %s', \
         COALESCE(b.account, l.account), COALESCE(b.posted, 0), COALESCE(l.credits, 0)) AS broken \
     FROM (SELECT account, credits - debits AS posted FROM book_account WHERE unit = 'credits' \
         AND (account >= 'account:' AND account < 'account;' OR account >= 'held:' AND account < 'held;')) AS b \
     FULL JOIN (SELECT 'account:' || account AS account, SUM(credits_left) AS credits FROM lot GROUP BY lot.account \
         UNION ALL SELECT 'held:' || account, SUM(held) FROM lot GROUP BY lot.account) AS l ON l.account = b.account \
     WHERE COALESCE(b.posted, 0) <> COALESCE(l.credits, 0) LIMIT 100";

/// What is held is what open holds have; an ended hold has one end; a hold has the slices that its entry moved. Most
/// entries move one slice: sums are made only of those that move more, or another amount. Where every ended hold has its
/// end, ends of no hold are told by their number.
const HOLDS_END_ONCE: &str = "SELECT FORMAT('%s: posted %s, open holds %s', \
         COALESCE(b.account, h.account), COALESCE(b.posted, 0), COALESCE(h.credits, 0)) AS broken \
     FROM (SELECT account, credits - debits AS posted FROM book_account \
         WHERE unit = 'credits' AND account >= 'held:' AND account < 'held;') AS b \
     FULL JOIN (SELECT 'held:' || account AS account, SUM(credits) AS credits \
         FROM hold WHERE is_open GROUP BY hold.account) AS h ON h.account = b.account \
     WHERE COALESCE(b.posted, 0) <> COALESCE(h.credits, 0) \
     UNION ALL SELECT FORMAT('hold %s is open: %s, ended: %s, by entry %s', h.id, h.is_open, r.kind, r.entry_seq) \
     FROM hold h LEFT JOIN hold_resolution r ON r.hold_id = h.id \
     WHERE h.is_open <> (r.hold_id IS NULL) OR r.captured > h.credits \
     UNION ALL SELECT FORMAT('hold %s of %s holds something else', h.id, h.credits) \
     FROM hold h LEFT JOIN lot_move m ON m.entry_seq = h.entry_seq AND m.line = 0 AND m.to_bucket = 'held' \
     WHERE CASE \
         WHEN m.credits = h.credits AND h.entry_seq NOT IN (SELECT entry_seq FROM lot_move WHERE line > 0) THEN FALSE \
         ELSE h.credits <> (SELECT COALESCE(SUM(credits), 0) FROM lot_move \
             WHERE entry_seq = h.entry_seq AND to_bucket = 'held') END \
     UNION ALL SELECT FORMAT('the end of hold %s is of no hold', r.hold_id) FROM hold_resolution r \
     WHERE (SELECT COUNT(*) FROM hold_resolution) <> (SELECT COUNT(*) FROM hold WHERE NOT is_open) \
         AND NOT EXISTS (SELECT 1 FROM hold h WHERE h.id = r.hold_id) LIMIT 100";

/// A spend is what its entry moved; days of usage add up to the spends.
const USAGE_ADDS_UP: &str = "SELECT FORMAT('spend %s of %s moved something else', u.entry_seq, u.credits) AS broken \
     FROM usage u LEFT JOIN lot_move m ON m.entry_seq = u.entry_seq AND m.line = 0 AND m.to_bucket = 'spent' \
     WHERE CASE \
         WHEN m.credits = u.credits AND u.entry_seq NOT IN (SELECT entry_seq FROM lot_move WHERE line > 0) THEN FALSE \
         ELSE u.credits <> (SELECT COALESCE(SUM(credits), 0) FROM lot_move \
             WHERE entry_seq = u.entry_seq AND to_bucket = 'spent') END \
     UNION ALL SELECT FORMAT('the days of %s have %s of %s: %s, spends %s', \
         account, feature, project, SUM(by_day), SUM(by_spend)) \
     FROM (SELECT account, feature, project, spent - refunded AS by_day, 0 AS by_spend FROM usage_day \
         UNION ALL SELECT account, feature, COALESCE(project, ''), 0, credits - refunded FROM usage) AS sums \
     GROUP BY account, feature, project HAVING SUM(by_day) <> SUM(by_spend) LIMIT 100";

/// A window of a limit in force has what was held and spent in it.
const WINDOWS_ADD_UP: &str = "SELECT FORMAT('limit %s has %s held and %s spent from %s on, there are %s and %s', \
         id, w_held, w_spent, starts_at, held, spent) AS broken FROM (\
     SELECT l.id, w.starts_at, w.held AS w_held, w.spent AS w_spent, \
         (SELECT COALESCE(SUM(h.credits), 0) FROM hold h WHERE h.account = l.account AND h.is_open \
             AND h.made_at >= w.starts_at AND h.made_at < w.ends_at AND CASE l.scope \
             WHEN 'feature' THEN h.feature = l.scope_name WHEN 'project' THEN h.project = l.scope_name \
             WHEN 'session' THEN h.session = l.scope_name ELSE TRUE END) AS held, \
         (SELECT COALESCE(SUM(u.credits - u.refunded), 0) FROM usage u WHERE u.account = l.account \
             AND u.counted_at >= w.starts_at AND u.counted_at < w.ends_at AND CASE l.scope \
             WHEN 'feature' THEN u.feature = l.scope_name WHEN 'project' THEN u.project = l.scope_name \
             WHEN 'session' THEN u.session = l.scope_name ELSE TRUE END) AS spent \
     FROM usage_limit l JOIN limit_window w ON w.limit_id = l.id WHERE l.removed_at IS NULL) AS windows \
     WHERE w_held <> held OR w_spent <> spent LIMIT 100";

/// Events are numbered from one without gaps up to the head.
const EVENTS_GAPLESS: &str = "SELECT FORMAT('event %s follows event %s', seq, before_seq) AS broken FROM (\
         SELECT seq, LAG(seq, 1, 0::bigint) OVER (ORDER BY seq) AS before_seq FROM event) AS links \
     WHERE seq <> before_seq + 1 \
     UNION ALL SELECT FORMAT('the head is at event %s, the newest is %s', h.event_seq, newest.seq) \
     FROM ledger_head h CROSS JOIN (SELECT COALESCE(MAX(seq), 0) AS seq FROM event) AS newest \
     WHERE h.event_seq <> newest.seq LIMIT 100";

/// A transfer is canonical exactly when its block is, as far as the window tells, but for one that the block, read
/// again, does not hold; every observation is of a transfer.
const OBSERVATIONS_AGREE: &str = "SELECT FORMAT('transfer %s is canonical: %s, its block: %s', encode(t.id, 'hex'), \
         t.canonical, b.canonical) AS broken \
     FROM block b JOIN transfer t \
         ON t.chain_id = b.chain_id AND t.block_number = b.number AND t.block_hash = b.hash \
     WHERE t.canonical <> b.canonical AND (t.canonical OR NOT EXISTS (\
         SELECT 1 FROM former_observation f WHERE f.transfer_id = t.id \
         AND f.block_hash = t.block_hash AND f.log_index = t.log_index)) \
     UNION ALL SELECT FORMAT('observation %s/%s is of no transfer', encode(f.block_hash, 'hex'), f.log_index) \
     FROM former_observation f WHERE NOT EXISTS (SELECT 1 FROM transfer t WHERE t.id = f.transfer_id) LIMIT 100";

/// What an order has received is the sum of what was settled for it in time; paid means received, less the
/// tolerance, reached the due amount.
const ORDER_PROGRESS: &str = "SELECT FORMAT('order %s is %s: received %s of %s, settled %s', \
         o.id, o.state, o.received_base_units, o.due_base_units, COALESCE(s.settled, 0)) AS broken \
     FROM orders o LEFT JOIN (\
         SELECT s.order_id, SUM(s.base_units) AS settled FROM settlement s WHERE s.kind = 'order' AND NOT EXISTS (\
             SELECT 1 FROM reversal r WHERE r.transfer_id = s.transfer_id AND r.generation = s.generation) \
         GROUP BY s.order_id) AS s ON s.order_id = o.id \
     WHERE o.received_base_units <> COALESCE(s.settled, 0) \
         OR (o.state = 'paid') <> (o.received_base_units > 0 \
             AND o.received_base_units + o.tolerance_base_units >= o.due_base_units) \
         OR (o.state = 'expired' AND NOT o.closed) LIMIT 100";
