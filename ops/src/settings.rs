//! Settings: flag > `SHOWRUNNER_*` > profile file > default, each with where it came from.
use crate::error::{CliError, CliResult};
use protocol::yaml::Problem;
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Origin of a setting.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// A flag of this command.
    Flag,
    /// An environment variable.
    Env(String),
    /// The profile file.
    File(String),
    /// The built-in default.
    Default,
}

/// A setting with its origin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Setting {
    /// Its value; secrets are shown as `***`.
    pub value: String,
    /// Origin of the value.
    pub origin: Origin,
}

/// Every setting by name.
pub type Settings = BTreeMap<&'static str, Setting>;

/// Names, built-in values, and whether the value is a secret.
const KNOWN: [(&str, &str, bool); 23] = [
    ("data", "showrunner-data", false),
    ("server", "", true),
    ("database", "", true),
    ("database_ca", "", false),
    ("database_password_file", "", false),
    ("retention", "90d", false),
    ("redis", "", true),
    ("redis_ca", "", false),
    ("redis_cert", "", false),
    ("redis_key", "", false),
    ("redis_password_file", "", false),
    ("report_key_file", "", false),
    ("deployment", "", false),
    ("listen", "127.0.0.1:8470", false),
    ("insecure", "", false),
    ("allow_host", "", false),
    ("slots", "", false),
    ("limits", "", false),
    ("slice_above", "2GiB", false),
    ("storage", "", false),
    ("ffmpeg", "ffmpeg", false),
    ("ffprobe", "ffprobe", false),
    ("log", "warn", false),
];

/// The names of all settings.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    KNOWN.iter().map(|(name, _, _)| *name)
}

/// Where profiles are kept: `$XDG_CONFIG_HOME/showrunner/config.toml`.
pub fn profile_path(env: &dyn Fn(&str) -> Option<String>) -> Option<PathBuf> {
    let base = env("XDG_CONFIG_HOME").map(PathBuf::from);
    let base = base.or_else(|| env("HOME").map(|home| PathBuf::from(home).join(".config")))?;
    Some(base.join("showrunner").join("config.toml"))
}

/// Resolves every setting. `flags` are those given on the command line; `env` reads the environment.
pub fn resolve(
    flags: &BTreeMap<&str, String>,
    profile: Option<&str>,
    env: &dyn Fn(&str) -> Option<String>,
) -> CliResult<Settings> {
    let file = read_profile(profile, env)?;
    let settings = KNOWN.into_iter().map(|(name, default, _)| {
        let variable = format!("SHOWRUNNER_{}", name.to_uppercase());
        let setting = if let Some(value) = flags.get(name) {
            Setting {
                value: value.clone(),
                origin: Origin::Flag,
            }
        } else if let Some(value) = env(&variable) {
            Setting {
                value,
                origin: Origin::Env(variable),
            }
        } else if let Some((path, value)) = file
            .as_ref()
            .and_then(|(path, map)| Some((path, map.get(name)?)))
        {
            Setting {
                value: value.clone(),
                origin: Origin::File(path.clone()),
            }
        } else {
            Setting {
                value: default.to_owned(),
                origin: Origin::Default,
            }
        };
        (name, setting)
    });
    Ok(settings.collect())
}

/// The settings as they may be shown: credentials in URLs are masked.
pub fn masked(settings: &Settings) -> Settings {
    let secret = |name: &str| {
        KNOWN
            .iter()
            .any(|(known, _, secret)| *known == name && *secret)
    };
    settings
        .iter()
        .map(|(name, setting)| {
            let value = if secret(name) {
                mask_url(&setting.value)
            } else {
                setting.value.clone()
            };
            (
                *name,
                Setting {
                    value,
                    origin: setting.origin.clone(),
                },
            )
        })
        .collect()
}

