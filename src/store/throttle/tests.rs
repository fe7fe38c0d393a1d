//! The counters in memory, and the one way to a check; the store's promises are in `store::contract`.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Map, Value};

use super::tallies::TALLIES_MAX;
use super::*;
use crate::store::contract::{RULES, address};
use crate::store::{
    Answer, Keepsakes, Renewal, Replacement, Revocations, Revoked, Rotation, Session, StoreFault,
};

const NOW: UnixTime = UnixTime(1_000_000);

fn tallies() -> Tallies {
    Tallies::new(&[7; 32])
}

fn begin<'t>(tallies: &'t Tallies, name: &str, from: IpAddr) -> Option<UnderWay<'t>> {
    tallies.begin(&Account::of(name), from, &RULES, NOW).ok()
}

#[test]
fn a_network_of_ipv6_is_one_address_and_ipv4_is_taken_whole() {
    let tallies = tallies();
    let from = |text: &str| text.parse::<IpAddr>().unwrap();
    for (n, last) in ["1", "2:3", "ffff:ffff:ffff:ffff", "::"].into_iter().enumerate() {
        let address =
            if last == "::" { from("2001:db8::") } else { from(&format!("2001:db8::{last}")) };
        begin(&tallies, &format!("user{n}"), address).unwrap().failed();
    }
    assert!(begin(&tallies, "one", from("2001:db8::9")).is_none());
    begin(&tallies, "one", from("2001:db8:0:1::9")).unwrap().withdrawn();
    for (n, last) in [1, 2, 3, 4].into_iter().enumerate() {
        begin(&tallies, &format!("other{n}"), address(last)).unwrap().failed();
    }
    begin(&tallies, "one", address(5)).unwrap().withdrawn();
    for n in 0..4 {
        begin(&tallies, &format!("mapped{n}"), from("::ffff:198.51.100.1")).unwrap().failed();
    }
    assert!(begin(&tallies, "one", from("198.51.100.1")).is_none());
}

#[test]
fn a_flood_of_made_up_names_forgets_itself_and_nothing_else() {
    let tallies = tallies();
    for n in 0..3 {
        begin(&tallies, "ada", address(n)).unwrap().failed();
    }
    assert!(begin(&tallies, "ada", address(9)).is_none());
    for n in 0..(TALLIES_MAX as u32 + TALLIES_MAX as u32 / 2) {
        let from = IpAddr::from((0x0a00_0000 + n).to_be_bytes());
        begin(&tallies, &format!("made up {n}"), from).unwrap().failed();
    }
    assert!(tallies.len() <= 3 * TALLIES_MAX, "{}", tallies.len());
    assert!(begin(&tallies, "ada", address(9)).is_none());
}

#[test]
fn a_flood_of_known_addresses_does_not_push_out_what_failed() {
    let tallies = tallies();
    for n in 0..3 {
        begin(&tallies, "ada", address(n)).unwrap().failed();
    }
    for n in 0..(TALLIES_MAX as u32 + 10) {
        let from = IpAddr::from((0x0a00_0000 + n).to_be_bytes());
        begin(&tallies, "eve", from).unwrap().succeeded();
    }
    assert!(tallies.len() <= TALLIES_MAX + 10, "{}", tallies.len());
    assert!(begin(&tallies, "ada", address(9)).is_none());
}

#[test]
fn a_request_that_began_before_the_wait_is_no_way_round_it() {
    let tallies = tallies();
    let mut addresses = (0..).map(address);
    let mut begin = |at| {
        let from = addresses.next().expect("enough of them");
        tallies.begin(&Account::of("ada"), from, &RULES, UnixTime(at))
    };
    let (mut now, longest) = (NOW.0, RULES.account.delay_max);
    loop {
        match begin(now) {
            Ok(attempt) => attempt.failed(),
            Err(throttled) if throttled.retry_after == longest => break,
            Err(throttled) => now += throttled.retry_after.as_secs(),
        }
    }
    // Its client sent the head, waited, and then the body: the wait seemed longer than the longest.
    for stale in 1..=10 {
        let throttled = begin(now - stale).expect_err("it waits like all others");
        assert_eq!(throttled.retry_after, longest);
    }
}

