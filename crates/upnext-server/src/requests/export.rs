//! Traces of requests for an OpenTelemetry collector: a span for each request, which continues the caller's trace.

use super::trace::Trace;
use crate::Error;
use async_trait::async_trait;
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::header::HOST;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use opentelemetry::trace::{
    Span, SpanContext, SpanId, SpanKind, Status, TraceContextExt, TraceFlags, TraceId, Tracer, TracerProvider,
};
use opentelemetry::{Context, KeyValue};
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::{SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{IdGenerator, RandomIdGenerator, SdkTracer, SdkTracerProvider};
use std::cell::Cell;
use std::time::{Duration, SystemTime};

/// Time for the collector to take spans.
const LIMIT: Duration = Duration::from_secs(5);

/// Sends spans in the background, some at a time; those that the collector does not take are lost.
#[derive(Debug)]
pub(crate) struct Exporter {
    provider: SdkTracerProvider,
    tracer: SdkTracer,
}

/// A request and its response.
pub(super) struct Answered<'a> {
    pub(super) method: &'static str,
    pub(super) route: &'a str,
    pub(super) status: u16,
    pub(super) duration: Duration,
    pub(super) request_id: &'a str,
}

impl Exporter {
    /// Starts the thread that sends spans to the collector at `endpoint`.
    ///
    /// # Errors
    /// [`upnext_core::Error::Config`] for an endpoint that is none.
    pub(crate) fn start(endpoint: &str) -> Result<Self, Error> {
        let url = format!("{}/v1/traces", endpoint.trim_end_matches('/'));
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(Client)
            .with_endpoint(url)
            .with_timeout(LIMIT);
        let exporter = exporter
            .build()
            .map_err(|error| upnext_core::Error::config("otlp_endpoint", error.to_string()))?;
        let resource = Resource::builder()
            .with_service_name("upnext")
            .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
            .build();
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(exporter)
            .with_resource(resource)
            .with_id_generator(Ids::default())
            .build();
        let tracer = provider.tracer("upnext");
        Ok(Self { provider, tracer })
    }

    /// Adds the span of a request, which is a part of the caller's trace, if there is one.
    pub(super) fn record(&self, trace: Option<&Trace>, answered: &Answered<'_>) {
        let ended = SystemTime::now();
        let parent = trace.map_or_else(Context::new, |trace| {
            let id = TraceId::from_hex(trace.id()).unwrap_or(TraceId::INVALID);
            let (span, flags) =
                (SpanId::from_bytes(trace.parent().to_be_bytes()), TraceFlags::new(trace.flags()));
            Context::new().with_remote_span_context(SpanContext::new(
                id,
                span,
                flags,
                true,
                Default::default(),
            ))
        });
        let builder = self
            .tracer
            .span_builder(format!("{} {}", answered.method, answered.route))
            .with_kind(SpanKind::Server)
            .with_start_time(ended - answered.duration)
            .with_attributes([
                KeyValue::new("http.request.method", answered.method),
                KeyValue::new("http.route", answered.route.to_owned()),
                KeyValue::new("http.response.status_code", i64::from(answered.status)),
                KeyValue::new("upnext.request_id", answered.request_id.to_owned()),
            ]);
        NEXT.set(trace.map_or(0, Trace::span));
        let mut span = builder.start_with_context(&self.tracer, &parent);
        if answered.status >= 500 {
            span.set_status(Status::error(answered.status.to_string()));
        }
        span.end_with_timestamp(ended);
    }

    /// Sends what is waiting.
    pub(crate) fn close(&self) {
        if let Err(error) = self.provider.shutdown() {
            tracing::warn!(%error, "the last traces are not sent");
        }
    }
}

thread_local! {
    /// The number that the next span of this thread gets, which its response has named already; 0: any.
    static NEXT: Cell<u64> = const { Cell::new(0) };
}

/// Numbers of spans.
#[derive(Debug, Default)]
struct Ids(RandomIdGenerator);

impl IdGenerator for Ids {
    fn new_trace_id(&self) -> TraceId {
        self.0.new_trace_id()
    }

    fn new_span_id(&self) -> SpanId {
        match NEXT.take() {
            0 => self.0.new_span_id(),
            number => SpanId::from_bytes(number.to_be_bytes()),
        }
    }
}

/// A client for the collector, whose requests are made in the thread that sends spans.
#[derive(Debug)]
struct Client;

#[async_trait]
impl HttpClient for Client {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        // That thread has no runtime.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async { tokio::time::timeout(LIMIT, sent(request)).await? })
    }
}

async fn sent(request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
    let authority = request.uri().authority().ok_or("the URL has no host")?.to_string();
    let port = request.uri().port_u16().unwrap_or(80);
    let host = request.uri().host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
    let stream = tokio::net::TcpStream::connect((host, port)).await?;
    let (mut client, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let (mut parts, body) = request.into_parts();
    parts.uri = parts.uri.path().parse()?;
    parts.headers.insert(HOST, authority.parse()?);
    let response = client.send_request(Request::from_parts(parts, Full::new(body))).await?;
    let (parts, body) = response.into_parts();
    Ok(Response::from_parts(parts, body.collect().await?.to_bytes()))
}
