//! `transfer`: verified copies.
use super::{StepFile, StepForm};
use crate::id::{Kind, StepNo};
use crate::media::template;
use crate::model::hash::HashAlgorithm;
use crate::model::location::Scheme;
use crate::rules::unit::retry::RetryPolicy;
use crate::wire::step::TaskSpec;
use crate::wire::step::seal::SealTask;
use crate::wire::step::transfer::TransferTask;
use crate::workflow::compiler::Compiler;
use crate::workflow::on_failure::OnFailure;
use crate::workflow::{Action, Step};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::{self, Deserializer};
use std::borrow::Cow;
use std::sync::Arc;

/// Parameters of a transfer step.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TransferFile {
    /// Target with placeholders, e.g. `file:./landing/{title}/{file}`.
    pub to: String,
    /// How the copy is proven (default xxh128); `none` copies without reading back.
    pub verify: Option<Verify>,
    /// Further hashes to compute in the same read.
    #[serde(default)]
    pub hashes: Vec<HashAlgorithm>,
    /// Whether an ASC MHL generation is written at the destination.
    #[serde(default)]
    pub mhl: bool,
    /// What becomes of other content at the destination. Left out, it stays and the asset fails
    /// (`destination_conflict`).
    pub replace: Option<ReplaceFile>,
}

/// How other content at a destination is replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ReplaceFile {
    /// It stays as an older version: of the object, where the bucket keeps versions, or below `.showrunner/versions` of
    /// a directory. Where neither can be, the asset fails.
    Versioned,
}

/// A hash algorithm, or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verify(pub Option<HashAlgorithm>);

impl<'de> Deserialize<'de> for Verify {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text.eq_ignore_ascii_case("none") {
            return Ok(Verify(None));
        }
        let known = HashAlgorithm::ALL.map(HashAlgorithm::as_str);
        HashAlgorithm::parse(&text)
            .map(|a| Verify(Some(a)))
            .ok_or_else(|| {
                de::Error::custom(format!(
                    "unknown hash {text:?}: {} or none",
                    crate::yaml::suggest(&text, &known)
                ))
            })
    }
}

impl JsonSchema for Verify {
    fn schema_name() -> Cow<'static, str> {
        "Verify".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "enum": ["xxh128", "xxh3", "xxh64", "md5", "sha1", "sha256", "c4", "crc64nvme", "none"] })
    }
}

impl StepForm for TransferFile {
    fn compile(&self, _: &StepFile, compiler: &mut Compiler<'_>) -> Action {
        let to = compiler.target(&self.to);
        compiler.outside_library(&self.to, &to);
        let verify = self.verify.map_or(Some(HashAlgorithm::Xxh128), |v| v.0);
        if self.mhl
            && verify.is_none_or(|a| a == HashAlgorithm::Crc64nvme || a == HashAlgorithm::Sha256)
        {
            compiler.blame(
                "mhl",
                "mhl: true needs a verify hash that ASC MHL knows".into(),
                "verify: xxh128, xxh3, xxh64, md5, sha1 or c4",
            );
        }
        let (job, mhl, hashes) = (compiler.job_id.to_owned(), self.mhl, self.hashes.clone());
        let task = TransferTask {
            to,
            verify,
            hashes,
            job,
            mhl,
        };
        let task = match self.replace {
            None => TaskSpec::Transfer(task),
            Some(ReplaceFile::Versioned) => {
                compiler.unsealed(mhl);
                TaskSpec::Replace(task)
            }
        };
        Action::units(Kind::Transfer, task)
    }
}

impl Compiler<'_> {
    /// A history is a promise about one content of each name.
    fn unsealed(&mut self, mhl: bool) {
        if mhl {
            self.blame(
                "replace",
                "replace: versioned cannot go with mhl: true, whose history takes other content under a known name for damage".into(),
                "leave out one of them, or give each delivery a folder of its own, e.g. with {version} in `to`",
            );
        }
    }

    fn target(&mut self, to: &str) -> String {
        if let Err(error) = template::check(to) {
            self.blame(to, error.to_string(), "write file:./landing/{title}/{file}");
        }
        let Some((scheme, path)) = Scheme::split(to).filter(|(scheme, _)| scheme.is_writable())
        else {
            let hint =
                "write file:./landing/{title}/{file}, s3://bucket/{path} or gs://bucket/{path}";
            self.blame(
                to,
                format!("target {to:?} is no place that can be written to"),
                hint,
            );
            return to.to_owned();
        };
        if !path.contains('{') {
            self.blame(
                to,
                format!("target {to:?} is the same file for every asset"),
                "add {file} or {path}",
            );
        }
        if path.split('/').any(|part| part == "..")
            && path
                .find('{')
                .is_some_and(|open| path[open..].contains(".."))
        {
            self.blame(
                to,
                format!("target {to:?} climbs up after a placeholder"),
                "remove the ..",
            );
        }
        if scheme.is_bucket() {
            let parts: Vec<&str> = path.split('/').collect();
            let named = parts[0].len() >= 3 && !parts[0].contains(['{', '}']);
            if !named
                || parts.len() < 2
                || parts.iter().any(|part| matches!(*part, "" | "." | ".."))
            {
                let hint = "write s3://bucket/prefix/{title}/{file}: the bucket itself, and keys without empty names or ..";
                self.blame(
                    to,
                    format!("target {to:?} names no object of a bucket"),
                    hint,
                );
            }
            return to.to_owned();
        }
        format!(
            "file:{}",
            self.absolute(path.strip_prefix("//").unwrap_or(path))
        )
    }
}

/// The seal a transfer implies. `library` is the tree the job's assets are in, when it is one.
pub(in crate::workflow) fn seal_of(no: StepNo, step: &Step, library: Option<&str>) -> Option<Step> {
    let Action::Units { task, .. } = &step.action else {
        return None;
    };
    let transfer = task.transfer()?;
    if !transfer.mhl {
        return None;
    }
    let seal = SealTask {
        root: template::root(&transfer.to).to_owned(),
        job: transfer.job.clone(),
        algorithm: transfer.verify.unwrap_or(HashAlgorithm::Xxh128),
    };
    // A copy that keeps every path continues the histories of the library, whichever copies were made in between. The
    // journal of any other copy names the source of each file, whose histories the file is compared with.
    let whole = transfer
        .to
        .strip_prefix(&seal.root)
        .is_some_and(|rest| rest == "/{path}");
    let seal = match library.filter(|_| whole) {
        Some(library) => TaskSpec::SealCopy {
            seal,
            from: library.to_owned(),
        },
        None => TaskSpec::Seal(seal),
    };
    Some(Step {
        id: format!("{}.mhl", step.id),
        needs: Vec::new(),
        retry: RetryPolicy::default(),
        on_failure: OnFailure::Hold,
        due_us: None,
        action: Action::Seal {
            of: no,
            task: Arc::new(seal),
        },
    })
}
