//! Limits of endpoints as the settings write them.
use crate::error::{CliError, CliResult};
use crate::settings::Settings;
use protocol::rules::endpoint::EndpointLimit;
use std::collections::BTreeMap;

/// The flag of commands that coordinate.
#[derive(Debug, Default, clap::Args)]
pub struct LimitArgs {
    /// Units at once and starts a second at an endpoint, over all workers; may be repeated [env: SHOWRUNNER_LIMITS]
    #[arg(id = "endpoint_limit", long = "limit", value_name = "LOCATION=N[,R/s]")]
    limits: Vec<String>,
}

impl LimitArgs {
    /// The flag as a setting.
    pub fn flags(&self, flags: &mut BTreeMap<&str, String>) {
        flags.extend((!self.limits.is_empty()).then(|| ("limits", self.limits.join(" "))));
    }
}

/// Reads `s3://partner-a=8,20/s s3://partner-b=4`: one endpoint a word.
pub fn endpoint_limits(settings: &Settings) -> CliResult<Vec<EndpointLimit>> {
    let words = settings["limits"].value.split_whitespace();
    words.map(|word| EndpointLimit::parse(word).map_err(CliError::usage)).collect()
}
