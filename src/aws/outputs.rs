//! Outputs of a stack in the values of services: written `${aws.outputs.NAME}`, and known once the stack is deployed.

use std::collections::BTreeMap;

/// What a variable of an output is called, less the output's name.
pub const PREFIX: &str = "aws.outputs.";

/// What stands in a value until the output is known: the variable as it is written.
pub fn variable(output: &str) -> String {
    format!("${{{PREFIX}{output}}}")
}

/// The outputs that a text waits for, in their order.
pub fn uses(text: &str) -> Vec<&str> {
    let begin = "${aws.outputs.";
    text.match_indices(begin)
        .filter_map(|(at, _)| text[at + begin.len()..].split_once('}').map(|(name, _)| name))
        .collect()
}

/// The text with its outputs' values; the name of the first that there is not.
pub fn fill(text: &str, outputs: &BTreeMap<String, String>) -> Result<String, String> {
    let mut filled = text.to_owned();
    for name in uses(text) {
        let value = outputs.get(name).ok_or_else(|| name.to_owned())?;
        filled = filled.replace(&variable(name), value);
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outputs_are_found_and_filled_in() {
        let text = format!("a={},b={}", variable("OneUrl"), variable("TwoArn"));
        assert_eq!(uses(&text), ["OneUrl", "TwoArn"]);
        let mut outputs = BTreeMap::from([("OneUrl".to_owned(), "http://one".to_owned())]);
        assert_eq!(fill(&text, &outputs), Err("TwoArn".to_owned()));
        outputs.insert("TwoArn".to_owned(), "arn:two".to_owned());
        assert_eq!(fill(&text, &outputs).unwrap(), "a=http://one,b=arn:two");
        assert_eq!(fill("$HOME ${aws.outputs.", &outputs).unwrap(), "$HOME ${aws.outputs.");
    }
}
