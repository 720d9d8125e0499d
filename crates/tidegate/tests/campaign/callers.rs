//! Those who decide: each caller owns some streams, and asks again until it is answered.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;
use serde_json::Value;

use crate::caller::Caller;
use crate::dice::Dice;
use crate::fleet::{App, is_weak, stream};
use crate::harness::{Server, signed_query, wait_for};

/// Callers of the first App, and of the second.
const CALLERS: [usize; 2] = [22, 2];
const DAY: i64 = 86_400;

/// Where the server is, while there is one.
pub(crate) struct Door(Mutex<Option<String>>);

impl Door {
    pub(crate) fn open(api: &str) -> Arc<Self> {
        Arc::new(Self(Mutex::new(Some(api.to_owned()))))
    }

    pub(crate) fn close(&self) {
        *self.0.lock() = None;
    }

    pub(crate) fn reopen(&self, api: &str) {
        *self.0.lock() = Some(api.to_owned());
    }

    pub(crate) fn address(&self) -> Option<String> {
        self.0.lock().clone()
    }
}

/// A decision that was acknowledged.
#[derive(Clone, Debug)]
pub(crate) struct Decision {
    /// Until when, in unix seconds; none for a resume. No two of a stream are the same.
    pub(crate) end: Option<i64>,
    pub(crate) request_id: String,
}

/// Decisions on streams, oldest first, by App and number.
type Told = BTreeMap<(usize, usize), Vec<Decision>>;

/// What every stream was told.
pub(crate) struct Book {
    pub(crate) streams: Told,
}

impl Book {
    pub(crate) fn decisions(&self) -> usize {
        self.streams.values().map(Vec::len).sum()
    }
}

/// The callers at work.
pub(crate) struct Callers {
    stop: Arc<AtomicBool>,
    answers: Arc<AtomicUsize>,
    threads: Vec<JoinHandle<Told>>,
}

impl Callers {
    pub(crate) fn begin(apps: &[App; 2], door: &Arc<Door>, seed: u64) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let answers = Arc::new(AtomicUsize::new(0));
        let mut threads = Vec::new();
        for (at, app) in apps.iter().enumerate() {
            for caller in 0..CALLERS[at] {
                let numbers = (caller..app.streams).step_by(CALLERS[at]);
                let mut work = Work {
                    app: app.clone(),
                    phone: Phone::new(door),
                    dice: Dice::of(seed, threads.len()),
                    told: numbers.map(|n| ((at, n), Vec::new())).collect(),
                };
                let (stop, answers) = (Arc::clone(&stop), Arc::clone(&answers));
                threads.push(std::thread::spawn(move || {
                    work.until(&stop, &answers);
                    work.told
                }));
            }
        }
        Self {
            stop,
            answers,
            threads,
        }
    }

    /// Decisions that were acknowledged so far.
    pub(crate) fn answers(&self) -> usize {
        self.answers.load(Ordering::Relaxed)
    }

    /// Lets every caller hear its last answer.
    pub(crate) fn stop(self) -> Book {
        self.stop.store(true, Ordering::Relaxed);
        let told = self.threads.into_iter();
        Book {
            streams: told.flat_map(|t| t.join().expect("a caller")).collect(),
        }
    }
}

struct Work {
    app: App,
    phone: Phone,
    dice: Dice,
    told: Told,
}

impl Work {
    /// Every stream once, and then whichever.
    fn until(&mut self, stop: &AtomicBool, answers: &AtomicUsize) {
        let keys: Vec<_> = self.told.keys().copied().collect();
        let mut fresh = keys.iter().copied();
        while !stop.load(Ordering::Relaxed) {
            let any = keys[self.dice.below(keys.len())];
            let key = fresh.next().unwrap_or(any);
            let told = self.told.get_mut(&key).expect("one of ours");
            let end = choose(&self.app, told, &mut self.dice);
            let decision = decide(&mut self.phone, &self.app, key.1, end);
            told.push(decision);
            answers.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// A resume, a forbid for days, or now and then one for less than a minute.
fn choose(app: &App, told: &[Decision], dice: &mut Dice) -> Option<i64> {
    let stands = told.last().is_some_and(|last| last.end.is_some());
    if stands && dice.one_in(2) {
        return None;
    }
    if app.has_short_bans && dice.one_in(12) {
        let soon = i64::try_from(dice.below(15)).expect("small");
        return Some(now() + 30 + soon);
    }
    Some(in_days(told))
}

/// Another end for every decision on a stream.
fn in_days(told: &[Decision]) -> i64 {
    let nth = i64::try_from(told.len()).expect("few");
    now() + 2 * DAY + nth * 3600
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    i64::try_from(since.expect("a clock").as_secs()).expect("a date")
}

/// Asks until there is an answer: the very same call again, whichever server answers it.
fn decide(phone: &mut Phone, app: &App, number: usize, end: Option<i64>) -> Decision {
    let name = stream(number);
    let (action, params) = match end {
        None => ("ResumeCDNLiveStream", format!("StreamId={name}")),
        Some(end) => {
            let end = jiff::Timestamp::from_second(end).expect("an instant");
            let params = format!("StreamId={name}&ResumeTime={end}");
            ("ForbidCDNLiveStream", params)
        }
    };
    let query = signed_query(app.id, &app.secret, action, &params);
    let answer = phone.ask(&format!("/?{query}"), "");
    assert_eq!(answer["Code"], 0, "{action} {params}: {answer}");
    Decision {
        end,
        request_id: answer["RequestId"].as_str().expect("an id").to_owned(),
    }
}

/// Whatever has lapsed early by a vendor's fault is banned anew by one more decision.
pub(crate) fn close(book: &mut Book, apps: &[App; 2], server: &Server) {
    let door = Door::open(&server.api);
    let weak = book.streams.iter_mut().filter(|((_, n), _)| is_weak(*n));
    std::thread::scope(|scope| {
        for ((app, number), told) in weak {
            let mut phone = Phone::new(&door);
            scope.spawn(move || {
                let end = in_days(told);
                told.push(decide(&mut phone, &apps[*app], *number, Some(end)));
            });
        }
    });
}

/// A connection to whichever server is up.
pub(crate) struct Phone {
    door: Arc<Door>,
    line: Option<(String, Caller)>,
}

impl Phone {
    pub(crate) fn new(door: &Arc<Door>) -> Self {
        Self {
            door: Arc::clone(door),
            line: None,
        }
    }

    /// Asks until it is answered.
    pub(crate) fn ask(&mut self, path: &str, headers: &str) -> Value {
        wait_for("an answer", || {
            let address = self.door.address()?;
            if self.line.as_ref().is_none_or(|(at, _)| *at != address) {
                self.line = Some((address.clone(), Caller::connect(&address)?));
            }
            let (_, caller) = self.line.as_mut().expect("a line");
            let answer = caller.get(path, headers);
            if answer.is_none() {
                self.line = None;
            }
            answer
        })
    }
}
