//! An open connection as a stream of what its ends say.

use itls::{
    Alert, Kind, Receiver, Sender,
    record::{HEAD, Head, Said},
};
use model::port::Random;
use std::{
    io,
    ops::Range,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes for which room is made at a time, so that a client that announces a long record and sends
/// nothing of it costs nothing.
const STEP: usize = 4096;

/// A stream over another one. What is written is on its way once it is flushed.
pub struct Stream<S> {
    inner: S,
    sender: Sender,
    receiver: Receiver,
    random: Arc<dyn Random>,
    /// The record that is coming, or whose text is being read.
    input: Vec<u8>,
    /// Which of its bytes are text that was not read yet.
    text: Range<usize>,
    /// A record on its way out, and how much of it is gone.
    output: Vec<u8>,
    gone: usize,
    reading: Reading,
    closing: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Reading {
    Open,
    /// The other end has ended, or this one after an error.
    Over,
}

impl<S> Stream<S> {
    pub(super) fn new(
        inner: S,
        (sender, receiver): (Sender, Receiver),
        random: Arc<dyn Random>,
    ) -> Self {
        Self {
            inner,
            sender,
            receiver,
            random,
            input: Vec::new(),
            text: 0..0,
            output: Vec::new(),
            gone: 0,
            reading: Reading::Open,
            closing: false,
        }
    }

    /// Puts a record into `output`, which is empty.
    fn seal(&mut self, kind: Kind, text: &[u8]) -> io::Result<()> {
        let mut vector = [0; 16];
        self.random.fill(&mut vector);
        let mut output = vec![0; Sender::sealed_len(text.len())];
        let sealed = self.sender.seal(kind, text, &vector, &mut output);
        sealed.map_err(io::Error::other)?;
        (self.output, self.gone) = (output, 0);
        Ok(())
    }

    /// Takes the record that is whole in `input`.
    fn take(&mut self, kind: Kind) -> Result<(), End> {
        let said = self.receiver.take(kind, &mut self.input[HEAD..])?;
        match said {
            Said::Data { from, to } => self.text = HEAD + from..HEAD + to,
            Said::Nothing => self.input.clear(),
            Said::End(Alert::CloseNotify) => {
                self.input = Vec::new();
                self.reading = Reading::Over;
            }
            Said::End(alert) => return Err(End::Told(alert)),
        }
        Ok(())
    }
}

/// Why there is no more to read.
#[derive(Clone, Copy)]
enum End {
    /// To be told to the other end.
    Wrong(Alert),
    /// The other end told it.
    Told(Alert),
}

impl From<Alert> for End {
    fn from(alert: Alert) -> Self {
        End::Wrong(alert)
    }
}

impl<S: AsyncWrite + Unpin> Stream<S> {
    fn poll_out(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.gone < self.output.len() {
            let rest = &self.output[self.gone..];
            match ready!(Pin::new(&mut self.inner).poll_write(cx, rest))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                size => self.gone += size,
            }
        }
        (self.output, self.gone) = (Vec::new(), 0);
        Poll::Ready(Ok(()))
    }

    /// Ends the reading. The other end is told why if that can be done at once.
    fn fail(&mut self, cx: &mut Context<'_>, end: End) -> io::Error {
        self.reading = Reading::Over;
        self.input = Vec::new();
        match end {
            End::Told(alert) => io::Error::new(io::ErrorKind::ConnectionAborted, alert),
            End::Wrong(alert) => {
                let told = matches!(self.poll_out(cx), Poll::Ready(Ok(())))
                    && self.seal(Kind::Alert, &alert.bytes()).is_ok();
                if told {
                    let _ = self.poll_out(cx);
                }
                // Nothing but that is said any more.
                self.closing = true;
                io::Error::new(io::ErrorKind::InvalidData, alert)
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Stream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        loop {
            if !this.text.is_empty() {
                let size = this.text.len().min(buf.remaining());
                let from = this.text.start;
                buf.put_slice(&this.input[from..from + size]);
                this.text.start += size;
                if this.text.is_empty() {
                    this.input = Vec::new();
                }
                return Poll::Ready(Ok(()));
            }
            if this.reading == Reading::Over || buf.remaining() == 0 {
                return Poll::Ready(Ok(()));
            }
            let head = this.input.first_chunk().map(|head| Head::read(*head));
            let (need, kind) = match head {
                None => (HEAD, None),
                Some(Ok(head)) => (HEAD + head.len, Some(head.kind)),
                Some(Err(alert)) => return Poll::Ready(Err(this.fail(cx, alert.into()))),
            };
            let at = this.input.len();
            if let Some(kind) = kind
                && at == need
            {
                if let Err(end) = this.take(kind) {
                    return Poll::Ready(Err(this.fail(cx, end)));
                }
                continue;
            }
            this.input.resize(need.min(at + STEP), 0);
            let mut place = ReadBuf::new(&mut this.input[at..]);
            let read = Pin::new(&mut this.inner).poll_read(cx, &mut place);
            let size = place.filled().len();
            this.input.truncate(at + size);
            ready!(read)?;
            if size == 0 {
                this.reading = Reading::Over;
                if at > 0 {
                    return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
                }
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Stream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        ready!(this.poll_out(cx))?;
        if this.closing {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        if bytes.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let bytes = &bytes[..bytes.len().min(this.sender.most())];
        this.seal(Kind::Data, bytes)?;
        match this.poll_out(cx) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Ready(Ok(())) | Poll::Pending => Poll::Ready(Ok(bytes.len())),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_out(cx))?;
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        ready!(this.poll_out(cx))?;
        if !this.closing {
            this.closing = true;
            this.seal(Kind::Alert, &Alert::CloseNotify.bytes())?;
            ready!(this.poll_out(cx))?;
        }
        Pin::new(&mut this.inner).poll_shutdown(cx)
    }
}
