//! What a caller brings into the queue of a version, and what it gets there.

use std::hash::Hash;
use std::sync::Arc;

use bytes::Bytes;
use http::response::Parts;
use http::{HeaderMap, HeaderValue, Response, header};
use serving_core::{Demand, WaitingCaller};
use tokio::time::Instant;

use super::super::admission::{Place, Waiting};
use super::super::answer;
use super::super::body::Body;
use super::super::body_memory::Held;
use super::super::cutoff::Cutoff;
use super::super::metrics::Counted;
use super::share_body;
use crate::protocol::merge::{MergeKey, Mergeable};
use crate::protocol::{AnswerShape, Dialect, rewrite_whole};
use crate::telemetry::{Queued, Trail};

/// What requests must have in common to share a call.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Company {
    pub(super) rows: MergeKey,
    pub(super) dialect: Dialect,
    /// A model could look at it.
    pub(super) accept: Vec<HeaderValue>,
}

/// A request that waits for a slot.
#[derive(Debug)]
pub(super) struct Item {
    pub(super) asked: Asked,
    /// `None` once it has been handed out.
    pub(super) waits: Option<Waits>,
}

/// What a worker has to know of it.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) rows: Mergeable,
    pub(super) dialect: Dialect,
    /// How its client expects the answer.
    pub(super) shape: AnswerShape,
    pub(super) headers: HeaderMap,
    pub(super) trail: Trail,
    /// What the request holds of the memory: its client may go before the worker is done.
    pub(super) memory: Held,
}

/// That it waits, in all books; until it is dropped.
#[derive(Debug)]
pub(super) struct Waits {
    pub(super) _noted: Queued,
    pub(super) _counted: Counted,
    pub(super) _place: Waiting,
    pub(super) _demand: WaitingCaller<Arc<Demand>>,
}

/// What a caller hears from the queue.
#[derive(Debug)]
pub(super) enum Heard {
    /// It has a slot for itself.
    Alone(Place),
    /// Its rows were asked about together with others.
    Shared(Share),
    /// They could not be; it goes alone as soon as it can.
    Again,
}

/// One caller's part of an answer.
#[derive(Clone, Debug)]
pub(super) struct Share {
    pub(super) head: Arc<Parts>,
    pub(super) body: Bytes,
    /// When the worker was asked.
    pub(super) began: Instant,
}

/// How a request goes on.
#[derive(Debug)]
pub(in crate::data_plane) enum Turn {
    /// It is put to a worker.
    Alone(Place),
    /// It has been.
    Shared(SharedAnswer),
}

/// An answer that came with those of others.
#[derive(Debug)]
pub(in crate::data_plane) struct SharedAnswer {
    pub(super) share: Share,
    /// How this client expects it.
    pub(super) shape: AnswerShape,
}

impl Asked {
    /// What a model may look at besides the rows.
    pub(super) fn treatment(&self) -> impl Hash + '_ {
        let accept = self.headers.get_all(header::ACCEPT);
        let accept: Vec<&HeaderValue> = accept.iter().collect();
        (self.dialect, self.rows.treatment(), accept)
    }

    pub(super) fn company(&self) -> Company {
        let accept = self.headers.get_all(header::ACCEPT);
        Company {
            rows: self.rows.key().clone(),
            dialect: self.dialect,
            accept: accept.iter().cloned().collect(),
        }
    }
}

impl SharedAnswer {
    /// When the worker was asked.
    pub(in crate::data_plane) fn began(&self) -> Instant {
        self.share.began
    }

    /// Bytes of the worker's answer to this request.
    pub(in crate::data_plane) fn size(&self) -> usize {
        self.share.body.len()
    }

    /// As the worker would have answered this request alone; `cutoff` is of the connection that takes it until `deadline`.
    pub(in crate::data_plane) fn into_response(
        self,
        deadline: Instant,
        cutoff: Option<&Cutoff>,
    ) -> Response<Body> {
        let Share { head, body, .. } = self.share;
        let mut headers = answer::headers(head.headers.clone(), self.shape);
        if headers.contains_key(header::CONTENT_LENGTH) {
            // That was the length of all parts together.
            headers.insert(header::CONTENT_LENGTH, body.len().into());
        }
        let body = share_body::body(rewrite_whole(self.shape, body), deadline, cutoff);
        let mut response = Response::new(body);
        *response.status_mut() = head.status;
        *response.headers_mut() = headers;
        response
    }
}
