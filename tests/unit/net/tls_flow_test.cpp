// Bytes in both directions over TLS: back-pressure, ends, and owners that destroy the stream.
#include <thread>

#include <doctest/doctest.h>
#include <netinet/tcp.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>

#include "net/tls.h"
#include "tls_peer.h"

using postern::as_bytes;
using postern::Code;
using postern::net::Deferred;
using postern::net::Timer;
using postern::test::run_for;
using postern::test::TestSocket;
using postern::test::TlsLab;

namespace {

// Python's hashlib says the same of what it sent or got.
std::string sha256(std::string_view data) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned int size = 0;
  EVP_Digest(data.data(), data.size(), digest.data(), &size, EVP_sha256(), nullptr);
  std::string text;
  for (unsigned int i = 0; i < size; ++i) {
    constexpr std::string_view kDigits = "0123456789abcdef";
    text += kDigits[digest[i] >> 4];
    text += kDigits[digest[i] & 15];
  }
  return text;
}

std::string pattern(std::size_t size) {
  std::string data(size, '\0');
  std::uint32_t state = 1;
  for (char& c : data) {
    state = state * 1664525 + 1013904223;
    c = static_cast<char>(state >> 24);
  }
  return data;
}

constexpr std::string_view kVersions[] = {"TLSv1_2", "TLSv1_3"};

std::string with_version(std::string_view version) {
  return "c = context(ssl.TLSVersion." + std::string(version) + ")\n";
}

}  // namespace

TEST_CASE("an upload arrives whole, also when the reader pauses after each chunk") {
  for (const std::string_view version : kVersions) {
    for (const bool pausing : {false, true}) {
      CAPTURE(version);
      CAPTURE(pausing);
      TlsLab lab;
      Timer later(lab.loop, [&] { lab.stream->resume(); });
      lab.reader.after_each = [&] {
        if (lab.reader.ends == 1) lab.stream->finish();
        if (!pausing || lab.reader.chunks == 0 || lab.reader.ends > 0) return;
        lab.stream->pause();
        later.start_once(0);
      };
      const std::string said = lab.run_python(with_version(version) +
                                              "data = os.urandom(5_000_000)\n"
                                              "s = connect(c=c)\n"
                                              "s.sendall(data)\n"
                                              "s.unwrap()\n"
                                              "print(hashlib.sha256(data).hexdigest(), end='')\n");
      CHECK(lab.until([&] { return lab.reader.ends == 1; }));
      CHECK(lab.reader.heard.size() == 5'000'000);
      CHECK(sha256(lab.reader.heard) == said);
      CHECK(lab.reader.chunk_bytes_max > 16U << 10);  // several records at once
      CHECK(lab.reader.chunk_bytes_max <= 64U << 10);
      CHECK_FALSE(lab.reader.error);
    }
  }
}