/// Masks credentials before the host and in the parameters. Text that is no URL is masked as a whole.
pub(crate) fn mask_url(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        return if url.is_empty() {
            String::new()
        } else {
            "***".to_owned()
        };
    };
    let (place, parameters) = match rest.split_once(['?', '#']) {
        // A password with a question mark: its end is ambiguous.
        Some((_, after)) if after.contains('@') => return format!("{scheme}://***"),
        Some((place, _)) => (place, "?***"),
        None => (rest, ""),
    };
    match place.rsplit_once('@') {
        Some((_, host)) => format!("{scheme}://***@{host}{parameters}"),
        None => format!("{scheme}://{place}{parameters}"),
    }
}

type ProfileFile = Option<(String, BTreeMap<String, String>)>;

fn read_profile(
    profile: Option<&str>,
    env: &dyn Fn(&str) -> Option<String>,
) -> CliResult<ProfileFile> {
    let Some(path) = profile_path(env) else {
        return Ok(None);
    };
    let name = path.display().to_string();
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && profile.is_none() => {
            return Ok(None);
        }
        Err(error) => return Err(CliError::usage(format!("{name}: {error}"))),
    };
    let all =
        read_profiles(&name, &text).map_err(|problem| CliError::usage(problem.to_string()))?;
    let wanted = profile.unwrap_or("default");
    let Some(found) = all.get(wanted) else {
        if profile.is_none() {
            return Ok(None);
        }
        let known: Vec<&str> = all.keys().map(String::as_str).collect();
        return Err(CliError::usage(format!("{name}: no profile {wanted:?}"))
            .hint(protocol::yaml::suggest(wanted, &known)));
    };
    Ok(Some((name, found.clone())))
}

/// Profiles by name, each with its settings by name.
pub(crate) type Profiles = BTreeMap<String, BTreeMap<String, String>>;

/// Reads a file of profiles: one table for each, with settings as texts. Says what is wrong where.
pub(crate) fn read_profiles(file: &str, source: &str) -> Result<Profiles, Problem> {
    let all: Profiles = toml::from_str(source).map_err(|error| {
        let at = error.span().map(|span| {
            let before = source.get(..span.start).unwrap_or_default();
            let column = before.chars().rev().take_while(|c| *c != '\n').count() as u64 + 1;
            (before.matches('\n').count() as u64 + 1, column)
        });
        Problem {
            at,
            ..Problem::new(file, error.message())
                .hint("[PROFILE], then lines like listen = \"127.0.0.1:8470\"")
        }
    })?;
    let known: Vec<&str> = KNOWN.iter().map(|(name, _, _)| *name).collect();
    for (profile, settings) in &all {
        if let Some(wrong) = settings.keys().find(|key| !known.contains(&key.as_str())) {
            let problem = Problem::new(
                file,
                format!("unknown setting {wrong:?} in profile {profile:?}"),
            );
            return Err(problem.hint(protocol::yaml::suggest(wrong, &known)));
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flag_beats_the_environment_which_beats_the_default() {
        let env = |name: &str| (name == "SHOWRUNNER_DATA").then(|| "from-env".to_owned());
        let none = BTreeMap::new();
        let settings = resolve(&none, None, &env).expect("resolves");
        assert_eq!(settings["data"].value, "from-env");
        assert_eq!(settings["ffmpeg"].origin, Origin::Default);
        let flags = BTreeMap::from([("data", "from-flag".to_owned())]);
        assert_eq!(
            resolve(&flags, None, &env).expect("resolves")["data"].origin,
            Origin::Flag
        );
    }

    #[test]
    fn credentials_are_never_shown() {
        let env = |name: &str| {
            (name == "SHOWRUNNER_DATABASE").then(|| "postgres://me:canary@db/x".to_owned())
        };
        let shown = masked(&resolve(&BTreeMap::new(), None, &env).expect("resolves"));
        assert_eq!(shown["database"].value, "postgres://***@db/x");
        assert_eq!(
            mask_url("postgres://db/x?user=me&password=canary"),
            "postgres://db/x?***"
        );
        assert_eq!(mask_url("redis://:can?ary@db/0"), "redis://***");
        assert_eq!(mask_url("host=db password=canary"), "***");
        assert_eq!(mask_url(""), "");
    }
}
