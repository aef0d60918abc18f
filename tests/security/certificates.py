"""An authority and certificates for servers and clients of this machine, made for one test run."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509.oid import NameOID

__all__ = ["Authority", "Certificate"]

DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Certificate:
    """PEM files of a certificate and its key, and both in one PKCS#12 file as Java reads it."""

    certificate: Path
    key: Path
    store: Path
    store_password: str


class Authority:
    """Signs certificates.

    Parameters
    ----------
    directory
        Where the files go.
    name
        Of the authority; two of different names do not trust each other.
    """

    def __init__(self, directory: Path, name: str = "nightjar-tests") -> None:
        self._directory = directory / name
        self._directory.mkdir()
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name(name)
        self._certificate = (
            self._builder(self._name, self._key.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .sign(self._key, hashes.SHA256())
        )
        self.ca_file = self._directory / "ca.pem"
        self.ca_file.write_bytes(self._certificate.public_bytes(serialization.Encoding.PEM))

    def certificate(self, name: str) -> Certificate:
        """Make a certificate for this machine's loopback address."""
        key = ec.generate_private_key(ec.SECP256R1())
        addresses = [x509.IPAddress(IPv4Address("127.0.0.1")), x509.DNSName("localhost")]
        signed = (
            self._builder(_name(name), key.public_key())
            .add_extension(x509.SubjectAlternativeName(addresses), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        made = Certificate(
            self._directory / f"{name}.pem",
            self._directory / f"{name}.key",
            self._directory / f"{name}.p12",
            "of-the-store",
        )
        made.certificate.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
        made.key.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        encryption = serialization.BestAvailableEncryption(made.store_password.encode())
        made.store.write_bytes(
            pkcs12.serialize_key_and_certificates(name.encode(), key, signed, [self._certificate], encryption)
        )
        return made

    def _builder(self, name: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - DAY)
            .not_valid_after(now + DAY)
        )


def _name(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
