//! A command line to its words, as Compose splits it.

use super::{
    super::node::{Node, Value},
    Context,
};

/// One text becomes the list of its words.
pub fn words(node: &mut Node, path: &str, context: &mut Context) {
    let Value::Text(line) = &node.value else { return };
    match split(line) {
        Ok((words, rest)) => {
            if let Some(rest) = rest {
                let message = format!(
                    "`{rest}` is left out, as Compose does: no shell reads this line; \
                     write [\"sh\", \"-c\", \"…\"]"
                );
                context.warn(node, path, message);
            }
            let words = words.into_iter().map(|word| Node::text(word, node)).collect();
            node.value = Value::List(words);
        }
        Err(()) => context.wrong(node, path, "a quote or parenthesis is not closed"),
    }
}

/// The words, and what follows an operator of the shell, which ends the command.
fn split(line: &str) -> Result<(Vec<String>, Option<&str>), ()> {
    let mut words = vec![];
    let mut word = String::new();
    let mut started = false;
    let mut rest = None;
    let (mut escaped, mut double, mut single, mut back, mut dollar) =
        (false, false, false, false, false);
    for (at, c) in line.char_indices() {
        if escaped {
            word.push(c);
            (escaped, started) = (false, true);
            continue;
        }
        match c {
            '\\' if !single => {
                escaped = true;
                continue;
            }
            ' ' | '\t' | '\r' | '\n' => {
                if single || double || back || dollar {
                    word.push(c);
                } else if started {
                    words.push(std::mem::take(&mut word));
                    started = false;
                }
                continue;
            }
            '`' if !single && !double && !dollar => back = !back,
            ')' if !single && !double && !back => dollar = !dollar,
            '(' if !single && !double && !back => {
                if dollar || !word.ends_with('$') {
                    return Err(());
                }
                dollar = true;
                word.push(c);
                continue;
            }
            '"' if !single && !dollar => {
                started |= double;
                double = !double;
                continue;
            }
            '\'' if !double && !dollar => {
                started |= single;
                single = !single;
                continue;
            }
            ';' | '&' | '|' | '<' | '>' if !(single || double || back || dollar) => {
                if c == '>' && word.starts_with(|c: char| c.is_ascii_digit()) {
                    started = false;
                }
                rest = Some(&line[at..]);
                break;
            }
            _ => {}
        }
        started = true;
        word.push(c);
    }
    if started {
        words.push(word);
    }
    if escaped || single || double || back || dollar { Err(()) } else { Ok((words, rest)) }
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn a_line_is_split_as_compose_splits_it() {
        for (line, words) in [
            ("echo  a b", vec!["echo", "a", "b"]),
            ("sh -c \"a && b\"", vec!["sh", "-c", "a && b"]),
            ("a 'b c' \"d\\\"e\" ''", vec!["a", "b c", "d\"e", ""]),
            ("a\\ b", vec!["a b"]),
            ("run && rm", vec!["run"]),
            ("", vec![]),
        ] {
            assert_eq!(split(line).unwrap().0, words, "{line}");
        }
        assert!(split("a 'b").is_err());
        assert!(split("a (b)").is_err());
    }
}
