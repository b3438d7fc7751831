//! ASC MHL v2.0 histories: reading, writing, verifying.
