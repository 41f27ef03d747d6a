// The methods of the test service; no protobuf: a message is its bytes.
"use strict";
const same = (bytes) => bytes;
const method = (name, requestStream, responseStream) => ({
  path: `/test.Service/${name}`,
  requestStream,
  responseStream,
  requestSerialize: same,
  requestDeserialize: same,
  responseSerialize: same,
  responseDeserialize: same,
});

module.exports = {
  Echo: method("Echo", false, false),
  Fail: method("Fail", false, false),
  Never: method("Never", false, false),
  Count: method("Count", false, true),
  Break: method("Break", false, true),
  Sum: method("Sum", true, false),
  Talk: method("Talk", true, true),
};
