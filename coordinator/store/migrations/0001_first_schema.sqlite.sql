-- TEXT, BIGINT and REAL only, moments in UTC microseconds, as in the file of PostgreSQL beside it.
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);

CREATE TABLE job (
  no INTEGER PRIMARY KEY,
  id TEXT NOT NULL UNIQUE,
  name TEXT NOT NULL,
  digest TEXT NOT NULL,
  workflow TEXT NOT NULL,
  state TEXT NOT NULL,
  phase TEXT NOT NULL,
  submitted_at BIGINT NOT NULL,
  ended_at BIGINT,
  scan_page BIGINT NOT NULL,
  scan_byte BIGINT NOT NULL,
  scan_line BIGINT NOT NULL,
  scan_epoch BIGINT NOT NULL,
  scan_attempt BIGINT NOT NULL,
  plan_title TEXT,
  plan_asset TEXT,
  assets BIGINT NOT NULL,
  bytes_declared BIGINT NOT NULL,
  bytes BIGINT NOT NULL,
  row_errors BIGINT NOT NULL,
  parts BIGINT NOT NULL,
  parts_planned BIGINT NOT NULL,
  message TEXT
);

CREATE TABLE step (
  job BIGINT NOT NULL,
  step BIGINT NOT NULL,
  id TEXT NOT NULL,
  kind TEXT NOT NULL,
  computed BIGINT NOT NULL,
  total BIGINT NOT NULL,
  succeeded BIGINT NOT NULL,
  dead BIGINT NOT NULL,
  cancelled BIGINT NOT NULL,
  live BIGINT NOT NULL,
  retrying BIGINT NOT NULL,
  cursor BIGINT NOT NULL,
  busy_us BIGINT NOT NULL,
  executions BIGINT NOT NULL,
  PRIMARY KEY (job, step)
) WITHOUT ROWID;

-- One row an asset of a job, as its library declared it. by_title feeds the partial index of jobs cut by title.
CREATE TABLE listing (
  job BIGINT NOT NULL,
  asset TEXT NOT NULL,
  title TEXT NOT NULL,
  role TEXT NOT NULL,
  location TEXT NOT NULL,
  path TEXT NOT NULL,
  bytes BIGINT,
  hash TEXT,
  declared TEXT,
  line BIGINT NOT NULL,
  by_title BIGINT NOT NULL
);
CREATE UNIQUE INDEX listing_asset ON listing (job, asset);
CREATE INDEX listing_title ON listing (job, title, asset) WHERE by_title = 1;

CREATE TABLE row_error (
  job BIGINT NOT NULL,
  line BIGINT NOT NULL,
  message TEXT NOT NULL,
  column_name TEXT,
  asset TEXT,
  PRIMARY KEY (job, line, message)
) WITHOUT ROWID;

CREATE TABLE partition (
  job BIGINT NOT NULL,
  part BIGINT NOT NULL,
  title TEXT NOT NULL,
  first TEXT NOT NULL,
  last TEXT NOT NULL,
  assets BIGINT NOT NULL,
  bytes BIGINT NOT NULL,
  parent BIGINT NOT NULL,
  split BIGINT NOT NULL,
  PRIMARY KEY (job, part)
) WITHOUT ROWID;
CREATE INDEX partition_parent ON partition (job, parent) WHERE parent > 0;

-- Assets that a split took out of their partition.
CREATE TABLE moved (
  job BIGINT NOT NULL,
  asset TEXT NOT NULL,
  part BIGINT NOT NULL,
  PRIMARY KEY (job, asset)
) WITHOUT ROWID;
CREATE INDEX moved_part ON moved (job, part, asset);

CREATE TABLE unit (
  job BIGINT NOT NULL,
  step BIGINT NOT NULL,
  part BIGINT NOT NULL,
  state TEXT NOT NULL,
  epoch BIGINT NOT NULL,
  attempt BIGINT NOT NULL,
  due_at BIGINT,
  duration_us BIGINT NOT NULL,
  PRIMARY KEY (job, step, part)
) WITHOUT ROWID;
CREATE INDEX unit_ready ON unit (job, step, part) WHERE state = 'ready';
CREATE INDEX unit_due ON unit (due_at) WHERE state = 'retrying';
CREATE INDEX unit_leased ON unit (job, step, part) WHERE state = 'leased';

CREATE TABLE failure (
  job BIGINT NOT NULL,
  step BIGINT NOT NULL,
  part BIGINT NOT NULL,
  asset TEXT NOT NULL,
  class TEXT NOT NULL,
  reason TEXT NOT NULL,
  message TEXT NOT NULL,
  checks TEXT NOT NULL,
  findings TEXT,
  PRIMARY KEY (job, step, part, asset)
) WITHOUT ROWID;

CREATE TABLE barrier (
  job BIGINT NOT NULL,
  step BIGINT NOT NULL,
  key TEXT NOT NULL,
  first_part BIGINT NOT NULL,
  last_part BIGINT NOT NULL,
  total BIGINT NOT NULL,
  succeeded BIGINT NOT NULL,
  failed BIGINT NOT NULL,
  state TEXT NOT NULL,
  spread BIGINT NOT NULL,
  released_at BIGINT,
  PRIMARY KEY (job, step, key)
) WITHOUT ROWID;
CREATE INDEX barrier_state ON barrier (job, step, state, key) WHERE state <> 'released' OR spread < last_part;

CREATE TABLE asset (
  id TEXT PRIMARY KEY,
  title TEXT NOT NULL,
  role TEXT NOT NULL,
  location TEXT NOT NULL,
  path TEXT NOT NULL,
  bytes BIGINT,
  hash TEXT,
  declared TEXT,
  copy TEXT,
  verdict TEXT,
  report TEXT,
  job BIGINT,
  updated_at BIGINT NOT NULL
) WITHOUT ROWID;
CREATE INDEX asset_title ON asset (title, id);

-- Every unit of every job, with or without a row of its own, for people and for plain SQL.
CREATE VIEW units AS
SELECT job.id AS job, step.id AS step, step.kind AS kind, partition.part AS part, partition.title AS title,
       partition.first AS first_asset, partition.assets AS assets,
       COALESCE(unit.state,
         CASE WHEN step.computed = 1 AND partition.part <= step.cursor THEN 'leased'
              WHEN job.ended_at IS NOT NULL THEN 'cancelled'
              WHEN step.computed = 1 THEN 'ready'
              ELSE 'planned' END) AS state,
       COALESCE(unit.epoch, CASE WHEN step.computed = 1 AND partition.part <= step.cursor THEN 1 ELSE 0 END) AS epoch,
       COALESCE(unit.attempt, 0) AS attempt, unit.due_at AS due_at, unit.duration_us AS duration_us,
       job.no AS job_no, step.step AS step_no
FROM job JOIN step ON step.job = job.no AND step.kind NOT IN ('barrier', 'seal')
JOIN partition ON partition.job = job.no
LEFT JOIN unit ON unit.job = job.no AND unit.step = step.step AND unit.part = partition.part;
