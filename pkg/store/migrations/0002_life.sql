-- What is practice ('drill') or a trouble of the daemon's own ('self') stands beside the incidents ('').
ALTER TABLE incidents ADD COLUMN class TEXT NOT NULL DEFAULT '';
CREATE INDEX incidents_class ON incidents(class, number) WHERE class='self';

-- Planned work that holds pages back.
CREATE TABLE silences(
  id TEXT PRIMARY KEY,
  until_at BIGINT NOT NULL,
  body TEXT NOT NULL);
CREATE INDEX silences_until ON silences(until_at);

-- Random bytes that stay the same for ever, such as what signs the links in messages.
CREATE TABLE keys(
  name TEXT PRIMARY KEY,
  value TEXT NOT NULL);               -- in hexadecimal digits
