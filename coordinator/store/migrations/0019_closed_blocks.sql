-- Blocks of partitions in which every unit of a step has a history. A history never goes away, so a block is closed once,
-- and a search for units without one passes it over.
CREATE TABLE closed_block (
  job BIGINT NOT NULL,
  step BIGINT NOT NULL,
  block BIGINT NOT NULL,
  PRIMARY KEY (job, step, block)
) {without_rowid};
