//! The path that the backend gets where a route rewrites it.
//!
//! Joins text and captured segments in their canonical spelling and has the outcome parsed again, so a
//! rewrite can never make a path that has two readings (CVE-2026-48020). Never decides anything: the
//! policy was chosen by the path as it came. Called by the proxy, and by `explain`.

use super::path::{self, CanonicalPath, PathFault, PathRules};
use super::pattern::Pattern;
use super::route::{Rewrite, RewritePart, RewriteSegment};

impl Rewrite {
    /// The rewritten path. Captured segments keep their `;` parameters, where the rules let them pass.
    ///
    /// # Errors
    /// The [`PathFault`] of the outcome; nothing in it is repaired, whatever `rules` say.
    pub fn apply(
        &self,
        pattern: &Pattern,
        path: &CanonicalPath<'_>,
        rules: &PathRules,
    ) -> Result<CanonicalPath<'static>, PathFault> {
        const MISSING: PathFault =
            PathFault("the rewrite asks for a segment that the pattern lacks");
        let mut out = String::with_capacity(path.as_str().len() + 32);
        for segment in &self.segments {
            match segment {
                RewriteSegment::Parts(parts) => {
                    out.push('/');
                    for part in parts {
                        out.push_str(match part {
                            RewritePart::Text(text) => text,
                            RewritePart::Capture(index) => {
                                path::segments(path.as_str()).nth(*index).ok_or(MISSING)?
                            }
                        });
                    }
                }
                RewriteSegment::Rest if pattern.has_rest() => {
                    out.push_str(rest_after(path.as_str(), pattern.segments.len() - 1));
                }
                RewriteSegment::Rest => return Err(MISSING),
            }
        }
        if out.is_empty() {
            out.push('/');
        }
        let strict = PathRules { resolve_dot_segments: false, merge_slashes: false, ..*rules };
        Ok(CanonicalPath::parse(&out, &strict)?.into_owned())
    }
}

/// What follows the first `count` segments, with its leading slash; empty if nothing does.
fn rest_after(path: &str, count: usize) -> &str {
    let slash = path.match_indices('/').nth(count);
    slash.map_or("", |(at, _)| &path[at..])
}
