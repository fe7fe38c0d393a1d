//! The key folder: what is taken up, what is refused, and each step of a rotation; time is an argument.

use std::time::Duration;

use super::edit::{NOTICED_WITHIN, PUBLISHED_FOR, Rotation, generate, retire, rotate};
use super::*;
use crate::token::keys::{Algorithm, KeyMaterial, KeyState, generate as make};

const HOUR: Duration = Duration::from_secs(3600);

struct State(tempfile::TempDir);

impl State {
    fn new() -> State {
        State(tempfile::tempdir().unwrap())
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn file(&self, name: &str) -> PathBuf {
        folder(self.path()).join(name)
    }

    #[track_caller]
    fn ring(&self, now: UnixTime) -> KeyRing {
        load_or_create(self.path(), now).unwrap()
    }

    #[track_caller]
    fn state(&self, id: &str, now: UnixTime) -> KeyState {
        let ring = self.ring(now);
        ring.state(ring.find(id).unwrap_or_else(|| panic!("no {id}")), now)
    }

    fn signer(&self, now: UnixTime) -> String {
        self.ring(now).signer(now).unwrap().id().to_owned()
    }

    /// Puts a file there as a person does.
    fn drop_in(&self, name: &str, text: &[u8]) {
        fs::create_dir_all(folder(self.path())).unwrap();
        fs::write(self.file(name), text).unwrap();
        fs::set_permissions(self.file(name), fs::Permissions::from_mode(0o600)).unwrap();
    }

    fn files(&self) -> Vec<String> {
        key_files(&folder(self.path())).unwrap()
    }
}

#[expect(clippy::disallowed_methods, reason = "the file system has this clock too")]
fn now() -> UnixTime {
    UnixTime::of(std::time::SystemTime::now())
}

fn private(algorithm: Algorithm) -> Vec<u8> {
    match make(algorithm).unwrap() {
        KeyMaterial::Private(text) | KeyMaterial::Secret(text) => text.expose().to_vec(),
        KeyMaterial::Public(_) => unreachable!("a new key is private"),
    }
}

fn rotation() -> Rotation {
    Rotation { overlap: HOUR, ..Rotation::default() }
}

#[test]
fn key_is_made_once_and_then_loaded() {
    let state = State::new();
    let made = state.signer(now());
    let text = fs::read(state.file(FIRST_FILE)).unwrap();
    assert_eq!(state.signer(now()), made);
    assert_eq!(fs::read(state.file(FIRST_FILE)).unwrap(), text);
    let ring = state.ring(now());
    assert!(ring.keys()[0].thumbprint().unwrap().starts_with(&made));
    assert_eq!(made.len(), KEY_ID_CHARS);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&folder(state.path())), 0o700);
    assert_eq!(mode(&state.file(FIRST_FILE)), 0o600);
    assert_eq!(state.files(), [FIRST_FILE]);
}

#[test]
fn processes_that_start_together_share_one_key() {
    let state = State::new();
    let ids: Vec<String> = std::thread::scope(|scope| {
        let all: Vec<_> = (0..16).map(|_| scope.spawn(|| state.signer(now()))).collect();
        all.into_iter().map(|one| one.join().unwrap()).collect()
    });
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
}

#[test]
fn key_that_others_can_read_is_refused_with_the_remedy() {
    let state = State::new();
    state.ring(now());
    let path = state.file(FIRST_FILE);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    let fault = load_or_create(state.path(), now()).unwrap_err().to_string();
    assert!(fault.contains(&format!("chmod 600 '{}'", path.display())), "{fault}");
    assert!(fault.contains("mode 640"), "{fault}");
}

#[test]
fn folder_that_others_can_write_to_is_refused_with_the_remedy() {
    let state = State::new();
    state.ring(now());
    for mode in [0o720, 0o702, 0o777] {
        let open = fs::Permissions::from_mode(mode);
        fs::set_permissions(folder(state.path()), open).unwrap();
        let fault = load_or_create(state.path(), now()).unwrap_err().to_string();
        assert!(fault.contains("chmod 700") && fault.contains(&format!("{mode:o}")), "{fault}");
    }
    fs::set_permissions(folder(state.path()), fs::Permissions::from_mode(0o755)).unwrap();
    state.ring(now());
}

