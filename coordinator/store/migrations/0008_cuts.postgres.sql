-- Units whose large assets are carried in slices: what a worker has begun for them.
CREATE TABLE cut (
  job BIGINT NOT NULL,
  step BIGINT NOT NULL,
  part BIGINT NOT NULL,
  state TEXT COLLATE "C" NOT NULL,
  drafts TEXT COLLATE "C" NOT NULL,
  PRIMARY KEY (job, step, part)
);
