//! One call of a worker with several callers' rows, and each caller's share of the answer.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use http::StatusCode;
use tokio::time::{Instant, timeout_at};

use super::super::admission::Place;
use super::super::attempt::{Answered, Question};
use super::super::exchange::Exchange;
use super::super::stack::VersionStack;
use super::turn::{Asked, Share};
use crate::error::{ApiError, ErrorCode};
use crate::protocol::merge::{join, split};
use crate::protocol::{AnswerShape, Translation};

/// An answer to all that is longer is not waited for: alone, each is streamed.
const LONGEST_ANSWER: usize = 8 << 20;

/// Why there are no shares. Each request can still be asked alone.
#[derive(Debug)]
pub(super) enum Failed {
    /// There was no worker to ask: that says nothing about the rows.
    Unasked,
    /// The worker died, broke off, or took too long.
    Unanswered,
    /// It answered something else than 200.
    Status(StatusCode),
    /// It answered something else than one item for each row.
    NotByRow,
}

impl Failed {
    /// Why nothing came.
    fn before_an_answer(error: &ApiError) -> Self {
        match error.code {
            ErrorCode::TemporarilyUnavailable => Self::Unasked,
            _ => Self::Unanswered,
        }
    }

    /// Whether other rows might have been answered.
    pub(super) fn is_for_its_rows(&self) -> bool {
        !matches!(self, Self::Unasked)
    }
}

/// Asks about the rows of all requests at once. Everything that one request has to fear of a worker is feared here once for all
/// of them, until `deadline`.
pub(super) async fn together(
    stack: &Arc<VersionStack>,
    requests: &[Asked],
    place: Place,
    deadline: Instant,
) -> Result<Vec<Share>, Failed> {
    let began = Instant::now();
    let question = question(requests).ok_or(Failed::NotByRow)?;
    let rows: Vec<usize> = requests.iter().map(|asked| asked.rows.rows()).collect();
    let count = u32::try_from(requests.len()).unwrap_or(u32::MAX);
    let mut exchange = Exchange::of_batch(place, Arc::clone(stack), count, deadline);
    let trails: Vec<_> = requests.iter().map(|asked| asked.trail.clone()).collect();
    let answered = question.ask(stack, &mut exchange, &trails).await;
    let Answered { head, .. } = answered.map_err(|error| Failed::before_an_answer(&error))?;
    if head.status == StatusCode::GATEWAY_TIMEOUT {
        // As for one request.
        exchange.leaves_a_thread();
    }
    let body = whole(&mut exchange).await;
    if head.status != StatusCode::OK {
        return Err(Failed::Status(head.status));
    }
    let body = body.map_err(|NotWhole| Failed::Unanswered)?;
    let bodies = split(&body, &rows).ok_or(Failed::NotByRow)?;
    let head = Arc::new(head);
    let share = |body| Share {
        head: Arc::clone(&head),
        body,
        began,
    };
    Ok(bodies.into_iter().map(share).collect())
}

fn question(requests: &[Asked]) -> Option<Question> {
    let first = requests.first()?;
    let rows: Vec<_> = requests.iter().map(|asked| asked.rows.clone()).collect();
    let translation = Translation {
        content_type: first.rows.content_type(),
        body: join(&rows)?,
        answer: AnswerShape::AsItIs,
    };
    let memory: Vec<_> = requests
        .iter()
        .map(|asked| Arc::clone(&asked.memory))
        .collect();
    Some(Question::together(
        first.dialect,
        translation,
        first.headers.clone(),
        requests.len(),
        Arc::new(memory),
    ))
}

/// The answer is too long, or broke off, or came too late.
#[derive(Debug)]
struct NotWhole;

async fn whole(exchange: &mut Exchange) -> Result<Bytes, NotWhole> {
    let mut body = BytesMut::new();
    loop {
        let Ok(frame) = timeout_at(exchange.deadline(), exchange.frame()).await else {
            return Err(NotWhole);
        };
        let Some(frame) = frame.transpose().map_err(|_| NotWhole)? else {
            return Ok(body.freeze());
        };
        let piece = frame.into_data().unwrap_or_default();
        if exchange.has_ended() && body.is_empty() {
            return Ok(piece);
        }
        body.extend_from_slice(&piece);
        if body.len() > LONGEST_ANSWER {
            return Err(NotWhole);
        }
    }
}
