//! The paths of a log as a tree of segments with counts, folded while it grows: ids become `{id}`, and a place
//! with too many children becomes `*`. Memory is bounded by the number of its nodes, whatever the log holds.

use std::collections::{BTreeMap, BTreeSet};

/// Different places kept at most; what comes after them is counted where the tree ends.
pub const PLACES_MAX: usize = 100_000;
/// Different children of one place, beyond which they are one `*`.
const CHILDREN_MAX: usize = 40;
/// Segments looked at; what is deeper belongs to the place above.
const DEPTH_MAX: usize = 8;

/// One place in the tree.
#[derive(Debug, Default)]
pub struct Place {
    /// By their text, `{id}` among them.
    pub children: BTreeMap<String, Place>,
    /// Whether the children became one, `*`.
    pub folded: bool,
    /// Requests for exactly this path.
    pub here: u64,
    /// Requests for deeper paths than the tree holds.
    pub deeper: u64,
    /// The methods of both.
    pub methods: BTreeSet<String>,
}

/// The tree and how much it holds.
#[derive(Debug, Default)]
pub struct Tree {
    /// `/`.
    pub root: Place,
    /// How many places it has.
    pub places: usize,
    /// Requests that found the tree full.
    pub overflowed: u64,
}

impl Tree {
    /// Counts one request; the segments are in canonical spelling.
    pub fn count<'s>(&mut self, method: &str, segments: impl Iterator<Item = &'s str>) {
        let mut place = &mut self.root;
        let mut deeper = false;
        for (depth, segment) in segments.enumerate() {
            let name = if place.folded {
                ANY
            } else if is_id(segment) {
                ID
            } else {
                segment
            };
            let known = place.children.contains_key(name);
            if depth == DEPTH_MAX || (!known && self.places >= PLACES_MAX) {
                self.overflowed += u64::from(depth != DEPTH_MAX);
                deeper = true;
                break;
            }
            if !known {
                self.places += 1;
                if place.children.len() >= CHILDREN_MAX && depth > 0 {
                    let before = count(place);
                    fold(place);
                    // Folding merges: it never makes more places than there were.
                    self.places -= before.saturating_sub(count(place));
                }
            }
            let name = if place.folded { ANY } else { name };
            place = place.children.entry(name.to_owned()).or_default();
        }
        if deeper {
            place.deeper += 1;
        } else {
            place.here += 1;
        }
        // A log can hold any number of words in the place of a method.
        const METHODS_MAX: usize = 16;
        if !place.methods.contains(method) && place.methods.len() < METHODS_MAX {
            place.methods.insert(method.to_owned());
        }
    }
}

/// One segment that is a number, a UUID or a hash.
pub const ID: &str = "{id}";
/// One segment of many.
pub const ANY: &str = "*";

/// Merges all children into one.
fn fold(place: &mut Place) {
    let mut merged = Place::default();
    for child in std::mem::take(&mut place.children).into_values() {
        merge(&mut merged, child);
    }
    place.children.insert(ANY.to_owned(), merged);
    place.folded = true;
}

fn merge(into: &mut Place, from: Place) {
    into.here += from.here;
    into.deeper += from.deeper;
    into.methods.extend(from.methods);
    let folded = into.folded || from.folded;
    for (name, child) in from.children {
        let name = if into.folded { ANY.to_owned() } else { name };
        merge(into.children.entry(name).or_default(), child);
    }
    if (folded || into.children.len() > CHILDREN_MAX) && !into.folded {
        fold(into);
    }
}

/// The places below this one.
fn count(place: &Place) -> usize {
    place.children.values().map(|child| 1 + count(child)).sum()
}

/// Whether a segment looks like the name of one thing among many: a number, a UUID, a hash.
pub fn is_id(segment: &str) -> bool {
    const HASH_MIN: usize = 16;
    // A longer text is no name that somebody chose, and would fill the memory.
    const NAME_BYTES_MAX: usize = 100;
    if segment.len() > NAME_BYTES_MAX {
        return true;
    }
    let digits = segment.bytes().filter(u8::is_ascii_digit).count();
    let hex = segment.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    let word = segment.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    let number = digits > 0 && digits == segment.len();
    let hash = hex && digits > 0 && segment.len() >= HASH_MIN;
    // Random text of letters and digits, as of base64url or nanoid.
    let random =
        word && segment.len() >= 20 && digits * 6 >= segment.len() && !segment.contains("--");
    number || hash || random
}

impl Place {
    /// Requests here and below.
    pub fn total(&self) -> u64 {
        self.here + self.deeper + self.children.values().map(Place::total).sum::<u64>()
    }

    /// The methods here and below.
    pub fn all_methods(&self) -> BTreeSet<&str> {
        let own = self.methods.iter().map(String::as_str);
        own.chain(self.children.values().flat_map(Place::all_methods)).collect()
    }

    /// How many different paths were asked for below.
    pub fn leaves(&self) -> usize {
        self.children.values().map(|one| usize::from(one.here > 0) + one.leaves()).sum()
    }
}
