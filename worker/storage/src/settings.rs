//! Settings of storage: roots that files must be below, and what differs from endpoint to endpoint. An endpoint is the
//! longest configured prefix of a location. Secrets are never written here: only where they are.
use super::ChecksumKind;
use protocol::model::location::Scheme;
use protocol::quantity::Bytes;
use protocol::yaml::{self, Problem};
use schemars::JsonSchema;
use serde::Deserialize;
use std::borrow::Cow;
use std::path::PathBuf;

/// The whole file.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct StorageSettings {
    /// Directories that `file:` locations must be below; none means anywhere.
    pub roots: Vec<PathBuf>,
    /// What differs from the defaults, by prefix.
    pub endpoints: Vec<EndpointSettings>,
}

/// What is special about the locations that begin with a prefix.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct EndpointSettings {
    /// Locations that begin with this.
    pub prefix: String,
    /// Address of the server, where it is not the cloud's own.
    pub url: Option<String>,
    /// Region, where the standard chain should not be asked.
    pub region: Option<String>,
    /// Bucket in the path instead of the host name; the default for servers of one's own.
    pub path_style: Option<bool>,
    /// Profile of the AWS configuration files.
    pub profile: Option<String>,
    /// AWS credentials file, or Google service account key.
    pub credentials_file: Option<PathBuf>,
    /// No credentials at all: public buckets, and emulators.
    pub anonymous: bool,
    /// File whose content is sent as a bearer token; read again for every request.
    pub token_file: Option<PathBuf>,
    /// Role to assume with those credentials.
    pub assume_role: Option<String>,
    /// External id for that role.
    pub external_id: Option<String>,
    /// `aes256`, `kms` or `kms:KEY`.
    pub encryption: Option<String>,
    /// Storage class of what is written.
    pub storage_class: Option<String>,
    /// Whether we pay for requests to other people's buckets.
    pub requester_pays: bool,
    /// Project that pays, for Google's requester-pays buckets.
    pub billing_project: Option<String>,
    /// What the server verifies; the default is the strongest the backend knows.
    pub checksum: Option<ChecksumKind>,
    /// Whether the server verifies the checksum of a whole; false for those that compute it wrongly.
    pub whole_checksum: Option<bool>,
    /// Whether the server judges `If-None-Match` on `CopyObject`; AWS does.
    pub copy_condition: Option<bool>,
    /// Largest object the server copies in one request, where that is less than AWS's 5 GiB.
    pub copy_bytes_max: Option<Bytes>,
    /// Certificate authority to trust besides the system's, PEM.
    pub ca: Option<PathBuf>,
    /// Addresses that web sources may have although they are private: `10.0.0.0/8`.
    pub allow_private: Vec<String>,
    /// Bytes a second, over all units of this worker.
    pub bytes_per_second: Option<Bytes>,
    /// Requests a second, over all units of this worker.
    pub requests_per_second: Option<f64>,
}

impl StorageSettings {
    /// Reads the settings file. The error names place and problem.
    pub fn read(file: &str, source: &str) -> Result<StorageSettings, Problem> {
        let first = |problems: Vec<Problem>| problems.into_iter().next();
        StorageSettings::read_all(file, source).map_err(|problems| {
            first(problems).unwrap_or_else(|| Problem::new(file, "it cannot be read"))
        })
    }

    /// Reads the settings file. The error has every problem with its place.
    pub fn read_all(file: &str, source: &str) -> Result<StorageSettings, Vec<Problem>> {
        match yaml::read_all::<StorageSettings>(file, source) {
            Ok(settings) => match settings.problems(file, source) {
                problems if problems.is_empty() => Ok(settings),
                problems => Err(problems),
            },
            Err(mut mistakes) => {
                let rest = mistakes.rest.take().unwrap_or_default();
                Err(mistakes.with(file, rest.problems(file, source)))
            }
        }
    }

    fn problems(&self, file: &str, source: &str) -> Vec<Problem> {
        let of_endpoint = |endpoint: &EndpointSettings| {
            let wrong = endpoint.problem()?;
            let problem = Problem::new(file, format!("endpoint {:?}: {wrong}", endpoint.prefix));
            Some(problem.near(source, &endpoint.prefix))
        };
        let of_root = |root: &PathBuf| {
            let root = root.display().to_string();
            Problem::new(file, format!("root {root:?} is not absolute")).near(source, &root)
        };
        let relative = self.roots.iter().filter(|root| !root.is_absolute());
        let endpoints = self.endpoints.iter().filter_map(of_endpoint);
        endpoints.chain(relative.map(of_root)).collect()
    }

