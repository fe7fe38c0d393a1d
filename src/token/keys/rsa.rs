//! What makes an RSA public key too weak to be believed, whoever offers it.

use super::KeyFault;

/// Fewest bits of a modulus (RFC 7518 §3.3).
const MODULUS_BITS_MIN: usize = 2048;
/// Most bits of a modulus: a check takes longer with each, and no issuer uses more.
const MODULUS_BITS_MAX: usize = 8192;
/// Most bits of a public exponent: larger ones only cost time.
const EXPONENT_BITS_MAX: usize = 33;

/// The primes by which moduli of the ROCA kind are known (CVE-2017-15361): modulo each of them they are powers
/// of 65537.
const ROCA_PRIMES: [u64; 38] = [
    3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97,
    101, 103, 107, 109, 113, 127, 131, 137, 139, 149, 151, 157, 163, 167,
];

/// Judges a modulus and an exponent, both big-endian.
///
/// # Errors
/// [`KeyFault`] says what is wrong.
pub(super) fn check_public(modulus: &[u8], exponent: &[u8]) -> Result<(), KeyFault> {
    if bits(modulus) < MODULUS_BITS_MIN {
        return Err(KeyFault("the RSA key has fewer than 2048 bits"));
    }
    if bits(modulus) > MODULUS_BITS_MAX {
        return Err(KeyFault("the RSA key has more than 8192 bits"));
    }
    let odd = exponent.last().is_some_and(|byte| byte % 2 == 1);
    // An exponent of 1 makes every message its own signature.
    if !odd || bits(exponent) < 2 || bits(exponent) > EXPONENT_BITS_MAX {
        return Err(KeyFault("the RSA key's exponent is not an odd number from 3 to 2^33"));
    }
    if is_roca(modulus) {
        return Err(KeyFault(
            "the RSA key was made by a generator whose keys can be factored (CVE-2017-15361); make a new one",
        ));
    }
    Ok(())
}

fn bits(number: &[u8]) -> usize {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    number.get(zeros).map_or(0, |first| (number.len() - zeros) * 8 - first.leading_zeros() as usize)
}

fn is_roca(modulus: &[u8]) -> bool {
    ROCA_PRIMES.iter().all(|prime| {
        let rest = modulus.iter().fold(0, |rest, byte| (rest * 256 + u64::from(*byte)) % prime);
        let mut power = 1;
        (0..*prime).any(|_| {
            power = power * 65537 % prime;
            power == rest
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn modulus(bits: usize) -> Vec<u8> {
        let mut modulus = vec![0x35; bits / 8];
        modulus[0] = 0xC7;
        modulus
    }

    #[test]
    fn weak_keys_are_refused() {
        let good = [1, 0, 1];
        assert!(check_public(&modulus(2048), &good).is_ok());
        assert!(check_public(&modulus(2048), &[3]).is_ok());
        assert!(check_public(&modulus(2040), &good).is_err());
        assert!(check_public(&[vec![0; 8], modulus(2040)].concat(), &good).is_err());
        assert!(check_public(&modulus(8200), &good).is_err());
        for exponent in [&[][..], &[0], &[1], &[0, 1], &[2], &[1, 0, 0], &[2, 0, 0, 0, 1]] {
            assert!(check_public(&modulus(2048), exponent).is_err(), "{exponent:?}");
        }
    }

    #[test]
    fn powers_of_65537_modulo_every_small_prime_are_roca() {
        // 65537 to the 200th is a power modulo every prime.
        let mut number = vec![1_u8];
        for _ in 0..200 {
            let mut carry = 0_u64;
            for byte in number.iter_mut().rev() {
                let product = u64::from(*byte) * 65537 + carry;
                *byte = (product & 0xFF) as u8;
                carry = product >> 8;
            }
            while carry > 0 {
                number.insert(0, (carry & 0xFF) as u8);
                carry >>= 8;
            }
        }
        assert!(is_roca(&number));
        assert!(check_public(&number, &[1, 0, 1]).is_err());
        assert!(!is_roca(&modulus(2048)));
    }
}
