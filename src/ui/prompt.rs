//! A question to somebody at the terminal.

use std::{
    io::{self, BufRead},
    sync::Arc,
};

use tokio::sync::oneshot;

use super::{stream::Talk, style};

/// A question to somebody at the terminal; had from [`super::Ui::prompt`], where there is one.
pub struct Prompt {
    talk: Arc<Talk>,
}

impl Prompt {
    pub(super) const fn new(talk: Arc<Talk>) -> Self {
        Self { talk }
    }

    /// Asks for `expected` to be typed, and whether it was. Ctrl-C and the end of input are a no.
    ///
    /// Not to be asked while a reporter draws.
    pub async fn confirm_by_name(&self, question: &str, expected: &str) -> bool {
        self.ask(question, expected, || io::stdin().lock(), interrupted()).await
    }

    /// Asks for a yes; anything else is a no, Ctrl-C and the end of input as well.
    ///
    /// Not to be asked while a reporter draws.
    pub async fn yes(&self, question: &str) -> bool {
        self.ask_yes(question, || io::stdin().lock(), interrupted()).await
    }

    async fn ask_yes<R: BufRead>(
        &self,
        question: &str,
        input: impl FnOnce() -> R + Send + 'static,
        interrupt: impl Future<Output = ()>,
    ) -> bool {
        let request = format!("{} [y/N] ", style::literals(question));
        let line = self.line(&request, input, interrupt).await.unwrap_or_default();
        matches!(line.trim().to_ascii_lowercase().as_str(), "y" | "yes")
    }

    async fn ask<R: BufRead>(
        &self,
        question: &str,
        expected: &str,
        input: impl FnOnce() -> R + Send + 'static,
        interrupt: impl Future<Output = ()>,
    ) -> bool {
        self.talk.stream.write(&style::literals(question));
        let request = format!("type {} to confirm: ", style::literal(expected));
        self.line(&request, input, interrupt).await.is_some_and(|line| line.trim() == expected)
    }

    /// What is typed behind a text; none after an interrupt or the end of input.
    async fn line<R: BufRead>(
        &self,
        request: &str,
        input: impl FnOnce() -> R + Send + 'static,
        interrupt: impl Future<Output = ()>,
    ) -> Option<String> {
        self.talk.stream.begin_line(request);
        let (send, answer) = oneshot::channel();
        // A thread of its own, not the runtime's: after Ctrl-C nobody waits for it.
        let reader = std::thread::Builder::new().name("prompt".to_owned()).spawn(move || {
            let mut line = String::new();
            let read = input().read_line(&mut line);
            let _ = send.send(read.ok().filter(|bytes| *bytes > 0).map(|_| line));
        });
        if reader.is_err() {
            return None;
        }
        let line = tokio::select! {
            () = interrupt => None,
            line = answer => line.ok().flatten(),
        };
        if line.is_none() {
            // The cursor stands behind the question.
            self.talk.stream.write("");
        }
        line
    }
}

/// Without a handler Ctrl-C ends the process: a no as well.
async fn interrupted() {
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}

#[cfg(test)]
mod tests {
    use std::{future::pending, sync::atomic::AtomicUsize};

    use indicatif::{MultiProgress, ProgressDrawTarget};

    use super::{
        super::stream::{Buffer, Stream},
        *,
    };
    use crate::ui::{Options, Terminals, Ui};

    fn prompt() -> (Prompt, Buffer) {
        let err = Buffer::default();
        let talk = Talk {
            stream: Stream::new(Box::new(err.clone()), false),
            drawn: MultiProgress::with_draw_target(ProgressDrawTarget::hidden()),
            drawing: AtomicUsize::new(0),
        };
        (Prompt::new(Arc::new(talk)), err)
    }

    #[tokio::test]
    async fn only_the_name_itself_is_a_yes() {
        for (typed, yes) in
            [("ci\n", true), (" ci \r\n", true), ("ci", true), ("y\n", false), ("", false)]
        {
            let (prompt, err) = prompt();
            let question = "this deletes the data of `ci`";
            let said = prompt.ask(question, "ci", move || typed.as_bytes(), pending()).await;
            assert_eq!(said, yes, "{typed:?}");
            assert!(
                err.text().starts_with("this deletes the data of `ci`\ntype ci to confirm: "),
                "{}",
                err.text()
            );
        }
    }

    #[tokio::test]
    async fn only_yes_is_a_yes() {
        for (typed, yes) in
            [("y\n", true), ("Yes\r\n", true), ("\n", false), ("n\n", false), ("", false)]
        {
            let (prompt, err) = prompt();
            let said = prompt.ask_yes("write it?", move || typed.as_bytes(), pending()).await;
            assert_eq!(said, yes, "{typed:?}");
            assert!(err.text().starts_with("write it? [y/N] "), "{}", err.text());
        }
    }

    #[tokio::test]
    async fn ctrl_c_is_a_no_though_nothing_was_typed() {
        struct Silent(std::sync::mpsc::Receiver<()>);
        impl io::Read for Silent {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                let _ = self.0.recv();
                Ok(0)
            }
        }
        let (keep, silence) = std::sync::mpsc::channel();
        let (prompt, err) = prompt();
        let input = move || io::BufReader::new(Silent(silence));
        assert!(!prompt.ask("sure?", "ci", input, async {}).await);
        assert!(err.text().ends_with("confirm: \n"));
        drop(keep);
    }

    #[test]
    fn nobody_is_asked_without_a_terminal() {
        let over = |terminals| {
            let options = Options { terminals, ..Options::default() };
            let hidden = ProgressDrawTarget::hidden();
            Ui::over(options, Box::new(io::sink()), Box::new(io::sink()), hidden)
        };
        let both = Terminals { stdin: true, stderr: true, ..Terminals::default() };
        assert!(over(both).prompt().is_some());
        assert!(over(Terminals { stdin: false, ..both }).prompt().is_none());
        assert!(over(Terminals { stderr: false, ..both }).prompt().is_none());
    }
}
