-- Executions that failed, and those that ended a unit which had failed before.
CREATE TABLE attempt (
  job BIGINT NOT NULL,
  step BIGINT NOT NULL,
  part BIGINT NOT NULL,
  epoch BIGINT NOT NULL,
  worker {text} NOT NULL,
  ended_at BIGINT NOT NULL,
  duration_us BIGINT NOT NULL,
  assets_failed BIGINT NOT NULL,
  class {text},
  reason {text},
  message {text},
  PRIMARY KEY (job, step, part, epoch)
) {without_rowid};
