//! `freshgate explain`: what would happen to a request, and why. It asks the same `judge` as a live request,
//! the same rewrite and the same header firewall; it opens no store, so it knows of no revocation.

mod ask;
mod candidates;
mod show;

use std::io::{BufRead, Read, Write};

use clap::Args;
use serde_json::json;

use super::diff::Format;
use super::{ConfigArg, Failure};
use crate::telemetry;
use crate::token::UnixTime;
use ask::{Question, World};

/// Say what would happen to a request, and why.
#[derive(Debug, Args)]
pub struct Explain {
    #[command(flatten)]
    config: ConfigArg,
    /// The method.
    #[arg(required_unless_present = "batch")]
    method: Option<String>,
    /// A path such as /account/settings, or a whole URL whose host then counts.
    #[arg(required_unless_present = "batch")]
    url: Option<String>,
    /// With this `Host`, whatever the URL says.
    #[arg(long)]
    host: Option<String>,
    /// With this header field; may be given several times.
    #[arg(long = "header", value_name = "NAME: VALUE")]
    headers: Vec<String>,
    /// From this address; matters where `trusted_proxies` are listed.
    #[arg(long, value_name = "ADDRESS")]
    from: Option<String>,
    /// With this token, in the place where the route looks first.
    #[arg(long, conflicts_with = "as_claims")]
    token: Option<String>,
    /// With a token that says this; what is missing is filled in: '{"sub":"a","fresh":false}'.
    #[arg(long = "as", value_name = "JSON")]
    as_claims: Option<String>,
    /// How the answer is printed.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// Read one request a line from standard input, as JSON, and print one answer a line:
    /// {"method":"GET","url":"/a","host":"h","headers":[["Name","value"]],"from":"10.0.0.1","token":"…","as":{…}}.
    #[arg(
        long,
        conflicts_with_all = ["method", "url", "host", "headers", "from", "token", "as_claims"]
    )]
    batch: bool,
}

/// Bytes in one line of `--batch` at most.
const LINE_BYTES_MAX: u64 = 1024 * 1024;

impl Explain {
    /// Prints the explanation.
    ///
    /// # Errors
    /// A mistake in the configuration or in the arguments; never a refusal, which is an answer.
    pub fn run(&self) -> Result<(), Failure> {
        let world = World::new(self.config.load()?);
        if self.batch {
            return batch(&world, &mut std::io::stdin().lock(), &mut std::io::stdout().lock());
        }
        let answer = world.answer(&self.question()?, UnixTime::of(telemetry::clock()))?;
        match self.format {
            Format::Text => print!("{}", answer.text()),
            Format::Json => println!("{:#}", answer.json()),
        }
        Ok(())
    }

    fn question(&self) -> Result<Question, Failure> {
        let fields = self.headers.iter().map(|field| {
            let (name, value) = field.split_once(':').ok_or_else(|| {
                Failure::Words(format!("--header `{field}`: write 'Name: value'"))
            })?;
            Ok((name.to_owned(), value.trim().to_owned()))
        });
        let assumed = self.as_claims.as_ref().map(|text| {
            crate::token::json::object(text.as_bytes())
                .map_err(|error| Failure::Words(format!("--as is not a JSON object: {error}")))
        });
        Ok(Question {
            method: self.method.clone().unwrap_or_default(),
            url: self.url.clone().unwrap_or_default(),
            host: self.host.clone(),
            headers: fields.collect::<Result<Vec<(String, String)>, Failure>>()?,
            from: self.from.clone(),
            token: self.token.clone(),
            assumed: assumed.transpose()?,
        })
    }
}

/// One request a line in, one answer a line out. A line that is no request is answered with `error`, and the
/// next is read.
///
/// # Errors
/// What cannot be read or written, and at the end that there were such lines.
fn batch(world: &World, input: &mut impl BufRead, output: &mut impl Write) -> Result<(), Failure> {
    let mut bad = 0;
    let mut line = Vec::new();
    loop {
        line.clear();
        if input.take(LINE_BYTES_MAX).read_until(b'\n', &mut line)? == 0 {
            break;
        }
        if line.trim_ascii().is_empty() {
            continue;
        }
        let asked = serde_json::from_slice::<Question>(&line).map_err(Failure::from);
        let now = UnixTime::of(telemetry::clock());
        let answer = match asked.and_then(|question| Ok(world.answer(&question, now)?.json())) {
            Ok(answer) => answer,
            Err(failure) => {
                bad += 1;
                json!({ "error": failure.text() })
            }
        };
        writeln!(output, "{answer}")?;
    }
    output.flush()?;
    if bad == 0 { Ok(()) } else { Err(Failure::Words(format!("lines that are no request: {bad}"))) }
}
