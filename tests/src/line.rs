//! A connection whose end is an event and no failure, for clients that outlive servers and servers
//! that outlive clients.

use bytes::BytesMut;
use std::{
    io::{Error, ErrorKind, Read, Result, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    time::Duration,
};
use wire::mqtt::{ConnAck, Connect, Decoder, Packet, Properties, Property, Text, Version, encode};

/// How long CONNACK may take.
const HELLO: Duration = Duration::from_secs(20);

/// An open MQTT connection over TCP.
#[derive(Debug)]
pub struct Line {
    stream: TcpStream,
    decoder: Decoder,
    buffer: BytesMut,
    version: Version,
    /// How long a read waits now.
    patience: Duration,
}

impl Line {
    /// Connects and waits for the verdict.
    ///
    /// # Errors
    /// When the server is not there, goes away, or is silent.
    pub fn open(address: SocketAddr, connect: Connect) -> Result<(Self, ConnAck)> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(HELLO))?;
        stream.set_write_timeout(Some(HELLO))?;
        let version = connect.version;
        let mut line = Self {
            stream,
            decoder: Decoder::client(version, 1 << 20),
            buffer: BytesMut::new(),
            version,
            patience: HELLO,
        };
        line.send(&Packet::Connect(Box::new(connect)))?;
        match line.receive(HELLO)? {
            Some(Packet::ConnAck(verdict)) => Ok((line, verdict)),
            Some(other) => Err(Error::other(format!("no CONNACK but {other:?}"))),
            None => Err(ErrorKind::TimedOut.into()),
        }
    }

    /// Sends a packet.
    ///
    /// # Errors
    /// When the connection is broken.
    pub fn send(&mut self, packet: &Packet) -> Result<()> {
        let mut bytes = BytesMut::new();
        encode(packet, self.version, &mut bytes).map_err(Error::other)?;
        self.stream.write_all(&bytes)
    }

    /// The next packet; `None` when none came for so long.
    ///
    /// # Errors
    /// When the connection ended, or the server sent what it may not.
    pub fn receive(&mut self, patience: Duration) -> Result<Option<Packet>> {
        loop {
            let decoded = self.decoder.decode(&mut self.buffer);
            if let Some(packet) = decoded.map_err(Error::other)? {
                return Ok(Some(packet));
            }
            if patience != self.patience {
                self.stream.set_read_timeout(Some(patience))?;
                self.patience = patience;
            }
            let mut piece = [0; 16 * 1024];
            match self.stream.read(&mut piece) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(n) => self.buffer.extend_from_slice(&piece[..n]),
                Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    return Ok(None);
                }
                Err(e) => return Err(e),
            }
        }
    }

    /// Goes away without a word.
    pub fn break_off(&self) {
        _ = self.stream.shutdown(Shutdown::Both);
    }
}

/// A CONNECT without a login. A session that is kept is kept for an hour by a server of version 5.
pub fn hello(client_id: &str, version: Version, keep: bool) -> Connect {
    let mut properties = Properties::new();
    if keep && version == Version::V5 {
        properties.push(Property::SessionExpiryInterval(3_600));
    }
    Connect {
        version,
        clean_start: !keep,
        keep_alive: 60,
        client_id: Text::new(client_id.to_owned()).expect("a text"),
        will: None,
        username: None,
        password: None,
        properties,
    }
}
