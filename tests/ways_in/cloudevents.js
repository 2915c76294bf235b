// Sends CloudEvents with the official SDK, and prints the answers: node cloudevents.js URL
// Standard input: a JSON list of {mode, events}; data in {"bytes": …} is sent as bytes.
"use strict";

const { CloudEvent, HTTP, Mode, emitterFor, httpTransport } = require("cloudevents");

const url = process.argv[2];
const transport = httpTransport(url);

function made({ data, ...attributes }) {
  return new CloudEvent({ ...attributes, data: data.bytes ? Buffer.from(JSON.stringify(data.bytes)) : data });
}

async function sent({ mode, events }) {
  if (mode === "batch") {
    // The SDK reads batches, but does not write them.
    const body = JSON.stringify(events.map((event) => made(event).toJSON()));
    const answer = await transport({ headers: { "content-type": "application/cloudevents-batch+json" }, body });
    return JSON.parse(answer.body);
  }
  const emit = emitterFor(transport, { mode: mode === "binary" ? Mode.BINARY : Mode.STRUCTURED });
  return JSON.parse((await emit(made(events[0]))).body);
}

async function main() {
  const answers = [];
  for (const one of JSON.parse(require("fs").readFileSync(0, "utf8"))) {
    answers.push(await sent(one));
  }
  console.log(JSON.stringify(answers));
}

main();
