-- What was changed, as it was reported or seen in the metrics.
CREATE TABLE changes(
  id TEXT PRIMARY KEY,
  at BIGINT NOT NULL,
  body TEXT NOT NULL);
CREATE INDEX changes_at ON changes(at);
