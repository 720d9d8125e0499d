//! Figures of a ledger on this machine: decisions per second and per commit, how long single
//! decisions take, loading a million blocks, and saving vendor objects.
//!
//! `cargo run --release -p tidegate-ledger --example measure -- DIR [SECONDS] [BLOCKS]`, and with
//! `TIDEGATE__LEDGER__URL` set, the PostgreSQL ledger there instead of SQLite in `DIR`

use std::error::Error;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tidegate_core::{
    Actor, AppId, Ask, AskKind, AskedEnd, BlockSet, Generation, RequestId, Secret, StreamId,
    StreamKey, UnixMs,
};
use tidegate_ledger::cdns::{
    AcceptedBy, AccountKey, CdnAccount, CdnSave, NewTarget, ObjectKey, ObjectRow, ObjectSave,
};
use tidegate_ledger::{
    App, Ledger, LedgerUrl, LiveSecret, OpenOptions, PostgresLedger, PublishAuth, SqliteLedger,
    Stats, Vendor,
};

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// The back end that is measured.
enum Store {
    Sqlite(Arc<SqliteLedger>),
    Postgres(Arc<PostgresLedger>),
}

impl Store {
    async fn open(dir: &Path) -> Outcome<Self> {
        let options = OpenOptions::new(dir);
        Ok(match std::env::var("TIDEGATE__LEDGER__URL") {
            Ok(url) => {
                let url = LedgerUrl::parse(&url)?;
                Self::Postgres(Arc::new(PostgresLedger::open(&url, &options).await?))
            }
            Err(_) => Self::Sqlite(Arc::new(SqliteLedger::open(options).await?)),
        })
    }

    fn ledger(&self) -> Arc<dyn Ledger> {
        match self {
            Self::Sqlite(ledger) => ledger.clone(),
            Self::Postgres(ledger) => ledger.clone(),
        }
    }

    fn stats(&self) -> Stats {
        match self {
            Self::Sqlite(ledger) => ledger.stats(),
            Self::Postgres(ledger) => ledger.stats(),
        }
    }

    async fn close(&self) {
        match self {
            Self::Sqlite(ledger) => ledger.close().await,
            Self::Postgres(ledger) => ledger.close().await,
        }
    }
}

#[tokio::main]
async fn main() -> Outcome<()> {
    let mut arguments = std::env::args().skip(1);
    let dir = PathBuf::from(arguments.next().ok_or("name a data directory")?);
    let seconds = arguments.next().map_or(Ok(5), |text| text.parse())?;
    let blocks = arguments
        .next()
        .map_or(Ok(1_000_000), |text| text.parse())?;
    let length = Duration::from_secs(seconds);
    let mut out = std::io::stdout();
    let store = Store::open(&dir).await?;
    let ledger = store.ledger();
    if ledger.targets(AppId(1)).await?.is_empty() {
        ledger.create_app(&app()?).await?;
    }
    writeln!(
        out,
        "bare write+fdatasync: {:.0}/s",
        bare_syncs(&dir, length)?
    )?;
    for callers in [1, 64] {
        let before = store.stats();
        let mut took = decide_for(&ledger, callers, length).await?;
        let after = store.stats();
        took.sort_unstable();
        let decisions = after.decisions - before.decisions;
        let commits = after.commits - before.commits;
        writeln!(
            out,
            "{callers} callers: {} decisions/s, {commits} commits, {:.1} decisions a commit, \
             p50 {:?}, p99 {:?}, max {:?}, {} checkpoints",
            decisions / seconds.max(1),
            ratio(decisions, commits),
            took.get(took.len() / 2),
            took.get(took.len() * 99 / 100),
            took.last(),
            after.checkpoints - before.checkpoints,
        )?;
    }
    fill(&ledger, blocks).await?;
    store.close().await;
    drop((store, ledger));
    let started = Instant::now();
    let store = Store::open(&dir).await?;
    let opened = started.elapsed();
    let set = BlockSet::default();
    store
        .ledger()
        .load_blocks(&mut |key, block| set.load(&key, &block))
        .await?;
    writeln!(
        out,
        "opened in {opened:?}, {} blocks in memory after {:?}",
        set.len(),
        started.elapsed()
    )?;
    save_for(&store.ledger(), length, &mut out).await?;
    store.close().await;
    Ok(())
}

fn ratio(decisions: u64, commits: u64) -> f64 {
    let commits = u32::try_from(commits.max(1)).unwrap_or(u32::MAX);
    f64::from(u32::try_from(decisions).unwrap_or(u32::MAX)) / f64::from(commits)
}

fn app() -> Outcome<App> {
    let secret = || Secret::new("measure".into());
    Ok(App {
        id: AppId(1),
        name: "measure".into(),
        rtmp_app: "live".into(),
        disabled: false,
        created: UnixMs(0),
        publish_auth: PublishAuth::None,
        bind_nonces: true,
        default_forbid: None,
        server_secrets: vec![LiveSecret {
            secret: secret(),
            expires: None,
        }],
        callback_secret: secret(),
        publish_key: secret(),
        publish_key_backup: None,
    })
}

