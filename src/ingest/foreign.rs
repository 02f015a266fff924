//! Names and numbers of protocols that are not Prometheus's.
//!
//! ```text
//! metric_name("shop.checkout-time")  shop_checkout_time
//! metric_name("2xx")                 _2xx
//! label_name("région")               r_gion
//! ```
//!
//! Always true: what comes out can be asked for without quotes, in every version of PromQL.

use std::borrow::Cow;

/// A name that a metric can have: every character that Prometheus's old rules do not allow becomes `_`. Empty stays
/// empty.
pub(super) fn metric_name(name: &str) -> Cow<'_, str> {
    sanitised(name, |letter| letter.is_ascii_alphanumeric() || matches!(letter, '_' | ':'))
}

/// A name that a label can have, by the same rules less the colon.
pub(super) fn label_name(name: &str) -> Cow<'_, str> {
    sanitised(name, |letter| letter.is_ascii_alphanumeric() || letter == '_')
}

fn sanitised(name: &str, allowed: impl Fn(char) -> bool) -> Cow<'_, str> {
    let begins_with_digit = name.as_bytes().first().is_some_and(u8::is_ascii_digit);
    if !begins_with_digit && name.chars().all(&allowed) {
        return Cow::Borrowed(name);
    }
    let mut clean = String::with_capacity(name.len() + 1);
    if begins_with_digit {
        clean.push('_');
    }
    clean.extend(name.chars().map(|letter| if allowed(letter) { letter } else { '_' }));
    Cow::Owned(clean)
}

/// A finite decimal number, such as `-1.5e3`. Rust would read `inf` and `nan` too, which these protocols do not know.
pub(super) fn number(text: &str) -> Option<f64> {
    let is_plain = |byte: u8| byte.is_ascii_digit() || matches!(byte, b'.' | b'+' | b'-' | b'e' | b'E');
    if !text.bytes().all(is_plain) {
        return None;
    }
    text.parse().ok().filter(|number: &f64| number.is_finite())
}
