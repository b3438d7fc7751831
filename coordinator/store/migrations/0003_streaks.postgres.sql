-- Neighbours that all ended well at their first execution: one row for the run instead of one for each. A row in unit
-- says more and goes first. `last` is at most 4,095 above `first`, so that who looks for a partition need not look far.
CREATE TABLE streak (
  job BIGINT NOT NULL,
  step BIGINT NOT NULL,
  first BIGINT NOT NULL,
  last BIGINT NOT NULL,
  busy_us BIGINT NOT NULL,
  PRIMARY KEY (job, step, first)
);

DROP VIEW units;
CREATE VIEW units AS
SELECT job.id AS job, step.id AS step, step.kind AS kind, partition.part AS part, partition.title AS title,
       partition.first AS first_asset, partition.assets AS assets,
       COALESCE(unit.state,
         CASE WHEN streak.last >= partition.part THEN 'succeeded'
              WHEN step.computed = 1 AND partition.part <= step.cursor THEN 'leased'
              WHEN job.ended_at IS NOT NULL THEN 'cancelled'
              WHEN step.computed = 1 THEN 'ready'
              ELSE 'planned' END) AS state,
       COALESCE(unit.epoch, CASE WHEN step.computed = 1 AND partition.part <= step.cursor THEN 1 ELSE 0 END) AS epoch,
       COALESCE(unit.attempt, 0) AS attempt, unit.due_at AS due_at,
       COALESCE(unit.duration_us,
         CASE WHEN streak.last >= partition.part THEN streak.busy_us / (streak.last - streak.first + 1) END) AS duration_us,
       job.no AS job_no, step.step AS step_no
FROM job JOIN step ON step.job = job.no AND step.kind NOT IN ('barrier', 'seal')
JOIN partition ON partition.job = job.no
LEFT JOIN unit ON unit.job = job.no AND unit.step = step.step AND unit.part = partition.part
LEFT JOIN LATERAL
  (SELECT s.first, s.last, s.busy_us FROM streak s WHERE s.job = job.no AND s.step = step.step AND s.first <= partition.part
   ORDER BY s.first DESC LIMIT 1) AS streak ON true;
