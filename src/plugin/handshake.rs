//! The line on stdout by which go-plugin learns where the provider listens.

use std::io::{self, Write};

use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};

use super::listener::Address;

/// Version of go-plugin's own protocol. It has been 1 since its beginning; anything else is refused.
const CORE_PROTOCOL: u32 = 1;

/// Everything the handshake line tells.
pub(super) struct Handshake<'a> {
    pub(super) protocol: u32,
    pub(super) address: &'a Address,
    /// DER of our certificate; absent without TLS.
    pub(super) certificate: Option<&'a [u8]>,
    /// Whether the client asked about multiplexing; only then may the answer appear.
    pub(super) answer_multiplexing: bool,
}

impl Handshake<'_> {
    /// The line without its line feed.
    ///
    /// The certificate has no base64 padding: go-plugin decodes it with an alphabet that takes padding for an error.
    fn line(&self) -> String {
        let certificate = self
            .certificate
            .map(|der| STANDARD_NO_PAD.encode(der))
            .unwrap_or_default();
        // One connection per service is all that Terraform uses, so the broker is never multiplexed.
        let multiplexing = if self.answer_multiplexing {
            "|false"
        } else {
            ""
        };
        format!(
            "{CORE_PROTOCOL}|{}|{}|{}|grpc|{certificate}{multiplexing}",
            self.protocol, self.address.network, self.address.text,
        )
    }

    /// Writes the line and flushes. Nothing else may ever go to the same place.
    pub(super) fn write(&self, mut out: impl Write) -> io::Result<()> {
        writeln!(out, "{}", self.line())?;
        out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_format() {
        let unix = Address::new("unix", "/tmp/tfpAbC/s");
        let tcp = Address::new("tcp", "127.0.0.1:10000");
        let cases = [
            (
                "plaintext",
                &unix,
                None,
                false,
                "1|6|unix|/tmp/tfpAbC/s|grpc|\n",
            ),
            // One byte would need two padding characters, two bytes one.
            (
                "no padding",
                &unix,
                Some(&[0xfb_u8][..]),
                false,
                "1|6|unix|/tmp/tfpAbC/s|grpc|+w\n",
            ),
            (
                "standard alphabet",
                &tcp,
                Some(&[0xff, 0xfe]),
                false,
                "1|6|tcp|127.0.0.1:10000|grpc|//4\n",
            ),
            (
                "multiplexing",
                &tcp,
                Some(&[1, 2, 3]),
                true,
                "1|6|tcp|127.0.0.1:10000|grpc|AQID|false\n",
            ),
            (
                "multiplexing, plaintext",
                &unix,
                None,
                true,
                "1|6|unix|/tmp/tfpAbC/s|grpc||false\n",
            ),
        ];
        for (name, address, certificate, answer_multiplexing, expected) in cases {
            let mut out = Vec::new();
            Handshake {
                protocol: 6,
                address,
                certificate,
                answer_multiplexing,
            }
            .write(&mut out)
            .unwrap();
            assert_eq!(String::from_utf8(out).unwrap(), expected, "{name}");
        }
    }
}