#[test]
fn at_a_known_address_nobody_makes_the_owner_wait_longer_than_the_account_may() {
    let tallies = tallies();
    let begin = |at| tallies.begin(&Account::of("ada"), address(1), &RULES, UnixTime(at));
    begin(NOW.0).unwrap().succeeded();
    // Somebody behind the same address guesses whenever it is allowed.
    let (mut now, mut longest) = (NOW.0, 0);
    for _ in 0..100 {
        match begin(now) {
            Ok(attempt) => attempt.failed(),
            Err(throttled) => {
                longest = longest.max(throttled.retry_after.as_secs());
                now += throttled.retry_after.as_secs();
            }
        }
    }
    assert_eq!(longest, RULES.account.delay_max.as_secs());
}

#[test]
fn nothing_is_left_of_what_is_forgiven() {
    let tallies = tallies();
    begin(&tallies, "ada", address(1)).unwrap().failed();
    begin(&tallies, "bob", address(2)).unwrap().withdrawn();
    assert_eq!(tallies.len(), 3);
    tallies.purge(UnixTime(NOW.0 + 59));
    assert_eq!(tallies.len(), 3);
    tallies.purge(UnixTime(NOW.0 + 60));
    assert_eq!(tallies.len(), 2);
    tallies.purge(UnixTime(NOW.0 + 900));
    assert_eq!(tallies.len(), 0);
}

/// A users file and a state store that do what they are told, and count.
#[derive(Default)]
struct Told {
    answer: Mutex<Option<CheckFault>>,
    checked: AtomicUsize,
    written: AtomicUsize,
    away: bool,
    tallies: std::sync::OnceLock<Tallies>,
    revocations: Revocations,
}

impl CredentialStore for Told {
    fn check(&self, attempt: Attempt, _: Secret) -> Answer<'_, Result<Authenticated, CheckFault>> {
        self.checked.fetch_add(1, Ordering::SeqCst);
        let answer = match self.answer.lock().unwrap().take() {
            Some(fault) => Err(fault),
            None => Ok(Authenticated::new(attempt.account().to_string(), Map::new())),
        };
        Box::pin(std::future::ready(answer))
    }

    fn claims_of<'a>(
        &'a self,
        _: &'a str,
        _: Option<&'a Session>,
    ) -> Answer<'a, Result<Option<Map<String, serde_json::Value>>, StoreFault>> {
        unimplemented_here()
    }
}

fn unimplemented_here() -> ! {
    panic!("the throttle does not ask this")
}

impl Told {
    fn written<'a>(&self) -> Answer<'a, Result<(), StoreFault>> {
        self.written.fetch_add(1, Ordering::SeqCst);
        let outcome = if self.away { Err(StoreFault("away".into())) } else { Ok(()) };
        Box::pin(std::future::ready(outcome))
    }
}

