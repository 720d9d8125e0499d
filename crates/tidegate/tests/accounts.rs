//! Accounts and targets from the command line, tried on a simulated CDN of each vendor.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail loudly"
)]

#[path = "common/encoder.rs"]
mod encoder;
#[path = "common/harness.rs"]
mod harness;
#[path = "common/simulated.rs"]
mod simulated;

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use encoder::Encoder;
use harness::{Place, Ran, Server, finish, tidegate, wait_for};
use serde_json::Value;
use simulated::Simulated;

/// A server, and all that its commands have printed.
struct Desk {
    server: Server,
    printed: String,
}

impl Desk {
    fn new(place: &Place) -> Self {
        Self {
            server: Server::start_in(place, &[]),
            printed: String::new(),
        }
    }

    fn run(&mut self, args: &[&str]) -> Ran {
        let ran = self.server.run(args);
        self.printed.push_str(&ran.stdout);
        self.printed.push_str(&ran.stderr);
        ran
    }

    fn json(&mut self, args: &[&str]) -> Value {
        self.run(&[args, &["--json"]].concat()).json()
    }

    fn owned(&mut self, args: &[String]) -> Value {
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        self.json(&args)
    }

    /// A trial whose outcome is `problem`, "" for none. At Wangsu a second can be signed once, so
    /// one that was taken by an earlier key is waited for.
    fn trial(&mut self, args: &[&str], problem: &str) -> Value {
        let trial = wait_for("a trial", || {
            let ran = self.run(&[args, &["--json"]].concat());
            let trial = ran.json_whatever_the_code();
            let fine = trial["ok"].as_bool().expect("a verdict");
            assert_eq!(ran.code, i32::from(!fine), "{ran:?}");
            let used = trial["checks"]
                .as_array()
                .expect("checks")
                .iter()
                .any(|check| {
                    check["words"]
                        .as_str()
                        .expect("words")
                        .contains("has been used")
                });
            if used {
                std::thread::sleep(std::time::Duration::from_millis(1000));
            }
            (!used).then_some(trial)
        });
        let checks = trial["checks"].as_array().expect("checks").iter();
        let problems: Vec<&str> = checks
            .filter_map(|check| check["problem"].as_str())
            .collect();
        let fits = match problem {
            "" => problems.is_empty(),
            problem => !problems.is_empty() && problems.iter().all(|found| *found == problem),
        };
        assert!(fits, "{problem:?} was expected: {trial}");
        trial
    }
}

/// The words of all checks.
fn words(trial: &Value) -> String {
    let checks = trial["checks"].as_array().expect("checks").iter();
    let words: Vec<&str> = checks.filter_map(|check| check["words"].as_str()).collect();
    words.join("\n")
}

fn secret_file(place: &Place, name: &str, text: &str) -> PathBuf {
    let path = place.beside(name);
    std::fs::write(&path, text).expect("written");
    let owner_only = std::fs::Permissions::from_mode(0o600);
    std::fs::set_permissions(&path, owner_only).expect("mode set");
    path
}

/// Fails if any file below holds the text.
fn assert_nowhere(dir: &Path, text: &str) {
    for entry in std::fs::read_dir(dir).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            assert_nowhere(&path, text);
            continue;
        }
        let bytes = std::fs::read(&path).expect("a file");
        let found = bytes
            .windows(text.len())
            .any(|part| part == text.as_bytes());
        assert!(!found, "{} holds the secret", path.display());
    }
}

