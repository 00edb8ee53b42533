-- The ledger: one file is one branch, so seq alone is unique in it and (epoch, seq) is the key of a row everywhere else.
-- seq is the rowid: rows are appended to the last page, and no other page changes in a commit (card wear).
CREATE TABLE ledger (
    seq   INTEGER PRIMARY KEY,      -- dense from 1 along the branch
    epoch INTEGER NOT NULL,         -- label of the branch: 63 random bits
    body  BLOB NOT NULL,            -- canonical bytes: UTF-8 JSON, exactly as hashed and sent; older rows packed (packing.py)
    hash  BLOB NOT NULL             -- SHA-256(hash of the row before || body)
);

-- The epochs of this file in the order in which they began. The first has no parent; its base is the genesis hash.
CREATE TABLE branch (
    number      INTEGER PRIMARY KEY,
    epoch       INTEGER NOT NULL UNIQUE,
    parent      INTEGER,            -- the epoch that it left
    parent_seq  INTEGER NOT NULL,   -- the last common row
    parent_hash BLOB NOT NULL       -- and its hash
);

-- Named rows of the ledger: 'applied' to the tables below, 'acknowledged' by headquarters, 'base' cut by retention.
CREATE TABLE position (
    name TEXT PRIMARY KEY,
    seq  INTEGER NOT NULL,
    hash BLOB
) WITHOUT ROWID;
INSERT INTO position VALUES ('applied', 0, NULL);

-- The cuts that retention made and that lie behind the base: when row `head` was the last one, `base` became the last row
-- cut. Whoever applies the rows again forgets at the same row what was forgotten then.
CREATE TABLE retention (
    head INTEGER PRIMARY KEY,
    base INTEGER NOT NULL
);

-- Derived from the ledger up to position 'applied', written now and then; verify-ledger compares and rebuilds them.
CREATE TABLE balance (
    place      TEXT NOT NULL,
    status     TEXT NOT NULL,
    item       TEXT NOT NULL,
    lot        TEXT NOT NULL,
    expiry     TEXT NOT NULL,
    quantity   INTEGER NOT NULL,    -- base units; may be negative
    grams      INTEGER NOT NULL,
    held       INTEGER NOT NULL,    -- what units there hold of it; 0 outside the building
    held_grams INTEGER NOT NULL,
    PRIMARY KEY (place, status, item, lot, expiry)
) WITHOUT ROWID;

-- One row for a unit and all that is asked of it, for a busy site has millions: those that left are read when asked for,
-- and forgotten once their last row is cut (here = 0 and seq <= base: as if it were not there).
CREATE TABLE unit (
    unit   TEXT PRIMARY KEY,
    here   INTEGER NOT NULL,        -- 0: it left the site
    seq    INTEGER NOT NULL,        -- the last row that names it
    body   BLOB,                    -- MessagePack of units.UnitBody; NULL: a container that was named and never met
    inside BLOB,                    -- MessagePack: the units in it, in the order in which they came
    rows   BLOB NOT NULL            -- the movements that name it: occurred_at (8 bytes), seq (4 bytes), big-endian
) WITHOUT ROWID;
CREATE INDEX unit_here ON unit (unit) WHERE here = 1;

-- Where the past is looked up: movements by the real accounts that they name and by their event, counts by account.
CREATE TABLE account (
    id     INTEGER PRIMARY KEY,
    place  TEXT NOT NULL,
    status TEXT NOT NULL,
    UNIQUE (place, status)
);

CREATE TABLE account_row (
    account INTEGER NOT NULL,
    at      INTEGER NOT NULL,       -- occurred_at
    seq     INTEGER NOT NULL,
    PRIMARY KEY (account, at, seq)
) WITHOUT ROWID;

CREATE TABLE group_row (
    "group" INTEGER NOT NULL,
    seq     INTEGER NOT NULL,
    PRIMARY KEY ("group", seq)
) WITHOUT ROWID;

CREATE TABLE count_row (            -- counts, also those that retention has cut, until later ones cover all they counted
    place  TEXT NOT NULL,
    status TEXT NOT NULL,
    at     INTEGER NOT NULL,
    seq    INTEGER NOT NULL,
    body   BLOB NOT NULL,           -- canonical bytes
    PRIMARY KEY (place, status, at, seq)
) WITHOUT ROWID;

CREATE TABLE clock_row (            -- clock records, also those that retention has cut: times of rows that are kept need them
    seq  INTEGER PRIMARY KEY,
    body BLOB NOT NULL              -- canonical bytes
);

CREATE TABLE lot (
    item   TEXT NOT NULL,
    lot    TEXT NOT NULL,
    expiry TEXT NOT NULL,
    PRIMARY KEY (item, lot)
) WITHOUT ROWID;

CREATE TABLE count_mark (           -- the last count of an account
    place  TEXT NOT NULL,
    status TEXT NOT NULL,
    seq    INTEGER NOT NULL,
    at     INTEGER NOT NULL,
    PRIMARY KEY (place, status)
) WITHOUT ROWID;

CREATE TABLE document (             -- open documents of this site
    id   TEXT PRIMARY KEY,
    body BLOB NOT NULL
) WITHOUT ROWID;

CREATE TABLE document_done (
    document TEXT NOT NULL,
    line     INTEGER NOT NULL,
    quantity INTEGER NOT NULL,
    PRIMARY KEY (document, line)
) WITHOUT ROWID;

CREATE TABLE reversal (             -- groups that were reversed, and by which row
    "group" INTEGER PRIMARY KEY,
    seq     INTEGER NOT NULL
);

CREATE TABLE command (              -- commands of headquarters whose result is recorded
    id  TEXT PRIMARY KEY,
    seq INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE exception (            -- the last record of each exception
    kind    TEXT NOT NULL,
    subject TEXT NOT NULL,
    state   TEXT NOT NULL,
    seq     INTEGER NOT NULL,
    body    BLOB NOT NULL,
    PRIMARY KEY (kind, subject)
) WITHOUT ROWID;
CREATE INDEX exception_undecided ON exception (kind, subject) WHERE state <> 'decided';
