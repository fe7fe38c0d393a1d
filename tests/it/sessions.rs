//! Tokens that have no session.

use crate::endpoints::{SHUT, started, status};
use crate::harness::Upstream;

#[test]
fn a_minted_token_without_a_session_dies_alone() {
    let upstream = Upstream::echo();
    let gateway = started(&upstream, SHUT);
    let (one, two) = (gateway.mint(&["--sub", "ada"]), gateway.mint(&["--sub", "ada"]));
    gateway.client().post("/auth/logout").bearer(&one).send().expect(204);
    assert_eq!(
        (status(gateway.client(), "/x", &one), status(gateway.client(), "/x", &two)),
        (401, 200)
    );
}