#[test]
fn file_that_is_no_key_is_refused_and_kept() {
    let state = State::new();
    state.ring(now());
    let whole = fs::read_to_string(state.file(FIRST_FILE)).unwrap();
    for broken in ["", "hello", &whole[..100], &whole.replace("PRIVATE", "PUBLIC"), "{}"] {
        state.drop_in("other.pem", broken.as_bytes());
        let fault = load_or_create(state.path(), now()).unwrap_err();
        assert!(matches!(fault, KeysFault::NotAKey { .. }), "{fault}");
        assert!(fault.to_string().contains("other.pem"), "{fault}");
        assert_eq!(fs::read_to_string(state.file("other.pem")).unwrap(), broken);
    }
}

#[test]
fn a_key_that_is_put_there_is_published_whatever_its_form() {
    let state = State::new();
    let first = state.signer(now());
    for algorithm in [Algorithm::Es384, Algorithm::EdDsa, Algorithm::Rs256] {
        state.drop_in(&format!("{}.pem", algorithm.name()), &private(algorithm));
        let ring = state.ring(now());
        let key = ring.find(algorithm.name()).unwrap();
        assert_eq!((key.algorithm(), key.signs()), (algorithm, true));
        assert_eq!(ring.state(key, now()), KeyState::Published);
    }
    let k = String::from_utf8(private(Algorithm::Hs512)).unwrap();
    let jwk = format!(r#"{{"kty":"oct","alg":"HS512","kid":"theirs","k":"{k}"}}"#);
    state.drop_in("shared.jwk", jwk.as_bytes());
    assert_eq!(state.state("theirs", now()), KeyState::Published);
    // A public half verifies, and no rotation ever chooses it.
    let public = serde_json::to_vec(
        Key::parse(&KeySpec {
            id: "public".to_owned(),
            algorithm: Algorithm::Es256,
            material: make(Algorithm::Es256).unwrap(),
        })
        .unwrap()
        .public()
        .unwrap(),
    );
    state.drop_in("other.json", &public.unwrap());
    assert_eq!(state.state("public", now()), KeyState::Verifies);
    // What is no key file is passed over.
    for name in ["notes.txt", ".hidden.pem", "signing.pem~"] {
        state.drop_in(name, b"hello");
    }
    assert_eq!(state.signer(now()), first);
    assert_eq!(state.ring(now()).keys().len(), 6);
}

#[test]
fn the_only_key_signs_without_being_told_to() {
    let state = State::new();
    generate(state.path(), Algorithm::Es512, Some("mine"), now()).unwrap();
    assert_eq!(state.state("mine", now()), KeyState::Signs);
    assert_eq!(state.files(), ["mine.pem"]);
}

#[test]
fn two_files_never_hold_one_key_or_one_id() {
    let state = State::new();
    state.ring(now());
    let copy = fs::read(state.file(FIRST_FILE)).unwrap();
    state.drop_in("copy.pem", &copy);
    let fault = load_or_create(state.path(), now()).unwrap_err().to_string();
    assert!(fault.contains("is the same key as"), "{fault}");
    fs::remove_file(state.file("copy.pem")).unwrap();
    state.drop_in("a.pem", &private(Algorithm::Es256));
    state.drop_in(
        "a.json",
        &[
            b"{\"kty\":\"oct\",\"alg\":\"HS256\",\"kid\":\"a\",\"k\":\"",
            private(Algorithm::Hs256).as_slice(),
            b"\"}",
        ]
        .concat(),
    );
    let fault = load_or_create(state.path(), now()).unwrap_err().to_string();
    assert!(fault.contains("has the same id as"), "{fault}");
}

#[test]
fn one_rotation_publishes_then_signs_then_ends_the_old_key() {
    let state = State::new();
    let (start, old) = (now(), state.signer(now()));
    let done = rotate(state.path(), rotation(), start).unwrap();
    assert!(done.made);
    assert_eq!(done.signs_from, start.plus(PUBLISHED_FOR));
    let end = done.signs_from.plus(HOUR).plus(NOTICED_WITHIN);
    assert_eq!(done.before, [(old.clone(), end)]);
    let second = Duration::from_secs(1);
    let just_before = |time: UnixTime| UnixTime(time.0 - second.as_secs());
    // Published.
    assert_eq!(state.signer(just_before(done.signs_from)), old);
    assert_eq!(state.state(&done.id, start), KeyState::SignsFrom(done.signs_from));
    // Signs.
    assert_eq!(state.signer(done.signs_from), done.id);
    assert_eq!(state.state(&old, done.signs_from), KeyState::VerifiesUntil(end));
    // Retired: by itself, in a ring that was loaded long before.
    let ring = state.ring(start);
    let ids = |now| ring.living(now).map(|key| key.id().to_owned()).collect::<Vec<_>>();
    assert!(ids(just_before(end)).contains(&old));
    assert_eq!(ids(end), std::slice::from_ref(&done.id));
    // The file goes when it is no longer needed.
    let refused = retire(state.path(), &old, false, just_before(end)).unwrap_err().to_string();
    assert!(refused.contains(&end.to_string()), "{refused}");
    retire(state.path(), &old, false, end).unwrap();
    assert_eq!(state.files(), [format!("{}.pem", done.id)]);
    assert_eq!(state.signer(end), done.id);
}

#[test]
fn a_key_that_was_published_in_time_signs_at_once() {
    let state = State::new();
    let (start, old) = (now(), state.signer(now()));
    let made = generate(state.path(), Algorithm::EdDsa, Some("next"), start).unwrap();
    assert_eq!((made.id.as_str(), made.file.as_str()), ("next", "next.pem"));
    assert_eq!(state.state("next", start), KeyState::Published);
    let later = start.plus(2 * PUBLISHED_FOR);
    assert_eq!(state.signer(later), old);
    let done = rotate(state.path(), rotation(), later).unwrap();
    assert_eq!((done.made, done.id.as_str(), done.signs_from), (false, "next", later));
    assert_eq!(state.signer(later), "next");
    assert!(generate(state.path(), Algorithm::Es256, Some("next"), later).is_err());
    for bad in ["", ".x", "a/b", "..", "-x", "a b", &"a".repeat(65)] {
        assert!(generate(state.path(), Algorithm::Es256, Some(bad), later).is_err(), "{bad}");
    }
}

#[test]
fn a_second_rotation_says_that_one_is_under_way() {
    let state = State::new();
    let start = now();
    state.ring(start);
    let first = rotate(state.path(), rotation(), start).unwrap();
    let before = fs::read(state.file(records::FILE)).unwrap();
    let refused = rotate(state.path(), rotation(), start).unwrap_err().to_string();
    assert!(refused.contains(&first.signs_from.to_string()), "{refused}");
    assert_eq!(fs::read(state.file(records::FILE)).unwrap(), before);
    let at_once = Rotation { at_once: true, ..rotation() };
    let hurried = rotate(state.path(), at_once, start).unwrap();
    assert_eq!((hurried.id, hurried.signs_from), (first.id, start));
    assert_eq!(hurried.before[0].1, start.plus(HOUR).plus(NOTICED_WITHIN));
}

#[test]
fn rotations_at_the_same_moment_end_with_one() {
    let state = State::new();
    let start = now();
    state.ring(start);
    let won = std::thread::scope(|scope| {
        let all: Vec<_> = (0..8)
            .map(|_| scope.spawn(|| rotate(state.path(), rotation(), start).is_ok()))
            .collect();
        all.into_iter().map(|one| usize::from(one.join().unwrap())).sum::<usize>()
    });
    assert_eq!(won, 1);
    assert_eq!(state.files().len(), 2);
}

#[test]
fn what_is_needed_is_not_retired() {
    let state = State::new();
    let (start, old) = (now(), state.signer(now()));
    let refused = retire(state.path(), &old, true, start).unwrap_err().to_string();
    assert!(refused.contains("key rotate"), "{refused}");
    let refused = retire(state.path(), "nobody", true, start).unwrap_err().to_string();
    assert!(refused.contains(&old), "{refused}");
    let next = rotate(state.path(), rotation(), start).unwrap().id;
    assert!(retire(state.path(), &next, false, start).is_err());
    // Taken back: the old key signs on, without an end.
    retire(state.path(), &next, true, start).unwrap();
    assert_eq!(state.state(&old, start.plus(1000 * HOUR)), KeyState::Signs);
}

#[test]
fn a_key_that_is_gone_is_dead_and_somebody_signs_all_the_same() {
    let state = State::new();
    let (start, old) = (now(), state.signer(now()));
    let next = rotate(state.path(), rotation(), start).unwrap().id;
    fs::remove_file(state.file(FIRST_FILE)).unwrap();
    assert_eq!(state.signer(start), next);
    assert!(state.ring(start).find(&old).is_none());
    assert_eq!(Folder::read(&folder(state.path())).unwrap().missing, [FIRST_FILE]);
    // The last one too: a new key is made, which has nothing to do with the record of the one before.
    fs::remove_file(state.file(&format!("{next}.pem"))).unwrap();
    let made = state.signer(start);
    assert!(![&old, &next].contains(&&made));
    assert_eq!(state.state(&made, start.plus(1000 * HOUR)), KeyState::Signs);
}

#[test]
fn what_a_killed_process_leaves_is_a_published_key_or_nothing() {
    let state = State::new();
    let (start, old) = (now(), state.signer(now()));
    let done = rotate(state.path(), rotation(), start).unwrap();
    // Before the record of the new key was written, and with half a file beside it.
    fs::remove_file(state.file(records::FILE)).unwrap();
    state.drop_in(".new-4711", b"-----BEGIN PRIV");
    assert_eq!(state.signer(start.plus(HOUR)), old);
    assert_eq!(state.state(&done.id, start.plus(HOUR)), KeyState::Published);
    let again = rotate(state.path(), rotation(), start.plus(HOUR)).unwrap();
    assert_eq!((again.id, again.made), (done.id, false));
    assert!(!state.file(".new-4711").exists());
}

#[test]
fn records_that_cannot_be_understood_are_refused() {
    let state = State::new();
    state.ring(now());
    rotate(state.path(), rotation(), now()).unwrap();
    let whole = fs::read_to_string(state.file(records::FILE)).unwrap();
    assert!(whole.contains("signs_from = 20"), "times that people read: {whole}");
    let bad = [
        whole.replace("ES256", "none"),
        whole.replace("retires_at", "retires"),
        whole.replace("signs_from = 20", "signs_from = \"20"),
        whole.replacen("Z\n", "+02:00\n", 1),
        whole.replacen("[[key]]", "[[key]", 1),
    ];
    for bad in bad {
        fs::write(state.file(records::FILE), &bad).unwrap();
        let fault = load_or_create(state.path(), now()).unwrap_err();
        assert!(matches!(fault, KeysFault::Records { .. }), "{fault}\n{bad}");
    }
}

#[test]
fn a_record_of_another_key_is_not_believed() {
    let state = State::new();
    state.ring(now());
    let done = rotate(state.path(), rotation(), now()).unwrap();
    let file = format!("{}.pem", done.id);
    fs::write(state.file(&file), private(Algorithm::Es256)).unwrap();
    assert_eq!(state.state(&done.id, done.signs_from.plus(HOUR)), KeyState::Published);
}

#[test]
fn shared_secrets_rotate_too() {
    let state = State::new();
    let start = now();
    let at_once = Rotation { algorithm: Some(Algorithm::Hs384), at_once: true, ..rotation() };
    let first = rotate(state.path(), at_once, start).unwrap();
    assert!(state.file(&format!("{}.jwk", first.id)).exists());
    let second = rotate(state.path(), rotation(), start).unwrap();
    let ring = state.ring(start);
    assert_eq!(ring.find(&second.id).unwrap().algorithm(), Algorithm::Hs384);
    assert_eq!(ring.signer(start).unwrap().id(), first.id);
}

#[test]
fn of_rotations_in_one_second_the_last_one_holds() {
    let state = State::new();
    let start = now();
    state.ring(start);
    for _ in 0..5 {
        let done = rotate(state.path(), Rotation { at_once: true, ..rotation() }, start).unwrap();
        assert_eq!(state.signer(start), done.id);
    }
}
