//! A terminal in memory, for tests: what stands on it, and how often it was drawn.

use std::{
    io::{self, Write},
    sync::{Arc, Mutex},
};

use indicatif::TermLike;

use crate::ui::stream::lock;

/// Both a terminal to draw on and a stream to write to, as stderr is. Knows no escape sequences.
#[derive(Debug, Clone)]
pub struct Screen {
    width: usize,
    height: usize,
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    rows: Vec<Vec<char>>,
    row: usize,
    column: usize,
    draws: usize,
}

impl Screen {
    pub fn new(width: usize, height: usize) -> Self {
        let state = State { rows: vec![vec![]], row: 0, column: 0, draws: 0 };
        Self { width, height, state: Arc::new(Mutex::new(state)) }
    }

    /// All lines, those that scrolled away too.
    pub fn lines(&self) -> Vec<String> {
        let rows = &lock(&self.state).rows;
        let text = |row: &Vec<char>| row.iter().collect::<String>().trim_end().to_owned();
        let mut lines: Vec<String> = rows.iter().map(text).collect();
        while lines.last().is_some_and(String::is_empty) {
            lines.pop();
        }
        lines
    }

    pub fn text(&self) -> String {
        self.lines().join("\n")
    }

    pub fn draws(&self) -> usize {
        lock(&self.state).draws
    }

    fn put(&self, text: &str) {
        let state = &mut *lock(&self.state);
        for c in text.chars() {
            // A full row wraps when the next character comes, not before.
            if c == '\n' || (c != '\r' && state.column == self.width) {
                state.row += 1;
                state.column = 0;
            }
            if state.row == state.rows.len() {
                state.rows.push(vec![]);
            }
            match c {
                '\n' => {}
                '\r' => state.column = 0,
                c => {
                    let row = &mut state.rows[state.row];
                    row.resize(row.len().max(state.column + 1), ' ');
                    row[state.column] = c;
                    state.column += 1;
                }
            }
        }
    }
}

impl TermLike for Screen {
    fn width(&self) -> u16 {
        self.width.try_into().unwrap()
    }

    fn height(&self) -> u16 {
        self.height.try_into().unwrap()
    }

    fn move_cursor_up(&self, n: usize) -> io::Result<()> {
        let state = &mut *lock(&self.state);
        let top = state.rows.len().saturating_sub(self.height);
        state.row = state.row.saturating_sub(n).max(top);
        Ok(())
    }

    fn move_cursor_down(&self, n: usize) -> io::Result<()> {
        let state = &mut *lock(&self.state);
        state.row = (state.row + n).min(state.rows.len() - 1);
        Ok(())
    }

    fn move_cursor_right(&self, _: usize) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn move_cursor_left(&self, _: usize) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn write_line(&self, text: &str) -> io::Result<()> {
        self.put(text);
        self.put("\n");
        Ok(())
    }

    fn write_str(&self, text: &str) -> io::Result<()> {
        self.put(text);
        Ok(())
    }

    fn clear_line(&self) -> io::Result<()> {
        let state = &mut *lock(&self.state);
        let row = state.row;
        state.rows[row].clear();
        state.column = 0;
        Ok(())
    }

    fn flush(&self) -> io::Result<()> {
        lock(&self.state).draws += 1;
        Ok(())
    }
}

impl Write for Screen {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.put(std::str::from_utf8(bytes).unwrap());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
