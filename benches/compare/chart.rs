//! The chart of the README: CPU per request as bars, in two files, for light and for dark pages.

use std::fmt::Write as _;

use crate::report::{Report, Table};
use crate::rows::{ENVOY_CACHED, ENVOY_JWT, HAPROXY_JWT, RELAY};

/// The bars: the words beside it, the row, and who in it.
const BARS: [(&str, &str, &str); 12] = [
    ("layer-4 relay (HAProxy)", "public", RELAY),
    ("nginx, no authentication", "public", "nginx"),
    ("HAProxy, no authentication", "public", "HAProxy"),
    ("freshgate, public", "public", "freshgate"),
    ("freshgate, ES256", "es256", "freshgate"),
    ("freshgate, RS256", "rs256", "freshgate"),
    ("HAProxy jwt_verify, HS256", "hs256", HAPROXY_JWT),
    ("HAProxy jwt_verify, RS256", "rs256", HAPROXY_JWT),
    ("HAProxy jwt_verify, ES256", "es256", HAPROXY_JWT),
    ("Envoy, no authentication", "public", "Envoy"),
    ("Envoy jwt_authn, RS256, cached", "rs256", ENVOY_CACHED),
    ("Envoy jwt_authn, RS256", "rs256", ENVOY_JWT),
];

/// Sizes in pixels.
const WIDTH: usize = 760;
const LABEL: usize = 230;
const FIGURE: usize = 60;
const BAR: usize = 18;
const STEP: usize = 26;
const TOP: usize = 52;

struct Colours {
    text: &'static str,
    faint: &'static str,
    own: &'static str,
    other: &'static str,
}

const LIGHT: Colours =
    Colours { text: "#1f2328", faint: "#59636e", own: "#0a7d5a", other: "#b6bfc9" };
const DARK: Colours =
    Colours { text: "#e6edf3", faint: "#9198a1", own: "#2fbf8f", other: "#4b5563" };

/// File name and text of each; none without a table.
pub fn all(report: &Report) -> Vec<(&'static str, String)> {
    let Some(table) = &report.table else { return Vec::new() };
    vec![("cpu-light.svg", draw(table, &LIGHT)), ("cpu-dark.svg", draw(table, &DARK))]
}

fn draw(table: &Table, colours: &Colours) -> String {
    let bars: Vec<(&str, f64)> = BARS
        .iter()
        .filter_map(|(label, row, who)| {
            Some((*label, table.cell(row, who)?.median(|one| one.cpu_us)?))
        })
        .collect();
    let most = bars.iter().map(|(_, figure)| *figure).fold(1.0, f64::max);
    let height = TOP + bars.len() * STEP + 12;
    let Colours { text, faint, own, other } = colours;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" \
         viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" font-family=\"system-ui, sans-serif\" font-size=\"13\">\n\
         <title>CPU time per request, in microseconds</title>\n\
         <text x=\"0\" y=\"18\" font-size=\"15\" font-weight=\"600\" fill=\"{text}\">CPU time per request, µs (less is better)</text>\n\
         <text x=\"0\" y=\"37\" fill=\"{faint}\">whole process, one thread, 32 connections kept alive, answers of 190 bytes</text>\n"
    );
    for (index, (label, figure)) in bars.iter().enumerate() {
        let y = TOP + index * STEP;
        let length = (figure / most * (WIDTH - LABEL - FIGURE) as f64).max(1.0);
        let is_own = label.starts_with("freshgate");
        let (fill, weight) = if is_own { (own, "600") } else { (other, "400") };
        let base = y + BAR - 5;
        let _infallible = write!(
            svg,
            "<text x=\"{}\" y=\"{base}\" text-anchor=\"end\" font-weight=\"{weight}\" fill=\"{text}\">{label}</text>\n\
             <rect x=\"{LABEL}\" y=\"{y}\" width=\"{length:.1}\" height=\"{BAR}\" rx=\"2\" fill=\"{fill}\"/>\n\
             <text x=\"{:.1}\" y=\"{base}\" font-weight=\"{weight}\" fill=\"{text}\">{figure:.1}</text>\n",
            LABEL - 10,
            LABEL as f64 + length + 8.0,
        );
    }
    svg + "</svg>\n"
}
