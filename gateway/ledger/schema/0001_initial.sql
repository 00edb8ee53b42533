-- The ledger: one file is one branch, so seq alone is unique in it and (epoch, seq) is the key of a row everywhere else.
-- seq is the rowid: rows are appended to the last page, and no other page changes in a commit (card wear).
CREATE TABLE ledger (
    seq   INTEGER PRIMARY KEY,      -- dense from 1 along the branch
    epoch INTEGER NOT NULL,         -- label of the branch: 63 random bits
    body  BLOB NOT NULL,            -- canonical bytes: UTF-8 JSON, exactly as hashed and sent
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

-- Derived from the ledger up to position 'applied', written now and then; verify-ledger compares and rebuilds them.
CREATE TABLE balance (
    place    TEXT NOT NULL,
    status   TEXT NOT NULL,
    item     TEXT NOT NULL,
    lot      TEXT NOT NULL,
    expiry   TEXT NOT NULL,
    quantity INTEGER NOT NULL,      -- base units; may be negative
    grams    INTEGER NOT NULL,
    PRIMARY KEY (place, status, item, lot, expiry)
) WITHOUT ROWID;

CREATE TABLE unit (
    unit TEXT PRIMARY KEY,
    body BLOB NOT NULL              -- JSON of balances.UnitRow
) WITHOUT ROWID;

-- Where the past is looked up: movements by the units and the real accounts that they name, and by their event.
CREATE TABLE unit_row (
    unit TEXT NOT NULL,
    at   INTEGER NOT NULL,          -- occurred_at
    seq  INTEGER NOT NULL,
    PRIMARY KEY (unit, at, seq)
) WITHOUT ROWID;

CREATE TABLE account_row (
    place  TEXT NOT NULL,
    status TEXT NOT NULL,
    at     INTEGER NOT NULL,
    seq    INTEGER NOT NULL,
    PRIMARY KEY (place, status, at, seq)
) WITHOUT ROWID;

CREATE TABLE group_row (
    "group" INTEGER NOT NULL,
    seq     INTEGER NOT NULL,
    PRIMARY KEY ("group", seq)
) WITHOUT ROWID;

CREATE TABLE count_row (
    place  TEXT NOT NULL,
    status TEXT NOT NULL,
    at     INTEGER NOT NULL,
    seq    INTEGER NOT NULL,
    PRIMARY KEY (place, status, at, seq)
) WITHOUT ROWID;

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
    body    BLOB NOT NULL,
    PRIMARY KEY (kind, subject)
) WITHOUT ROWID;
CREATE INDEX exception_undecided ON exception (kind, subject) WHERE state <> 'decided';
