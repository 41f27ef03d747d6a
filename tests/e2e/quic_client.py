"""The first datagram of a QUIC client (RFC 9000 section 17.2.2, RFC 9001 section 5, RFC 9369), made with Python's
cryptography and struct alone."""

import hashlib
import hmac
import struct

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

VERSIONS = {1: ("38762cf7f55934b34d179ae6a4c80cadccbb7f0a", "quic ", 0x00),
            0x6b3343cf: ("0dede3def700a6db819381be6e269dcbf9bd2ed9", "quicv2 ", 0x10)}


def expand(secret, label, size):
    info = struct.pack(">HB", size, 6 + len(label)) + b"tls13 " + label.encode() + b"\0"
    return hmac.new(secret, info + b"\1", hashlib.sha256).digest()[:size]


def varint(value):
    return bytes([value]) if value < 64 else struct.pack(">H", 0x4000 | value)


def crypto(offset, piece):
    return b"\x06" + varint(offset) + varint(len(piece)) + piece


def client_hello(name):
    """One with no extension but server_name (RFC 6066 section 3), between two of others."""
    entry = b"\0" + struct.pack(">H", len(name)) + name.encode()
    sni = struct.pack(">HHH", 0, len(entry) + 2, len(entry)) + entry
    extensions = struct.pack(">HH", 0x0a0a, 0) + sni + struct.pack(">HH", 0x002b, 3) + b"\x02\x03\x04"
    body = b"\x03\x03" + bytes(range(32)) + b"\0" + b"\0\x02\x13\x01" + b"\x01\0" + struct.pack(">H", len(extensions)) + extensions
    return b"\x01" + struct.pack(">I", len(body))[1:] + body


def initial(frames, version=1, number=2, number_size=4, destination=bytes(range(8)), source=b"", token=b"", size=1200):
    salt, prefix, type_bits = VERSIONS[version]
    secret = expand(hmac.new(bytes.fromhex(salt), destination, hashlib.sha256).digest(), "client in", 32)
    key, iv, hp = (expand(secret, prefix + label, n) for label, n in (("key", 16), ("iv", 12), ("hp", 16)))
    header = bytes([0xc0 | type_bits | (number_size - 1)]) + struct.pack(">I", version)
    header += bytes([len(destination)]) + destination + bytes([len(source)]) + source + varint(len(token)) + token
    length = size - len(header) - 2
    header += struct.pack(">H", 0x4000 | length) + number.to_bytes(number_size, "big")
    nonce = bytes(a ^ b for a, b in zip(iv, number.to_bytes(12, "big")))
    packet = bytearray(header + AESGCM(key).encrypt(nonce, frames.ljust(length - number_size - 16, b"\0"), header))
    at = len(header) - number_size
    mask = Cipher(algorithms.AES(hp), modes.ECB()).encryptor().update(bytes(packet[at + 4:at + 20]))
    packet[0] ^= mask[0] & 0x0f
    for i in range(number_size):
        packet[at + i] ^= mask[1 + i]
    return bytes(packet)
