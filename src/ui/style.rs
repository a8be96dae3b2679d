//! Colors and marks: green success, red failure, yellow warning, cyan hints and literals. A text reads the same without.

use std::time::Duration;

use anstyle::{AnsiColor, Style};

use crate::base::words;

const GOOD: Style = AnsiColor::Green.on_default();
const BAD: Style = AnsiColor::Red.on_default();
const CAREFUL: Style = AnsiColor::Yellow.on_default();
const LITERAL: Style = AnsiColor::Cyan.on_default();

pub fn good(text: &str) -> String {
    paint(GOOD, text)
}

pub fn bad(text: &str) -> String {
    paint(BAD, text)
}

pub fn careful(text: &str) -> String {
    paint(CAREFUL, text)
}

/// A name, a command, an address: what is to be typed or copied as it stands.
pub fn literal(text: &str) -> String {
    paint(LITERAL, text)
}

pub fn bold(text: &str) -> String {
    paint(Style::new().bold(), text)
}

pub fn dim(text: &str) -> String {
    paint(Style::new().dimmed(), text)
}

/// Colors what stands in backticks.
pub fn literals(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        let mut rest = line;
        while let Some((before, opened)) = rest.split_once('`')
            && let Some((inside, after)) = opened.split_once('`')
        {
            out.push_str(before);
            out.push_str(&literal(&format!("`{inside}`")));
            rest = after;
        }
        out.push_str(rest);
    }
    out
}

pub(super) fn error_label() -> String {
    paint(BAD.bold(), "error:")
}

pub(super) fn warning_label() -> String {
    paint(CAREFUL.bold(), "warning:")
}

pub(super) fn hint_label() -> String {
    paint(LITERAL.bold(), "hint:")
}

fn paint(style: Style, text: &str) -> String {
    if text.is_empty() { String::new() } else { format!("{style}{text}{style:#}") }
}

/// Removes escape sequences and control characters, which a log of a container may hold; line ends stay.
pub fn clean(text: &str) -> String {
    anstream::adapter::strip_str(text)
        .to_string()
        .replace('\t', "    ")
        .replace(|c: char| c.is_control() && c != '\n', "")
}

/// What a terminal would show of one line: a tool that rewrites its line with `\r` leaves the last text.
pub(super) fn clean_line(line: &str) -> String {
    let last = line.rsplit(['\r', '\n']).find(|part| !part.trim().is_empty());
    clean(last.unwrap_or_default()).trim_end().to_owned()
}

/// Columns on a terminal, escape sequences left out.
pub(super) fn width(text: &str) -> usize {
    let plain = anstream::adapter::strip_str(text).to_string();
    unicode_width::UnicodeWidthStr::width(plain.as_str())
}

/// The text within so many columns, `…` where it was cut; colors end with it.
pub(super) fn crop(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    console::truncate_str(text, columns, "…").into_owned()
}

/// `0.3 s`, then as [`words::duration`] has it: a running count does not jump from unit to unit.
pub(super) fn seconds(time: Duration) -> String {
    if time < Duration::from_secs(60) {
        format!("{:.1} s", time.as_secs_f64())
    } else {
        words::duration(time)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_in_backticks_is_colored_and_a_lone_backtick_is_left() {
        assert_eq!(
            literals("type `a b` or `c`, it`s"),
            "type \u{1b}[36m`a b`\u{1b}[0m or \u{1b}[36m`c`\u{1b}[0m, it`s"
        );
        assert_eq!(literals("one ` here\nand ` there"), "one ` here\nand ` there");
    }

    #[test]
    fn a_foreign_text_cannot_steer_the_terminal() {
        assert_eq!(clean("a\u{1b}[2J\u{1b}]0;title\u{7}b\u{8}\r\nc"), "ab\nc");
        assert_eq!(clean_line(" 10%\r 50%\r100% done \r"), "100% done");
        assert_eq!(clean_line(""), "");
    }

    #[test]
    fn widths_are_columns() {
        assert_eq!(width(&good("grün")), 4);
        assert_eq!(width("日本"), 4);
    }

    #[test]
    fn a_running_count_keeps_its_unit() {
        assert_eq!(seconds(Duration::from_millis(312)), "0.3 s");
        assert_eq!(seconds(Duration::from_secs(65)), "1 min 5 s");
    }
}
