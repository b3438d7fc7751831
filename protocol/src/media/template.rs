//! Targets with placeholders: `file:./landing/{title}/{file}`.
use super::asset::Asset;
use std::borrow::Cow;
use thiserror::Error;

/// Placeholders a target may use.
pub const PLACEHOLDERS: [&str; 7] = [
    "path", "file", "title", "version", "role", "language", "asset",
];

/// Why a target cannot be expanded for an asset, or at all.
#[derive(Debug, Error, PartialEq)]
pub enum TemplateError {
    /// The template names a placeholder that does not exist.
    #[error("unknown placeholder {{{name}}} in target {template:?}; known: {}", PLACEHOLDERS.join(", "))]
    Unknown {
        /// The name between the braces.
        name: String,
        /// The whole target.
        template: String,
    },
    /// A brace without its partner.
    #[error("unbalanced brace in target {0:?}")]
    Unbalanced(String),
    /// The asset has no value for a placeholder.
    #[error(
        "target {template:?} needs {{{name}}}, which asset {asset:?} does not have: add the column or change the target"
    )]
    Missing {
        /// Name of the placeholder, without braces.
        name: String,
        /// The whole target.
        template: String,
        /// The asset's id.
        asset: String,
    },
    /// A value would climb out of the root or break the path.
    #[error("{{{name}}} of asset {asset:?} is {value:?}: a value in a target may not contain '..', an empty part, a backslash or control characters{}", if *slash { ", nor '/'" } else { "" })]
    Unsafe {
        /// Name of the placeholder, without braces.
        name: String,
        /// The asset's id.
        asset: String,
        /// The offending value.
        value: String,
        /// Whether a slash is what is wrong.
        slash: bool,
    },
}

/// Expands a target for one asset. Every value is one path component, except `{path}`, whose components are checked one by one,
/// so that an expanded target never leaves the literal part before its first placeholder.
pub fn expand(template: &str, asset: &Asset) -> Result<String, TemplateError> {
    let mut out = String::with_capacity(template.len() + 32);
    let mut rest = template;
    while let Some(open) = rest.find(['{', '}']) {
        if rest.as_bytes()[open] == b'}' {
            return Err(TemplateError::Unbalanced(template.to_owned()));
        }
        out.push_str(&rest[..open]);
        let Some(close) = rest[open..].find('}') else {
            return Err(TemplateError::Unbalanced(template.to_owned()));
        };
        let name = &rest[open + 1..open + close];
        out.push_str(&value(template, name, asset)?);
        rest = &rest[open + close + 1..];
    }
    out.push_str(rest);
    Ok(out)
}

/// Where the asset is after it went through these targets one after the other: each starts from the copy before it.
pub fn follow<T: AsRef<str>>(targets: &[T], asset: &Asset) -> Result<String, TemplateError> {
    let Some((first, rest)) = targets.split_first() else {
        return Ok(asset.location.clone());
    };
    let mut location = expand(first.as_ref(), asset)?;
    if !rest.is_empty() {
        let mut copy = asset.clone();
        for target in rest {
            copy.location = location;
            location = expand(target.as_ref(), &copy)?;
        }
    }
    Ok(location)
}

/// The literal part of a target before its first placeholder, cut back to a directory: the root nothing may leave.
pub fn root(template: &str) -> &str {
    let literal = template.split('{').next().unwrap_or(template);
    match literal.rfind('/') {
        Some(slash) => &literal[..slash],
        None => literal,
    }
}

/// Checks a target without an asset: braces and names.
pub fn check(template: &str) -> Result<(), TemplateError> {
    let mut rest = template;
    while let Some(open) = rest.find(['{', '}']) {
        let close = rest[open..]
            .find('}')
            .filter(|_| rest.as_bytes()[open] == b'{');
        let Some(close) = close else {
            return Err(TemplateError::Unbalanced(template.to_owned()));
        };
        let name = &rest[open + 1..open + close];
        if !PLACEHOLDERS.contains(&name) {
            return Err(TemplateError::Unknown {
                name: name.to_owned(),
                template: template.to_owned(),
            });
        }
        rest = &rest[open + close + 1..];
    }
    Ok(())
}

