//! `keys/ring.toml`: what the key files do not say of themselves. For people to read; written whole or not at all,
//! and only by `edit`. Holds no secret.

use std::fs;
use std::io;
use std::path::Path;
use std::str::FromStr as _;

use serde::{Deserialize, Serialize};
use toml::value::Datetime;

use super::KeysFault;
use crate::token::UnixTime;
use crate::token::keys::{Algorithm, Key, Life};

/// Its name in the key folder.
pub(super) const FILE: &str = "ring.toml";

const HEAD: &str = "\
# Which key signs from when, and until when each verifies; `freshgate key` writes this file, and docs/keys.md explains it.
# Times are in UTC. A key file without an entry is a published key.
";

/// All records, as the file has them.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Records {
    #[serde(default)]
    key: Vec<Record>,
}

/// What is known of one key file.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Record {
    /// `kid`.
    pub(super) id: String,
    /// The name of its file.
    pub(super) file: String,
    alg: String,
    /// RFC 7638; none for a shared secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) thumbprint: Option<String>,
    created: Datetime,
    #[serde(skip_serializing_if = "Option::is_none")]
    signs_from: Option<Datetime>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retires_at: Option<Datetime>,
}

impl Records {
    /// Reads the file; without one nothing is known.
    pub(super) fn read(dir: &Path) -> Result<Records, KeysFault> {
        let path = dir.join(FILE);
        let text = match fs::read_to_string(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Records::default()),
            text => text.map_err(|error| KeysFault::Io { path: path.clone(), error })?,
        };
        Records::parse(&text).map_err(|why| KeysFault::Records { path, why })
    }

    fn parse(text: &str) -> Result<Records, String> {
        let records: Records =
            toml::from_str(text).map_err(|error| error.to_string().trim_end().to_owned())?;
        for record in &records.key {
            Algorithm::from_name(&record.alg)
                .ok_or_else(|| format!("key `{}`: `alg` is no algorithm known here", record.id))?;
            let times =
                [Some(&record.created), record.signs_from.as_ref(), record.retires_at.as_ref()];
            if times.into_iter().flatten().any(|time| unix(time).is_none()) {
                return Err(format!(
                    "key `{}`: a time is not a date and a time in UTC, such as 2030-01-31T12:00:00Z",
                    record.id
                ));
            }
        }
        Ok(records)
    }

    /// The record of a key file.
    pub(super) fn of(&self, file: &str) -> Option<&Record> {
        self.key.iter().find(|record| record.file == file)
    }

    /// Every record.
    pub(super) fn all(&self) -> &[Record] {
        &self.key
    }
}

/// The text of the file.
pub(super) fn write(records: Vec<Record>) -> Result<String, KeysFault> {
    let body = toml::to_string(&Records { key: records });
    let body =
        body.map_err(|error| KeysFault::Refused(format!("{FILE} cannot be written: {error}")))?;
    Ok(format!("{HEAD}\n{body}"))
}

impl Record {
    /// What is to be known of this key.
    pub(super) fn of(key: &Key, file: &str, created: UnixTime) -> Record {
        let life = key.life();
        Record {
            id: key.id().to_owned(),
            file: file.to_owned(),
            alg: key.algorithm().name().to_owned(),
            thumbprint: key.thumbprint(),
            created: datetime(created),
            signs_from: life.signs_from.map(datetime),
            retires_at: life.retires_at.map(datetime),
        }
    }

    /// Changes the times.
    pub(super) fn live(&mut self, life: Life) {
        self.signs_from = life.signs_from.map(datetime);
        self.retires_at = life.retires_at.map(datetime);
    }

    pub(super) fn algorithm(&self) -> Algorithm {
        Algorithm::from_name(&self.alg).expect("checked when it was read")
    }

    pub(super) fn created(&self) -> UnixTime {
        unix(&self.created).expect("checked when it was read")
    }

    pub(super) fn life(&self) -> Life {
        Life {
            signs_from: self.signs_from.as_ref().and_then(unix),
            retires_at: self.retires_at.as_ref().and_then(unix),
        }
    }
}

fn unix(time: &Datetime) -> Option<UnixTime> {
    humantime::parse_rfc3339(&time.to_string()).ok().map(UnixTime::of)
}

fn datetime(time: UnixTime) -> Datetime {
    Datetime::from_str(&time.to_string()).expect("a UnixTime prints as RFC 3339")
}
