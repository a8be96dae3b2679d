//! Aligned columns, and the words that stand in them.

use std::time::Duration;

use super::style;

/// Aligned columns under their headers; cells may be colored.
pub fn table<R: AsRef<[String]>>(headers: &[&str], rows: &[R]) -> String {
    let headers: Vec<String> = headers.iter().map(|header| style::bold(header)).collect();
    let all = || std::iter::once(headers.as_slice()).chain(rows.iter().map(AsRef::as_ref));
    let columns = all().map(<[String]>::len).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns)
        .map(|column| {
            all()
                .filter_map(|row| row.get(column))
                .map(|cell| style::width(cell))
                .max()
                .unwrap_or(0)
        })
        .collect();
    let mut out = String::new();
    for row in all() {
        // Spaces are owed until a cell follows: no line ends in them.
        let mut owed = 0;
        for (cell, width) in row.iter().zip(&widths) {
            let used = style::width(cell);
            if used > 0 {
                out.extend(std::iter::repeat_n(' ', owed));
                out.push_str(cell);
                owed = 0;
            }
            owed += width - used + 2;
        }
        out.push('\n');
    }
    out
}

/// `just now`, `40 s ago`, `5 min ago`, `3 h ago`, `2 days ago`.
pub fn ago(time: Duration) -> String {
    match time.as_secs() {
        0..5 => "just now".to_owned(),
        seconds @ 5..60 => format!("{seconds} s ago"),
        seconds @ 60..3600 => format!("{} min ago", seconds / 60),
        seconds @ 3600..172_800 => format!("{} h ago", seconds / 3600),
        seconds => format!("{} days ago", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(text: &str) -> String {
        anstream::adapter::strip_str(text).to_string()
    }

    #[test]
    fn columns_line_up_by_what_is_seen() {
        let rows = [
            ["api".to_owned(), style::good("healthy"), "0".to_owned()],
            ["日本-web".to_owned(), style::bad("exited"), String::new()],
            ["redis".to_owned(), String::new(), "12".to_owned()],
        ];
        insta::assert_snapshot!(plain(&table(&["SERVICE", "HEALTH", "RESTARTS"], &rows)), @r"
        SERVICE   HEALTH   RESTARTS
        api       healthy  0
        日本-web  exited
        redis              12
        ");
    }

    #[test]
    fn a_table_without_rows_is_its_headers() {
        assert_eq!(plain(&table::<[String; 0]>(&["A", "B"], &[])), "A  B\n");
    }

    #[test]
    fn times_past_read_as_people_say_them() {
        let words: Vec<String> =
            [0, 40, 300, 10_800, 200_000].map(|s| ago(Duration::from_secs(s))).into();
        assert_eq!(words, ["just now", "40 s ago", "5 min ago", "3 h ago", "2 days ago"]);
    }
}
