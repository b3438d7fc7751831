//! Secrets in locations: a canary in every place where one may be, and a search for it in everything that is printed and in
//! every name that is made.
use crate::jobs::LAND;
use std::path::Path;
use testkit::Ran;
use testkit::Scratch;

const CANARY: &str = "CANARY";

const MANIFEST: &str = "asset,title,role,location
signed,t,master,https://127.0.0.2:1/clips/a.mov?X-Amz-Signature=CANARY&X-Amz-Security-Token=CANARY/x
fragment,t,master,https://127.0.0.2:1/b.mov#token=CANARY
broken,t,master,https://[bad/f.mov?sig=CANARY
folder,t,master,https://127.0.0.2:1/clips/?sig=CANARY
login,t,master,https://ana:CANARY@127.0.0.2:1/c.mov
plain,t,master,http://ana:CANARY@127.0.0.2/d.mov?sig=CANARY
other,t,master,ftp://ana:CANARY@127.0.0.2/f.mov?sig=CANARY
control,t,master,\"https://127.0.0.2:1/e\t.mov?sig=CANARY\"
";

fn names(directory: &Path, found: &mut Vec<String>) {
    for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        found.push(entry.path().display().to_string());
        names(&entry.path(), found);
    }
}

#[test]
fn secrets_in_locations_are_never_printed_or_used_as_names() {
    let scratch = Scratch::new();
    scratch.write("manifest.csv", MANIFEST);
    scratch.write("job.yaml", LAND.replace("attempts: 2", "attempts: 1"));
    let mut said: Vec<Ran> = Vec::new();
    let first = scratch.run(&["-vv", "run", "job.yaml", "-o", "json"]);
    let job = first.json()["job"].as_str().expect("an id").to_owned();
    said.push(first);
    let correction = "asset.location=https://127.0.0.2:1/again.mov?sig=CANARY";
    let commands: [&[&str]; 15] = [
        &["job", "get", &job],
        &["job", "get", &job, "-o", "json"],
        &["job", "explain", &job],
        &["failure", "list"],
        &["failure", "list", "-o", "json"],
        &["asset", "import", "manifest.csv"],
        &["asset", "list"],
        &["asset", "list", "-o", "json"],
        &["asset", "get", "signed"],
        &["asset", "get", "login", "-o", "json"],
        &["unit", "list", &job, "-o", "json"],
        &["job", "retry", &job, "--filter", "asset=signed", "--set", correction],
        &["job", "operations", &job, "-o", "json"],
        &["run", "job.yaml"],
        &["asset", "list", "-o", "jsonl"],
    ];
    said.extend(commands.iter().map(|command| scratch.run(command)));
    let mut made = Vec::new();
    names(&scratch.path("."), &mut made);
    for ran in &said {
        let printed = [&ran.stdout, &ran.stderr].into_iter().flat_map(|text| text.lines());
        let found: Vec<&str> = printed.filter(|line| line.contains(CANARY)).collect();
        assert!(found.is_empty(), "{} prints {found:#?}", ran.line.replace(CANARY, "*"));
    }
    assert!(made.iter().all(|name| !name.contains(CANARY)), "{made:#?}");
    let assets = scratch.run(&["asset", "list", "-o", "json"]).json();
    let text = assets.to_string();
    assert!(text.contains("https://127.0.0.2:1/clips/a.mov?…"), "the address itself is shown: {text}");
}
