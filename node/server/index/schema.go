package index

// version of the schema and of what a row means: a database of another version is built anew.
const version = 2

// schema. Queries name the index they go through, so each of them fails rather than scan the table. The rowid ends every
// index, which makes (entered, id) a key to page by.
const schema = `
CREATE TABLE plans (
	id      INTEGER PRIMARY KEY,
	name    TEXT NOT NULL,
	version INTEGER NOT NULL,
	steps   TEXT NOT NULL
) STRICT;

CREATE TABLE orders (
	id       INTEGER PRIMARY KEY,
	order_id TEXT NOT NULL,
	customer TEXT NOT NULL,
	status   INTEGER NOT NULL,
	step     TEXT NOT NULL,
	reason   TEXT NOT NULL,
	accepted INTEGER NOT NULL,
	entered  INTEGER NOT NULL,
	updated  INTEGER NOT NULL,
	waits    INTEGER NOT NULL,
	rested   INTEGER NOT NULL,
	total    INTEGER NOT NULL,
	currency TEXT NOT NULL,
	plan     INTEGER NOT NULL,
	done     INTEGER NOT NULL,
	backward INTEGER NOT NULL,
	seq      INTEGER NOT NULL
) STRICT;

CREATE UNIQUE INDEX orders_by_order ON orders (order_id);
CREATE INDEX orders_by_status ON orders (status, entered);
CREATE INDEX orders_by_customer ON orders (customer, status, entered);

-- progress has one row: how far the journal is read.
CREATE TABLE progress (
	one      INTEGER PRIMARY KEY CHECK (one = 1),
	stream   INTEGER NOT NULL, -- when the stream was created, Unix nanoseconds
	cursor   INTEGER NOT NULL, -- every entry up to here is in the rows
	last     INTEGER NOT NULL, -- the last entry that was read, and a checksum of it
	checksum INTEGER NOT NULL,
	at       INTEGER NOT NULL, -- every entry stored before this moment is in the rows, Unix nanoseconds
	whole    INTEGER NOT NULL  -- the end of the journal was reached once
) STRICT;
`

// columns of a row, in the order of scan and bind.
const columns = "id, order_id, customer, status, step, reason, accepted, entered, updated, waits, rested, total, currency, plan, done, backward, seq"
