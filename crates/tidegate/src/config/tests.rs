use std::collections::BTreeSet;
use std::path::Path;

use super::*;

fn repository(path: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    std::fs::read_to_string(root.join(path)).expect(path)
}

fn from_file(text: &str) -> Result<Config, String> {
    let dir = tempfile::tempdir().expect("temp dir");
    let path = dir.path().join("t.toml");
    std::fs::write(&path, text).expect("written");
    let prefix = format!("{}/", dir.path().display());
    Config::load(Some(&path), [], None).map_err(|e| e.to_string().replace(&prefix, ""))
}

fn from_env(variables: &[(&str, &str)]) -> Result<Config, String> {
    let variables = variables
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Config::load(None, variables, None).map_err(|e| e.to_string())
}

fn shown(config: &Config) -> Vec<(&'static str, String)> {
    SETTINGS.iter().map(|s| (s.key, (s.show)(config))).collect()
}

#[test]
fn runs_with_nothing_set() {
    let config = Config::load(None, [], None).expect("defaults");
    assert_eq!(config.listen.api.to_string(), "127.0.0.1:1985");
    assert!(config.origin_options().distributors > 0);
}

#[test]
fn later_layers_win() {
    let dir = tempfile::tempdir().expect("temp dir");
    let path = dir.path().join("t.toml");
    std::fs::write(
        &path,
        "data_dir = \"/file\"\n[listen]\nrtmp = \"127.0.0.1:1\"\nmedia = \"127.0.0.1:2\"\n",
    )
    .expect("written");
    let env = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let variables = [
        env("TIDEGATE__LISTEN__MEDIA", "127.0.0.1:22"),
        env("TIDEGATE__DATA_DIR", "/env"),
        env("PATH", "/bin"),
    ];
    let config = Config::load(Some(&path), variables.clone(), None).expect("right");
    assert_eq!(config.listen.rtmp.port(), 1);
    assert_eq!(config.listen.media.port(), 22);
    assert_eq!(config.data_dir, Path::new("/env"));
    let config = Config::load(Some(&path), variables, Some(Path::new("/flag"))).expect("right");
    assert_eq!(config.data_dir, Path::new("/flag"));
    assert_eq!(config.origin_options().rtmp.port(), 1);
}

#[test]
fn unknown_keys_are_refused_with_file_and_line() {
    for (text, want) in [
        (
            "[listen]\nrtmp = \"127.0.0.1:0\"\nrtpm = \"x\"\n",
            "t.toml:3: unknown key `listen.rtpm`; did you mean `listen.rtmp`?",
        ),
        (
            "\n\n[lisen]\nrtmp = \"127.0.0.1:0\"\n",
            "t.toml:3: unknown key `lisen`; docs/configuration.md lists all keys",
        ),
        (
            "rtmp = \"127.0.0.1:0\"\n",
            "t.toml:1: unknown key `rtmp`; did you mean `listen.rtmp`?",
        ),
        (
            "listen = 3",
            "t.toml:1: `listen` is a section: expected [listen]",
        ),
        (
            "[origin.gop_bytes]\nx = 1",
            "t.toml:1: `origin.gop_bytes`: expected a size from 4 KiB to 1 GiB, such as \"4MiB\", \
             \"256KiB\" or a number of bytes, got a value of type table",
        ),
        (
            "[cluster]\nurl = \"postgres://x\"",
            "t.toml:1: unknown key `cluster`; docs/configuration.md lists all keys",
        ),
    ] {
        assert_eq!(from_file(text).map(|_| ()), Err(want.to_owned()), "{text}");
    }
}

#[test]
fn the_password_of_a_ledger_is_never_shown() {
    let url = "postgres://ops:s3cret@db/ledger";
    let config = from_file(&format!("[ledger]\nurl = \"{url}\"\n")).expect("right");
    let parsed = config.ledger.url.as_ref().expect("set");
    assert_eq!(parsed.expose(), url);
    let shown = format!("{config:?}{}", crate::commands::config::render(&config));
    assert!(shown.contains("postgres://ops:***@db/ledger"), "{shown}");
    assert!(!shown.contains("s3cret"), "{shown}");
    let wrong = from_file("[ledger]\nurl = \"postgre://ops:s3cret@db\"").expect_err("wrong");
    assert!(
        wrong.contains("ledger.url") && !wrong.contains("s3cret"),
        "{wrong}"
    );
}

#[test]
fn every_mistake_is_listed_in_order() {
    let all = from_file("[origin]\ngrace = 1\nzzzzz = 2\n[api]\nallow_plain_http = \"yes\"\n")
        .expect_err("wrong");
    let lines: Vec<&str> = all.lines().collect();
    assert_eq!(
        lines,
        [
            "t.toml:2: `origin.grace`: expected a time above zero and up to 10 years, such as \
             \"30s\", \"250ms\" or \"1d12h\", got 1",
            "t.toml:3: unknown key `origin.zzzzz`; docs/configuration.md lists all keys",
            "t.toml:5: `api.allow_plain_http`: expected true or false, got \"yes\"",
        ]
    );
}

