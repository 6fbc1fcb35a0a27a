//! Decimal numbers as the C2SP texts write them.

/// A number without sign and leading zeros; `None` for any other text or above 2^64 − 1.
pub(crate) fn parse(text: &str) -> Option<u64> {
    // The parser of the standard library takes a leading plus and leading zeros.
    let digits_only = text.bytes().all(|byte| byte.is_ascii_digit());
    let shortest = text == "0" || !text.starts_with('0');
    if digits_only && shortest { text.parse().ok() } else { None }
}
