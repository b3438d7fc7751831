//! Pure decisions, one file each. They know nothing of wire, SQL or actors.
