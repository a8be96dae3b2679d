//! What a plain YAML scalar means: null, true or false, a number, or text.

use super::node::Value;

/// Resolves a scalar that stands without quotes, by the rules of the YAML reader that Compose uses.
pub fn plain(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "true" | "True" | "TRUE" => return Value::Bool(true),
        "false" | "False" | "FALSE" => return Value::Bool(false),
        ".nan" | ".NaN" | ".NAN" => return Value::Float(f64::NAN),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => {
            return Value::Float(f64::INFINITY);
        }
        "-.inf" | "-.Inf" | "-.INF" => return Value::Float(f64::NEG_INFINITY),
        _ => {}
    }
    if !text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.')) {
        return Value::Text(text.to_owned());
    }
    let digits = text.replace('_', "");
    if let Some(number) = whole(&digits) {
        return Value::Int(number);
    }
    if is_float(&digits)
        && !(digits.len() > 18 && digits.bytes().all(|b| b.is_ascii_digit()))
        && let Ok(number) = digits.parse()
    {
        return Value::Float(number);
    }
    Value::Text(text.to_owned())
}

/// A whole number in base 10, `0x` 16, `0o` or `0` 8, `0b` 2.
fn whole(text: &str) -> Option<i64> {
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    if digits.starts_with(['+', '-']) {
        return None;
    }
    let lower = digits.to_ascii_lowercase();
    let magnitude = if let Some(hex) = lower.strip_prefix("0x") {
        i128::from_str_radix(hex, 16)
    } else if let Some(binary) = lower.strip_prefix("0b") {
        i128::from_str_radix(binary, 2)
    } else if let Some(octal) = lower.strip_prefix("0o") {
        i128::from_str_radix(octal, 8)
    } else if lower.len() > 1 && lower.starts_with('0') {
        i128::from_str_radix(&lower, 8)
    } else {
        lower.parse::<i128>()
    }
    .ok()?;
    i64::try_from(if negative { -magnitude } else { magnitude }).ok()
}

/// `[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`
fn is_float(text: &str) -> bool {
    let text = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (number, exponent) = match text.split_once(['e', 'E']) {
        Some((number, exponent)) => (number, Some(exponent)),
        None => (text, None),
    };
    let all_digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    let (before, after) = number.split_once('.').unwrap_or((number, ""));
    let number_fits =
        all_digits(before) && all_digits(after) && !(before.is_empty() && after.is_empty());
    number_fits
        && exponent.is_none_or(|exponent| {
            let digits = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
            !digits.is_empty() && all_digits(digits)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_scalars_mean_what_compose_takes_them_for() {
        for (text, value) in [
            ("5", Value::Int(5)),
            ("-5", Value::Int(-5)),
            ("0440", Value::Int(0o440)),
            ("0o17", Value::Int(15)),
            ("0x1F", Value::Int(31)),
            ("1_000", Value::Int(1000)),
            ("08", Value::Float(8.0)),
            ("1e3", Value::Float(1000.0)),
            (".5", Value::Float(0.5)),
            ("5.", Value::Float(5.0)),
            ("~", Value::Null),
            ("True", Value::Bool(true)),
        ] {
            assert_eq!(plain(text), value, "{text}");
        }
        for text in ["yes", "on", "80:80", "1.2.3", "-", "+", ".", "1e", "2024-01-01", "0b2", "--5"]
        {
            assert_eq!(plain(text), Value::Text(text.to_owned()), "{text}");
        }
    }
}
