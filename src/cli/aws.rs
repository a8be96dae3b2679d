//! `envctl aws`.

use jiff::Timestamp;

use super::{args::Waits, context::Context, error::CliError, exit::Exit};
use crate::{
    base::words,
    model::Color,
    ops::{self, OpsError},
};

/// The AWS resources of the project, on LocalStack or elsewhere
///
/// `aws:` of envctl.yaml describes them. `envctl durable up`, `envctl deploy` and `envctl up` deploy them as one
/// CloudFormation stack.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    of: Of,
}

#[derive(Debug, clap::Subcommand)]
enum Of {
    /// Show the stack, its resources, and where it is not what envctl.yaml says
    Status {
        #[command(flatten)]
        which: Which,
        /// Print it as JSON
        #[arg(long)]
        json: bool,
    },
    /// Print the outputs of the stack: `${aws.outputs.NAME}` in `environment:` of your Compose files
    Outputs {
        #[command(flatten)]
        which: Which,
        /// Print them as JSON
        #[arg(long)]
        json: bool,
    },
    /// Print the CloudFormation template that envctl.yaml comes to
    ///
    /// No engine is asked. Values of secrets are not in it: they are set once the stack is there.
    Template,
    /// Deploy the stack by itself, also where that removes or replaces resources
    Apply {
        #[command(flatten)]
        which: Which,
        #[command(flatten)]
        waits: Waits,
    },
    /// Look into queues, and move dead letters back
    #[command(subcommand)]
    Queue(Queue),
}

#[derive(Debug, clap::Subcommand)]
enum Queue {
    /// Show the messages of a queue without taking any
    Peek {
        /// The queue, as envctl.yaml calls it; `orders-dlq` is the dead-letter queue of `orders`
        name: String,
        #[command(flatten)]
        which: Which,
        /// Print them as JSON
        #[arg(long)]
        json: bool,
    },
    /// Move dead letters back to the queue that they came from
    Redrive {
        /// The queue, or its dead-letter queue
        name: String,
        #[command(flatten)]
        which: Which,
    },
}

#[derive(Debug, Clone, Copy, clap::Args)]
struct Which {
    /// The color, where each has a LocalStack of its own; without it the live one
    #[arg(long, value_name = "COLOR")]
    color: Option<Color>,
}

impl Args {
    pub const fn changes(&self) -> bool {
        matches!(self.of, Of::Apply { .. } | Of::Queue(Queue::Redrive { .. }))
    }
}

pub async fn run(context: &Context, args: &Args) -> Result<Exit, CliError> {
    let project = context.project()?;
    if let Of::Template = args.of {
        let aws = project.aws.as_ref().ok_or(OpsError::NoAws)?;
        context.ui.data(&aws.template.body);
        return Ok(Exit::Done);
    }
    let engine = context.engine().await?;
    match &args.of {
        Of::Template => {}
        Of::Status { which, json } => {
            let session = context.session(&engine, &project, &(), None);
            let status = ops::aws_status(&session, which.color).await?;
            if *json {
                context.ui.json(&status);
            } else {
                shown(context, &status);
            }
        }
        Of::Outputs { which, json } => {
            let session = context.session(&engine, &project, &(), None);
            let outputs = ops::aws_outputs(&session, which.color).await?;
            if *json {
                context.ui.json(&outputs);
            } else {
                let rows: Vec<[String; 2]> =
                    outputs.into_iter().map(|(name, value)| [name, value]).collect();
                context.ui.table(&["OUTPUT", "VALUE"], &rows);
            }
        }
        Of::Apply { which, waits } => {
            let reporter = context.ui.reporter("aws apply");
            let session = context.session(&engine, &project, &*reporter, Some(*waits));
            let plan = ops::aws_apply(&session, which.color).await?;
            drop(reporter);
            let done = if plan.is_empty() { "is as it shall be" } else { "is deployed" };
            let stack = project.aws.as_ref().map(|aws| aws.stack.as_str()).unwrap_or_default();
            context.ui.say(&format!("aws stack {stack} {done}"));
        }
        Of::Queue(Queue::Peek { name, which, json }) => {
            let session = context.session(&engine, &project, &(), None);
            let messages = ops::peek(&session, which.color, name).await?;
            if *json {
                context.ui.json(&messages);
            } else {
                let rows: Vec<[String; 5]> = messages.iter().map(row).collect();
                context.ui.table(&["SENT", "TRIES", "STATE", "ID", "BODY"], &rows);
                context.ui.say(&words::count(messages.len(), "message"));
            }
        }
        Of::Queue(Queue::Redrive { name, which }) => {
            let session = context.session(&engine, &project, &(), None);
            let moved = ops::redrive(&session, which.color, name).await?;
            let count = words::count(usize::try_from(moved).unwrap_or_default(), "dead letter");
            context.ui.say(&format!("moved {count} back"));
        }
    }
    Ok(Exit::Done)
}

fn row(message: &crate::aws::Message) -> [String; 5] {
    const SHOWN: usize = 80;
    let sent = Timestamp::from_second(message.sent).map(|time| time.to_string());
    let mut body: String = message.body.chars().take(SHOWN).collect();
    if message.body.chars().nth(SHOWN).is_some() {
        body.push('…');
    }
    let state = if message.visible { "waits" } else { "in hand" };
    [
        sent.unwrap_or_default(),
        message.received.to_string(),
        state.to_owned(),
        message.id.clone(),
        body.replace(['\n', '\r', '\t'], " "),
    ]
}

fn shown(context: &Context, status: &ops::AwsStatus) {
    let rows: Vec<[String; 4]> = status
        .resources
        .iter()
        .map(|it| [it.id.clone(), it.kind.clone(), it.status.clone(), it.name.clone()])
        .collect();
    context.ui.table(&["RESOURCE", "TYPE", "STATE", "NAME"], &rows);
    let state = status.status.as_deref().unwrap_or("not deployed");
    context.ui.say(&format!("aws stack {} on {}: {state}", status.stack, status.at));
    if !status.changes.is_empty() {
        context.ui.say(&format!("a deployment {}", status.changes));
    }
    for (what, names) in
        [("another value", &status.secrets), ("not asked to be verified", &status.identities)]
    {
        if !names.is_empty() {
            context.ui.say(&format!("{what}: {}", names.join(", ")));
        }
    }
}
