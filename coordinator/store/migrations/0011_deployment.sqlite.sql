-- Which deployment this database belongs to: made once, and compared with what the transport says.
CREATE TABLE deployment (id TEXT NOT NULL);
INSERT INTO deployment (id) VALUES (lower(hex(randomblob(8))));
