//! The vendor's own encryption as a listener of `access`.

use access::{BoxedStream, Unwrapped, Wrap, Wrapped};
use aliyun::itls::{Itls, Refused};
use async_trait::async_trait;
use hub::edge::Peer;

/// Shakes hands for a listener.
pub(crate) struct Shaker(pub(crate) Itls);

#[async_trait]
impl Wrap for Shaker {
    async fn wrap(&self, stream: BoxedStream, peer: Peer) -> Result<Wrapped, Unwrapped> {
        match self.0.accept(stream, peer).await {
            Ok((stream, shaken)) => Ok(Wrapped {
                stream: Box::new(stream),
                shaken,
            }),
            Err(refused) => {
                let Refused {
                    stream,
                    words,
                    who,
                    why,
                } = refused;
                Err(Unwrapped {
                    stream,
                    words,
                    who,
                    why,
                })
            }
        }
    }
}
