-- Types mean the same on SQLite and PostgreSQL: times are microseconds since 1970 in UTC (0: not yet), documents are
-- JSON as written and never searched inside, identifiers are made outside, so that a repeat carries the same ones.

CREATE TABLE schema_version(
  id INTEGER PRIMARY KEY CHECK(id=1),
  version INTEGER NOT NULL,
  min_binary INTEGER NOT NULL,        -- the schema that a program must know at least to work on this one
  lock_holder TEXT NOT NULL,          -- who migrates, where several processes share the store
  lock_until BIGINT NOT NULL);
INSERT INTO schema_version(id, version, min_binary, lock_holder, lock_until) VALUES(1, 0, 0, '', 0);

-- One row: who leads. Every write moves pos, so that positions stand in the order of the commits.
CREATE TABLE leases(
  id INTEGER PRIMARY KEY CHECK(id=1),
  holder TEXT NOT NULL,
  epoch BIGINT NOT NULL,
  expires_at BIGINT NOT NULL,
  taken_at BIGINT NOT NULL,
  pos BIGINT NOT NULL,
  walked_to BIGINT NOT NULL);         -- the last tick that was decided
INSERT INTO leases(id, holder, epoch, expires_at, taken_at, pos, walked_to) VALUES(1, '', 0, 0, 0, 0, 0);

-- An open incident keeps the runbook, with its signals, that it was opened with.
CREATE TABLE runbooks(
  hash TEXT PRIMARY KEY,
  body TEXT NOT NULL);

CREATE TABLE incidents(
  id TEXT PRIMARY KEY,
  number BIGINT NOT NULL UNIQUE,      -- for people: #42
  runbook TEXT NOT NULL,
  runbook_hash TEXT NOT NULL,
  state TEXT NOT NULL,
  severity TEXT NOT NULL,
  opened_at BIGINT NOT NULL,
  ended_at BIGINT,                    -- resolved or dismissed
  updated_at BIGINT NOT NULL,
  version BIGINT NOT NULL,            -- seq of the last event that the record contains
  record TEXT NOT NULL);
CREATE INDEX incidents_open ON incidents(state);
CREATE INDEX incidents_ended ON incidents(ended_at);

-- Every finding of an open incident: at most one open incident holds a finding.
CREATE TABLE open_findings(
  finding_key TEXT PRIMARY KEY,
  incident TEXT NOT NULL);

CREATE TABLE events(
  incident TEXT NOT NULL,
  seq BIGINT NOT NULL,
  id TEXT NOT NULL UNIQUE,
  pos BIGINT NOT NULL,
  at BIGINT NOT NULL,
  recorded_at BIGINT NOT NULL,
  kind TEXT NOT NULL,
  actor TEXT NOT NULL,
  body TEXT NOT NULL,
  PRIMARY KEY(incident, seq));
CREATE INDEX events_pos ON events(pos);

CREATE TABLE outbox(
  id TEXT PRIMARY KEY,
  incident TEXT NOT NULL,
  receiver TEXT NOT NULL,
  seq BIGINT NOT NULL,
  kind TEXT NOT NULL,
  dedup_key TEXT NOT NULL,
  payload TEXT NOT NULL,
  state TEXT NOT NULL,                -- due, sent, refused, superseded
  created_at BIGINT NOT NULL,
  due_at BIGINT NOT NULL,
  claimed_by TEXT NOT NULL,
  claimed_until BIGINT NOT NULL,
  attempt INTEGER NOT NULL,
  last_error TEXT NOT NULL,
  sent_at BIGINT);                    -- when it was settled, whatever became of it
CREATE INDEX outbox_due ON outbox(due_at) WHERE state='due';
CREATE INDEX outbox_order ON outbox(incident, receiver, seq);
CREATE INDEX outbox_settled ON outbox(sent_at) WHERE sent_at IS NOT NULL;

-- Answers of writes, for the same Idempotency-Key again.
CREATE TABLE idempotency(
  key TEXT PRIMARY KEY,
  request_hash TEXT NOT NULL,
  status INTEGER NOT NULL,
  response TEXT NOT NULL,
  expires_at BIGINT NOT NULL);
CREATE INDEX idempotency_expires ON idempotency(expires_at);
