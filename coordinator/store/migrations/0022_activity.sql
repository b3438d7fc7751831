-- Running units and rates of jobs, as the leader saw them last: one row.
CREATE TABLE activity (
  id BIGINT PRIMARY KEY,
  seen TEXT NOT NULL
);
