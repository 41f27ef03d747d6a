// A WebSocket client of the package ws: node ws_client.js JSON, with
//   url, port, ca   dials 127.0.0.1:port in the place of the url's host
//   protocols, headers, deflate   of the opening
//   steps           [name, argument], see below, one after the other
//   count           so many connections at once; "#" in a text is the number of the connection
// The step "wait" says "waits". At the end there is a line of JSON: what each connection saw.
"use strict";
const crypto = require("crypto");
const fs = require("fs");
const WebSocket = require("ws");

const asked = JSON.parse(process.argv[2]);
const lookup = (name, options, done) =>
  (options.all ? done(null, [{ address: "127.0.0.1", family: 4 }]) : done(null, "127.0.0.1", 4));
const told = (data, isBinary) => (isBinary
  ? { bytes: data.length, sha256: crypto.createHash("sha256").update(data).digest("hex") }
  : data.toString());

function connect(number) {
  const url = new URL(asked.url);
  url.port = asked.port;
  const socket = new WebSocket(url, asked.protocols || [], {
    ca: fs.readFileSync(asked.ca), lookup, headers: asked.headers || {},
    perMessageDeflate: asked.deflate === false ? false : { threshold: 0 },
  });
  const seen = { sent: [], got: [], pongs: [], pings: [], errors: [] };
  let wake = () => {};
  const until = async (condition) => {
    while (!condition() && !seen.closed) await new Promise((resolve) => { wake = resolve; });
  };
  const on = (event, note) => socket.on(event, (...what) => { note(...what); wake(); });
  on("open", () => {});
  on("upgrade", (response) => { seen.status = response.statusCode; seen.headers = response.headers; });
  on("unexpected-response", (request, response) => {
    seen.status = response.statusCode;
    seen.closed = [];
    request.destroy();
  });
  on("message", (data, isBinary) => seen.got.push(told(data, isBinary)));
  on("ping", (data) => seen.pings.push(data.toString()));
  on("pong", (data) => seen.pongs.push(data.toString()));
  on("error", (error) => seen.errors.push(error.message));
  on("close", (code, reason) => { seen.closed = [code, reason.toString()]; });

  const say = (data) => { seen.sent.push(told(data, typeof data !== "string")); socket.send(data); };
  const answered = () => seen.got.length >= seen.sent.length;
  const steps = {
    text: (text) => { say(text.replace("#", number)); return until(answered); },
    random: (size) => { say(crypto.randomBytes(size)); return until(answered); },
    zeros: (size) => { say(Buffer.alloc(size)); return until(answered); },
    // All are under way before the first one is awaited.
    burst: (texts) => { for (const one of texts) say(one.replace("#", number)); return until(answered); },
    ping: (text) => { socket.ping(text); return until(() => seen.pongs.includes(text)); },
    // One message in fragments, a ping behind each.
    fragments: async (texts) => {
      seen.sent.push(texts.join(""));
      for (const [i, one] of texts.entries()) {
        socket.send(one, { fin: i === texts.length - 1 });
        await steps.ping(`fragment ${i}`);
      }
      await until(answered);
    },
    // Something that is not echoed.
    ask: (text) => {
      const before = seen.got.length;
      socket.send(text);
      return until(() => seen.got.length > before);
    },
    close: ([code, reason]) => { socket.close(code, reason); return until(() => false); },
    wait: () => { console.log("waits"); return until(() => false); },
  };
  return { seen, socket, until, steps };
}

async function main() {
  const all = Array.from({ length: asked.count || 1 }, (_, i) => connect(i));
  await Promise.all(all.map(({ socket, until }) => until(() => socket.readyState === WebSocket.OPEN)));
  await Promise.all(all.map(async ({ seen, socket, steps }) => {
    for (const [name, argument] of asked.steps) if (!seen.closed) await steps[name](argument);
    seen.protocol = socket.protocol;
    seen.extensions = socket.extensions;
  }));
  console.log(JSON.stringify(all.map(({ seen }) => seen)));
  process.exit(0);
}
main();
