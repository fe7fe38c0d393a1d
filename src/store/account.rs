//! One spelling for every way to type a user's name: what the users file is searched for, what the throttle
//! counts by and what the log groups by. Two readers that spell differently let guesses pass uncounted
//! (Authelia CVE-2025-24806).
//!
//! Pure. Look-alikes of other scripts (a Cyrillic `а`) stay other names: they find no user either.

use std::fmt;

use unicode_normalization::UnicodeNormalization as _;

/// Longest name that is read, in bytes as typed; a longer one is nobody's.
pub const TYPED_BYTES_MAX: usize = 256;

/// Rounds until a spelling stays as it is; two are enough for all but a few rare signs.
const ROUNDS_MAX: usize = 4;

/// A user's name in its one spelling: NFKC, case folded, without what nobody sees, trimmed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Account(String);

impl Account {
    /// The account that a typed name means. A name that is too long, or of which nothing is left, is the empty
    /// account, which is no user's: it costs what any unknown one costs.
    pub fn of(typed: &str) -> Account {
        if typed.len() > TYPED_BYTES_MAX {
            return Account(String::new());
        }
        let mut spelled = folded(typed);
        for _ in 1..ROUNDS_MAX {
            let again = folded(&spelled);
            if again == spelled {
                break;
            }
            spelled = again;
        }
        Account(spelled)
    }

    /// The one spelling.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One round. Upper case and back again folds what lower case alone keeps apart: `ß` and `SS`, `ς` and `σ`.
fn folded(name: &str) -> String {
    let seen = name.nfkc().filter(|sign| !is_invisible(*sign));
    let upper: String = seen.flat_map(char::to_uppercase).collect();
    let lower: String = upper.nfkc().flat_map(char::to_lowercase).collect();
    lower.nfkc().collect::<String>().trim().to_owned()
}

/// Control characters, and what Unicode says to show as nothing (`Default_Ignorable_Code_Point`): nobody who
/// reads a name can tell whether they are in it.
fn is_invisible(sign: char) -> bool {
    let space = matches!(sign, '\t' | '\n' | '\x0B' | '\x0C' | '\r' | '\u{85}');
    (sign.is_control() && !space)
        || matches!(sign,
            '\u{AD}' | '\u{34F}' | '\u{61C}' | '\u{115F}'..='\u{1160}' | '\u{17B4}'..='\u{17B5}'
            | '\u{180B}'..='\u{180F}' | '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}'
            | '\u{2060}'..='\u{206F}' | '\u{3164}' | '\u{FE00}'..='\u{FE0F}' | '\u{FEFF}' | '\u{FFA0}'
            | '\u{FFF0}'..='\u{FFFB}' | '\u{1BCA0}'..='\u{1BCA3}' | '\u{1D173}'..='\u{1D17A}'
            | '\u{E0000}'..='\u{E0FFF}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(typed: &str) -> String {
        Account::of(typed).as_str().to_owned()
    }

    #[test]
    fn alike_names_are_one_account() {
        let bob = [
            "bob",
            "Bob",
            "BOB",
            " bob ",
            "bob\u{a0}",
            "\tbob\n",
            "b\u{200b}ob",
            "\u{feff}bob",
            "bo\u{ad}b",
            "b\u{2060}ob",
            "bob\u{202e}",
            "ｂｏｂ",
            "𝐛𝐨𝐛",
            "ⓑⓞⓑ",
            "bob\0",
            "bob\u{e0041}",
            "\u{3000}bob",
        ];
        for name in bob {
            assert_eq!(of(name), "bob", "{name:?}");
        }
        for (one, other) in [
            ("straße", "STRASSE"),
            ("Ὀδυσσεύς", "ὈΔΥΣΣΕΎΣ"),
            ("e\u{301}ve", "ÉVE"),
            ("ﬁne", "FINE"),
            ("\u{212a}im", "kim"),
            ("ſam", "Sam"),
            ("BOB@Example.ORG", "bob@example.org"),
        ] {
            assert_eq!(of(one), of(other));
        }
    }

    #[test]
    fn other_names_are_other_accounts() {
        let names =
            ["bob", "b ob", "bób", "bobby", "b0b", "bоb", "bob@x", "вов", "bob.", "b-ob", ""];
        for (index, one) in names.iter().enumerate() {
            for other in &names[index + 1..] {
                assert_ne!(of(one), of(other), "{one:?} {other:?}");
            }
        }
    }

    #[test]
    fn names_that_are_too_long_or_of_nothing_are_nobodys() {
        assert_eq!(of(&"a".repeat(TYPED_BYTES_MAX)).len(), TYPED_BYTES_MAX);
        for nobody in
            [&"a".repeat(TYPED_BYTES_MAX + 1), "", "  ", "\u{200b}", "\0", "\u{ad}\u{feff} "]
        {
            assert_eq!(of(nobody), "", "{nobody:?}");
        }
    }

    #[test]
    fn the_one_spelling_of_every_sign_is_its_own() {
        for sign in '\0'..=char::MAX {
            let once = of(&format!("x{sign}y"));
            assert_eq!(of(&once), once, "{sign:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn the_one_spelling_of_any_name_is_its_own(name in "\\PC{0,40}") {
            let once = of(&name);
            if once.len() <= TYPED_BYTES_MAX {
                proptest::prop_assert_eq!(of(&once), once);
            }
        }
    }
}
