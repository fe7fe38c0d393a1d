//! Two hundred kills at random moments of logins, refreshes, step-ups and logouts: what was answered is kept, whatever was not may be
//! either way, and no refresh token ever has two living successors.
//!
//! `FRESHGATE_SEED` repeats the choices of a run (their moments it cannot repeat), `FRESHGATE_KILLS` changes how many kills each of the two tests does.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Barrier;
use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{Client, Gateway, PATIENCE, Setup, UNTHROTTLED, forge};

/// A cheap argon2id hash of `password`: the state is under test, not the hash.
const HASH: &str =
    "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4";
const KILLS: usize = 100;
/// Who asks at once, each for a user of its own.
const ASKING: usize = 5;
/// Most sessions that live of each.
const SESSIONS_MAX: usize = 4;
/// How many of those that ended long ago are looked at after each restart; all of them at the end.
const LOOKED_AT: usize = 6;

/// SplitMix64.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % end as u64) as usize
    }
}

/// An answer that came whole: its status, code and body.
#[derive(Debug)]
struct Answer {
    status: u16,
    body: Value,
}

/// Asks on a connection of its own; `None` when no whole answer came.
fn ask(
    client: Client,
    method: &str,
    path: &str,
    token: &str,
    body: Option<Value>,
) -> Option<Answer> {
    let mut request = client.request(method, path).header("Connection", "close");
    if !token.is_empty() {
        request = request.bearer(token);
    }
    if let Some(body) = body {
        request = request.json(&body);
    }
    let mut stream = TcpStream::connect(client.address).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    stream.write_all(&request.bytes()).ok()?;
    let mut bytes = Vec::new();
    // A reset after the last byte takes nothing away.
    let _ = stream.read_to_end(&mut bytes);
    let text = String::from_utf8(bytes).ok()?;
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
    });
    let is_whole = status == 204 || length == Some(body.len());
    is_whole.then(|| Answer { status, body: serde_json::from_str(body).unwrap_or_default() })
}

/// What a session must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Lives,
    Ended,
    /// Its end was asked for and not answered.
    Either,
}

#[derive(Debug)]
struct Session {
    fate: Fate,
    /// The access token of the login: fresh.
    fresh: String,
    /// The last access token.
    access: String,
    /// The last refresh token that was answered.
    living: String,
    /// What it replaced.
    replaced: Option<String>,
    /// Whether a refresh with the living one was not answered.
    is_asked: bool,
}

/// What was done, and how much of it was answered.
#[derive(Debug, Default)]
struct Counts {
    logins: usize,
    rotations: usize,
    ends: usize,
    unanswered: usize,
    /// Refreshes that were not answered and turned out to have been done.
    done_unanswered: usize,
}

/// One that asks, and what it was told.
struct Asking {
    user: String,
    random: Random,
    has_window: bool,
    sessions: Vec<Session>,
    counts: Counts,
}

impl Asking {
    /// Asks for random things until one of them is not answered.
    fn load(&mut self, client: Client) {
        while self.one(client).is_some() {}
        self.counts.unanswered += 1;
    }

    /// `None` when it was not answered.
    fn one(&mut self, client: Client) -> Option<()> {
        let living: Vec<usize> =
            (0..self.sessions.len()).filter(|at| self.sessions[*at].fate == Fate::Lives).collect();
        let choice = self.random.below(100);
        if living.is_empty() || (living.len() < SESSIONS_MAX && choice < 25) {
            return self.login(client);
        }
        let at = living[self.random.below(living.len())];
        match choice {
            0..60 => self.refresh(client, at),
            60..70 => self.present_replaced(client, at),
            70..75 => self.step_up(client, at),
            75..98 => self.end(client, at, choice),
            _ => self.end_all(client, at, &living),
        }
    }

    fn login(&mut self, client: Client) -> Option<()> {
        let body = json!({"username": self.user, "password": "password"});
        let answer = ask(client, "POST", "/auth/login", "", Some(body))?;
        assert_eq!(answer.status, 200, "{answer:?}");
        let (access, living) = tokens(&answer);
        let (fate, fresh) = (Fate::Lives, access.clone());
        self.counts.logins += 1;
        self.sessions.push(Session {
            fate,
            fresh,
            access,
            living,
            replaced: None,
            is_asked: false,
        });
        Some(())
    }

    fn refresh(&mut self, client: Client, at: usize) -> Option<()> {
        let session = &mut self.sessions[at];
        session.is_asked = true;
        let answer = ask(client, "POST", "/auth/refresh", &session.living, None)?;
        assert_eq!(answer.status, 200, "the living one: {answer:?}\n{session:?}");
        session.rotated(&answer);
        self.counts.rotations += 1;
        Some(())
    }

