-- What is left of content that was removed for good; it outlives its job. How fast jobs move bytes, as their leader last
-- saw it. Where the listing of a bucket goes on.
ALTER TABLE job ADD COLUMN scan_after TEXT;

CREATE TABLE tombstone (
  asset TEXT NOT NULL,
  location TEXT NOT NULL,
  job TEXT NOT NULL,
  step TEXT NOT NULL,
  version TEXT NOT NULL,
  bytes BIGINT NOT NULL,
  hash TEXT NOT NULL,
  copy TEXT NOT NULL,
  proof TEXT NOT NULL,
  ordered_by TEXT NOT NULL,
  reason TEXT NOT NULL,
  found_gone BIGINT NOT NULL,
  dry_run BIGINT NOT NULL,
  at BIGINT NOT NULL,
  PRIMARY KEY (asset, location, job)
) WITHOUT ROWID;

CREATE TABLE pace (
  job BIGINT NOT NULL,
  told TEXT NOT NULL,
  PRIMARY KEY (job)
) WITHOUT ROWID;