/// Everything that can be wrong with an account, one after the other.
fn tried_in_every_way(vendor: &str) {
    let place = Place::new();
    let sim = Simulated::start(&place, vendor);
    let mut desk = Desk::new(&place);
    let made = desk.owned(&sim.account_args());
    assert_eq!(made["strict"], vendor != "tencent", "{made}");
    let trial = desk.trial(&["account", "test", vendor], "");
    assert!(words(&trial).contains("made-up domain"), "{trial}");
    assert!(trial["checks"][0]["request_id"].is_string(), "{trial}");
    assert!(trial["checks"][0]["vendor_date"].is_string(), "{trial}");

    let target = desk.owned(&sim.target_args());
    let id = target["id"].to_string();
    desk.trial(&["target", "test", &id], "");
    let trial = desk.trial(&["account", "test", vendor], "");
    assert!(!words(&trial).contains("made-up"), "{trial}");

    let good = sim.secret_file();
    let bad = secret_file(&place, "wrong", "not-the-secret-4711\n");
    let (good, bad) = (good.to_str().expect("text"), bad.to_str().expect("text"));
    let rotate = ["account", "rotate", vendor, "--secret-file"];
    desk.json(&[&rotate[..], &[bad]].concat());
    let trial = desk.trial(&["account", "test", vendor], "signature");
    assert!(
        words(&trial).contains("the secret is not that key's"),
        "{trial}"
    );
    desk.json(&[&rotate[..], &[good, "--access-key-id", "AKIDNOBODY"]].concat());
    let trial = desk.trial(&["account", "test", vendor], "key");
    assert!(
        words(&trial).contains("does not know the key id AKIDNOBODY"),
        "{trial}"
    );
    let ran = desk.run(&["account", "test", vendor]);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.stdout.starts_with("WRONG: "), "{ran:?}");
    let right = sim.part("access_key_id").to_owned();
    let rotated = desk.json(&[&rotate[..], &[good, "--access-key-id", &right]].concat());
    assert!(rotated["rotated"].is_string(), "{rotated}");

    sim.set_faults("[[fault]]\nkind = \"wrong-clock\"\nseconds = 7200\n");
    let trial = desk.trial(&["account", "test", vendor], "clock");
    let told = words(&trial);
    assert!(
        told.contains("this one is 1 h 59 min behind it") || told.contains("2 h behind it"),
        "{told}"
    );
    assert!(trial["checks"][0]["vendor_date"].is_string(), "{trial}");
    sim.set_faults("");
    desk.trial(&["target", "test", &id], "");

    let mut strange = sim.target_args();
    for arg in &mut strange {
        if arg.starts_with("push.") || arg.starts_with("play.") {
            arg.insert_str(0, "strange.");
        }
    }
    let other = desk.owned(&strange)["id"].to_string();
    // Tencent's list is one of the whole account.
    let trial = desk.trial(&["target", "test", &other], "domain");
    assert!(
        words(&trial).contains(&format!("does not know strange.push.{vendor}.test")),
        "{trial}"
    );

    let ran = desk.run(&["account", "remove", vendor]);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(
        ran.stderr
            .contains(&format!("target {id} (push.{vendor}.test/live)")),
        "{ran:?}"
    );
    for id in [&id, &other] {
        let gone = desk.json(&["target", "remove", id]);
        assert_eq!(gone["leaving"], false, "{gone}");
    }
    let ran = desk.run(&["account", "list"]);
    assert!(ran.stdout.contains(&right), "{ran:?}");
    let ran = desk.run(&["account", "remove", "--name", vendor]);
    assert_eq!(ran.code, 0, "{ran:?}");

    for secret in [sim.part("secret"), "not-the-secret-4711"] {
        assert!(!desk.printed.contains(secret), "printed: {secret}");
        assert!(!desk.server.log().contains(secret), "logged: {secret}");
        assert_nowhere(&place.data(), secret);
    }
    assert!(desk.server.log().contains("account has another key"));
}

#[test]
fn a_wangsu_account_is_tried_in_every_way() {
    tried_in_every_way("ws");
}

#[test]
fn an_alibaba_cloud_account_is_tried_in_every_way() {
    tried_in_every_way("aliyun");
}

#[test]
fn a_tencent_cloud_account_is_tried_in_every_way() {
    tried_in_every_way("tencent");
}

#[test]
fn a_huawei_cloud_account_is_tried_in_every_way() {
    tried_in_every_way("huawei");
}

#[test]
fn a_key_without_rights_is_told_from_a_wrong_one() {
    for vendor in ["ws", "aliyun", "tencent", "huawei"] {
        let place = Place::new();
        let config = place.beside("sim.toml");
        let text = format!(
            "vendor = \"{vendor}\"\n[[accounts]]\nname = \"main\"\npermission = \"none\"\n\
             keys = [{{ id = \"AKID1\", secret = \"hush\" }}]\n\
             [[domains]]\npublish = \"push.example.com\"\nplay = \"play.example.com\"\n"
        );
        std::fs::write(&config, text).expect("written");
        let args = ["--config", config.to_str().expect("text")];
        let sim = Simulated::start_with(&place, vendor, &args);
        let mut desk = Desk::new(&place);
        let endpoint = format!("http://{}", sim.at("api"));
        let secret = secret_file(&place, "key", "hush");
        let secret = secret.to_str().expect("text");
        let mut add = vec!["account", "add", "--vendor", vendor, "--name", "main"];
        add.extend(["--access-key-id", "AKID1", "--secret-file", secret]);
        add.extend(["--endpoint", &endpoint]);
        if vendor == "huawei" {
            add.extend(["--project-id", "0123"]);
        }
        desk.json(&add);
        let trial = desk.trial(&["account", "test", "main"], "permission");
        assert!(
            words(&trial).contains("the key is right, but may not"),
            "{trial}"
        );
    }
}

