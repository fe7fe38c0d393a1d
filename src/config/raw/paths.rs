//! `[paths]`: which paths that can be read in two ways pass.

use toml::de::{DeTable, DeValue};

use super::home;
use crate::config::diagnostic::{Diagnostics, Span};
use crate::config::macros::section;
use crate::config::read::{
    Field, FromToml, Key, Shape, Spanned, Table, field, join, plain, table, written,
};
use crate::config::words::{DotSegments, DoubleSlash, Spelling};

section! {
    /// Paths that can be read in two ways are refused with 400, because the gateway would judge one reading and the backend
    /// might serve the other. Open a knob only for a backend that needs it, after reading its danger.
    pub struct RawPaths {
        /// `.` and `..` in a path, in any spelling. `"resolve"` removes them before judging, for pages with sloppy relative
        /// links. Danger: a backend that is sent the result never sees them, but your log of odd requests does not either.
        dot_segments: DotSegments = "refuse",
        /// `//` in a path. `"merge"` makes it one slash, for applications that glue links together (WordPress plugins, old PHP).
        /// Danger: a backend that tells `/a//b` and `/a/b` apart can no longer be asked for the first.
        double_slash: DoubleSlash = "refuse",
        /// `%2F` in a segment. `"pass"` keeps it inside its segment, for object names with slashes (GitLab's API, Maven
        /// repositories, MQTT topics). Danger: a backend that decodes before it routes, such as PHP's `PATH_INFO` or Tomcat with
        /// `decode`, reads `/public/..%2Fadmin` as another path than the one that was judged.
        encoded_slash: Spelling = "refuse",
        /// `\` and `%5C`. `"pass"` makes it an ordinary character, sent as `%5C`, for names with a backslash in them. Danger: IIS and
        /// other backends on Windows read it as a slash.
        backslash: Spelling = "refuse",
        /// `;` in a segment. `"pass"` judges the path as if it and the rest of its segment were not there, and forwards them, for
        /// Java applications that write `;jsessionid=`. `%3B` is refused all the same: it is a letter to some and a `;` to others.
        /// Danger: a backend that does not cut them off gets a segment that no pattern saw.
        semicolon: Spelling = "refuse",
        /// `%25` before two hex digits: text escaped twice. `"pass"` forwards it unless it hides a slash, backslash, dot or control
        /// character, for wikis with a percent sign in titles. Danger: a backend that decodes twice sees another name.
        double_encoding: Spelling = "refuse",
        /// Escapes that are not UTF-8. `"pass"` forwards them, for old sites with Latin-1 file names (`%E9`). Danger: a backend that
        /// converts them may find a name that no pattern saw.
        non_utf8: Spelling = "refuse",
    }
}
