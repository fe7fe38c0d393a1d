//! Key sets over time, which is paused and never slept through, and over real sockets.

use std::sync::atomic::AtomicUsize;

use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::{Instant, sleep};

use super::fetch::{Answer, fetch};
use super::keeper::Keeper;
use super::*;
use crate::store::outbound::Budget;
use crate::store::outbound::rig_tests::{Authority, Server, ok, read_head, with};
use crate::token::keys::{Key, KeySpec, RemoteSet, generate};

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

fn source(url: &str) -> Source {
    Source {
        url: url.parse().expect("a URL"),
        algorithms: vec![Algorithm::Es256],
        refresh: seconds(3600),
        refetch_min: seconds(30),
        stale_max: seconds(24 * 3600),
        allow_private: vec!["127.0.0.0/8".parse().expect("a network")],
        ca: None,
    }
}

fn jwk(id: &str) -> serde_json::Value {
    let algorithm = Algorithm::Es256;
    let material = generate(algorithm).expect("a key");
    let key = Key::parse(&KeySpec { id: id.to_owned(), algorithm, material }).expect("a good key");
    serde_json::to_value(key.public()).expect("JSON")
}

/// A set with new keys of these names.
fn set(ids: &[&str]) -> String {
    json!({ "keys": ids.iter().map(|id| jwk(id)).collect::<Vec<_>>() }).to_string()
}

fn ids(remote: &RemoteKeys) -> Vec<String> {
    let ring = remote.ring();
    let keys = ring.iter().flat_map(|fetched| fetched.ring.keys());
    keys.map(|key| key.id().to_owned()).collect()
}

type Said = Result<(String, Option<Duration>), String>;

/// An issuer without a socket: it answers its n-th request, from 0, after a while.
struct Issuer {
    began: Instant,
    asked_at: Mutex<Vec<Duration>>,
    busy: AtomicBool,
    takes: Duration,
    says: Box<dyn Fn(usize) -> Said + Send + Sync>,
}

impl Issuer {
    fn new(takes: Duration, says: impl Fn(usize) -> Said + Send + Sync + 'static) -> Arc<Issuer> {
        let (asked_at, busy) = (Mutex::default(), AtomicBool::new(false));
        Arc::new(Issuer { began: Instant::now(), asked_at, busy, takes, says: Box::new(says) })
    }

    fn times(&self) -> Vec<Duration> {
        self.asked_at.lock().expect("no panic").clone()
    }

    fn waits(&self) -> Vec<Duration> {
        self.times().windows(2).map(|two| two[1] - two[0]).collect()
    }

    async fn answer(&self) -> Result<Answer, String> {
        assert!(!self.busy.swap(true, Ordering::SeqCst), "two fetches at once");
        let number = {
            let mut asked_at = self.asked_at.lock().expect("no panic");
            asked_at.push(self.began.elapsed());
            asked_at.len() - 1
        };
        sleep(self.takes).await;
        self.busy.store(false, Ordering::SeqCst);
        let (text, max_age) = (self.says)(number)?;
        let set = RemoteSet::read(text.as_bytes(), &[Algorithm::Es256]);
        Ok(Answer { set: set.map_err(|fault| fault.to_string())?, max_age })
    }

    /// Keeps its keys; each change is an event.
    fn kept(self: &Arc<Issuer>, source: &Source) -> (RemoteKeys, UnboundedReceiver<()>) {
        let (changed, changes) = unbounded_channel();
        let issuer = Arc::clone(self);
        let ask = move || {
            let issuer = Arc::clone(&issuer);
            async move { issuer.answer().await }
        };
        let shared = Arc::new(Shared::default());
        let on_change = move || {
            let _ = changed.send(());
        };
        let keeper = Keeper::new(source, Arc::clone(&shared), ask, on_change);
        let task = Some(tokio::spawn(keeper.run()).abort_handle());
        (RemoteKeys { shared, task }, changes)
    }
}

