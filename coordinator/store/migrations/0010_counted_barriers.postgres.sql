-- How many instances of a barrier are in each state: counted as they change, never by looking at all of them. Triggers
-- count, so that a coordinator of the version before, which works beside a newer one, counts as well.
CREATE TABLE barrier_count (
  job BIGINT NOT NULL,
  step BIGINT NOT NULL,
  total BIGINT NOT NULL,
  released BIGINT NOT NULL,
  held BIGINT NOT NULL,
  spreading BIGINT NOT NULL,
  PRIMARY KEY (job, step)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500);
INSERT INTO barrier_count (job, step, total, released, held, spreading)
SELECT job, step, COUNT(*), COUNT(*) FILTER (WHERE state = 'released'), COUNT(*) FILTER (WHERE state = 'held'),
       COUNT(*) FILTER (WHERE state = 'released' AND spread < last_part)
FROM barrier GROUP BY job, step;

CREATE FUNCTION barrier_added() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO barrier_count (job, step, total, released, held, spreading)
  SELECT job, step, COUNT(*), COUNT(*) FILTER (WHERE state = 'released'), COUNT(*) FILTER (WHERE state = 'held'),
         COUNT(*) FILTER (WHERE state = 'released' AND spread < last_part)
  FROM added GROUP BY job, step
  ON CONFLICT (job, step) DO UPDATE SET total = barrier_count.total + excluded.total,
    released = barrier_count.released + excluded.released, held = barrier_count.held + excluded.held,
    spreading = barrier_count.spreading + excluded.spreading;
  RETURN NULL;
END $$;

CREATE FUNCTION barrier_changed() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
  UPDATE barrier_count SET released = barrier_count.released + d.released, held = barrier_count.held + d.held,
    spreading = barrier_count.spreading + d.spreading
  FROM (
    SELECT job, step, SUM(released) AS released, SUM(held) AS held, SUM(spreading) AS spreading FROM (
      SELECT job, step, (state = 'released')::INT AS released, (state = 'held')::INT AS held,
             (state = 'released' AND spread < last_part)::INT AS spreading FROM after
      UNION ALL
      SELECT job, step, -(state = 'released')::INT, -(state = 'held')::INT,
             -(state = 'released' AND spread < last_part)::INT FROM before
    ) AS changes GROUP BY job, step
  ) AS d
  WHERE barrier_count.job = d.job AND barrier_count.step = d.step
    AND (d.released <> 0 OR d.held <> 0 OR d.spreading <> 0);
  RETURN NULL;
END $$;

CREATE FUNCTION barrier_removed() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
  UPDATE barrier_count SET total = barrier_count.total - d.total, released = barrier_count.released - d.released,
    held = barrier_count.held - d.held, spreading = barrier_count.spreading - d.spreading
  FROM (
    SELECT job, step, COUNT(*) AS total, COUNT(*) FILTER (WHERE state = 'released') AS released,
           COUNT(*) FILTER (WHERE state = 'held') AS held,
           COUNT(*) FILTER (WHERE state = 'released' AND spread < last_part) AS spreading
    FROM removed GROUP BY job, step
  ) AS d
  WHERE barrier_count.job = d.job AND barrier_count.step = d.step;
  RETURN NULL;
END $$;

CREATE TRIGGER barrier_added AFTER INSERT ON barrier REFERENCING NEW TABLE AS added
  FOR EACH STATEMENT EXECUTE FUNCTION barrier_added();
CREATE TRIGGER barrier_changed AFTER UPDATE ON barrier REFERENCING OLD TABLE AS before NEW TABLE AS after
  FOR EACH STATEMENT EXECUTE FUNCTION barrier_changed();
CREATE TRIGGER barrier_removed AFTER DELETE ON barrier REFERENCING OLD TABLE AS removed
  FOR EACH STATEMENT EXECUTE FUNCTION barrier_removed();

-- What is asked for by state. Where nothing has counted a table, its key looks as good to the planner as a partial index,
-- and walks the whole job. It takes no hints; an expression leaves it no choice.
DROP INDEX unit_ready;
DROP INDEX unit_leased;
CREATE INDEX unit_by_state ON unit ((job + 0), state, step, part) WHERE state <> 'succeeded';
DROP INDEX barrier_state;
CREATE INDEX barrier_by_state ON barrier ((job + 0), step, state, key) WHERE state <> 'released' OR spread < last_part;

CREATE INDEX job_open ON job (no) WHERE ended_at IS NULL;
-- Another expression than that of the next index, which would look as good for the wrong order.
CREATE INDEX task_unit_of_job ON task_unit ((-job), task);
DROP INDEX task_unit_job;
CREATE INDEX task_unit_in_order ON task_unit ((job + 0), step, part, task);
CREATE INDEX task_pending_kind ON task (kind, due_at) WHERE ended_at IS NULL;

-- A location may be longer than an index entry.
ALTER TABLE tombstone DROP CONSTRAINT tombstone_pkey;
CREATE UNIQUE INDEX tombstone_once ON tombstone (asset, job, md5(location));
