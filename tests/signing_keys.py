"""Key pairs in PEM files, as openssl writes them."""

from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

PRIVATE = "private.pem"
PUBLIC = "public.pem"


def write_keys(folder: Path, private=None) -> Path:
    """Write a pair to a new folder, Ed25519 unless another private key is given."""
    private = private or Ed25519PrivateKey.generate()
    folder.mkdir(parents=True)
    (folder / PRIVATE).write_bytes(private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    public = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (folder / PUBLIC).write_bytes(public)
    return folder