/// The next change, of paused time. A test that waits in vain fails.
async fn told(changes: &mut UnboundedReceiver<()>, what: &str) {
    let next = tokio::time::timeout(seconds(100_000), changes.recv()).await;
    next.ok().flatten().expect(what);
}

/// The same where time goes on.
async fn told_soon(changes: &mut UnboundedReceiver<()>, what: &str) {
    let next = tokio::time::timeout(seconds(60), changes.recv()).await;
    next.ok().flatten().expect(what);
}

const HERE: &str = "https://issuer.example/keys";

#[tokio::test(start_paused = true)]
async fn the_first_answer_brings_keys_and_later_ones_only_tell_what_is_new() {
    let (one, two) = (jwk("one"), jwk("two"));
    let texts = [
        json!({ "keys": [one, two] }).to_string(),
        format!("{:#}", json!({ "more": 1, "keys": [two, one] })),
        json!({ "keys": [two, one] }).to_string(),
        json!({ "keys": [two] }).to_string(),
    ];
    let issuer = Issuer::new(seconds(1), move |n| Ok((texts[n.min(3)].clone(), None)));
    let (remote, mut changes) = issuer.kept(&source(HERE));
    assert!(remote.ring().is_none(), "before the first answer");
    assert_eq!(remote.status(), Status::default());
    told(&mut changes, "keys").await;
    assert_eq!(ids(&remote), ["one", "two"]);
    assert_eq!(issuer.began.elapsed(), seconds(1));
    // The same keys twice, in other words; then one of them is gone.
    told(&mut changes, "fewer keys").await;
    assert_eq!(issuer.times().len(), 4);
    assert_eq!(ids(&remote), ["two"]);
    let status = remote.status();
    assert!(matches!(status.freshness, Freshness::Fresh { .. }), "{status:?}");
    assert_eq!((status.fetched, status.failed, status.last_fault), (4, 0, None));
    for wait in issuer.waits() {
        // Early: a tenth at most, and never late.
        assert!((seconds(3240)..=seconds(3601)).contains(&wait), "{wait:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn keys_outlive_failures_until_they_are_too_old_and_come_again() {
    let text = set(&["k"]);
    let good = Arc::new(AtomicBool::new(true));
    let works = Arc::clone(&good);
    let issuer = Issuer::new(seconds(0), move |_| match works.load(Ordering::SeqCst) {
        true => Ok((text.clone(), None)),
        false => Err("it answered 503, not 200".to_owned()),
    });
    let stale_max = seconds(10_000);
    let (remote, mut changes) = issuer.kept(&Source { stale_max, ..source(HERE) });
    told(&mut changes, "keys").await;
    good.store(false, Ordering::SeqCst);
    sleep(seconds(9_999)).await;
    assert_eq!(ids(&remote), ["k"]);
    let status = remote.status();
    assert!(matches!(status.freshness, Freshness::Stale { .. }), "{status:?}");
    assert_eq!(status.last_fault.as_deref(), Some("it answered 503, not 200"));
    assert!((status.fetched, status.failed > 5) == (1, true), "{status:?}");
    told(&mut changes, "no keys").await;
    assert_eq!(issuer.began.elapsed(), stale_max);
    assert!(remote.ring().is_none());
    assert!(matches!(remote.status().freshness, Freshness::Expired { .. }));
    good.store(true, Ordering::SeqCst);
    told(&mut changes, "keys again").await;
    assert_eq!(ids(&remote), ["k"]);
    assert!(issuer.began.elapsed() <= stale_max + BACKOFF_MAX, "the issuer was not asked for long");
    assert_eq!(remote.status().last_fault, None);
}

#[tokio::test(start_paused = true)]
async fn keys_grow_too_old_also_while_a_fetch_hangs() {
    let text = set(&["k"]);
    let issuer = Issuer::new(seconds(400), move |_| Ok((text.clone(), None)));
    let short = Source { stale_max: seconds(1000), ..source(HERE) };
    let (remote, mut changes) = issuer.kept(&short);
    told(&mut changes, "keys").await;
    told(&mut changes, "no keys").await;
    assert_eq!(issuer.began.elapsed(), seconds(1000));
    assert!(remote.ring().is_none());
    assert!(issuer.busy.load(Ordering::SeqCst), "nothing is under way");
    // Long before `refresh`, since half of `stale_max` is less.
    let wait = issuer.waits()[0] - seconds(400);
    assert!((seconds(450)..=seconds(501)).contains(&wait), "{wait:?}");
    told(&mut changes, "keys again").await;
    assert_eq!(ids(&remote), ["k"]);
}

/// A name that came up while a fetch was under way may be newer than its answer.
#[tokio::test(start_paused = true)]
async fn a_name_that_is_met_during_a_fetch_is_looked_for_after_it() {
    let text = set(&["k"]);
    let issuer = Issuer::new(seconds(5), move |_| Ok((text.clone(), None)));
    let (remote, mut changes) = issuer.kept(&source(HERE));
    sleep(seconds(1)).await;
    assert!(issuer.busy.load(Ordering::SeqCst), "nothing is under way");
    remote.unknown_kid();
    told(&mut changes, "keys").await;
    sleep(seconds(60)).await;
    let wait = issuer.waits()[0];
    assert!((seconds(30)..seconds(31)).contains(&wait), "{wait:?}");
    assert_eq!(issuer.times().len(), 2, "once is enough");
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_unknown_names_fetches_once_in_a_while() {
    let text = set(&["k"]);
    let issuer = Issuer::new(seconds(5), move |_| Ok((text.clone(), None)));
    let (remote, mut changes) = issuer.kept(&source(HERE));
    told(&mut changes, "keys").await;
    for _ in 0..300 {
        std::thread::scope(|threads| {
            for _ in 0..2 {
                threads.spawn(|| (0..100).for_each(|_| remote.unknown_kid()));
            }
        });
        sleep(seconds(1)).await;
    }
    let waits = issuer.waits();
    assert!(waits.iter().all(|wait| *wait >= seconds(30)), "{waits:?}");
    assert!((9..=11).contains(&waits.len()), "{waits:?}");
    // It is over: one more for the last of them, and then none before the set is old.
    sleep(seconds(1000)).await;
    assert!(issuer.times().len() - 1 <= waits.len() + 1);
    // One name after a quiet time is looked for at once.
    let before = issuer.times().len();
    remote.unknown_kid();
    sleep(Duration::from_millis(10)).await;
    assert_eq!(issuer.times().len(), before + 1);
    assert!(changes.try_recv().is_err(), "nothing was new");
}

#[tokio::test(start_paused = true)]
async fn failures_are_tried_again_more_and_more_seldom() {
    let issuer = Issuer::new(seconds(0), |_| Err("no connection".to_owned()));
    let (remote, mut changes) = issuer.kept(&source(HERE));
    sleep(seconds(3000)).await;
    let waits = issuer.waits();
    for (wait, most) in waits.iter().zip([1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]) {
        let most = seconds(most);
        // The timer counts whole milliseconds.
        let slack = Duration::from_millis(2);
        assert!((most / 2 - slack..=most + slack).contains(wait), "{wait:?} of {most:?}");
    }
    assert!(waits.len() >= 12, "{waits:?}");
    let status = remote.status();
    assert_eq!((status.freshness, status.fetched), (Freshness::Never, 0));
    assert_eq!(status.failed, issuer.times().len() as u64);
    assert!(remote.ring().is_none() && changes.try_recv().is_err());
    // Whoever has a token with an unknown name need not wait for so long.
    let before = issuer.times().len();
    remote.unknown_kid();
    sleep(seconds(31)).await;
    assert!(issuer.times().len() > before);
}

#[tokio::test(start_paused = true)]
async fn a_set_may_say_how_long_it_is_good() {
    for (max_age, least, most) in
        [(Some(600), 540, 600), (Some(9), 54, 60), (Some(99_999), 3240, 3600)]
    {
        let text = set(&["k"]);
        let issuer = Issuer::new(seconds(0), move |_| Ok((text.clone(), max_age.map(seconds))));
        let (_remote, mut changes) = issuer.kept(&source(HERE));
        told(&mut changes, "keys").await;
        sleep(seconds(most + 1)).await;
        let wait = issuer.waits()[0];
        let slack = Duration::from_millis(2);
        assert!((seconds(least)..=seconds(most) + slack).contains(&wait), "{max_age:?}: {wait:?}");
    }
}

#[tokio::test]
async fn dropped_keys_are_fetched_no_more() {
    let mut server = Server::start(|_, mut stream, heads| async move {
        let _ = heads.send(read_head(&mut stream).await);
        // Until the other side hangs up.
        let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
        let _ = heads.send("closed".to_owned());
    })
    .await;
    let source = source(&server.uri("/keys").to_string());
    let began = std::time::Instant::now();
    let remote = RemoteKeys::start(source, || {}, &Handle::current());
    assert!(server.heads.recv().await.expect("a head").starts_with("GET /keys HTTP/1.1"));
    let shared = Arc::downgrade(&remote.shared);
    drop(remote);
    assert_eq!(server.heads.recv().await.as_deref(), Some("closed"));
    assert!(began.elapsed() < FETCH_TIMEOUT, "it was the timeout");
    assert!(shared.upgrade().is_none(), "the task lives");
}

/// Answers that are none, with a part of the sentence that each of them is told by.
fn bad_answers() -> Vec<(Vec<u8>, &'static str)> {
    let good = set(&["new"]);
    let twice = json!({ "keys": [jwk("k"), jwk("k")] }).to_string();
    let secret = json!({ "keys": [{ "kty": "oct", "kid": "s", "k": "A".repeat(64) }] }).to_string();
    let large = format!("{good}{}", " ".repeat(SET_BYTES_MAX));
    let redirect = "HTTP/1.1 302 Found\r\nLocation: /other\r\nContent-Length: 0\r\n\r\n";
    let whole = ok(&good);
    let cases: Vec<(String, &str)> = vec![
        (with("Content-Type: Text/HTML; charset=utf-8\r\n", &good), "a page (text/html)"),
        (ok("<!doctype html>"), "not a JSON object"),
        (ok(&good[..good.len() - 1]), "not a JSON object"),
        (ok("{\"keys\":[]}"), "no key of the set"),
        (ok(&secret), "a shared secret"),
        (ok(&twice), "the same `kid`"),
        (ok(&large), "more than 262144 bytes"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 1073741824\r\n\r\n".to_owned(), "more than 262144"),
        (whole[..whole.len() - 9].to_owned(), "broke off"),
        (with("Content-Encoding: gzip\r\n", &good), "compressed"),
        (redirect.to_owned(), "it answered 302; no redirect is followed"),
        (whole.replace("200 OK", "404 Not Found"), "it answered 404"),
        (whole.replace("200 OK", "203 Changed"), "it answered 203"),
        (String::new(), "broke off"),
    ];
    cases.into_iter().map(|(answer, part)| (answer.into_bytes(), part)).collect()
}

#[tokio::test]
async fn bad_answers_leave_the_keys_of_before() {
    let bad = bad_answers();
    let mut answers = vec![ok(&set(&["old"])).into_bytes()];
    answers.extend(bad.iter().map(|(answer, _)| answer.clone()));
    answers.push(ok(&set(&["new"])).into_bytes());
    let phase = Arc::new(AtomicUsize::new(0));
    let answering = Arc::clone(&phase);
    let mut server = Server::start(move |_, mut stream, heads| {
        let (answers, phase) = (answers.clone(), Arc::clone(&answering));
        async move {
            let _ = heads.send(read_head(&mut stream).await);
            let _ = stream.write_all(&answers[phase.load(Ordering::SeqCst)]).await;
        }
    })
    .await;
    let (changed, mut changes) = unbounded_channel();
    let source = Source { refetch_min: Duration::ZERO, ..source(&server.uri("/").to_string()) };
    let on_change = move || {
        let _ = changed.send(());
    };
    let remote = RemoteKeys::start(source, on_change, &Handle::current());
    told_soon(&mut changes, "keys").await;
    let mut failed = 0;
    for (number, (_, sentence)) in (1..).zip(&bad) {
        phase.store(number, Ordering::SeqCst);
        while server.heads.try_recv().is_ok() {}
        // The first may have been under way, the second has this answer, and the third comes when that was read.
        for _ in 0..3 {
            remote.unknown_kid();
            server.heads.recv().await.expect("a request");
        }
        let status = remote.status();
        let fault = status.last_fault.expect("a fault");
        assert!(fault.contains(sentence) && fault.starts_with("http://127.0.0.1"), "{fault}");
        assert!(status.failed > failed, "{sentence}");
        failed = status.failed;
        assert_eq!(ids(&remote), ["old"], "{sentence}");
        assert!(changes.try_recv().is_err(), "{sentence}");
    }
    phase.store(bad.len() + 1, Ordering::SeqCst);
    remote.unknown_kid();
    told_soon(&mut changes, "new keys").await;
    assert_eq!(ids(&remote), ["new"]);
}

/// What would take long takes no longer than the budget; here it is short.
#[tokio::test]
async fn slow_endless_and_reset_answers_end() {
    let budget = Budget { timeout: Duration::from_millis(300), body_max: SET_BYTES_MAX };
    let source = source("http://127.0.0.1/");
    let client = source.client().expect("a client");
    let fault_of = async |server: &Server| {
        let url = server.uri("/");
        let answer = fetch(&client, &url, &source.algorithms, budget).await;
        answer.expect_err("no set")
    };
    let slow = Server::start(|_, mut stream, _| async move {
        read_head(&mut stream).await;
        let mut sent = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await;
        while sent.is_ok() {
            sleep(Duration::from_millis(10)).await;
            sent = stream.write_all(b" ").await;
        }
    });
    let fault = fault_of(&slow.await).await;
    assert!(fault.ends_with("no whole answer within 300ms"), "{fault}");
    let endless = Server::start(|_, mut stream, _| async move {
        read_head(&mut stream).await;
        let mut sent = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await;
        while sent.is_ok() {
            sent = stream.write_all(&[b' '; 65536]).await;
        }
    });
    let budget = Budget { timeout: seconds(30), ..budget };
    let url = endless.await;
    let fault =
        fetch(&client, &url.uri("/"), &source.algorithms, budget).await.expect_err("no set");
    assert!(fault.ends_with("more than 262144 bytes"), "{fault}");
    let reset = Server::start(|_, stream, _| async move {
        let _ = socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO));
    });
    let fault = fetch(&client, &reset.await.uri("/"), &source.algorithms, budget).await;
    assert!(fault.expect_err("no set").contains("broke off"));
}

#[tokio::test]
async fn how_long_a_set_is_good_is_read_from_its_answer() {
    let source = source("http://127.0.0.1/");
    let client = source.client().expect("a client");
    let text = set(&["k"]);
    for (fields, wanted) in [
        ("", None),
        ("Cache-Control: public, max-age=300\r\n", Some(300)),
        ("Cache-Control: Max-Age=\"60\", must-revalidate\r\n", Some(60)),
        ("Cache-Control: max-age=300\r\nCache-Control: max-age=200\r\n", Some(200)),
        ("Cache-Control: max-age=300\r\nAge: 100\r\n", Some(200)),
        ("Cache-Control: max-age=300\r\nAge: 900\r\n", Some(0)),
        ("Cache-Control: no-store, s-maxage=5, max-age=soon\r\n", None),
    ] {
        let mut server = Server::answering(with(fields, &text)).await;
        let answer =
            fetch(&client, &server.uri("/"), &source.algorithms, super::fetch::BUDGET).await;
        assert_eq!(answer.expect("a set").max_age, wanted.map(seconds), "{fields}");
        let head = server.heads.recv().await.expect("a head").to_lowercase();
        assert!(head.contains("accept: application/jwk-set+json"), "{head}");
        assert!(head.contains("accept-encoding: identity"), "{head}");
    }
}

#[tokio::test]
async fn keys_come_over_tls_by_the_given_root_and_not_from_our_own_network() {
    let authority = Authority::new();
    let tls = authority.server("127.0.0.1", (2020, 2090));
    let server = Server::answering_tls(tls, ok(&set(&["k"]))).await;
    let url = server.https("127.0.0.1").to_string();
    let (changed, mut changes) = unbounded_channel();
    let on_change = move || {
        let _ = changed.send(());
    };
    let believing = Source { ca: Some(authority.pem.into_bytes()), ..source(&url) };
    let remote = RemoteKeys::start(believing.clone(), on_change, &Handle::current());
    told_soon(&mut changes, "keys").await;
    assert_eq!(ids(&remote), ["k"]);

    let strict = Source { allow_private: Vec::new(), ..believing.clone() };
    let (client, url) = (strict.client().expect("a client"), &strict.url);
    let fault = fetch(&client, url, &strict.algorithms, super::fetch::BUDGET).await;
    assert!(fault.expect_err("no set").contains("this leads to 127.0.0.1, a loopback address"));

    let broken = Source { ca: Some(b"no PEM".to_vec()), ..believing };
    assert!(broken.client().is_err());
    let remote = RemoteKeys::start(broken, || {}, &Handle::current());
    let fault = remote.status().last_fault.expect("a fault");
    assert_eq!(fault, "the certificates of `ca`: there is no certificate in PEM in it");
}

#[tokio::test(start_paused = true)]
async fn a_bad_key_is_logged_once_and_the_good_ones_serve() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    let log = Arc::new(file.reopen().expect("the file"));
    let lines = tracing_subscriber::fmt().with_ansi(false).with_writer(log).finish();
    let _guard = tracing::subscriber::set_default(lines);
    let good = jwk("good");
    let bad = json!({ "kty": "EC", "crv": "P-256", "kid": "bad\nkid", "x": "AA", "y": "AA" });
    let text = json!({ "keys": [bad, good] }).to_string();
    let issuer = Issuer::new(seconds(0), move |_| Ok((text.clone(), None)));
    let (remote, mut changes) = issuer.kept(&source(HERE));
    told(&mut changes, "keys").await;
    sleep(seconds(20_000)).await;
    assert!(issuer.times().len() > 4);
    assert_eq!(ids(&remote), ["good"]);
    let log = std::fs::read_to_string(file.path()).expect("UTF-8");
    assert_eq!(log.matches("issuer_key_bad").count(), 1, "{log}");
    assert!(log.contains("\"bad\\nkid\"") && log.contains(HERE), "{log}");
}

#[test]
fn the_page_of_limits_says_what_holds_here() {
    use crate::store::outbound::{CONNECT_TIMEOUT, HEAD_FIELDS_MAX, HEAD_MAX, LOOKUP_TIMEOUT};
    let page = include_str!("../../../docs/limits.md");
    for sentence in [
        format!("looked up within {} seconds", LOOKUP_TIMEOUT.as_secs()),
        format!("opens, TLS included, within {}", CONNECT_TIMEOUT.as_secs()),
        format!("at most {} KiB and {HEAD_FIELDS_MAX} fields", HEAD_MAX / 1024),
        format!(
            "at most {} KiB and must arrive within {} seconds",
            SET_BYTES_MAX / 1024,
            FETCH_TIMEOUT.as_secs()
        ),
        format!("kept for at least {} seconds", REFRESH_MIN.as_secs()),
        format!("{} second, then twice as long", BACKOFF_FIRST.as_secs()),
        format!("up to {} minutes", BACKOFF_MAX.as_secs() / 60),
    ] {
        assert!(page.contains(&sentence), "docs/limits.md does not say: {sentence}");
    }
}
