-- Lists of tasks, jobs and rejected rows are ranges of a key, however rare what they ask for is. Where nothing has counted a
-- table, its key looks as good to the planner, and walks all of it; an expression leaves it no choice.
CREATE INDEX task_by_state ON task ((state || ''), kind, (no + 0));
CREATE INDEX task_by_subject ON task (subject, kind);
CREATE INDEX task_by_title ON task ((title || ''), state, kind, (no + 0));
CREATE INDEX job_by_state ON job ((state || ''), (no + 0));
CREATE INDEX job_by_end ON job ((ended_at + 0), no) WHERE ended_at IS NOT NULL;
CREATE INDEX job_removing ON job ((no + 0)) WHERE removing = 1;
CREATE INDEX row_error_by_part ON row_error ((job + 0), part) WHERE title IS NOT NULL AND part IS NOT NULL;
CREATE INDEX row_error_by_line ON row_error ((-job), line) WHERE title IS NOT NULL AND part IS NOT NULL;
CREATE INDEX row_error_by_title ON row_error ((job + 0), title, line) WHERE title IS NOT NULL AND part IS NOT NULL;

-- Tasks of the units of a job by state and kind. Triggers write them, so that a coordinator of the version before, which runs
-- at the same time as a newer one, writes them as well.
CREATE TABLE job_task (
  job BIGINT NOT NULL,
  state TEXT COLLATE "C" NOT NULL,
  kind TEXT COLLATE "C" NOT NULL,
  task BIGINT NOT NULL,
  PRIMARY KEY (job, state, kind, task)
);
INSERT INTO job_task (job, state, kind, task)
SELECT DISTINCT u.job, t.state, t.kind, u.task FROM task_unit AS u
CROSS JOIN LATERAL (SELECT state, kind FROM task WHERE no = u.task OFFSET 0) AS t;

CREATE FUNCTION job_task_added() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO job_task (job, state, kind, task)
  SELECT DISTINCT a.job, t.state, t.kind, a.task FROM added AS a
  CROSS JOIN LATERAL (SELECT state, kind FROM task WHERE no = a.task OFFSET 0) AS t
  ON CONFLICT DO NOTHING;
  RETURN NULL;
END $$;

CREATE FUNCTION job_task_changed() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
  DELETE FROM job_task WHERE ctid = ANY (ARRAY(
    SELECT found.at FROM (SELECT no, state, kind FROM before EXCEPT SELECT no, state, kind FROM after) AS b
    CROSS JOIN LATERAL (SELECT DISTINCT job FROM task_unit WHERE task = b.no OFFSET 0) AS u
    CROSS JOIN LATERAL (SELECT ctid AS at FROM job_task
      WHERE job = u.job AND state = b.state AND kind = b.kind AND task = b.no OFFSET 0) AS found));
  INSERT INTO job_task (job, state, kind, task)
  SELECT DISTINCT u.job, a.state, a.kind, a.no
  FROM (SELECT no, state, kind FROM after EXCEPT SELECT no, state, kind FROM before) AS a
  CROSS JOIN LATERAL (SELECT job FROM task_unit WHERE task = a.no OFFSET 0) AS u
  ON CONFLICT DO NOTHING;
  RETURN NULL;
END $$;

CREATE FUNCTION job_task_removed() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
  DELETE FROM job_task WHERE ctid = ANY (ARRAY(
    SELECT found.at FROM removed AS b
    CROSS JOIN LATERAL (SELECT DISTINCT job FROM task_unit WHERE task = b.no OFFSET 0) AS u
    CROSS JOIN LATERAL (SELECT ctid AS at FROM job_task
      WHERE job = u.job AND state = b.state AND kind = b.kind AND task = b.no OFFSET 0) AS found));
  RETURN NULL;
END $$;

CREATE TRIGGER job_task_added AFTER INSERT ON task_unit REFERENCING NEW TABLE AS added
  FOR EACH STATEMENT EXECUTE FUNCTION job_task_added();
CREATE TRIGGER job_task_changed AFTER UPDATE ON task REFERENCING OLD TABLE AS before NEW TABLE AS after
  FOR EACH STATEMENT EXECUTE FUNCTION job_task_changed();
CREATE TRIGGER job_task_removed AFTER DELETE ON task REFERENCING OLD TABLE AS removed
  FOR EACH STATEMENT EXECUTE FUNCTION job_task_removed();
