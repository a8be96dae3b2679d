//! Interpolation of one text: `$NAME`, `${NAME}`, `${NAME:-default}` and the other operators, nested; `$$` is `$`.

/// Nested deeper than this, a text is no template.
const MAX_DEPTH: usize = 50;

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    #[error("`{0}` is not a valid interpolation")]
    Invalid(String),
    #[error("the variable `{variable}` is not set{}", because(.reason))]
    Required { variable: String, reason: String },
    #[error("`aws` of envctl.yaml has no output `{0}`")]
    NoOutput(String),
}

/// Before the name of an output of the project's AWS stack: `${aws.outputs.OrdersQueueUrl}`, in braces only.
pub const OUTPUTS: &str = "aws.outputs.";

fn because(reason: &str) -> String {
    if reason.is_empty() { String::new() } else { format!(": {reason}") }
}

/// Where values come from.
pub type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// The text with all variables replaced; the names of those that are set nowhere and have no default are added to
/// `undefined`.
pub fn expand(
    text: &str,
    lookup: Lookup,
    undefined: &mut Vec<String>,
) -> Result<String, TemplateError> {
    if !text.contains('$') {
        return Ok(text.to_owned());
    }
    expand_at(text, lookup, undefined, 0)
}

fn expand_at(
    text: &str,
    lookup: Lookup,
    undefined: &mut Vec<String>,
    depth: usize,
) -> Result<String, TemplateError> {
    if depth > MAX_DEPTH {
        return Err(invalid(text));
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(dollar) = rest.find('$') {
        out.push_str(&rest[..dollar]);
        let after = &rest[dollar + 1..];
        let name = name_length(after);
        if let Some(escaped) = after.strip_prefix('$') {
            out.push('$');
            rest = escaped;
        } else if let Some(body) = after.strip_prefix('{') {
            let end = closing_brace(body).ok_or_else(|| invalid(&rest[dollar..]))?;
            let value = substitute(&body[..end], lookup, undefined, depth)?;
            out.push_str(&value.ok_or_else(|| invalid(&rest[dollar..]))?);
            rest = &body[end + 1..];
        } else if name > 0 {
            out.push_str(&value_of(&after[..name], lookup, undefined));
            rest = &after[name..];
        } else {
            out.push('$');
            rest = after;
        }
    }
    out.push_str(rest);
    Ok(out)
}

fn invalid(text: &str) -> TemplateError {
    TemplateError::Invalid(text.chars().take(60).collect())
}

/// How many bytes at the start are a variable's name.
fn name_length(text: &str) -> usize {
    if text.starts_with(|c: char| c.is_ascii_digit()) {
        return 0;
    }
    text.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(text.len())
}

/// The brace that closes a `${` whose body starts here; where braces do not balance, the last one.
fn closing_brace(body: &str) -> Option<usize> {
    let mut open = 1_usize;
    for (at, byte) in body.bytes().enumerate() {
        match byte {
            b'{' => open += 1,
            b'}' if open == 1 => return Some(at),
            b'}' => open -= 1,
            _ => {}
        }
    }
    body.rfind('}')
}

fn value_of(name: &str, lookup: Lookup, undefined: &mut Vec<String>) -> String {
    lookup(name).unwrap_or_else(|| {
        undefined.push(name.to_owned());
        String::new()
    })
}

/// What stands between the braces; `None` when it is not of the form NAME or NAME OPERATOR WORD.
fn substitute(
    body: &str,
    lookup: Lookup,
    undefined: &mut Vec<String>,
    depth: usize,
) -> Result<Option<String>, TemplateError> {
    let output = body.strip_prefix(OUTPUTS).map(name_length).filter(|length| *length > 0);
    let length = output.map_or_else(|| name_length(body), |length| OUTPUTS.len() + length);
    let (name, rest) = body.split_at(length);
    if name.is_empty() {
        return Ok(None);
    }
    if output.is_some() && lookup(name).is_none() {
        return Err(TemplateError::NoOutput(name[OUTPUTS.len()..].to_owned()));
    }
    if rest.is_empty() {
        return Ok(Some(value_of(name, lookup, undefined)));
    }
    let (empty_counts, operator) = match rest.strip_prefix(':') {
        Some(operator) => (true, operator),
        None => (false, rest),
    };
    let value = lookup(name);
    let is_set = value.as_ref().is_some_and(|value| !(empty_counts && value.is_empty()));
    let value = value.unwrap_or_default();
    let mut word = |word: &str| expand_at(word, lookup, undefined, depth + 1);
    match operator.as_bytes().first() {
        Some(b'-' | b'?') if is_set => Ok(Some(value)),
        Some(b'-') => word(&operator[1..]).map(Some),
        Some(b'+') if is_set => word(&operator[1..]).map(Some),
        Some(b'+') => Ok(Some(value)),
        Some(b'?') => {
            let reason = word(&operator[1..])?;
            Err(TemplateError::Required { variable: name.to_owned(), reason })
        }
        _ => Ok(None),
    }
}
