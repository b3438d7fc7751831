PRAGMA user_version = 9;
BEGIN TRANSACTION;
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
INSERT INTO "barrier" VALUES(1,1,'title-0000000',1,5,5,5,0,'released',5,1796059960132477);
INSERT INTO "barrier" VALUES(1,1,'title-0000001',6,10,5,3,0,'waiting',0,NULL);
INSERT INTO "barrier" VALUES(1,1,'title-0000002',11,15,5,0,0,'waiting',0,NULL);
INSERT INTO "barrier" VALUES(1,1,'title-0000003',16,20,5,0,0,'waiting',0,NULL);
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
CREATE TABLE cost (
  kind TEXT NOT NULL,
  size BIGINT NOT NULL,
  measures BIGINT NOT NULL,
  total_us BIGINT NOT NULL,
  places TEXT NOT NULL,
  PRIMARY KEY (kind, size)
) WITHOUT ROWID;
INSERT INTO "cost" VALUES('noop',101,4,2803712,'[0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,4]');
CREATE TABLE cut (
  job BIGINT NOT NULL,
  step BIGINT NOT NULL,
  part BIGINT NOT NULL,
  state TEXT NOT NULL,
  drafts TEXT NOT NULL,
  PRIMARY KEY (job, step, part)
) WITHOUT ROWID;
CREATE TABLE failure (
  job BIGINT NOT NULL,
  step BIGINT NOT NULL,
  part BIGINT NOT NULL,
  asset TEXT NOT NULL,
  class TEXT NOT NULL,
  reason TEXT NOT NULL,
  message TEXT NOT NULL,
  checks TEXT NOT NULL,
  findings TEXT, cause TEXT NOT NULL DEFAULT '',
  PRIMARY KEY (job, step, part, asset)
) WITHOUT ROWID;
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
, priority TEXT NOT NULL DEFAULT 'normal', tenant TEXT NOT NULL DEFAULT 'default', deadline BIGINT, scan_after TEXT, judged BIGINT NOT NULL DEFAULT 0, decoded BIGINT NOT NULL DEFAULT 0);
INSERT INTO "job" VALUES(1,'continued-d56aqp7x','continued','0a201c7ca0094a6b00f3330cc29155bf7110a88a138ba476cd5310cc449f3b44','{"name":"continued","scan":{"Scan":{"source":{"Manifest":{"path":"/library/library.csv"}},"root":"/library","resume":null,"page_assets":2000}},"deadline":null,"priority":"normal","tenant":"default","partition":{"by_title":true,"assets_max":2,"bytes_max":18446744073709551615},"steps":[{"id":"first","needs":[],"retry":{"attempts_max":3,"backoff_min":{"secs":2,"nanos":0},"backoff_max":{"secs":300,"nanos":0}},"on_failure":"task","due_us":null,"action":{"Units":{"kind":"noop","task":{"Noop":{"duration_min_us":700000,"duration_max_us":700000,"fail":0.0}},"reads":null}}},{"id":"all","needs":[0],"retry":{"attempts_max":3,"backoff_min":{"secs":2,"nanos":0},"backoff_max":{"secs":300,"nanos":0}},"on_failure":"task","due_us":null,"action":{"Barrier":{"scope":"title","batch_units":1000,"policy":{"require":"All","budget":null,"until":null},"deadline_us":null}}},{"id":"look","needs":[1],"retry":{"attempts_max":3,"backoff_min":{"secs":2,"nanos":0},"backoff_max":{"secs":300,"nanos":0}},"on_failure":"task","due_us":null,"action":{"Approval":{"role":"qc","when":null}}},{"id":"second","needs":[2],"retry":{"attempts_max":3,"backoff_min":{"secs":2,"nanos":0},"backoff_max":{"secs":300,"nanos":0}},"on_failure":"task","due_us":null,"action":{"Units":{"kind":"noop","task":{"Noop":{"duration_min_us":1000,"duration_max_us":1000,"fail":0.0}},"reads":null}}}]}','running','sealed',1796059957911639,NULL,1,2466,42,1,0,'title-0000003','asset-00000039',40,0,0,0,20,20,NULL,'normal','default',NULL,NULL,0,0);
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
INSERT INTO "listing" VALUES(1,'asset-00000000','title-0000000','master','file:/library/media/asset-00000000.mov','media/asset-00000000.mov',NULL,NULL,NULL,2,1);
INSERT INTO "listing" VALUES(1,'asset-00000001','title-0000000','master','file:/library/media/asset-00000001.mov','media/asset-00000001.mov',NULL,NULL,NULL,3,1);
INSERT INTO "listing" VALUES(1,'asset-00000002','title-0000000','master','file:/library/media/asset-00000002.mov','media/asset-00000002.mov',NULL,NULL,NULL,4,1);
INSERT INTO "listing" VALUES(1,'asset-00000003','title-0000000','master','file:/library/media/asset-00000003.mov','media/asset-00000003.mov',NULL,NULL,NULL,5,1);
INSERT INTO "listing" VALUES(1,'asset-00000004','title-0000000','master','file:/library/media/asset-00000004.mov','media/asset-00000004.mov',NULL,NULL,NULL,6,1);
INSERT INTO "listing" VALUES(1,'asset-00000005','title-0000000','master','file:/library/media/asset-00000005.mov','media/asset-00000005.mov',NULL,NULL,NULL,7,1);
INSERT INTO "listing" VALUES(1,'asset-00000006','title-0000000','master','file:/library/media/asset-00000006.mov','media/asset-00000006.mov',NULL,NULL,NULL,8,1);
INSERT INTO "listing" VALUES(1,'asset-00000007','title-0000000','master','file:/library/media/asset-00000007.mov','media/asset-00000007.mov',NULL,NULL,NULL,9,1);
INSERT INTO "listing" VALUES(1,'asset-00000008','title-0000000','master','file:/library/media/asset-00000008.mov','media/asset-00000008.mov',NULL,NULL,NULL,10,1);
INSERT INTO "listing" VALUES(1,'asset-00000009','title-0000000','master','file:/library/media/asset-00000009.mov','media/asset-00000009.mov',NULL,NULL,NULL,11,1);
INSERT INTO "listing" VALUES(1,'asset-00000010','title-0000001','master','file:/library/media/asset-00000010.mov','media/asset-00000010.mov',NULL,NULL,NULL,12,1);
INSERT INTO "listing" VALUES(1,'asset-00000011','title-0000001','master','file:/library/media/asset-00000011.mov','media/asset-00000011.mov',NULL,NULL,NULL,13,1);
INSERT INTO "listing" VALUES(1,'asset-00000012','title-0000001','master','file:/library/media/asset-00000012.mov','media/asset-00000012.mov',NULL,NULL,NULL,14,1);
INSERT INTO "listing" VALUES(1,'asset-00000013','title-0000001','master','file:/library/media/asset-00000013.mov','media/asset-00000013.mov',NULL,NULL,NULL,15,1);
INSERT INTO "listing" VALUES(1,'asset-00000014','title-0000001','master','file:/library/media/asset-00000014.mov','media/asset-00000014.mov',NULL,NULL,NULL,16,1);
INSERT INTO "listing" VALUES(1,'asset-00000015','title-0000001','master','file:/library/media/asset-00000015.mov','media/asset-00000015.mov',NULL,NULL,NULL,17,1);
INSERT INTO "listing" VALUES(1,'asset-00000016','title-0000001','master','file:/library/media/asset-00000016.mov','media/asset-00000016.mov',NULL,NULL,NULL,18,1);
INSERT INTO "listing" VALUES(1,'asset-00000017','title-0000001','master','file:/library/media/asset-00000017.mov','media/asset-00000017.mov',NULL,NULL,NULL,19,1);
INSERT INTO "listing" VALUES(1,'asset-00000018','title-0000001','master','file:/library/media/asset-00000018.mov','media/asset-00000018.mov',NULL,NULL,NULL,20,1);
INSERT INTO "listing" VALUES(1,'asset-00000019','title-0000001','master','file:/library/media/asset-00000019.mov','media/asset-00000019.mov',NULL,NULL,NULL,21,1);
INSERT INTO "listing" VALUES(1,'asset-00000020','title-0000002','master','file:/library/media/asset-00000020.mov','media/asset-00000020.mov',NULL,NULL,NULL,22,1);
INSERT INTO "listing" VALUES(1,'asset-00000021','title-0000002','master','file:/library/media/asset-00000021.mov','media/asset-00000021.mov',NULL,NULL,NULL,23,1);
INSERT INTO "listing" VALUES(1,'asset-00000022','title-0000002','master','file:/library/media/asset-00000022.mov','media/asset-00000022.mov',NULL,NULL,NULL,24,1);
INSERT INTO "listing" VALUES(1,'asset-00000023','title-0000002','master','file:/library/media/asset-00000023.mov','media/asset-00000023.mov',NULL,NULL,NULL,25,1);
INSERT INTO "listing" VALUES(1,'asset-00000024','title-0000002','master','file:/library/media/asset-00000024.mov','media/asset-00000024.mov',NULL,NULL,NULL,26,1);
INSERT INTO "listing" VALUES(1,'asset-00000025','title-0000002','master','file:/library/media/asset-00000025.mov','media/asset-00000025.mov',NULL,NULL,NULL,27,1);
INSERT INTO "listing" VALUES(1,'asset-00000026','title-0000002','master','file:/library/media/asset-00000026.mov','media/asset-00000026.mov',NULL,NULL,NULL,28,1);
INSERT INTO "listing" VALUES(1,'asset-00000027','title-0000002','master','file:/library/media/asset-00000027.mov','media/asset-00000027.mov',NULL,NULL,NULL,29,1);
INSERT INTO "listing" VALUES(1,'asset-00000028','title-0000002','master','file:/library/media/asset-00000028.mov','media/asset-00000028.mov',NULL,NULL,NULL,30,1);
INSERT INTO "listing" VALUES(1,'asset-00000029','title-0000002','master','file:/library/media/asset-00000029.mov','media/asset-00000029.mov',NULL,NULL,NULL,31,1);
INSERT INTO "listing" VALUES(1,'asset-00000030','title-0000003','master','file:/library/media/asset-00000030.mov','media/asset-00000030.mov',NULL,NULL,NULL,32,1);
INSERT INTO "listing" VALUES(1,'asset-00000031','title-0000003','master','file:/library/media/asset-00000031.mov','media/asset-00000031.mov',NULL,NULL,NULL,33,1);
INSERT INTO "listing" VALUES(1,'asset-00000032','title-0000003','master','file:/library/media/asset-00000032.mov','media/asset-00000032.mov',NULL,NULL,NULL,34,1);
INSERT INTO "listing" VALUES(1,'asset-00000033','title-0000003','master','file:/library/media/asset-00000033.mov','media/asset-00000033.mov',NULL,NULL,NULL,35,1);
INSERT INTO "listing" VALUES(1,'asset-00000034','title-0000003','master','file:/library/media/asset-00000034.mov','media/asset-00000034.mov',NULL,NULL,NULL,36,1);
INSERT INTO "listing" VALUES(1,'asset-00000035','title-0000003','master','file:/library/media/asset-00000035.mov','media/asset-00000035.mov',NULL,NULL,NULL,37,1);
INSERT INTO "listing" VALUES(1,'asset-00000036','title-0000003','master','file:/library/media/asset-00000036.mov','media/asset-00000036.mov',NULL,NULL,NULL,38,1);
INSERT INTO "listing" VALUES(1,'asset-00000037','title-0000003','master','file:/library/media/asset-00000037.mov','media/asset-00000037.mov',NULL,NULL,NULL,39,1);
INSERT INTO "listing" VALUES(1,'asset-00000038','title-0000003','master','file:/library/media/asset-00000038.mov','media/asset-00000038.mov',NULL,NULL,NULL,40,1);
INSERT INTO "listing" VALUES(1,'asset-00000039','title-0000003','master','file:/library/media/asset-00000039.mov','media/asset-00000039.mov',NULL,NULL,NULL,41,1);
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
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE moved (
  job BIGINT NOT NULL,
  asset TEXT NOT NULL,
  part BIGINT NOT NULL,
  PRIMARY KEY (job, asset)
) WITHOUT ROWID;
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
CREATE TABLE pace (
  job BIGINT NOT NULL,
  told TEXT NOT NULL,
  PRIMARY KEY (job)
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
INSERT INTO "partition" VALUES(1,1,'title-0000000','asset-00000000','asset-00000001',2,0,0,0);
INSERT INTO "partition" VALUES(1,2,'title-0000000','asset-00000002','asset-00000003',2,0,0,0);
INSERT INTO "partition" VALUES(1,3,'title-0000000','asset-00000004','asset-00000005',2,0,0,0);
INSERT INTO "partition" VALUES(1,4,'title-0000000','asset-00000006','asset-00000007',2,0,0,0);
INSERT INTO "partition" VALUES(1,5,'title-0000000','asset-00000008','asset-00000009',2,0,0,0);
INSERT INTO "partition" VALUES(1,6,'title-0000001','asset-00000010','asset-00000011',2,0,0,0);
INSERT INTO "partition" VALUES(1,7,'title-0000001','asset-00000012','asset-00000013',2,0,0,0);
INSERT INTO "partition" VALUES(1,8,'title-0000001','asset-00000014','asset-00000015',2,0,0,0);
INSERT INTO "partition" VALUES(1,9,'title-0000001','asset-00000016','asset-00000017',2,0,0,0);
INSERT INTO "partition" VALUES(1,10,'title-0000001','asset-00000018','asset-00000019',2,0,0,0);
INSERT INTO "partition" VALUES(1,11,'title-0000002','asset-00000020','asset-00000021',2,0,0,0);
INSERT INTO "partition" VALUES(1,12,'title-0000002','asset-00000022','asset-00000023',2,0,0,0);
INSERT INTO "partition" VALUES(1,13,'title-0000002','asset-00000024','asset-00000025',2,0,0,0);
INSERT INTO "partition" VALUES(1,14,'title-0000002','asset-00000026','asset-00000027',2,0,0,0);
INSERT INTO "partition" VALUES(1,15,'title-0000002','asset-00000028','asset-00000029',2,0,0,0);
INSERT INTO "partition" VALUES(1,16,'title-0000003','asset-00000030','asset-00000031',2,0,0,0);
INSERT INTO "partition" VALUES(1,17,'title-0000003','asset-00000032','asset-00000033',2,0,0,0);
INSERT INTO "partition" VALUES(1,18,'title-0000003','asset-00000034','asset-00000035',2,0,0,0);
INSERT INTO "partition" VALUES(1,19,'title-0000003','asset-00000036','asset-00000037',2,0,0,0);
INSERT INTO "partition" VALUES(1,20,'title-0000003','asset-00000038','asset-00000039',2,0,0,0);
CREATE TABLE row_error (
  job BIGINT NOT NULL,
  line BIGINT NOT NULL,
  message TEXT NOT NULL,
  column_name TEXT,
  asset TEXT,
  PRIMARY KEY (job, line, message)
) WITHOUT ROWID;
CREATE TABLE sheet (
  hash TEXT PRIMARY KEY,
  sheet TEXT NOT NULL,
  measured_at BIGINT NOT NULL
);
CREATE TABLE slice (
  job BIGINT NOT NULL,
  step BIGINT NOT NULL,
  part BIGINT NOT NULL,
  number BIGINT NOT NULL,
  first BIGINT NOT NULL,
  bytes BIGINT NOT NULL,
  state TEXT NOT NULL,
  epoch BIGINT NOT NULL,
  attempt BIGINT NOT NULL,
  due_at BIGINT,
  receipt TEXT,
  PRIMARY KEY (job, step, part, number)
) WITHOUT ROWID;
CREATE TABLE speculation (
  job BIGINT NOT NULL,
  step BIGINT NOT NULL,
  part BIGINT NOT NULL,
  older BIGINT NOT NULL,
  newer BIGINT NOT NULL,
  state TEXT NOT NULL,
  PRIMARY KEY (job, step, part)
) WITHOUT ROWID;
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
INSERT INTO "step" VALUES(1,0,'first','noop',1,20,8,0,0,0,0,20,5608898,8);
INSERT INTO "step" VALUES(1,1,'all','barrier',0,0,0,0,0,0,0,0,0,0);
INSERT INTO "step" VALUES(1,2,'look','approval',0,20,0,0,0,5,0,0,0,0);
INSERT INTO "step" VALUES(1,3,'second','noop',0,20,0,0,0,0,0,0,0,0);
CREATE TABLE streak (
  job BIGINT NOT NULL,
  step BIGINT NOT NULL,
  first BIGINT NOT NULL,
  last BIGINT NOT NULL,
  busy_us BIGINT NOT NULL,
  PRIMARY KEY (job, step, first)
) WITHOUT ROWID;
CREATE TABLE task (
  no BIGINT PRIMARY KEY,
  kind TEXT NOT NULL,
  state TEXT NOT NULL,
  subject TEXT NOT NULL,
  job BIGINT NOT NULL,
  step BIGINT NOT NULL,
  part BIGINT NOT NULL,
  asset TEXT NOT NULL,
  title TEXT NOT NULL,
  supplier TEXT,
  policy TEXT NOT NULL,
  digest TEXT NOT NULL,
  hash TEXT NOT NULL,
  checks TEXT NOT NULL,
  findings TEXT,
  message TEXT NOT NULL,
  round BIGINT NOT NULL,
  opened_at BIGINT NOT NULL,
  due_at BIGINT,
  ended_at BIGINT
);
INSERT INTO "task" VALUES(1,'approval','open','1/2/1',1,2,1,'asset-00000000','title-0000000',NULL,'qc','','','','[{"asset":"asset-00000000","hash":null},{"asset":"asset-00000001","hash":null}]','2 assets wait for approval look, as qc',1,1796059960132477,NULL,NULL);
INSERT INTO "task" VALUES(2,'approval','open','1/2/2',1,2,2,'asset-00000002','title-0000000',NULL,'qc','','','','[{"asset":"asset-00000002","hash":null},{"asset":"asset-00000003","hash":null}]','2 assets wait for approval look, as qc',1,1796059960132477,NULL,NULL);
INSERT INTO "task" VALUES(3,'approval','open','1/2/3',1,2,3,'asset-00000004','title-0000000',NULL,'qc','','','','[{"asset":"asset-00000004","hash":null},{"asset":"asset-00000005","hash":null}]','2 assets wait for approval look, as qc',1,1796059960132477,NULL,NULL);
INSERT INTO "task" VALUES(4,'approval','open','1/2/4',1,2,4,'asset-00000006','title-0000000',NULL,'qc','','','','[{"asset":"asset-00000006","hash":null},{"asset":"asset-00000007","hash":null}]','2 assets wait for approval look, as qc',1,1796059960132477,NULL,NULL);
INSERT INTO "task" VALUES(5,'approval','open','1/2/5',1,2,5,'asset-00000008','title-0000000',NULL,'qc','','','','[{"asset":"asset-00000008","hash":null},{"asset":"asset-00000009","hash":null}]','2 assets wait for approval look, as qc',1,1796059960132477,NULL,NULL);
CREATE TABLE task_event (
  task BIGINT NOT NULL,
  no BIGINT NOT NULL,
  at BIGINT NOT NULL,
  actor TEXT NOT NULL,
  event TEXT NOT NULL,
  reason TEXT NOT NULL,
  hash TEXT NOT NULL,
  PRIMARY KEY (task, no)
);
INSERT INTO "task_event" VALUES(1,1,1796059960132477,'coordinator','opened','2 assets wait for approval look, as qc','');
INSERT INTO "task_event" VALUES(2,1,1796059960132477,'coordinator','opened','2 assets wait for approval look, as qc','');
INSERT INTO "task_event" VALUES(3,1,1796059960132477,'coordinator','opened','2 assets wait for approval look, as qc','');
INSERT INTO "task_event" VALUES(4,1,1796059960132477,'coordinator','opened','2 assets wait for approval look, as qc','');
INSERT INTO "task_event" VALUES(5,1,1796059960132477,'coordinator','opened','2 assets wait for approval look, as qc','');
CREATE TABLE task_picture (
  task BIGINT PRIMARY KEY,
  pictures TEXT NOT NULL
);
CREATE TABLE task_unit (
  task BIGINT NOT NULL,
  job BIGINT NOT NULL,
  step BIGINT NOT NULL,
  part BIGINT NOT NULL,
  PRIMARY KEY (task, job, step, part)
);
INSERT INTO "task_unit" VALUES(1,1,2,1);
INSERT INTO "task_unit" VALUES(2,1,2,2);
INSERT INTO "task_unit" VALUES(3,1,2,3);
INSERT INTO "task_unit" VALUES(4,1,2,4);
INSERT INTO "task_unit" VALUES(5,1,2,5);
CREATE TABLE tombstone (
  asset TEXT NOT NULL,
  location TEXT NOT NULL,
  job TEXT NOT NULL,
  step TEXT NOT NULL,
  version TEXT NOT NULL,
  bytes BIGINT NOT NULL,
  hash TEXT NOT NULL,
  copy TEXT NOT NULL,
  proof TEXT NOT NULL,
  ordered_by TEXT NOT NULL,
  reason TEXT NOT NULL,
  found_gone BIGINT NOT NULL,
  dry_run BIGINT NOT NULL,
  at BIGINT NOT NULL,
  PRIMARY KEY (asset, location, job)
) WITHOUT ROWID;
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
INSERT INTO "unit" VALUES(1,0,1,'succeeded',1,0,NULL,701265);
INSERT INTO "unit" VALUES(1,0,2,'succeeded',1,0,NULL,701147);
INSERT INTO "unit" VALUES(1,0,3,'succeeded',1,0,NULL,700687);
INSERT INTO "unit" VALUES(1,0,4,'succeeded',1,0,NULL,700613);
INSERT INTO "unit" VALUES(1,0,5,'succeeded',1,0,NULL,700947);
INSERT INTO "unit" VALUES(1,0,6,'succeeded',1,0,NULL,700853);
INSERT INTO "unit" VALUES(1,0,7,'succeeded',1,0,NULL,701752);
INSERT INTO "unit" VALUES(1,0,8,'succeeded',1,0,NULL,701634);
INSERT INTO "unit" VALUES(1,2,1,'ready',0,0,NULL,0);
INSERT INTO "unit" VALUES(1,2,2,'ready',0,0,NULL,0);
INSERT INTO "unit" VALUES(1,2,3,'ready',0,0,NULL,0);
INSERT INTO "unit" VALUES(1,2,4,'ready',0,0,NULL,0);
INSERT INTO "unit" VALUES(1,2,5,'ready',0,0,NULL,0);
CREATE TABLE verdict (
  hash TEXT NOT NULL,
  digest TEXT NOT NULL,
  asset TEXT NOT NULL,
  policy TEXT NOT NULL,
  verdict TEXT NOT NULL,
  report TEXT NOT NULL,
  job BIGINT NOT NULL,
  judged_at BIGINT NOT NULL,
  PRIMARY KEY (hash, digest, asset)
);
CREATE TABLE waiver (
  cause TEXT PRIMARY KEY,
  at BIGINT NOT NULL,
  actor TEXT NOT NULL,
  reason TEXT NOT NULL,
  until BIGINT
);
CREATE TABLE withheld (
  job BIGINT NOT NULL,
  step BIGINT NOT NULL,
  reason TEXT NOT NULL,
  since BIGINT NOT NULL,
  until BIGINT,
  PRIMARY KEY (job, step)
) WITHOUT ROWID;
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
INSERT INTO "worker" VALUES('local-a1fa75c7','scan=0/2,transfer=0/8,qc=0/2,sync=0/16,noop=2/2',2,1796059959021090,'working',NULL,NULL,NULL,NULL);
CREATE UNIQUE INDEX listing_asset ON listing (job, asset);
CREATE INDEX listing_title ON listing (job, title, asset) WHERE by_title = 1;
CREATE INDEX partition_parent ON partition (job, parent) WHERE parent > 0;
CREATE INDEX moved_part ON moved (job, part, asset);
CREATE INDEX unit_ready ON unit (job, step, part) WHERE state = 'ready';
CREATE INDEX unit_due ON unit (due_at) WHERE state = 'retrying';
CREATE INDEX unit_leased ON unit (job, step, part) WHERE state = 'leased';
CREATE INDEX barrier_state ON barrier (job, step, state, key) WHERE state <> 'released' OR spread < last_part;
CREATE INDEX asset_title ON asset (title, id);
CREATE INDEX failure_cause ON failure (cause, job, step, part, asset) WHERE cause <> '';
CREATE INDEX operation_job ON operation (job, no);
CREATE INDEX operation_running ON operation (no) WHERE state = 'running';
CREATE INDEX cause_job ON cause (job, last_at);
CREATE INDEX cause_last ON cause (last_at);
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
LEFT JOIN streak ON streak.job = job.no AND streak.step = step.step AND streak.first =
  (SELECT MAX(s.first) FROM streak s WHERE s.job = job.no AND s.step = step.step AND s.first <= partition.part);
CREATE INDEX verdict_asset ON verdict (asset, judged_at);
CREATE UNIQUE INDEX task_pending ON task (kind, subject) WHERE ended_at IS NULL;
CREATE INDEX task_pending_no ON task (no) WHERE ended_at IS NULL;
CREATE INDEX task_asset ON task (asset, no);
CREATE INDEX task_unit_job ON task_unit (job, step, part);
COMMIT;
