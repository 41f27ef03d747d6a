// One conversation with the test service through a gateway: node grpc_client.js PORT CA HOST WHAT.
// Prints one line of JSON.
"use strict";
const fs = require("fs");
const grpc = require("@grpc/grpc-js");
const service = require("./grpc_service");

const [port, ca, host, what] = process.argv.slice(2);
const Client = grpc.makeGenericClientConstructor(service, "test.Service");
const client = new Client(`127.0.0.1:${port}`, grpc.credentials.createSsl(fs.readFileSync(ca)), {
  "grpc.ssl_target_name_override": host,
  "grpc.default_authority": host,
  "grpc.max_receive_message_length": 64 << 20,
});
const began = Date.now();
const say = (value) => {
  console.log(JSON.stringify({ ...value, ms: Date.now() - began }));
  client.close();
};
const failure = (error) => ({ code: error.code, details: error.details, detail: error.metadata.get("x-detail")[0] });
const collect = (call, then = () => {}) => {
  const messages = [];
  call.on("data", (message) => { messages.push({ text: message.toString(), ms: Date.now() - began }); then(messages, call); });
  call.on("error", (error) => say({ messages, ...failure(error) }));
  call.on("end", () => {});
  call.on("status", (status) => { if (status.code === 0) say({ messages, code: 0 }); });
};

const scenes = {
  unary(size = 5) {
    const metadata = new grpc.Metadata();
    metadata.set("x-ask", "head");
    let head;
    let reply;
    const call = client.Echo(Buffer.alloc(Number(size), 97), metadata, (error, answer) => {
      if (error) say(failure(error)); else reply = answer;
    });
    call.on("metadata", (got) => { head = got; });
    call.on("status", (status) => {
      if (status.code !== 0) return;
      say({
        code: 0, size: reply.length, head: head.get("x-head")[0], authority: head.get("x-authority")[0],
        trailer: status.metadata.get("x-trailer")[0], bytes: [...status.metadata.get("bytes-bin")[0]],
      });
    });
  },
  large() { scenes.unary(8 << 20); },
  fail(code) { client.Fail(Buffer.from(code), (error) => say(failure(error))); },
  deadline() { client.Never(Buffer.alloc(0), { deadline: Date.now() + 400 }, (error) => say(failure(error))); },
  cancel() {
    const call = client.Never(Buffer.alloc(0), (error) => say(failure(error)));
    setTimeout(() => call.cancel(), 300);
  },
  many() { collect(client.Count(Buffer.from("2000 0"))); },
  slow() { collect(client.Count(Buffer.from("4 300"))); },
  broken() { collect(client.Break(Buffer.alloc(0))); },
  sum() {
    const call = client.Sum((error, reply) => say(error ? failure(error) : { code: 0, text: reply.toString() }));
    for (let i = 0; i < 100; i++) call.write(Buffer.alloc(10000));
    call.end();
  },
  talk() {
    const call = client.Talk();
    collect(call, (messages) => {
      if (messages.length < 20) call.write(Buffer.from(String(messages.length))); else call.end();
    });
    call.write(Buffer.from("0"));
  },
  parallel() {
    let left = 200;
    const wrong = [];
    for (let i = 0; i < 200; i++) {
      const metadata = new grpc.Metadata();
      metadata.set("x-ask", "p");
      client.Echo(Buffer.from(String(i)), metadata, (error, reply) => {
        if (error || reply.toString() !== String(i)) wrong.push(error ? error.details : i);
        if (--left === 0) say({ code: 0, wrong });
      });
    }
  },
};
const [scene, argument] = what.split(":");
scenes[scene](argument);
