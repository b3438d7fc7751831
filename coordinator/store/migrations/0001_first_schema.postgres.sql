-- The tables of 0001_first_schema.sqlite.sql on PostgreSQL. Text is in byte order (COLLATE "C"), as Rust and SQLite
-- compare it. Pages of rows that change are left partly empty, so that a new version finds room beside the old one.
--
-- unit and listing are one table each: a job's rows are neighbours in their keys, and every statement names its job.
-- Retention will want them partitioned by job, to be dropped instead of deleted; the statements need not change for it.
CREATE TABLE meta (key TEXT COLLATE "C" PRIMARY KEY, value TEXT COLLATE "C" NOT NULL);

-- Who may write. Judged by this database's clock; every write of a leader checks its generation.
CREATE TABLE leader (
  one BIGINT PRIMARY KEY CHECK (one = 1),
  generation BIGINT NOT NULL,
  holder TEXT COLLATE "C" NOT NULL,
  expires_at BIGINT NOT NULL
) WITH (fillfactor = 20, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500);
INSERT INTO leader (one, generation, holder, expires_at) VALUES (1, 0, '', 0);

CREATE TABLE job (
  no BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  id TEXT COLLATE "C" NOT NULL UNIQUE,
  name TEXT COLLATE "C" NOT NULL,
  digest TEXT COLLATE "C" NOT NULL,
  workflow TEXT COLLATE "C" NOT NULL,
  state TEXT COLLATE "C" NOT NULL,
  phase TEXT COLLATE "C" NOT NULL,
  submitted_at BIGINT NOT NULL,
  ended_at BIGINT,
  scan_page BIGINT NOT NULL,
  scan_byte BIGINT NOT NULL,
  scan_line BIGINT NOT NULL,
  scan_epoch BIGINT NOT NULL,
  scan_attempt BIGINT NOT NULL,
  plan_title TEXT COLLATE "C",
  plan_asset TEXT COLLATE "C",
  assets BIGINT NOT NULL,
  bytes_declared BIGINT NOT NULL,
  bytes BIGINT NOT NULL,
  row_errors BIGINT NOT NULL,
  parts BIGINT NOT NULL,
  parts_planned BIGINT NOT NULL,
  message TEXT COLLATE "C"
);

CREATE TABLE step (
  job BIGINT NOT NULL,
  step BIGINT NOT NULL,
  id TEXT COLLATE "C" NOT NULL,
  kind TEXT COLLATE "C" NOT NULL,
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
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500);

-- One row an asset of a job, as its library declared it. by_title feeds the partial index of jobs cut by title.
CREATE TABLE listing (
  job BIGINT NOT NULL,
  asset TEXT COLLATE "C" NOT NULL,
  title TEXT COLLATE "C" NOT NULL,
  role TEXT COLLATE "C" NOT NULL,
  location TEXT COLLATE "C" NOT NULL,
  path TEXT COLLATE "C" NOT NULL,
  bytes BIGINT,
  hash TEXT COLLATE "C",
  declared TEXT COLLATE "C",
  line BIGINT NOT NULL,
  by_title BIGINT NOT NULL
) WITH (autovacuum_analyze_scale_factor = 0.05);
CREATE UNIQUE INDEX listing_asset ON listing (job, asset);
CREATE INDEX listing_title ON listing (job, title, asset) WHERE by_title = 1;

CREATE TABLE row_error (
  job BIGINT NOT NULL,
  line BIGINT NOT NULL,
  message TEXT COLLATE "C" NOT NULL,
  column_name TEXT COLLATE "C",
  asset TEXT COLLATE "C"
);
-- A message may be longer than an index entry.
CREATE UNIQUE INDEX row_error_once ON row_error (job, line, md5(message));

CREATE TABLE partition (
  job BIGINT NOT NULL,
  part BIGINT NOT NULL,
  title TEXT COLLATE "C" NOT NULL,
  first TEXT COLLATE "C" NOT NULL,
  last TEXT COLLATE "C" NOT NULL,
  assets BIGINT NOT NULL,
  bytes BIGINT NOT NULL,
  parent BIGINT NOT NULL,
  split BIGINT NOT NULL,
  PRIMARY KEY (job, part)
) WITH (autovacuum_analyze_scale_factor = 0.05);
CREATE INDEX partition_parent ON partition (job, parent) WHERE parent > 0;

-- Assets that a split took out of their partition.
CREATE TABLE moved (
  job BIGINT NOT NULL,
  asset TEXT COLLATE "C" NOT NULL,
  part BIGINT NOT NULL,
  PRIMARY KEY (job, asset)
);
CREATE INDEX moved_part ON moved (job, part, asset);

CREATE TABLE unit (
  job BIGINT NOT NULL,
  step BIGINT NOT NULL,
  part BIGINT NOT NULL,
  state TEXT COLLATE "C" NOT NULL,
  epoch BIGINT NOT NULL,
  attempt BIGINT NOT NULL,
  due_at BIGINT,
  duration_us BIGINT NOT NULL,
  PRIMARY KEY (job, step, part)
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.02);
CREATE INDEX unit_ready ON unit (job, step, part) WHERE state = 'ready';
CREATE INDEX unit_due ON unit (due_at) WHERE state = 'retrying';
CREATE INDEX unit_leased ON unit (job, step, part) WHERE state = 'leased';

CREATE TABLE failure (
  job BIGINT NOT NULL,
  step BIGINT NOT NULL,
  part BIGINT NOT NULL,
  asset TEXT COLLATE "C" NOT NULL,
  class TEXT COLLATE "C" NOT NULL,
  reason TEXT COLLATE "C" NOT NULL,
  message TEXT COLLATE "C" NOT NULL,
  checks TEXT COLLATE "C" NOT NULL,
  findings TEXT COLLATE "C",
  PRIMARY KEY (job, step, part, asset)
) WITH (fillfactor = 90);

CREATE TABLE barrier (
  job BIGINT NOT NULL,
  step BIGINT NOT NULL,
  key TEXT COLLATE "C" NOT NULL,
  first_part BIGINT NOT NULL,
  last_part BIGINT NOT NULL,
  total BIGINT NOT NULL,
  succeeded BIGINT NOT NULL,
  failed BIGINT NOT NULL,
  state TEXT COLLATE "C" NOT NULL,
  spread BIGINT NOT NULL,
  released_at BIGINT,
  PRIMARY KEY (job, step, key)
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 500);
CREATE INDEX barrier_state ON barrier (job, step, state, key) WHERE state <> 'released' OR spread < last_part;

CREATE TABLE asset (
  id TEXT COLLATE "C" PRIMARY KEY,
  title TEXT COLLATE "C" NOT NULL,
  role TEXT COLLATE "C" NOT NULL,
  location TEXT COLLATE "C" NOT NULL,
  path TEXT COLLATE "C" NOT NULL,
  bytes BIGINT,
  hash TEXT COLLATE "C",
  declared TEXT COLLATE "C",
  copy TEXT COLLATE "C",
  verdict TEXT COLLATE "C",
  report TEXT COLLATE "C",
  job BIGINT,
  updated_at BIGINT NOT NULL
) WITH (fillfactor = 85, autovacuum_vacuum_scale_factor = 0.05);
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
