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
        let interrupt = async {
            // Without a handler Ctrl-C ends the process: a no as well.
            if tokio::signal::ctrl_c().await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        self.ask(question, expected, || io::stdin().lock(), interrupt).await
    }

    async fn ask<R: BufRead>(
        &self,
        question: &str,
        expected: &str,
        input: impl FnOnce() -> R + Send + 'static,
        interrupt: impl Future<Output = ()>,
    ) -> bool {
        let question = style::literals(question);
        self.talk.stream.write(&question);
        self.talk.stream.begin_line(&format!("type {} to confirm: ", style::literal(expected)));
        let (send, answer) = oneshot::channel();
        // A thread of its own, not the runtime's: after Ctrl-C nobody waits for it.
        let reader = std::thread::Builder::new().name("prompt".to_owned()).spawn(move || {
            let mut line = String::new();
            let read = input().read_line(&mut line);
            let _ = send.send(read.ok().filter(|bytes| *bytes > 0).map(|_| line));
        });
        if reader.is_err() {
            return false;
        }
        let line = tokio::select! {
            () = interrupt => None,
            line = answer => line.ok().flatten(),
        };
        if line.is_none() {
            // The cursor stands behind the question.
            self.talk.stream.write("");
        }
        line.is_some_and(|line| line.trim() == expected)
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
