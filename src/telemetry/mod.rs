//! Logs, metrics and the clock: what every floor may use, and what knows nothing of any of them.
//!
//! `clock` is the one place that reads it, `log` carries lines away, `event` is what happens to people's logins, `metrics` all that is counted,
//! `limit` the closed list of limits that can be reached, `panics` stops a panic where it can still be answered.

mod clock;
mod event;
mod limit;
mod log;
mod metrics;
pub mod panics;
mod webhook;

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

pub use clock::{clock, clock_behind, raise_clock};
pub use event::{Event, EventKind, Typed};
pub use limit::Limit;
pub use log::Log;
pub use metrics::{Metrics, RouteMeter, ThreadMeter};
pub use webhook::{Undelivered, WebhookMeter};

/// Starts logging to standard error, as JSON or as text; `None` means text on a terminal, else JSON.
/// A second call changes nothing. The log is written until what is returned is dropped.
///
/// # Errors
/// The filter's own words when `level` is not a filter; the system's when it gives no thread.
pub fn start_logging(json: Option<bool>, level: &str) -> Result<Log, String> {
    let filter = EnvFilter::try_new(level).map_err(|error| error.to_string())?;
    let terminal = std::io::stderr().is_terminal();
    let (queue, log) = log::start(std::io::stderr()).map_err(|error| error.to_string())?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(move || queue.clone())
        // They would be told on standard error, and a failure there is a panic.
        .log_internal_errors(false)
        .with_ansi(terminal);
    let _already = if json.unwrap_or(!terminal) {
        builder.json().flatten_event(true).with_current_span(false).with_span_list(false).try_init()
    } else {
        builder.try_init()
    };
    Ok(log)
}
