//! Job files: what a person writes, checked and compiled to steps.
