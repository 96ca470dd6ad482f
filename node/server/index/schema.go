package index

// version of the schema and of the meaning of rows: a database of another version is rebuilt.
const version = 3

// schema of the database. Columns are named as the fields of row and progress. Queries name the index they use, so each of
// them fails rather than scan the table. The rowid ends every index, which makes (status_since, id) a key to page by.
const schema = `
CREATE TABLE plans (
	id      INTEGER PRIMARY KEY,
	name    TEXT NOT NULL,
	version INTEGER NOT NULL,
	steps   TEXT NOT NULL
) STRICT;

CREATE TABLE orders (
	id           INTEGER PRIMARY KEY,
	order_id     TEXT NOT NULL,
	customer     TEXT NOT NULL,
	status       INTEGER NOT NULL,
	step         TEXT NOT NULL,
	reason       TEXT NOT NULL,
	accepted_at  INTEGER NOT NULL,
	status_since INTEGER NOT NULL,
	updated_at   INTEGER NOT NULL,
	wakes_at     INTEGER NOT NULL,
	parked_since INTEGER NOT NULL,
	total        INTEGER NOT NULL,
	currency     TEXT NOT NULL,
	plan         INTEGER NOT NULL,
	steps_done   INTEGER NOT NULL,
	undoing      INTEGER NOT NULL,
	sequence     INTEGER NOT NULL
) STRICT;

CREATE UNIQUE INDEX orders_by_order ON orders (order_id);
CREATE INDEX orders_by_status ON orders (status, status_since);
CREATE INDEX orders_by_customer ON orders (customer, status, status_since);

-- progress has one row: how far the journal is read.
CREATE TABLE progress (
	one            INTEGER PRIMARY KEY CHECK (one = 1),
	stream_created INTEGER NOT NULL, -- Unix nanoseconds
	cursor         INTEGER NOT NULL, -- every entry up to here is in the rows
	last           INTEGER NOT NULL, -- the last entry that was read
	checksum       INTEGER NOT NULL, -- of the last entry
	as_of          INTEGER NOT NULL, -- every entry stored before is in the rows, Unix nanoseconds
	caught_up      INTEGER NOT NULL  -- the end of the journal was reached once
) STRICT;
`

// columns of a row, in the order of row.targets.
const columns = "id, order_id, customer, status, step, reason, accepted_at, status_since, updated_at, wakes_at, parked_since, total, currency, plan, steps_done, undoing, sequence"