#[test]
fn what_is_not_toml_is_refused_with_its_line() {
    let error = from_file("[listen]\nrtmp = \n").expect_err("wrong");
    assert!(error.starts_with("t.toml:2: not TOML: "), "{error}");
    let error =
        from_file("[listen]\nrtmp = \"127.0.0.1:0\"\nrtmp = \"127.0.0.1:0\"\n").expect_err("twice");
    assert!(error.starts_with("t.toml:3: not TOML: "), "{error}");
    let error = Config::load(Some(Path::new("/no/such")), [], None).expect_err("absent");
    assert!(error.to_string().starts_with("/no/such: cannot be read: "));
}

#[test]
fn unknown_variables_are_refused_by_name() {
    assert_eq!(
        from_env(&[("TIDEGATE__LISTEN__RTPM", "x")]).map(|_| ()),
        Err(
            "environment variable TIDEGATE__LISTEN__RTPM: unknown key `listen.rtpm`; did you mean \
             TIDEGATE__LISTEN__RTMP?"
                .to_owned()
        )
    );
    let wrong = from_env(&[("TIDEGATE__ORIGIN__GRACE", "0s")]).expect_err("zero");
    assert!(wrong.starts_with("environment variable TIDEGATE__ORIGIN__GRACE: expected a time"));
}

#[test]
fn wrong_values_say_what_was_expected() {
    for (key, value) in [
        ("listen.rtmp", "1935"),
        ("listen.rtmp", "example.com:1935"),
        ("listen.rtmp", "127.0.0.1:70000"),
        ("log.level", "loud"),
        ("log.format", "xml"),
        ("server_api.default_forbid", "500ms"),
        ("server_api.default_forbid", "0s"),
        ("server_api.auth_codes", "Action"),
        ("server_api.rates.forbid_cdn_live_stream", "-1"),
        ("origin.max_connections", "0"),
        ("origin.handshake_timeout", "0s"),
        ("origin.gop_bytes", "0"),
        ("origin.gop_bytes", "9999GiB"),
        ("data_dir", ""),
    ] {
        let error = from_env(&[(&variable(key), value)]).expect_err(key);
        assert!(error.contains("expected "), "{key}={value}: {error}");
        assert!(error.contains("got "), "{key}={value}: {error}");
    }
}

#[test]
fn values_that_do_not_go_together_are_refused_in_words() {
    let error = from_file("[server_api]\nanswer_within = \"6s\"\n").expect_err("drain is 5s");
    assert_eq!(
        error,
        "`api.drain` must not be less than `server_api.answer_within`: a stop would cut answers \
         short that still wait for CDNs; raise the one or lower the other"
    );
    for (variables, keys) in [
        (
            &[("api.write_timeout", "1s")][..],
            ["`api.write_timeout`", "`server_api.answer_within`"],
        ),
        (
            &[("cdn.total_timeout", "4s"), ("cdn.read_timeout", "4s")],
            ["", ""],
        ),
        (
            &[("cdn.total_timeout", "4s")],
            ["`cdn.total_timeout`", "`cdn.read_timeout`"],
        ),
        (
            &[("cdn.connect_timeout", "9s")],
            ["`cdn.total_timeout`", "`cdn.connect_timeout`"],
        ),
        (
            &[("probe.daily_bytes", "8KiB")],
            ["`probe.daily_bytes`", "`probe.look_bytes`"],
        ),
    ] {
        let names: Vec<String> = variables.iter().map(|(key, _)| variable(key)).collect();
        let variables: Vec<(&str, &str)> = names
            .iter()
            .zip(variables)
            .map(|(name, (_, value))| (name.as_str(), *value))
            .collect();
        match from_env(&variables) {
            Ok(_) => assert_eq!(keys[0], "", "{variables:?} is taken"),
            Err(error) => {
                assert!(
                    !keys[0].is_empty() && keys.iter().all(|key| error.contains(key)),
                    "{variables:?}: {error}"
                );
            }
        }
    }
}

#[test]
fn what_is_set_about_cdns_reaches_the_engine() {
    let config = from_env(&[
        ("TIDEGATE__SERVER_API__ANSWER_WITHIN", "1s500ms"),
        ("TIDEGATE__CDN__CONNECT_TIMEOUT", "1s"),
        ("TIDEGATE__CDN__READ_TIMEOUT", "2s"),
        ("TIDEGATE__CDN__TOTAL_TIMEOUT", "4s"),
        ("TIDEGATE__CDN__DRIFT_CHECK", "0s"),
        ("TIDEGATE__PROBE__ALARM_AFTER", "1m"),
        ("TIDEGATE__PROBE__LOOK_BYTES", "64KiB"),
        ("TIDEGATE__PROBE__DAILY_BYTES", "2GiB"),
    ])
    .expect("right");
    let options = config.cdn_options();
    assert_eq!(options.answer_within, Duration::from_millis(1500));
    assert_eq!(options.client.connect_timeout, Duration::from_secs(1));
    assert_eq!(options.client.read_timeout, Duration::from_secs(2));
    assert_eq!(options.client.total_timeout, Duration::from_secs(4));
    assert_eq!(options.drift_check, Duration::ZERO);
    assert_eq!(options.alarm_after, Duration::from_secs(60));
    assert_eq!(options.look_bytes, 64 << 10);
    assert_eq!(options.daily_look_bytes, 2 << 30);
}

