-- What is left of content that was removed for good; it outlives its job. How fast jobs move bytes, as their leader last
-- saw it. Where the listing of a bucket goes on.
ALTER TABLE job ADD COLUMN scan_after TEXT COLLATE "C";

CREATE TABLE tombstone (
  asset TEXT COLLATE "C" NOT NULL,
  location TEXT COLLATE "C" NOT NULL,
  job TEXT COLLATE "C" NOT NULL,
  step TEXT COLLATE "C" NOT NULL,
  version TEXT COLLATE "C" NOT NULL,
  bytes BIGINT NOT NULL,
  hash TEXT COLLATE "C" NOT NULL,
  copy TEXT COLLATE "C" NOT NULL,
  proof TEXT COLLATE "C" NOT NULL,
  ordered_by TEXT COLLATE "C" NOT NULL,
  reason TEXT COLLATE "C" NOT NULL,
  found_gone BIGINT NOT NULL,
  dry_run BIGINT NOT NULL,
  at BIGINT NOT NULL,
  PRIMARY KEY (asset, location, job)
);

CREATE TABLE pace (
  job BIGINT NOT NULL,
  told TEXT COLLATE "C" NOT NULL,
  PRIMARY KEY (job)
);