    /// Inside the window the same successor, and else the end of the session.
    fn present_replaced(&mut self, client: Client, at: usize) -> Option<()> {
        let session = &mut self.sessions[at];
        let Some(replaced) = session.replaced.clone() else { return Some(()) };
        if self.has_window {
            let answer = ask(client, "POST", "/auth/refresh", &replaced, None)?;
            assert_eq!(answer.status, 200, "inside the window: {answer:?}");
            assert_eq!(tokens(&answer).1, session.living, "two successors");
            return Some(());
        }
        session.fate = Fate::Either;
        let answer = ask(client, "POST", "/auth/refresh", &replaced, None)?;
        assert_eq!((answer.status, &answer.body["code"]), (401, &json!("token-revoked")));
        session.fate = Fate::Ended;
        self.counts.ends += 1;
        Some(())
    }

    fn step_up(&mut self, client: Client, at: usize) -> Option<()> {
        let (session, body) = (&mut self.sessions[at], json!({"password": "password"}));
        let answer = ask(client, "POST", "/auth/reauth", &session.access, Some(body))?;
        assert_eq!(answer.status, 200, "{answer:?}");
        session.access = tokens(&answer).0;
        Some(())
    }

    /// Logs out with the access or the refresh token, or as one of the user's devices.
    fn end(&mut self, client: Client, at: usize, choice: usize) -> Option<()> {
        let session = &mut self.sessions[at];
        session.fate = Fate::Either;
        let sid = forge::payload(&session.access)["sid"].as_str().expect("a session").to_owned();
        let answer = match choice % 3 {
            0 => ask(client, "POST", "/auth/logout", &session.access, None)?,
            1 => ask(client, "POST", "/auth/logout", &session.living, None)?,
            _ => ask(client, "DELETE", &format!("/auth/sessions/{sid}"), &session.fresh, None)?,
        };
        assert_eq!(answer.status, 204, "{answer:?}");
        session.fate = Fate::Ended;
        self.counts.ends += 1;
        Some(())
    }

    fn end_all(&mut self, client: Client, at: usize, living: &[usize]) -> Option<()> {
        living.iter().for_each(|one| self.sessions[*one].fate = Fate::Either);
        let answer = ask(client, "DELETE", "/auth/sessions", &self.sessions[at].fresh, None)?;
        assert_eq!(answer.status, 204, "{answer:?}");
        living.iter().for_each(|one| self.sessions[*one].fate = Fate::Ended);
        self.counts.ends += living.len();
        Some(())
    }

    /// After a restart: what must live lives, what ended is dead, and what may be either is one of the two from now on.
    fn check(&mut self, client: Client, looked_at: usize) {
        let ended = self.sessions.iter().filter(|one| one.fate == Fate::Ended).count();
        let mut skipped = ended.saturating_sub(looked_at);
        let either: Vec<_> =
            self.sessions.iter_mut().filter(|one| one.fate == Fate::Either).collect();
        let mut fates = Vec::new();
        for session in either {
            let status = ask(client, "GET", "/x", &session.access, None).expect("an answer").status;
            session.fate = if status == 200 { Fate::Lives } else { Fate::Ended };
            fates.push(session.fate);
        }
        fates.dedup();
        assert!(fates.len() < 2, "what was to end at once did not: {fates:?}");
        for session in &mut self.sessions {
            match session.fate {
                Fate::Ended if skipped > 0 => skipped -= 1,
                Fate::Ended => session.is_dead(client),
                _ => self.counts.done_unanswered += session.lives(client, self.has_window),
            }
        }
        // Those that ended are looked at in turns.
        let dead = |session: &Session| session.fate == Fate::Ended;
        let turn = self.sessions.iter().position(dead).filter(|_| ended > looked_at);
        if let Some(at) = turn {
            let with = at + self.random.below(self.sessions.len() - at);
            if dead(&self.sessions[with]) {
                self.sessions.swap(at, with);
            }
        }
    }
}

impl Session {
    fn rotated(&mut self, answer: &Answer) {
        let (access, refresh) = tokens(answer);
        self.access = access;
        assert_ne!(refresh, self.living);
        self.replaced = Some(std::mem::replace(&mut self.living, refresh));
        self.is_asked = false;
    }

    fn is_dead(&self, client: Client) {
        let all = [("GET", "/x", &self.access), ("GET", "/x", &self.fresh)].into_iter();
        let refresh = [Some(&self.living), self.replaced.as_ref()].into_iter().flatten();
        for (method, path, token) in all.chain(refresh.map(|one| ("POST", "/auth/refresh", one))) {
            let answer = ask(client, method, path, token, None).expect("an answer");
            let said = (answer.status, &answer.body["code"]);
            assert_eq!(said, (401, &json!("token-revoked")), "{path}: it lives again: {self:?}");
        }
    }

