// Reads what a client sends on one HTTP/1.1 connection from standard input and prints as one JSON
// object how the codec takes it: {"requests": [...], "end": "more" | "close" | "fault"}, with
// status and reason of a fault. A byte above ASCII is printed as the code point of that number.
#include <cstdio>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "http/h1_body.h"
#include "http/h1_request.h"

namespace postern::http::h1 {
namespace {

std::string quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte < 0x7f && c != '"' && c != '\\') {
      out += c;
    } else {
      out += "\\u00";
      out += "0123456789abcdef"[byte >> 4];
      out += "0123456789abcdef"[byte & 15];
    }
  }
  return out + "\"";
}

std::string json_of(const Fields& fields) {
  std::string out;
  for (const Field& field : fields) {
    out += out.empty() ? "[" : ", [";
    out += quoted(field.name) + ", " + quoted(field.value) + "]";
  }
  return "[" + out + "]";
}

std::string json_of(const RequestHead& head, std::string_view body, const Fields& trailers) {
  return "{\"method\": " + quoted(head.method) + ", \"scheme\": " + quoted(head.scheme) +
         ", \"authority\": " + quoted(head.authority) + ", \"path\": " + quoted(head.path) +
         ", \"protocol\": " + quoted(head.protocol) + ", \"fields\": " + json_of(head.fields) +
         ", \"body\": " + quoted(body) + ", \"trailers\": " + json_of(trailers) + "}";
}

/// A client's side of a connection.
class Connection {
 public:
  explicit Connection(Bytes input) : left_(input) {}

  std::string dump() {
    while (next_request()) continue;
    return "{\"requests\": [" + requests_ + "], \"end\": \"" + end_ +
           "\", \"status\": " + std::to_string(fault_.status) +
           ", \"reason\": " + quoted(fault_.reason) + "}";
  }

 private:
  bool next_request() {
    reader_.start();
    const Progress progress = reader_.read(left_, &head_);
    if (progress != Progress::kDone) return stop(progress, reader_.fault());
    left_ = left_.subspan(reader_.consumed());
    body_.start(reader_.body());
    std::string payload;
    while (!body_.done()) {
      const BodyPiece piece = body_.feed(left_);
      payload += as_text(piece.payload);
      left_ = left_.subspan(piece.consumed);
      const bool ends = piece.progress == Progress::kMore && left_.empty();
      if (piece.progress == Progress::kFault || ends) return stop(piece.progress, body_.fault());
    }
    if (!requests_.empty()) requests_ += ", ";
    requests_ += json_of(head_, payload, body_.trailers());
    if (reader_.keep_alive() && head_.method != "CONNECT") return true;
    end_ = "close";
    return false;
  }

  bool stop(Progress progress, Fault fault) {
    end_ = progress == Progress::kMore ? "more" : "fault";
    fault_ = fault;
    return false;
  }

  Bytes left_;
  RequestReader reader_;
  RequestHead head_;
  BodyReader body_;
  std::string requests_;
  std::string end_;
  Fault fault_;
};

std::string read_all(std::FILE* file) {
  std::string text;
  for (int c = std::getc(file); c != EOF; c = std::getc(file)) text += static_cast<char>(c);
  return text;
}

}  // namespace
}  // namespace postern::http::h1

int main() {
  const std::string input = postern::http::h1::read_all(stdin);
  postern::http::h1::Connection connection(postern::as_bytes(input));
  std::puts(connection.dump().c_str());
  return 0;
}
