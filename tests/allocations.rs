//! Finding a route allocates nothing, whatever the size of the table, and finding a token in the header neither: counted by the allocator of this binary,
//! which is why these tests are a binary of their own. The one `unsafe` of the repository: an allocator cannot be
//! written without, and this one only counts and hands on to the system's.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::hint::black_box;

use freshgate::policy::Requirement;
use freshgate::policy::path::{CanonicalPath, PathRules};
use freshgate::policy::pattern::Pattern;
use freshgate::policy::route::{Action, Endpoint, Route, RouteTable};
use freshgate::token::extract::{Accept, Cookies, Location, Locations, Presented};
use http::header::{AUTHORIZATION, COOKIE, HOST};
use http::{HeaderMap, HeaderValue};

thread_local! {
    /// Allocations of this thread: the test runner has others.
    static COUNT: Cell<usize> = const { Cell::new(0) };
}

struct Counting;

// SAFETY: every call is handed on unchanged to the system's allocator; the counter is a plain cell of this thread,
// made without allocating.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.with(|count| count.set(count.get() + 1));
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

fn allocations<T>(work: impl FnOnce() -> T) -> usize {
    let before = COUNT.with(Cell::get);
    black_box(work());
    COUNT.with(Cell::get) - before
}

fn route(pattern: &str) -> Route {
    let parsed = Pattern::parse(pattern).expect("a pattern");
    Route::new(pattern, parsed, Requirement::Access, Action::Endpoint(Endpoint::Me))
}

#[test]
fn the_counter_counts() {
    assert_eq!(allocations(|| Box::new(7)), 1);
    assert_eq!(allocations(|| 7), 0);
}

#[test]
fn finding_a_route_allocates_nothing_at_any_size() {
    for size in [10, 1_000, 10_000] {
        let some = (0..size).flat_map(|at| {
            [format!("/service/{at}/{{item}}/**"), format!("GET h{at}.test/service/*/x")]
        });
        let table = RouteTable::build(some.map(|one| route(&one)).collect()).expect("no ties");
        let rules = PathRules::default();
        for (method, host, raw, found) in [
            ("GET", "app.test", "/service/7/orders/2026", true),
            ("HEAD", "h3.test", "/service/none/x", true),
            ("POST", "h3.test", "/service/none/x", false),
            ("GET", "", "/elsewhere/and/deeper", false),
        ] {
            let count = allocations(|| {
                let path = CanonicalPath::parse(raw, &rules).expect("a plain path");
                assert_eq!(
                    table.find(method, host, &path).is_some(),
                    found,
                    "{method} {host}{raw}"
                );
            });
            assert_eq!(count, 0, "{method} {host}{raw} among {size}");
        }
    }
}

#[test]
fn finding_a_token_in_the_header_allocates_nothing() {
    let names = Locations::default();
    let everywhere = Accept::of([Location::Header, Location::Cookie, Location::Query]);
    let mut headers = HeaderMap::new();
    headers.insert(HOST, HeaderValue::from_static("app.test"));
    headers.insert(COOKIE, HeaderValue::from_static("a=1; access_token=x"));
    for (field, accept, found) in [
        ("Bearer a.b.c", Accept::HEADER, Presented::Token("a.b.c")),
        ("Bearer a.b.c", everywhere, Presented::Token("a.b.c")),
        ("Basic YTpi", Accept::HEADER, Presented::Nothing),
        ("Bearer a, Bearer b", Accept::HEADER, Presented::Duplicated),
    ] {
        headers.insert(AUTHORIZATION, HeaderValue::from_static(field));
        let count = allocations(|| {
            let query = Some("access_token=x");
            assert_eq!(names.find(accept, Cookies::Access, &headers, query).presented, found);
        });
        assert_eq!(count, 0, "{field}");
    }
}
