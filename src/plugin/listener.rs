//! Where the provider listens: a Unix socket in a directory of its own, or TCP on the loopback address where the
//! platform has no Unix sockets.

use std::{
    io,
    path::PathBuf,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpListener,
};
use tonic::transport::server::Connected;

use super::environment::Environment;

/// Why the provider cannot listen.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ListenError {
    /// No directory for the socket.
    #[error("creating a directory for the socket in {}", parent.display())]
    Directory {
        /// Where it should have been.
        parent: PathBuf,
        /// The operating system's answer.
        source: io::Error,
    },
    /// The socket could not be made.
    #[error("listening on {}", path.display())]
    Socket {
        /// Path of the socket.
        path: PathBuf,
        /// The operating system's answer.
        source: io::Error,
    },
    /// The group of `PLUGIN_UNIX_SOCKET_GROUP` is not known here.
    #[error(
        "PLUGIN_UNIX_SOCKET_GROUP: there is no group {group:?} in /etc/group; a group number works too"
    )]
    UnknownGroup {
        /// As given.
        group: String,
    },
    /// The socket could not be handed to the group.
    #[error("PLUGIN_UNIX_SOCKET_GROUP: giving {} to group {group:?}", path.display())]
    Group {
        /// Path of the socket or its directory.
        path: PathBuf,
        /// As given.
        group: String,
        /// The operating system's answer.
        source: io::Error,
    },
    /// All ports of the range are taken.
    #[error("no free TCP port on 127.0.0.1 between {} and {}", ports.0, ports.1)]
    Ports {
        /// The inclusive range.
        ports: (u16, u16),
        /// The answer for the last port tried.
        source: io::Error,
    },
}

/// Where to dial, in go-plugin's words.
#[derive(Clone, Debug)]
pub(super) struct Address {
    /// `unix` or `tcp`.
    pub(super) network: &'static str,
    /// Socket path, or host and port.
    pub(super) text: String,
}

impl Address {
    pub(super) fn new(network: &'static str, text: impl Into<String>) -> Self {
        Self {
            network,
            text: text.into(),
        }
    }
}

/// A bound listener. Dropping it closes the socket and removes it from the file system.
#[derive(Debug)]
pub(super) struct Listener {
    kind: Kind,
    address: Address,
}

#[derive(Debug)]
enum Kind {
    #[cfg(unix)]
    Unix {
        listener: tokio::net::UnixListener,
        /// Holds the socket; removed with everything in it on drop.
        _directory: tempfile::TempDir,
    },
    Tcp(TcpListener),
}

impl Listener {
    /// Listens the way this platform's go-plugin does.
    ///
    /// # Errors
    ///
    /// [`ListenError`], which says what to change.
    pub(super) async fn bind(environment: &Environment) -> Result<Self, ListenError> {
        #[cfg(unix)]
        {
            let group = environment.socket_group.as_deref();
            unix::bind(environment.socket_dir.as_deref(), group)
        }
        #[cfg(not(unix))]
        {
            Self::bind_tcp(environment.ports).await
        }
    }

    /// Listens on the first free port of the inclusive range; port 0 means any.
    #[cfg_attr(
        unix,
        allow(
            dead_code,
            reason = "used where there are no Unix sockets, and by tests"
        )
    )]
    async fn bind_tcp(ports: (u16, u16)) -> Result<Self, ListenError> {
        let mut source = io::Error::from(io::ErrorKind::InvalidInput);
        for port in ports.0..=ports.1 {
            let bound = TcpListener::bind(("127.0.0.1", port)).await;
            match bound.and_then(|listener| Ok((listener.local_addr()?, listener))) {
                Ok((address, listener)) => {
                    return Ok(Self {
                        kind: Kind::Tcp(listener),
                        address: Address::new("tcp", address.to_string()),
                    });
                }
                Err(error) => source = error,
            }
        }
        Err(ListenError::Ports { ports, source })
    }

    pub(super) fn address(&self) -> &Address {
        &self.address
    }

    /// Waits for the next connection.
    pub(super) async fn accept(&self) -> io::Result<Connection> {
        match &self.kind {
            #[cfg(unix)]
            Kind::Unix { listener, .. } => {
                let (stream, _) = listener.accept().await?;
                Ok(Connection::new(stream))
            }
            Kind::Tcp(listener) => {
                let (stream, _) = listener.accept().await?;
                // RPCs are small and wait for each other; Nagle would add 40 ms to them.
                stream.set_nodelay(true)?;
                Ok(Connection::new(stream))
            }
        }
    }
}

#[cfg(unix)]
mod unix {
    use std::{
        env, fs,
        os::unix::fs::{PermissionsExt as _, chown},
        path::Path,
    };

    use tempfile::TempDir;
    use tokio::net::UnixListener;

    use super::*;

    /// Longest socket path that every platform takes: `sun_path` has 104 bytes on macOS, with the final zero.
    const MAX_PATH: usize = 103;