fn value<'a>(template: &str, name: &str, asset: &'a Asset) -> Result<Cow<'a, str>, TemplateError> {
    let value = match name {
        "path" => Some(Cow::Borrowed(asset.path.as_str())),
        "file" => Some(asset.file()),
        "title" => Some(Cow::Borrowed(asset.title.as_str())),
        "version" => asset.version().map(Cow::Borrowed),
        "role" => Some(Cow::Borrowed(asset.role.as_str())),
        "language" => asset.language().map(Cow::Borrowed),
        "asset" => Some(Cow::Borrowed(asset.id.as_str())),
        _ => {
            return Err(TemplateError::Unknown {
                name: name.to_owned(),
                template: template.to_owned(),
            });
        }
    };
    let Some(value) = value else {
        return Err(TemplateError::Missing {
            name: name.to_owned(),
            template: template.to_owned(),
            asset: asset.id.clone(),
        });
    };
    let slash = name != "path" && value.contains('/');
    if slash || value.split('/').any(unsafe_component) {
        return Err(TemplateError::Unsafe {
            name: name.to_owned(),
            asset: asset.id.clone(),
            value: value.into_owned(),
            slash,
        });
    }
    Ok(value)
}

fn unsafe_component(part: &str) -> bool {
    part.is_empty()
        || part == "."
        || part == ".."
        || part.chars().any(|c| c.is_control() || c == '\\')
}

#[cfg(test)]
mod tests {
    use super::super::asset::Role;
    use super::*;
    use proptest::prelude::*;

    fn asset(title: &str, path: &str) -> Asset {
        Asset {
            id: "a1".into(),
            title: title.into(),
            role: Role::Master,
            location: format!("file:///lib/{path}"),
            path: path.into(),
            bytes: None,
            hash: None,
            declared: None,
        }
    }

    #[test]
    fn expands_every_placeholder_that_has_a_value() {
        let got = expand(
            "file:/out/{title}/{role}/{asset}-{file}",
            &asset("t1", "x/y.mov"),
        )
        .expect("valid");
        assert_eq!(got, "file:/out/t1/master/a1-y.mov");
        assert_eq!(root("file:/out/{title}/x"), "file:/out");
        assert_eq!(root("file:./landing/pre-{file}"), "file:./landing");
    }

    #[test]
    fn web_address_expands_without_its_query() {
        let location = "https://h/clips/My%20a.mov?X-Amz-Signature=../1/2".to_owned();
        let asset = Asset {
            location,
            ..asset("t1", "a.mov")
        };
        assert_eq!(
            expand("file:/out/{title}/{file}", &asset).expect("valid"),
            "file:/out/t1/My a.mov"
        );
        for unsafe_name in [
            "https://h/%2e%2e",
            "https://h/a%5Cb.mov",
            "https://h/a%0Ab.mov",
        ] {
            let asset = Asset {
                location: unsafe_name.to_owned(),
                ..asset.clone()
            };
            assert!(
                matches!(
                    expand("file:/out/{file}", &asset),
                    Err(TemplateError::Unsafe { .. })
                ),
                "{unsafe_name}"
            );
        }
    }

    #[test]
    fn each_target_starts_from_the_copy_before_it() {
        let asset = asset("t1", "x/y.mov");
        let none: [&str; 0] = [];
        assert_eq!(follow(&none, &asset).expect("valid"), "file:///lib/x/y.mov");
        let targets = ["file:/out/{title}.mov", "s3://b/{file}"];
        assert_eq!(follow(&targets, &asset).expect("valid"), "s3://b/t1.mov");
        assert!(follow(&["{language}"], &asset).is_err());
    }

    #[test]
    fn a_missing_value_names_the_asset_and_the_placeholder() {
        let err = expand("{language}/{file}", &asset("t", "f")).expect_err("no language");
        assert!(
            err.to_string().contains("{language}") && err.to_string().contains("\"a1\""),
            "{err}"
        );
    }

    #[test]
    fn unknown_and_unbalanced_are_found_without_an_asset() {
        assert!(matches!(
            check("a/{titel}"),
            Err(TemplateError::Unknown { .. })
        ));
        assert!(matches!(
            check("a/{title"),
            Err(TemplateError::Unbalanced(_))
        ));
        assert!(matches!(
            check("a/title}"),
            Err(TemplateError::Unbalanced(_))
        ));
        assert_eq!(check("a/{title}/{path}"), Ok(()));
    }

    proptest! {
        /// No value of any asset makes an expanded target leave its root.
        #[test]
        fn never_leaves_the_root(title in ".{0,20}", path in "[./a-z]{0,20}") {
            if let Ok(target) = expand("/top/{title}/{path}", &asset(&title, &path)) {
                let mut depth = 0i32;
                for part in target.trim_start_matches("/top/").split('/') {
                    prop_assert!(part != ".." && !part.is_empty());
                    depth += 1;
                }
                prop_assert!(depth >= 2);
            }
        }
    }
}