impl StateStore for Told {
    fn start(&self, _: Session) -> Answer<'_, Result<(), StoreFault>> {
        unimplemented_here()
    }
    fn session<'a>(
        &'a self,
        _: &'a str,
        _: UnixTime,
    ) -> Answer<'a, Result<Option<Session>, StoreFault>> {
        unimplemented_here()
    }
    fn sessions<'a>(
        &'a self,
        _: Option<&'a str>,
        _: UnixTime,
        _: usize,
    ) -> Answer<'a, Result<Vec<Session>, StoreFault>> {
        unimplemented_here()
    }
    fn marks(&self, _: UnixTime) -> Answer<'_, Result<crate::store::Marks, StoreFault>> {
        unimplemented_here()
    }
    fn step_up<'a>(
        &'a self,
        _: &'a str,
        _: UnixTime,
        _: UnixTime,
    ) -> Answer<'a, Result<bool, StoreFault>> {
        unimplemented_here()
    }
    fn rotate(&self, _: Renewal) -> Answer<'_, Result<Rotation, StoreFault>> {
        unimplemented_here()
    }
    fn revoke(&self, _: Revoked, _: UnixTime) -> Answer<'_, Result<(), StoreFault>> {
        unimplemented_here()
    }
    fn replacement<'a>(
        &'a self,
        _: &'a str,
    ) -> Answer<'a, Result<Option<Replacement>, StoreFault>> {
        unimplemented_here()
    }
    fn replace<'a>(&'a self, _: &'a str, _: Replacement) -> Answer<'a, Result<(), StoreFault>> {
        unimplemented_here()
    }
    fn keep<'a>(
        &'a self,
        _: &'a str,
        _: Vec<String>,
        _: Option<Map<String, Value>>,
    ) -> Answer<'a, Result<(), StoreFault>> {
        unimplemented_here()
    }
    fn keepsakes(&self) -> &Keepsakes {
        panic!("the throttle does not ask this")
    }
    fn revocations(&self) -> &Revocations {
        &self.revocations
    }
    fn begin<'a>(
        &'a self,
        account: &Account,
        address: IpAddr,
        rules: &Rules,
        now: UnixTime,
    ) -> Answer<'a, Result<UnderWay<'a>, CheckFault>> {
        let begun = self.tallies.get_or_init(tallies).begin(account, address, rules, now);
        Box::pin(std::future::ready(begun.map_err(CheckFault::Throttled)))
    }
    fn probe(&self, _: UnixTime) -> Answer<'_, Result<(), StoreFault>> {
        unimplemented_here()
    }
    fn withdrawn<'a>(&'a self, attempt: UnderWay<'a>) -> Answer<'a, ()> {
        attempt.withdrawn();
        Box::pin(std::future::ready(()))
    }
    fn failed<'a>(&'a self, attempt: UnderWay<'a>) -> Answer<'a, Result<(), StoreFault>> {
        attempt.failed();
        self.written()
    }
    fn succeeded<'a>(&'a self, attempt: UnderWay<'a>) -> Answer<'a, Result<(), StoreFault>> {
        attempt.succeeded();
        self.written()
    }
}

async fn guess(told: &Told, fault: Option<CheckFault>) -> Result<Authenticated, CheckFault> {
    *told.answer.lock().unwrap() = fault;
    let door =
        Door { credentials: told, state: told, rules: RULES, visitor: Visitor::at(address(1)) };
    check(&door, "Ada", Secret::new("p"), NOW).await
}

#[tokio::test]
async fn of_a_thousand_guesses_at_once_the_free_ones_are_checked_and_written() {
    let told = Told::default();
    let mut throttled = 0;
    for _ in 0..1000 {
        match guess(&told, Some(CheckFault::Invalid)).await.unwrap_err() {
            CheckFault::Invalid => {}
            CheckFault::Throttled(_) => throttled += 1,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((throttled, told.checked.into_inner(), told.written.into_inner()), (997, 3, 3));
}

#[tokio::test]
async fn what_was_not_checked_is_not_counted() {
    let told = Told::default();
    for _ in 0..50 {
        let fault = guess(&told, Some(CheckFault::Overloaded)).await.unwrap_err();
        assert!(matches!(fault, CheckFault::Overloaded));
        let away = CheckFault::Away(StoreFault("users".into()));
        assert!(matches!(guess(&told, Some(away)).await, Err(CheckFault::Away(_))));
    }
    assert_eq!(guess(&told, None).await.unwrap().subject(), "ada");
    assert_eq!(told.written.into_inner(), 1);
}

#[tokio::test]
async fn nobody_learns_of_a_guess_that_could_not_be_written_down() {
    let told = Told { away: true, ..Told::default() };
    for fault in [None, Some(CheckFault::Invalid)] {
        assert!(matches!(guess(&told, fault).await, Err(CheckFault::Away(_))));
    }
}