TEST_CASE("what OpenSSL holds comes after resume() although the socket has nothing more") {
  TlsLab lab;
  lab.reader.after_each = [&] { lab.stream->pause(); };
  const auto client = lab.python(
      "s = connect()\n"
      "s.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)\n"
      "for i in range(40): s.sendall(bytes([i]) * 5000)\n"
      "s.setblocking(False)\n"
      "try: s.unwrap()\n"  // close_notify; the connection stays
      "except ssl.SSLWantReadError: print('said', flush=True)\n"
      "time.sleep(60)\n");
  CHECK(lab.until([&] { return lab.accepted == 1 && lab.reader.connections == 1; }));
  lab.stream->resume();
  CHECK(lab.until([&] { return client->has_said("said"); }));
  run_for(lab.loop, 20);
  int calls = 0;
  while (lab.reader.ends == 0 && calls < 100) {
    const int before = lab.reader.chunks + lab.reader.ends;
    run_for(lab.loop, 10);
    CHECK(lab.reader.chunks + lab.reader.ends == before);  // paused is paused
    lab.stream->resume();
    CHECK(lab.until([&] { return lab.reader.chunks + lab.reader.ends > before; }, 2000));
    ++calls;
  }
  CHECK(lab.reader.heard.size() == 200'000);
  for (std::size_t i = 0; i < lab.reader.heard.size(); ++i) {
    if (lab.reader.heard[i] == static_cast<char>(i / 5000)) continue;
    CHECK(i == 0);
    break;
  }
  CHECK(lab.reader.ends == 1);
}

TEST_CASE("bytes that come with the last message of the handshake are heard") {
  for (const std::string_view version : kVersions) {
    TlsLab lab;
    const auto client = lab.python(with_version(version) +
                                   "t = tcp()\n"
                                   "t.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)\n"
                                   "s = c.wrap_socket(t, server_hostname='one.test')\n"
                                   "s.sendall(b'early bird')\n"
                                   "s.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 0)\n"
                                   "time.sleep(60)\n");
    CHECK(lab.until([&] { return lab.reader.heard == "early bird"; }));
  }
}

TEST_CASE("what is written during the handshake is kept and arrives first") {
  TlsLab lab;
  lab.after_accept = [&] {
    CHECK(lab.stream->write(as_bytes("one ")));
    CHECK(lab.stream->unsent() == 4);
    CHECK_FALSE(lab.stream->is_connected());
  };
  lab.reader.after_each = [&] {
    if (lab.reader.drains > 0) return;
    CHECK(lab.stream->is_connected());
    CHECK(lab.stream->write(as_bytes("two")));
    lab.stream->finish();
  };
  CHECK(lab.run_python("s = connect()\n"
                       "t = b''\n"
                       "while d := s.recv(10): t += d\n"
                       "print(t)\n") == "b'one two'\n");
  CHECK(lab.reader.drains == 1);
  CHECK(lab.stream->sent_total() == 7);
}

TEST_CASE("what the client does not take is kept up to the limit and leaves when it reads") {
  for (const std::string_view version : kVersions) {
    TlsLab lab({"one"}, {}, {.unsent_bytes_max = 8U << 20});
    const std::string data = pattern(100'000);
    std::string written;
    lab.reader.after_each = [&] {
      if (lab.reader.connections != 1 || !written.empty()) return;
      while (lab.stream->write(as_bytes(data))) written += data;
      CHECK(lab.stream->unsent() <= 8U << 20);
      CHECK(lab.stream->unsent() + data.size() > 8U << 20);
      CHECK(lab.stream->sent_total() + lab.stream->unsent() == written.size());
      lab.stream->finish();
    };
    const std::string said = lab.run_python(with_version(version) +
                                            "s = c.wrap_socket(tcp(), server_hostname='one.test', "
                                            "suppress_ragged_eofs=False)\n"
                                            "time.sleep(0.2)\n"
                                            "h = hashlib.sha256()\n"
                                            "while d := s.recv(65536): h.update(d)\n"
                                            "print(h.hexdigest(), end='')\n");
    CHECK(said == sha256(written));
    CHECK(lab.reader.drains == 1);
    CHECK(lab.stream->unsent() == 0);
    CHECK(lab.stream->sent_total() == written.size());
    CHECK_FALSE(lab.reader.error);
  }
}

TEST_CASE("a long answer goes out piece by piece as drained() asks for more") {
  TlsLab lab({"one"}, {}, {.unsent_bytes_max = 256U << 10});
  const std::string data = pattern(10'000'000);
  std::string_view left = data;
  lab.reader.after_each = [&] {
    while (!left.empty() && lab.stream->write(as_bytes(left.substr(0, 100'000)))) {
      left.remove_prefix(std::min<std::size_t>(left.size(), 100'000));
    }
    if (left.empty()) lab.stream->finish();
  };
  CHECK(lab.run_python("s = connect()\n"
                       "h = hashlib.sha256()\n"
                       "while d := s.recv(65536): h.update(d)\n"
                       "print(h.hexdigest(), end='')\n") == sha256(data));
  CHECK_FALSE(lab.reader.error);
}

TEST_CASE("whoever writes only when all has left is told so, whatever the socket took of a write") {
  for (const std::size_t piece : {16U << 10, 64U << 10, 200U << 10}) {
    CAPTURE(piece);
    TlsLab lab;
    const std::string data = pattern(8'192'000);  // more than the socket takes at once
    std::string_view left = data;
    int waits = 0;
    // Not from inside an event of the stream: from one of who has the bytes.
    Deferred write(lab.loop, [&] {
      while (!left.empty() && lab.stream->unsent() == 0) {
        const std::string_view next = left.substr(0, piece);
        CHECK(lab.stream->write(as_bytes(next)));
        left.remove_prefix(next.size());
        if (lab.stream->unsent() > 0) ++waits;
      }
      if (left.empty()) lab.stream->finish();
    });
    lab.reader.after_each = [&] { write.schedule(); };
    CHECK(lab.run_python("s = connect()\n"
                         "h = hashlib.sha256()\n"
                         "time.sleep(0.2)\n"
                         "while d := s.recv(65536): h.update(d)\n"
                         "print(h.hexdigest(), end='')\n") == sha256(data));
    CHECK(waits > 0);
    CHECK(lab.reader.drains == waits);
    CHECK_FALSE(lab.reader.error);
  }
}

TEST_CASE("after finish() the client sees the end with close_notify, and we hear on") {
  for (const std::string_view version : kVersions) {
    TlsLab lab;
    lab.reader.after_each = [&] {
      if (lab.reader.connections == 1 && lab.reader.chunks == 0) {
        lab.stream->write(as_bytes("last"));
        lab.stream->finish();
        CHECK_FALSE(lab.stream->write(as_bytes("no more")));
      }
    };
    const std::string said = lab.run_python(
        with_version(version) +
        "s = c.wrap_socket(tcp(), server_hostname='one.test', suppress_ragged_eofs=False)\n"
        "print(s.recv(10), s.recv(10))\n"
        "s.sendall(b'still here')\n");
    CHECK(said == "b'last' b''\n");
    CHECK(lab.until([&] { return lab.reader.ends == 1; }));
    CHECK(lab.reader.heard == "still here");
    CHECK_FALSE(lab.reader.error);
  }
}

TEST_CASE("a client that ends without close_notify has ended, and we may still answer") {
  for (const std::string_view version : kVersions) {
    TlsLab lab;
    lab.reader.after_each = [&] {
      if (lab.reader.ends == 1) CHECK(lab.stream->write(as_bytes("got it")));
      if (lab.reader.ends == 1) lab.stream->finish();
    };
    CHECK(lab.run_python(with_version(version) +
                         "s = connect(c=c)\n"
                         "s.sendall(b'question')\n"
                         "socket.socket(fileno=os.dup(s.fileno())).shutdown(socket.SHUT_WR)\n"
                         "print(s.recv(10), s.recv(10))\n") == "b'got it' b''\n");
    CHECK(lab.reader.heard == "question");
    CHECK(lab.reader.ends == 1);
    CHECK_FALSE(lab.reader.error);
  }
}

TEST_CASE("a reset is told after what arrived before it, and only once") {
  TlsLab lab;
  lab.reader.after_each = [&] {
    if (lab.reader.connections == 1 && lab.reader.chunks == 0 && !lab.reader.error) {
      lab.stream->write(as_bytes("x"));
    }
  };
  lab.run_python(
      "s = connect()\n"
      "s.recv(1)\n"
      "s.sendall(b'last words')\n"
      "s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b'\\1\\0\\0\\0\\0\\0\\0\\0')\n"
      "os.close(s.detach())\n");
  CHECK(lab.until([&] { return lab.reader.error.has_value(); }));
  CHECK(lab.reader.heard == "last words");
  CHECK(lab.reader.error->code == Code::kIo);
  CHECK(lab.reader.error->detail == "Connection reset by peer");
  lab.reader.error.reset();
  run_for(lab.loop, 10);
  CHECK_FALSE(lab.reader.error);
}

TEST_CASE("a write that finds the connection gone fails, and failed() follows from the loop") {
  TlsLab lab;
  lab.reader.after_each = [&] {
    if (lab.reader.connections != 1 || lab.reader.error) return;
    lab.stream->pause();
    lab.stream->write(as_bytes("x"));
  };
  lab.run_python(
      "s = connect()\n"
      "s.recv(1)\n"
      "s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b'\\1\\0\\0\\0\\0\\0\\0\\0')\n"
      "os.close(s.detach())\n");
  CHECK(lab.reader.connections == 1);
  CHECK(lab.until([&] { return !lab.stream->write(as_bytes("x")); }));
  CHECK_FALSE(lab.reader.error);
  CHECK(lab.until([&] { return lab.reader.error.has_value(); }));
  CHECK(lab.reader.error->code == Code::kIo);
}

TEST_CASE("a damaged record ends the stream with an error") {
  TlsLab lab;
  const std::string said = lab.run_python(
      "s = connect()\n"
      "s.sendall(b'fine')\n"
      "os.write(s.fileno(), b'\\x17\\3\\3\\0\\x20' + bytes(32))\n"
      "try: s.recv(1)\n"
      "except ssl.SSLError as e: print(e.reason)\n");
  CHECK(lab.until([&] { return lab.reader.error.has_value(); }));
  CHECK(lab.reader.heard == "fine");
  CHECK(lab.reader.error->code == Code::kMalformed);
  CHECK(lab.reader.error->detail == "the client sent a record that cannot be decrypted");
  CHECK(said == "SSLV3_ALERT_BAD_RECORD_MAC\n");
}

TEST_CASE("key updates that ask for ours are answered while bytes flow both ways") {
  TlsLab lab({"one"}, {}, {.unsent_bytes_max = 64U << 20});
  const std::string data = pattern(6'000'000);
  std::string got;
  lab.reader.after_each = [&] {
    if (lab.reader.connections == 1 && lab.stream->sent_total() == 0) {
      CHECK(lab.stream->write(as_bytes(data)));
    }
    if (lab.reader.ends == 1) lab.stream->finish();
  };
  TestSocket socket(SOCK_STREAM);
  socket.connect_to(lab.listener->local());
  int updates = 0;
  bool done = false;  // set by the loop's thread only, after the join
  std::thread client([&] {
    SSL_CTX* const context = SSL_CTX_new(TLS_client_method());
    SSL* const ssl = SSL_new(context);
    SSL_set_fd(ssl, socket.fd());
    std::array<char, 16384> buffer{};
    if (SSL_connect(ssl) == 1) {
      for (int i = 0; i < 50; ++i) {
        // Two in one segment: OpenSSL goes on to the second while the answer to the first waits.
        const int cork = 1, no_cork = 0;
        setsockopt(socket.fd(), IPPROTO_TCP, TCP_CORK, &cork, sizeof cork);
        for (int twice = 0; twice < 2; ++twice) {
          updates += SSL_key_update(ssl, SSL_KEY_UPDATE_REQUESTED) == 1 ? 1 : 0;
          SSL_do_handshake(ssl);
        }
        SSL_write(ssl, "0123456789", 10);
        setsockopt(socket.fd(), IPPROTO_TCP, TCP_CORK, &no_cork, sizeof no_cork);
        const int size = SSL_read(ssl, buffer.data(), 16384);
        if (size > 0) got.append(buffer.data(), static_cast<std::size_t>(size));
      }
      SSL_shutdown(ssl);
      int size = 0;
      while ((size = SSL_read(ssl, buffer.data(), 16384)) > 0) {
        got.append(buffer.data(), static_cast<std::size_t>(size));
      }
    }
    SSL_free(ssl);
    SSL_CTX_free(context);
    socket.close_now();
  });
  done = lab.until([&] { return lab.reader.ends == 1 && lab.stream->unsent() == 0; });
  client.join();
  CHECK(done);
  CHECK(updates == 100);
  CHECK(lab.reader.heard.size() == 500);
  CHECK(sha256(got) == sha256(data));
  CHECK_FALSE(lab.reader.error);
}

TEST_CASE("a TLS stream may be destroyed by any of its events") {
  TlsLab lab;
  std::string program = "s = connect()\n";
  SUBCASE("connected") {
    lab.reader.after_each = [&] { lab.stream.reset(); };
    program += "s.recv(1)\n";
  }
  SUBCASE("received") {
    lab.reader.after_each = [&] {
      if (lab.reader.chunks > 0) lab.stream.reset();
    };
    program += "s.sendall(b'x' * 300_000)\ns.recv(1)\n";
  }
  SUBCASE("ended") {
    lab.reader.after_each = [&] {
      if (lab.reader.ends > 0) lab.stream.reset();
    };
    program += "s.unwrap()\n";
  }
  SUBCASE("drained") {
    lab.after_accept = [&] { lab.stream->write(as_bytes("x")); };
    lab.reader.after_each = [&] {
      if (lab.reader.drains > 0) lab.stream.reset();
    };
    program += "s.recv(2)\ns.recv(2)\n";
  }
  SUBCASE("failed in the handshake") {
    lab.reader.after_each = [&] { lab.stream.reset(); };
    program = "tcp().sendall(b'GET / HTTP/1.1\\r\\n\\r\\n')\n";
  }
  SUBCASE("failed for the name") {
    lab.reader.after_each = [&] { lab.stream.reset(); };
    program = "connect('nobody.test')\n";
  }
  SUBCASE("failed later") {
    lab.reader.after_each = [&] {
      if (lab.reader.error) lab.stream.reset();
    };
    program += "os.write(s.fileno(), b'\\x17\\3\\3\\0\\x20' + bytes(32))\ns.recv(1)\n";
  }
  lab.run_python(program);
  CHECK(lab.until([&] { return lab.accepted == 1 && !lab.stream; }));
}