    /// Binds a socket in a new directory that nobody else can enter, so that there is no moment at which another user
    /// could connect, whatever the umask.
    pub(super) fn bind(
        parent: Option<&Path>,
        group: Option<&str>,
    ) -> Result<Listener, ListenError> {
        let directory = match parent {
            Some(parent) => directory(parent)?,
            None => {
                let directory = directory(&env::temp_dir())?;
                // A deep TMPDIR is common in CI; the directory is ours to choose, so choose one that works.
                if socket_path(&directory).as_os_str().len() > MAX_PATH {
                    self::directory(Path::new("/tmp"))?
                } else {
                    directory
                }
            }
        };
        let path = socket_path(&directory);
        let listen_error = |source| ListenError::Socket {
            path: path.clone(),
            source,
        };
        let listener = UnixListener::bind(&path).map_err(listen_error)?;
        let mode = |path: &Path, mode| {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).map_err(listen_error)
        };
        match group {
            None => mode(&path, 0o600)?,
            Some(group) => {
                let gid = gid(group, || fs::read_to_string("/etc/group"))?;
                for (path, bits) in [(path.as_path(), 0o660), (directory.path(), 0o710)] {
                    chown(path, None, Some(gid)).map_err(|source| ListenError::Group {
                        path: path.to_owned(),
                        group: group.to_owned(),
                        source,
                    })?;
                    mode(path, bits)?;
                }
            }
        }
        let address = Address::new("unix", path.display().to_string());
        Ok(Listener {
            kind: Kind::Unix {
                listener,
                _directory: directory,
            },
            address,
        })
    }

    fn directory(parent: &Path) -> Result<TempDir, ListenError> {
        tempfile::Builder::new()
            .prefix("tfp")
            .permissions(fs::Permissions::from_mode(0o700))
            .tempdir_in(parent)
            .map_err(|source| ListenError::Directory {
                parent: parent.to_owned(),
                source,
            })
    }

    fn socket_path(directory: &TempDir) -> PathBuf {
        directory.path().join("s")
    }

    /// Number of a group given by number or name.
    ///
    /// Names are looked up in `/etc/group` only: asking the name service needs C code. Where groups live elsewhere, a
    /// number works.
    pub(super) fn gid(
        group: &str,
        group_file: impl FnOnce() -> io::Result<String>,
    ) -> Result<u32, ListenError> {
        if let Ok(gid) = group.parse() {
            return Ok(gid);
        }
        group_file()
            .unwrap_or_default()
            .lines()
            .find_map(|line| {
                let mut fields = line.split(':');
                (fields.next() == Some(group)).then(|| fields.nth(1)?.parse().ok())?
            })
            .ok_or_else(|| ListenError::UnknownGroup {
                group: group.to_owned(),
            })
    }
}

/// One accepted connection, whatever it runs over.
pub(super) struct Connection(Box<dyn Stream>);

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

impl Connection {
    pub(super) fn new(stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) -> Self {
        Self(Box::new(stream))
    }
}

impl Connected for Connection {
    type ConnectInfo = ();

    fn connect_info(&self) -> Self::ConnectInfo {}
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    #[tokio::test]
    async fn tcp_takes_the_first_free_port_of_the_range() {
        let any = Listener::bind_tcp((0, 0)).await.unwrap();
        let taken: u16 = any
            .address()
            .text
            .rsplit(':')
            .next()
            .unwrap()
            .parse()
            .unwrap();
        assert_eq!(any.address().network, "tcp");
        assert!(any.address().text.starts_with("127.0.0.1:"), "{any:?}");

        let error = Listener::bind_tcp((taken, taken)).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("no free TCP port on 127.0.0.1 between {taken} and {taken}")
        );
        let next = Listener::bind_tcp((taken, taken.saturating_add(50)))
            .await
            .unwrap();
        assert_ne!(next.address().text, any.address().text);
    }

    #[tokio::test]
    async fn tcp_connections_carry_bytes() {
        let listener = Listener::bind_tcp((0, 0)).await.unwrap();
        let dial = tokio::net::TcpStream::connect(&listener.address().text);
        let (mut client, mut server) = tokio::try_join!(dial, listener.accept()).unwrap();
        client.write_all(b"ping").await.unwrap();
        let mut bytes = [0; 4];
        server.read_exact(&mut bytes).await.unwrap();
        assert_eq!(&bytes, b"ping");
        drop(server);
        assert_eq!(client.read(&mut bytes).await.unwrap(), 0);
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn the_socket_is_private_and_goes_with_the_listener() {
        use std::{
            os::unix::fs::{MetadataExt as _, PermissionsExt as _},
            path::Path,
        };

        let parent = tempfile::tempdir().unwrap();
        let own_gid = parent.path().metadata().unwrap().gid();
        let cases = [
            ("no group", None, 0o600, 0o700),
            ("own group", Some(own_gid.to_string()), 0o660, 0o710),
        ];
        for (name, group, socket_mode, directory_mode) in cases {
            let listener = unix::bind(Some(parent.path()), group.as_deref()).unwrap();
            let path = PathBuf::from(&listener.address().text);
            let directory = path.parent().unwrap();
            let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
            assert_eq!(mode(&path), socket_mode, "{name}: socket");
            assert_eq!(mode(directory), directory_mode, "{name}: directory");
            assert_eq!(directory.parent(), Some(parent.path()), "{name}");
            assert_eq!(path.metadata().unwrap().gid(), own_gid, "{name}: group");
            drop(listener);
            assert_eq!(
                parent.path().read_dir().unwrap().count(),
                0,
                "{name}: left behind"
            );
        }
        let error = unix::bind(Some(parent.path()), Some("no such group")).unwrap_err();
        assert!(matches!(error, ListenError::UnknownGroup { .. }), "{error}");
        assert_eq!(
            parent.path().read_dir().unwrap().count(),
            0,
            "left behind after an error"
        );
    }

    #[cfg(unix)]
    #[test]
    fn groups_are_found_by_number_and_by_name() {
        let file = "root:x:0:\n# comment\nwheel:x:10:a,b\nwheels:x:11:\nbroken:x\n";
        let cases = [
            ("number", "4711", Some(4711)),
            ("name", "wheel", Some(10)),
            ("no prefix match", "whee", None),
            ("entry without a number", "broken", None),
            ("unknown", "staff", None),
        ];
        for (name, group, expected) in cases {
            let gid = unix::gid(group, || Ok(file.to_owned())).ok();
            assert_eq!(gid, expected, "{name}");
        }
    }
}
