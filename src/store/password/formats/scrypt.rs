//! scrypt (RFC 7914) as Werkzeug and Django write it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use scrypt::Params;

use super::{HashFault, OUTPUT_BYTES_MIN, Read, Scheme, number, unhex};

/// Most memory, in bytes: 128·N·r.
const MEMORY_MAX_BYTES: u64 = 256 << 20;
/// Most memory times parallelism, in bytes: one to two seconds of one core.
const WORK_MAX_BYTES: u64 = 512 << 20;
/// Less memory than this is weak, in bytes: half of what Werkzeug takes, and the most that Django's default needs.
const MEMORY_FAIR_BYTES: u64 = 16 << 20;
const OUTPUT_BYTES_MAX: usize = 64;

const MALFORMED: HashFault = HashFault::Malformed("a scrypt");

#[derive(Clone)]
pub(super) struct Scrypt {
    params: Params,
    salt: Vec<u8>,
    output_bytes: usize,
}

/// `scrypt:N:r:p$SALT$HEX`, of which the first part is taken away.
pub(super) fn werkzeug(rest: &str) -> Read {
    let all: Vec<&str> = rest.split(['$', ':']).collect();
    match all.as_slice() {
        [n, r, p, salt, output] if rest.matches('$').count() == 2 => {
            finish([n, r, p], salt, unhex(output))
        }
        _ => Err(MALFORMED),
    }
}

/// `scrypt$N$SALT$r$p$BASE64`, of which the first part is taken away.
pub(super) fn django(rest: &str) -> Read {
    let all: Vec<&str> = rest.split('$').collect();
    match all.as_slice() {
        [n, salt, r, p, output] => finish([n, r, p], salt, STANDARD.decode(output).ok()),
        _ => Err(MALFORMED),
    }
}

fn finish([n, r, p]: [&str; 3], salt: &str, output: Option<Vec<u8>>) -> Read {
    let read = |text: &str| number::<u32>(text).filter(|number| *number > 0).ok_or(MALFORMED);
    let (n, r, p) = (read(n)?, read(r)?, read(p)?);
    let memory = 128 * u128::from(n) * u128::from(r);
    if memory > MEMORY_MAX_BYTES.into() || memory * u128::from(p) > WORK_MAX_BYTES.into() {
        return Err(HashFault::TooCostly(
            "more than 256 MiB of scrypt, or more than 512 MiB over all lanes",
        ));
    }
    let output = output.filter(|output| output.len() <= OUTPUT_BYTES_MAX).ok_or(MALFORMED)?;
    if output.len() < OUTPUT_BYTES_MIN {
        return Err(HashFault::TooShort);
    }
    if !n.is_power_of_two() || n == 1 {
        return Err(MALFORMED);
    }
    let params = Params::new(n.ilog2() as u8, r, p).map_err(|_| MALFORMED)?;
    let output_bytes = output.len();
    Ok((Scheme::Scrypt(Scrypt { params, salt: salt.into(), output_bytes }), output))
}

impl Scrypt {
    pub(super) fn compute(&self, password: &[u8]) -> Option<Vec<u8>> {
        let mut output = vec![0; self.output_bytes];
        scrypt::scrypt(password, &self.salt, &self.params, &mut output).ok()?;
        Some(output)
    }

    pub(super) fn is_weak(&self) -> bool {
        self.memory() < MEMORY_FAIR_BYTES
    }

    pub(super) fn microseconds(&self) -> u64 {
        // A MiB takes about 2.5 ms.
        self.memory() * u64::from(self.params.p()) / 420
    }

    fn memory(&self) -> u64 {
        128 * self.params.n() * u64::from(self.params.r())
    }
}
