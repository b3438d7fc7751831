//! Delivery specs: what a platform demands, as data. Also the policy of a `qc` step.
