-- Operations, causes of failures, losses of workers, and the workers themselves.
ALTER TABLE failure ADD COLUMN cause TEXT NOT NULL DEFAULT '';
CREATE INDEX failure_cause ON failure (cause, job, step, part, asset) WHERE cause <> '';

CREATE TABLE operation (
  no BIGINT PRIMARY KEY,
  at BIGINT NOT NULL,
  actor TEXT NOT NULL,
  action TEXT NOT NULL,
  job BIGINT,
  filter TEXT NOT NULL,
  reason TEXT NOT NULL,
  matched BIGINT NOT NULL,
  eligible BIGINT NOT NULL,
  done BIGINT NOT NULL,
  state TEXT NOT NULL,
  rate TEXT,
  after_job BIGINT,
  after_step BIGINT,
  after_part BIGINT,
  paced_at BIGINT NOT NULL,
  ended_at BIGINT
);
CREATE INDEX operation_job ON operation (job, no);
CREATE INDEX operation_running ON operation (no) WHERE state = 'running';

-- One row a cause, step and job: dead letters are counted as they come and go, never by looking at all of them.
CREATE TABLE cause (
  cause TEXT NOT NULL,
  job BIGINT NOT NULL,
  step BIGINT NOT NULL,
  reason TEXT NOT NULL,
  class TEXT NOT NULL,
  example TEXT NOT NULL,
  units BIGINT NOT NULL,
  assets BIGINT NOT NULL,
  first_at BIGINT NOT NULL,
  last_at BIGINT NOT NULL,
  PRIMARY KEY (cause, job, step)
);
CREATE INDEX cause_job ON cause (job, last_at);
CREATE INDEX cause_last ON cause (last_at);

CREATE TABLE waiver (
  cause TEXT PRIMARY KEY,
  at BIGINT NOT NULL,
  actor TEXT NOT NULL,
  reason TEXT NOT NULL,
  until BIGINT
);

-- A worker that fell silent with a unit in hand.
CREATE TABLE loss (
  job BIGINT NOT NULL,
  step BIGINT NOT NULL,
  part BIGINT NOT NULL,
  epoch BIGINT NOT NULL,
  worker TEXT NOT NULL,
  alone BIGINT NOT NULL,
  at BIGINT NOT NULL,
  PRIMARY KEY (job, step, part, epoch)
);

CREATE TABLE worker (
  name TEXT PRIMARY KEY,
  slots TEXT NOT NULL,
  held BIGINT NOT NULL,
  heard_at BIGINT NOT NULL,
  state TEXT NOT NULL,
  told TEXT,
  told_by TEXT,
  told_why TEXT,
  told_at BIGINT
);
