// HTTP/2 without TLS on 127.0.0.1: node h2c.js PORT. Says "ready".
"use strict";
const http2 = require("http2");

const server = http2.createServer();
server.on("stream", (stream, headers) => {
  stream.on("error", () => {});
  const path = headers[":path"].split("?")[0];
  if (path === "/reset") {
    stream.respond({ ":status": 200 });
    stream.write("half");
    setTimeout(() => stream.destroy(new Error("broken")), 50);
  } else if (path === "/trailers") {
    stream.respond({ ":status": 200 }, { waitForTrailers: true });
    stream.on("wantTrailers", () => stream.sendTrailers({ "x-sum": "7" }));
    stream.end("body");
  } else if (path === "/hints") {
    stream.additionalHeaders({ ":status": 103, link: "</a.css>" });
    stream.respond({ ":status": 200 });
    stream.end("page");
  } else {
    let size = 0;
    stream.on("data", (part) => { size += part.length; });
    stream.on("end", () => {
      stream.respond({ ":status": 200, "content-type": "application/json" });
      stream.end(JSON.stringify({ method: headers[":method"], path: headers[":path"], size, headers }));
    });
  }
});
server.listen(Number(process.argv[2]), "127.0.0.1", () => console.log("ready"));
process.on("SIGTERM", () => process.exit(0));