#[test]
fn secrets_come_from_files_and_standard_input_only() {
    let place = Place::new();
    let desk = Desk::new(&place);
    let add = |name: &str, more: &[&str]| {
        let mut args = vec!["account", "add", "--vendor", "ws", "--name", name];
        args.extend(["--access-key-id", name, "--endpoint", "http://127.0.0.1:1"]);
        args.extend(more);
        desk.server.run(&args)
    };
    for (number, text) in ["hush-1", "hush-1\n", "hush-1\r\n"].into_iter().enumerate() {
        let file = secret_file(&place, "key", text);
        let name = format!("good-{number}");
        let ran = add(&name, &["--secret-file", file.to_str().expect("text")]);
        assert_eq!(ran.code, 0, "{ran:?}");
        assert!(!ran.stderr.contains("warning"), "{ran:?}");
    }
    for (text, part) in [
        ("hush-1\n\n", "more than one newline"),
        ("hush 1\n", "spaces"),
        ("\n", "no secret"),
    ] {
        let file = secret_file(&place, "key", text);
        let ran = add("bad", &["--secret-file", file.to_str().expect("text")]);
        assert_eq!(ran.code, 2, "{ran:?}");
        assert!(
            ran.stderr.contains(part) && !ran.stderr.contains("hush"),
            "{ran:?}"
        );
    }
    let file = secret_file(&place, "open", "hush-2\n");
    let everybody = std::fs::Permissions::from_mode(0o644);
    std::fs::set_permissions(&file, everybody).expect("mode set");
    let ran = add("open", &["--secret-file", file.to_str().expect("text")]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(
        ran.stderr.contains("can be read by others (mode 0644)"),
        "{ran:?}"
    );

    let ran = add("none", &[]);
    assert_eq!(ran.code, 2, "{ran:?}");
    let ran = add("both", &["--secret-stdin", "--secret-file", "x"]);
    assert_eq!(ran.code, 2, "{ran:?}");
    let ran = add("dash", &["--secret-file", "-"]);
    assert_eq!(ran.code, 2, "{ran:?}");
    assert!(
        ran.stderr.contains("--secret-stdin reads standard input"),
        "{ran:?}"
    );
    let ran = add(
        "far",
        &["--server", "http://192.0.2.1:1985", "--secret-stdin"],
    );
    assert_eq!(ran.code, 2, "{ran:?}");
    assert!(ran.stderr.contains("in the clear"), "{ran:?}");

    let mut command = tidegate();
    command.arg("--data-dir").arg(place.data());
    command.args(["account", "rotate", "open", "--secret-stdin", "--json"]);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().expect("the program runs");
    let mut stdin = child.stdin.take().expect("a pipe");
    stdin.write_all(b"hush-3\n").expect("written");
    drop(stdin);
    let output = child.wait_with_output().expect("an end");
    assert!(output.status.success(), "{output:?}");
    for secret in ["hush-1", "hush-2", "hush-3"] {
        assert_nowhere(&place.data(), secret);
        assert!(!desk.server.log().contains(secret), "{secret}");
        assert!(!String::from_utf8_lossy(&output.stdout).contains(secret));
    }
    let mut help = tidegate();
    help.args(["account", "add", "--secret", "hush"]);
    assert_eq!(finish(help).code, 2, "there is no flag that takes a secret");
}

#[test]
fn a_target_takes_the_standing_blocks_and_leaves_nothing_banned() {
    let place = Place::new();
    let sim = Simulated::start(&place, "huawei");
    let mut desk = Desk::new(&place);
    desk.owned(&sim.account_args());
    for stream in ["one", "two"] {
        desk.run(&["forbid", stream]);
    }
    let target = desk.owned(&sim.target_args());
    assert_eq!(target["blocks"], 2, "{target}");
    let stands = |count: usize| move |bans: &Value| bans.as_array().map(Vec::len) == Some(count);
    let bans = |what: &str, fits: &dyn Fn(&Value) -> bool| {
        wait_for(what, || Some(sim.bans()).filter(|bans| fits(bans)))
    };
    bans("two bans", &stands(2));
    let removed = desk.json(&["target", "remove", &target["id"].to_string()]);
    assert_eq!(removed["leaving"], true, "{removed}");
    assert_eq!(removed["bans_to_lift"], 2, "{removed}");
    bans("no ban", &stands(0));
    wait_for("the end of the target", || {
        let list = desk.json(&["target", "list"]);
        (list.as_array().map(Vec::len) == Some(1)).then_some(())
    });

    let target = desk.owned(&sim.target_args());
    bans("two bans again", &stands(2));
    let id = target["id"].to_string();
    let removed = desk.json(&["target", "remove", &id, "--keep-bans"]);
    assert_eq!(removed["leaving"], false, "{removed}");
    bans("bans that stay", &stands(2));
}

#[test]
fn what_a_wrong_key_was_refused_is_done_once_the_key_is_right() {
    let place = Place::new();
    let sim = Simulated::start(&place, "aliyun");
    let mut desk = Desk::new(&place);
    desk.owned(&sim.account_args());
    desk.owned(&sim.target_args());
    let bad = secret_file(&place, "wrong", "not-the-secret-4711");
    let good = sim.secret_file();
    let rotate = ["account", "rotate", "aliyun", "--secret-file"];
    desk.json(&[&rotate[..], &[bad.to_str().expect("text")]].concat());
    let ran = desk.run(&["forbid", "cam"]);
    assert_eq!(ran.code, 5, "{ran:?}");
    // How an account fares is told from time to time.
    let state = wait_for("the refusal", || {
        let list = desk.json(&["account", "list"]);
        let state = list[0]["state"].clone();
        (state["refused"] == 1).then_some(state)
    });
    assert_eq!(state["pending"], 1, "{state}");
    assert!(state["last_error"]["words"].is_string(), "{state}");
    let ran = desk.run(&["account", "list"]);
    assert!(ran.stdout.contains("1 refused"), "{ran:?}");
    assert_eq!(sim.bans(), serde_json::json!([]));

    desk.json(&[&rotate[..], &[good.to_str().expect("text")]].concat());
    wait_for("the ban", || {
        (sim.bans() != serde_json::json!([])).then_some(())
    });
    wait_for("nothing pending", || {
        let list = desk.json(&["account", "list"]);
        (list[0]["state"]["pending"] == 0).then_some(())
    });
}

#[test]
fn warnings_go_to_standard_error_and_vendor_and_account_must_agree() {
    let place = Place::new();
    let mut desk = Desk::new(&place);
    let secret = secret_file(&place, "key", "hush");
    let secret = secret.to_str().expect("text");
    for vendor in ["ws", "tencent"] {
        let mut add = vec!["account", "add", "--vendor", vendor, "--name", vendor];
        add.extend(["--access-key-id", "AKID", "--secret-file", secret]);
        add.extend(["--endpoint", "http://127.0.0.1:1"]);
        desk.json(&add);
    }
    let target = |vendor: &'static str, account: &'static str| {
        let mut add = vec!["target", "add", "--vendor", vendor, "--account", account];
        add.extend(["--publish-domain", "push.example.com"]);
        add
    };
    let ran = desk.run(&target("ws", "ws"));
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(
        ran.stderr
            .contains("warning: Wangsu tells no stream's state"),
        "{ran:?}"
    );
    let ran = desk.run(&target("tencent", "tencent"));
    assert!(
        ran.stderr
            .contains("every domain and app of account tencent"),
        "{ran:?}"
    );
    let ran = desk.run(&target("tencent", "ws"));
    assert_eq!(ran.code, 2, "{ran:?}");
    assert!(ran.stderr.contains("account ws is one at ws"), "{ran:?}");
    let ran = desk.run(&["target", "list"]);
    assert!(
        ran.stdout.contains("the name, anywhere in the account"),
        "{ran:?}"
    );
}

#[test]
fn a_target_is_looked_at_where_its_stream_plays() {
    let place = Place::new();
    let sim = Simulated::start(&place, "aliyun");
    let mut desk = Desk::new(&place);
    desk.owned(&sim.account_args());
    let mut add = sim.target_args();
    let template = format!("http://{}/live/{{stream}}.flv", sim.at("media"));
    add.extend(["--play-url".to_owned(), template]);
    let target = desk.owned(&add);
    let id = target["id"].to_string();
    let test = ["target", "test", &id, "--stream", "demo"];
    let trial = desk.trial(&test, "");
    let told = words(&trial);
    assert!(
        told.contains("not live there") && told.contains("absent"),
        "{told}"
    );
    let _encoder = Encoder::start(
        &place,
        "publisher",
        &format!("rtmp://{}/live/demo", sim.at("rtmp")),
    );
    wait_for("media", || {
        let ran = desk.run(&[&test[..], &["--json"]].concat());
        let told = words(&ran.json_whatever_the_code());
        (told.contains("is live there") && told.contains("media: ")).then_some(())
    });
}
