// A gRPC server on 127.0.0.1: node grpc_server.js PORT. Messages are bytes as they are. Says "ready".
"use strict";
const grpc = require("@grpc/grpc-js");
const service = require("./grpc_service");

const server = new grpc.Server({ "grpc.max_receive_message_length": 64 << 20 });
server.addService(service, {
  Echo(call, callback) {
    const trailer = new grpc.Metadata();
    trailer.set("x-trailer", "end");
    trailer.set("bytes-bin", Buffer.from([0, 255, 1]));
    const head = new grpc.Metadata();
    head.set("x-head", String(call.metadata.get("x-ask")[0]));
    head.set("x-authority", call.getHost());
    call.sendMetadata(head);
    callback(null, call.request, trailer);
  },
  Fail(call, callback) {
    const details = new grpc.Metadata();
    details.set("x-detail", "why");
    callback({ code: Number(call.request.toString()), details: "not found: ä%\n", metadata: details });
  },
  Never(call) {
    call.on("cancelled", () => console.log("cancelled"));
  },
  Count(call) {
    const [count, pause] = call.request.toString().split(" ").map(Number);
    let i = 0;
    const next = () => {
      if (i === count) { call.end(); return; }
      call.write(Buffer.from(String(i++)));
      if (pause) setTimeout(next, pause); else setImmediate(next);
    };
    next();
  },
  Break(call) {
    call.write(Buffer.from("one"));
    setTimeout(() => call.emit("error", { code: grpc.status.ABORTED, details: "broken" }), 50);
  },
  Sum(call, callback) {
    let sum = 0;
    call.on("data", (message) => { sum += message.length; });
    call.on("end", () => callback(null, Buffer.from(String(sum))));
  },
  Talk(call) {
    call.on("data", (message) => call.write(Buffer.concat([Buffer.from("re: "), message])));
    call.on("end", () => call.end());
  },
});
server.bindAsync(`127.0.0.1:${process.argv[2]}`, grpc.ServerCredentials.createInsecure(), (error) => {
  if (error) throw error;
  console.log("ready");
});
process.on("SIGTERM", () => process.exit(0));
