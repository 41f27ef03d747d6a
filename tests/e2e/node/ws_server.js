// A WebSocket server of the package ws on 127.0.0.1: node ws_server.js PORT [PEM], with PEM for TLS. It
// echoes; "close" closes with 4000, "ping TEXT" pings with TEXT and says what the pong had. Says "ready",
// and one line of JSON for each connection that opens and that closes.
"use strict";
const fs = require("fs");
const http = require("http");
const https = require("https");
const { WebSocketServer } = require("ws");

const [port, pem] = process.argv.slice(2);
const refuse = (request, response) => { response.writeHead(426).end(); };
const server = pem
  ? https.createServer({ key: fs.readFileSync(pem), cert: fs.readFileSync(pem) }, refuse)
  : http.createServer(refuse);
const sockets = new WebSocketServer({
  server,
  perMessageDeflate: { threshold: 0, serverMaxWindowBits: 12 },
  handleProtocols: (offered) => (offered.has("chat") ? "chat" : false),
});
sockets.on("connection", (socket, request) => {
  const say = (value) => console.log(JSON.stringify({ path: request.url, ...value }));
  say({
    headers: request.headers, protocol: socket.protocol, extensions: socket.extensions,
    peer: request.socket.remoteAddress, tls: Boolean(request.socket.encrypted),
  });
  socket.on("error", (error) => say({ error: error.message }));
  socket.on("close", (code, reason) => say({ closed: [code, reason.toString()] }));
  socket.on("pong", (data) => socket.send(`pong ${data}`));
  socket.on("message", (data, isBinary) => {
    const text = isBinary ? "" : data.toString();
    if (text === "close") socket.close(4000, "as asked");
    else if (text.startsWith("ping ")) socket.ping(text.slice(5));
    else socket.send(data, { binary: isBinary });
  });
});
server.listen(Number(port), "127.0.0.1", () => console.log("ready"));
process.on("SIGTERM", () => process.exit(0));