    /// How many refreshes turn out to have been done though they were not answered; inside a window that does not show.
    fn lives(&mut self, client: Client, has_window: bool) -> usize {
        let refresh =
            |token: &str| ask(client, "POST", "/auth/refresh", token, None).expect("an answer");
        let passed = ask(client, "GET", "/x", &self.access, None).expect("an answer");
        assert_eq!(passed.status, 200, "{passed:?}\n{self:?}");
        if self.is_asked {
            // Either it was replaced or it was not; asked for again, it has one successor.
            let first = refresh(&self.living);
            if first.status != 200 {
                assert!(!has_window, "{first:?}\n{self:?}");
                self.fate = Fate::Ended;
                self.is_dead(client);
                return 1;
            }
            if has_window {
                assert_eq!(tokens(&first).1, tokens(&refresh(&self.living)).1, "two successors");
            }
            self.rotated(&first);
        } else if has_window && let Some(replaced) = &self.replaced {
            let again = refresh(replaced);
            assert_eq!(again.status, 200, "{again:?}\n{self:?}");
            assert_eq!(tokens(&again).1, self.living, "a rotation that was answered is lost");
        }
        let next = refresh(&self.living);
        assert_eq!(next.status, 200, "the living one: {next:?}\n{self:?}");
        self.rotated(&next);
        0
    }
}

fn tokens(answer: &Answer) -> (String, String) {
    let text = |name: &str| answer.body[name].as_str().unwrap_or_default().to_owned();
    (text("access_token"), text("refresh_token"))
}

fn gateway(window: &str) -> Gateway {
    let users = (0..ASKING).map(|n| format!("[users.u{n}]\npassword = \"{HASH}\"\n"));
    let toml = format!(
        "upstream = \"builtin:whoami\"\n[login]\nusers = {{ file = \"users.toml\" }}\n[tokens]\nreuse_window = \"{window}\"\n\
         [routes]\n\"/**\" = \"access-required\"\n{UNTHROTTLED}"
    );
    Setup::new(&toml).file("users.toml", &users.collect::<String>()).start()
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().expect("a number"))
}

fn survives(window: &str) {
    let kills = number("FRESHGATE_KILLS").map_or(KILLS, |kills| kills as usize);
    let seed = number("FRESHGATE_SEED").unwrap_or_else(|| uuid::Uuid::new_v4().as_u64_pair().0);
    println!("reuse_window {window}, {kills} kills, FRESHGATE_SEED={seed}");
    let (mut random, mut gateway) = (Random(seed), gateway(window));
    let mut asking: Vec<Asking> = (0..ASKING)
        .map(|n| {
            let (user, random) = (format!("u{n}"), Random(random.0 ^ (n as u64 + 1) << 40));
            let (sessions, counts, has_window) = (Vec::new(), Counts::default(), window != "0s");
            Asking { user, random, has_window, sessions, counts }
        })
        .collect();
    for _ in 0..kills {
        let (client, checked) = (gateway.client(), Barrier::new(ASKING + 1));
        std::thread::scope(|scope| {
            for one in &mut asking {
                let checked = &checked;
                scope.spawn(move || {
                    // All of them go on to the barrier, also when one finds something.
                    let found = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                        one.check(client, LOOKED_AT);
                    }));
                    checked.wait();
                    found.unwrap_or_else(|found| std::panic::resume_unwind(found));
                    one.load(client);
                });
            }
            checked.wait();
            std::thread::sleep(Duration::from_millis(20 + random.below(130) as u64));
            gateway.kill();
        });
        gateway.restart();
    }
    for one in &mut asking {
        one.check(gateway.client(), usize::MAX);
        println!("{}: {:?}, {} sessions", one.user, one.counts, one.sessions.len());
    }
    let sum =
        |count: fn(&Counts) -> usize| asking.iter().map(|one| count(&one.counts)).sum::<usize>();
    assert_eq!(sum(|all| all.unanswered), kills * ASKING, "each was cut off by each kill");
    for (name, many) in [("rotations", sum(|all| all.rotations)), ("ends", sum(|all| all.ends))] {
        assert!(many > kills / 2, "too few {name} to mean anything: {many}");
    }
}

// Holds: K8, L1, L3
#[test]
fn a_hundred_kills_under_load_lose_no_answered_rotation_nor_revocation() {
    survives("60s");
}

// Holds: K8, L1, L2
#[test]
fn a_hundred_kills_without_a_window_lose_no_answered_rotation_nor_revocation() {
    survives("0s");
}
