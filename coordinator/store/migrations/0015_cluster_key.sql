-- The private half of the key that units are signed with, as a seed in hexadecimal. One row.
CREATE TABLE cluster_key (
  one BIGINT NOT NULL PRIMARY KEY,
  seed {text} NOT NULL
);
