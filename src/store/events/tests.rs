//! Signatures against the published ones, and the queue with time as an argument. What meets a receiver is in `tests/it/events.rs`.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::queue::{Message, Queue};
use super::*;
use crate::token::Secret;

const HOUR: Duration = Duration::from_secs(3600);

fn message(id: &str, since: Instant) -> Message {
    Message { id: id.to_owned(), body: Bytes::new(), since, tries: 0 }
}

fn taken(queue: &mut Queue, now: Instant) -> Vec<String> {
    std::iter::from_fn(|| queue.next(now)).map(|message| message.id).collect()
}

#[test]
fn a_signature_is_the_one_that_others_compute() {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    // The example that the libraries of Standard Webhooks test themselves with.
    let secret = Secret::new(STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap());
    let body = br#"{"test": 2432232314}"#;
    let wanted = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
    let of =
        |secrets: &[Secret]| signed(secrets, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, body);
    assert_eq!(of(std::slice::from_ref(&secret)), wanted);
    let both = of(&[Secret::new(*b"another"), secret]);
    let (first, second) = both.split_once(' ').unwrap();
    assert!(first.starts_with("v1,") && first != wanted, "{both}");
    assert_eq!(second, wanted);
}

#[test]
fn what_is_due_again_goes_first_and_the_rest_in_its_order() {
    let (mut queue, now) = (Queue::default(), Instant::now());
    for id in ["c", "d"] {
        queue.fresh.push_back(message(id, now));
    }
    queue.held.push((now, message("b", now)));
    queue.held.push((now + HOUR, message("e", now)));
    queue.held.push((now - Duration::from_secs(1), message("a", now)));
    assert_eq!(queue.due(), None);
    assert_eq!(taken(&mut queue, now), ["a", "b", "c", "d"]);
    assert_eq!((queue.due(), queue.under_way, queue.len()), (Some(now + HOUR), 4, 5));
    assert_eq!(taken(&mut queue, now + HOUR), ["e"]);
}

#[test]
fn nothing_is_taken_while_the_receiver_wants_quiet_except_at_the_end() {
    let (mut queue, now) = (Queue::default(), Instant::now());
    queue.fresh.push_back(message("a", now));
    queue.quiet_until = Some(now + HOUR);
    assert!(taken(&mut queue, now).is_empty());
    assert_eq!(queue.due(), Some(now + HOUR));
    queue.held.push((now + HOUR * 2, message("b", now)));
    queue.ending = true;
    assert_eq!(taken(&mut queue, now), ["b", "a"]);
}

#[test]
fn what_is_too_old_is_forgotten_wherever_it_waits() {
    let (mut queue, now) = (Queue::default(), Instant::now());
    let later = now + HOUR;
    queue.fresh.push_back(message("old", now));
    queue.fresh.push_back(message("new", later));
    queue.held.push((later, message("old too", now)));
    queue.held.push((later, message("new too", later)));
    assert_eq!(queue.expire(later, HOUR), 2);
    assert_eq!(taken(&mut queue, later), ["new too", "new"]);
}

#[test]
fn a_hashed_name_tells_equal_names_and_nothing_else() {
    let hash = |name: &str| hashed(&Typed::new(name)).to_string();
    assert_eq!(hash("ada"), hash("ada"));
    assert_ne!(hash("ada"), hash("Ada"));
    assert!(hash("ada").starts_with("hash:") && hash("ada").len() == 21, "{}", hash("ada"));
}