#[test]
fn values_of_every_kind_are_read_from_the_environment() {
    let config = from_env(&[
        ("TIDEGATE__LISTEN__RTMP", "localhost:0"),
        ("TIDEGATE__LISTEN__API", "[::1]:7"),
        ("TIDEGATE__LOG__LEVEL", "info,tidegate_origin=debug"),
        ("TIDEGATE__SERVER_API__RATES__FORBID_CDN_LIVE_STREAM", "0"),
        ("TIDEGATE__API__ALLOW_PLAIN_HTTP", "true"),
        ("TIDEGATE__SECRETS__KEY_FILE", "/k"),
        ("TIDEGATE__ORIGIN__GOP_BYTES", "4MiB"),
        ("TIDEGATE__ORIGIN__SEND_BUFFER", "65536"),
        (
            "TIDEGATE__ORIGIN__WEBSOCKET_ORIGINS",
            "https://a.example, https://b.example",
        ),
    ])
    .expect("right");
    assert_eq!(config.listen.rtmp.to_string(), "127.0.0.1:0");
    assert_eq!(config.listen.api.to_string(), "[::1]:7");
    assert_eq!(config.server_api.rates.forbid_cdn_live_stream, 0);
    assert!(config.api.allow_plain_http);
    assert_eq!(config.secrets.key_file.as_deref(), Some(Path::new("/k")));
    assert_eq!(config.origin.gop_bytes, 4 << 20);
    assert_eq!(config.origin.send_buffer, 65536);
    assert_eq!(
        config.origin.websocket_origins,
        ["https://a.example", "https://b.example"]
    );
}

#[test]
fn what_is_shown_reads_back_the_same() {
    let config = from_env(&[
        ("TIDEGATE__ORIGIN__GRACE", "1m5s"),
        ("TIDEGATE__ORIGIN__WEBSOCKET_ORIGINS", "https://a.example,*"),
        ("TIDEGATE__DATA_DIR", "/a \"b\\c"),
    ])
    .expect("right");
    let text = crate::commands::config::render(&config);
    let again = from_file(&text).expect("reads back");
    assert_eq!(shown(&again), shown(&config));
}

/// The reference file is a configuration of its own: an unknown key in it fails to load, a
/// changed default shows, and each key has a comment above it.
#[test]
fn the_reference_file_lists_every_key_with_its_default_and_a_comment() {
    let text = repository("deploy/tidegate.toml");
    let config = from_file(&text).expect("the reference file loads");
    assert_eq!(shown(&config), shown(&Config::default()));

    let mut section = String::new();
    let mut before = "";
    let mut listed = BTreeSet::new();
    for line in text.lines() {
        if let Some(name) = line.strip_prefix('[').and_then(|l| l.strip_suffix(']')) {
            section = format!("{name}.");
        } else if let Some((key, _)) = line.split_once(" = ").filter(|_| !line.starts_with('#')) {
            assert!(before.starts_with("# "), "no comment above `{key}`");
            listed.insert(format!("{section}{key}"));
        }
        before = line;
    }
    let known: BTreeSet<String> = SETTINGS.iter().map(|s| s.key.to_owned()).collect();
    assert_eq!(listed, known);
}

#[test]
fn the_page_lists_every_key_with_its_default_and_no_other() {
    let page = repository("docs/configuration.md");
    let rows: BTreeSet<(String, String)> = page
        .lines()
        .filter_map(|line| line.strip_prefix("| `"))
        .filter_map(|row| {
            let (key, rest) = row.split_once("` | `")?;
            Some((key.to_owned(), rest.split_once("` |")?.0.to_owned()))
        })
        .collect();
    let known = shown(&Config::default());
    let known: BTreeSet<_> = known.into_iter().map(|(k, v)| (k.to_owned(), v)).collect();
    assert_eq!(rows, known);
}

/// `Debug` of the options is the one list of their fields that cannot be forgotten.
#[test]
fn every_option_of_the_origin_can_be_set() {
    let printed = format!("{:#?}", Origin::default());
    let fields = printed
        .lines()
        .filter_map(|line| line.strip_prefix("    "))
        .filter(|line| !line.starts_with([' ', '}', ']', ')']))
        .filter_map(|line| Some(line.split_once(':')?.0));
    let mut count = 0;
    for field in fields {
        let key = match field {
            "rtmp" | "media" => format!("listen.{field}"),
            other => format!("origin.{other}"),
        };
        assert!(setting(&key).is_some(), "{key}");
        count += 1;
    }
    assert!(count > 10, "{count} fields found in {printed}");
}