    /// The settings of a location: those of the longest prefix that ends where a name ends.
    pub fn of(&self, location: &str) -> EndpointSettings {
        let location = plain(location);
        let matches = |endpoint: &&EndpointSettings| {
            let prefix = plain(&endpoint.prefix);
            let rest = location.strip_prefix(prefix.as_ref());
            rest.is_some_and(|rest| {
                rest.is_empty() || rest.starts_with('/') || endpoint.prefix.ends_with(['/', ':'])
            })
        };
        let found = self
            .endpoints
            .iter()
            .filter(matches)
            .max_by_key(|endpoint| endpoint.prefix.len());
        found.cloned().unwrap_or_default()
    }
}

/// A location in one form: `file:///a` is `file:/a`.
fn plain(location: &str) -> Cow<'_, str> {
    match location.strip_prefix("file://") {
        Some(path) => Cow::Owned(format!("file:{path}")),
        None => Cow::Borrowed(location),
    }
}

impl EndpointSettings {
    /// Whether the endpoint is a server of the operator instead of the cloud.
    pub(super) fn is_own_server(&self) -> bool {
        self.url.is_some()
    }

    fn problem(&self) -> Option<String> {
        if self
            .prefix
            .split_once(':')
            .and_then(|(name, _)| Scheme::parse(name))
            .is_none()
        {
            return Some(
                "its prefix is no location: write s3://bucket, gs://bucket, https://host or file:/path".into(),
            );
        }
        let of_files = EndpointSettings {
            prefix: self.prefix.clone(),
            bytes_per_second: self.bytes_per_second,
            ..EndpointSettings::default()
        };
        if self.prefix.starts_with(Scheme::File.prefix()) && *self != of_files {
            return Some("of the settings of files only bytes_per_second has an effect".into());
        }
        if let Some(url) = &self.url {
            let parsed = reqwest::Url::parse(url);
            let sound = parsed.is_ok_and(|url| {
                ["http", "https"].contains(&url.scheme())
                    && url.username().is_empty()
                    && url.password().is_none()
            });
            if !sound {
                return Some("its url is none of http or https without credentials".into());
            }
        }
        if self
            .encryption
            .as_deref()
            .is_some_and(|how| how != "aes256" && how != "kms" && !how.starts_with("kms:"))
        {
            return Some("its encryption is neither aes256 nor kms nor kms:KEY".into());
        }
        if self
            .requests_per_second
            .is_some_and(|rate| !(rate.is_finite() && rate > 0.0))
        {
            return Some("its requests_per_second is no number above 0".into());
        }
        if self.copy_bytes_max.is_some_and(|most| most.0 < 5 << 20) {
            return Some("its copy_bytes_max is below 5 MiB, the least part of an upload".into());
        }
        if self.bytes_per_second.is_some_and(|rate| rate.0 == 0) {
            return Some("its bytes_per_second is 0".into());
        }
        self.allow_private
            .iter()
            .find_map(|network| super::network::Network::parse(network).err())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn longest_matching_prefix_selects_the_endpoint() {
        let text = "roots: [/media]\nendpoints:\n  - prefix: 's3:'\n    region: a\n  - prefix: s3://buck/in\n    region: b\n    bytes_per_second: 1MiB\n";
        let settings = StorageSettings::read("storage.yaml", text).expect("reads");
        let region = |location| settings.of(location).region;
        assert_eq!(region("s3://buck/in/x").as_deref(), Some("b"));
        assert_eq!(region("s3://buck/inx").as_deref(), Some("a"));
        assert_eq!(region("gs://buck/in"), None);
        let files = "endpoints:\n  - { prefix: 'file:/media', bytes_per_second: 1MiB }\n";
        let files = StorageSettings::read("storage.yaml", files).expect("reads");
        for location in ["file:/media/a", "file:///media/a"] {
            assert!(files.of(location).bytes_per_second.is_some(), "{location}");
        }
        assert_eq!(
            settings.of("s3://buck/in").bytes_per_second,
            Some(Bytes(1 << 20))
        );
    }

    #[test]
    fn wrong_setting_is_reported_with_its_place() {
        for (text, says) in [
            ("endpoints: [{ prefix: 's3:', regoin: x }]", "region"),
            (
                "endpoints: [{ prefix: 'file:/media', requests_per_second: 5 }]",
                "only bytes_per_second has an effect",
            ),
            (
                "endpoints: [{ prefix: bucket }]",
                "its prefix is no location",
            ),
            (
                "endpoints: [{ prefix: 's3:', url: 'http://a:b@h' }]",
                "without credentials",
            ),
            (
                "endpoints: [{ prefix: 's3:', encryption: rot13 }]",
                "kms:KEY",
            ),
            (
                "endpoints: [{ prefix: 's3:', requests_per_second: 0 }]",
                "above 0",
            ),
            (
                "endpoints: [{ prefix: 'https:', allow_private: [10.0.0.0/33] }]",
                "10.0.0.0/33",
            ),
            ("roots: [media]", "not absolute"),
        ] {
            let problem = StorageSettings::read("storage.yaml", text)
                .expect_err(text)
                .to_string();
            assert!(
                problem.contains(says) && problem.starts_with("storage.yaml"),
                "{problem}"
            );
        }
    }
}