fn bare_syncs(dir: &Path, length: Duration) -> Outcome<f64> {
    let mut file = File::create(dir.join("bare"))?;
    let started = Instant::now();
    let mut syncs = 0_u32;
    while started.elapsed() < length {
        file.write_all(&[0; 4096])?;
        file.sync_data()?;
        syncs += 1;
    }
    Ok(f64::from(syncs) / started.elapsed().as_secs_f64())
}

fn ask(stream: &str, turn: u64) -> Outcome<Ask> {
    let kind = if turn.is_multiple_of(2) {
        AskKind::Forbid(AskedEnd::Lifted)
    } else {
        AskKind::Resume
    };
    Ok(Ask {
        key: StreamKey::new(AppId(1), StreamId::parse(stream)?),
        kind,
        by: Actor::App {
            client: [127, 0, 0, 1].into(),
        },
        reason: None,
        at: UnixMs(1_700_000_000_000),
        request_id: RequestId(turn),
    })
}

async fn decide_for(
    ledger: &Arc<dyn Ledger>,
    callers: usize,
    length: Duration,
) -> Outcome<Vec<Duration>> {
    let started = Instant::now();
    let tasks: Vec<_> = (0..callers)
        .map(|n| {
            let ledger = Arc::clone(ledger);
            tokio::spawn(async move {
                let mut took = Vec::new();
                for turn in 0.. {
                    if started.elapsed() > length {
                        break;
                    }
                    let asked = Instant::now();
                    let stream = format!("c{n}-{}", turn / 2 % 1000);
                    ledger.decide(ask(&stream, turn)?, None).await?;
                    took.push(asked.elapsed());
                }
                Outcome::Ok(took)
            })
        })
        .collect();
    let mut all = Vec::new();
    for task in tasks {
        all.extend(task.await??);
    }
    Ok(all)
}

/// Saves of one vendor object and of 256, each with what it settles, one after the other; and how
/// long reading them takes.
async fn save_for(ledger: &Arc<dyn Ledger>, length: Duration, out: &mut impl Write) -> Outcome<()> {
    let account = match ledger.cdn_accounts().await?.first() {
        Some(account) => account.id,
        None => add_account(ledger).await?,
    };
    let target = ledger.cdn_targets().await?.first().map(|t| t.target.id);
    let target = target.ok_or("the account has no target")?;
    let mut keys = Vec::new();
    for n in 0..256 {
        let asked = ask(&format!("object{n}"), 0)?;
        let stream = asked.key.stream.clone();
        ledger.decide(asked, None).await?;
        let site = "push.example.com/live".to_owned();
        keys.push(ObjectKey {
            account,
            site,
            stream,
        });
    }
    for count in [1, 256] {
        let keys = keys.get(..count).unwrap_or_default();
        let (mut saves, mut reads) = (Vec::new(), Vec::new());
        let started = Instant::now();
        while started.elapsed() < length {
            let begun = Instant::now();
            let rows = ledger.objects(keys).await?;
            reads.push(begun.elapsed());
            let objects = rows.into_iter().map(|row| save_of(row, target)).collect();
            let budgets = vec![(account, "x".repeat(300))];
            let begun = Instant::now();
            ledger.save(CdnSave { budgets, objects }).await?;
            saves.push(begun.elapsed());
        }
        for (what, mut took) in [("read", reads), ("saved", saves)] {
            took.sort_unstable();
            writeln!(
                out,
                "{count} vendor objects {what}: p50 {:?}, p99 {:?}",
                took.get(took.len() / 2),
                took.get(took.len() * 99 / 100)
            )?;
        }
    }
    Ok(())
}

fn save_of(row: ObjectRow, target: i64) -> ObjectSave {
    let accepted = AcceptedBy {
        app: AppId(1),
        target,
        generation: Generation(row.version.unsigned_abs()),
        at: UnixMs(row.version),
        watch: None,
    };
    ObjectSave {
        key: row.key,
        version: row.version,
        state: "y".repeat(400),
        due: Some(UnixMs(row.version)),
        accepted: vec![accepted],
    }
}

async fn add_account(ledger: &Arc<dyn Ledger>) -> Outcome<i64> {
    let key = AccountKey {
        access_key_id: "measure".into(),
        secret: Secret::new("measure".into()),
        security_token: None,
    };
    let account = CdnAccount {
        id: 0,
        name: "measure".into(),
        vendor: Vendor::Aliyun,
        key,
        scheme: None,
        region: None,
        project_id: None,
        endpoint: None,
        strict: true,
        epoch: 1,
        created: UnixMs(0),
        rotated: None,
    };
    let account = ledger.add_account(&account).await?;
    let target = NewTarget {
        app: AppId(1),
        account,
        publish_domain: "push.example.com".into(),
        play_domain: None,
        rtmp_app: "live".into(),
        play_urls: Vec::new(),
        play_key: None,
    };
    ledger.add_target(&target).await?;
    Ok(account)
}

async fn fill(ledger: &Arc<dyn Ledger>, blocks: usize) -> Outcome<()> {
    let tasks: Vec<_> = (0..256)
        .map(|n| {
            let ledger = Arc::clone(ledger);
            tokio::spawn(async move {
                for stream in (n..blocks).step_by(256) {
                    let stream = format!("stream-{stream:08}");
                    ledger.decide(ask(&stream, 0)?, None).await?;
                }
                Outcome::Ok(())
            })
        })
        .collect();
    for task in tasks {
        task.await??;
    }
    Ok(())
}
