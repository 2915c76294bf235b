// Sends the events on standard input (a JSON list) to Celery's broker: node send_task.js REDIS_URL QUEUE
"use strict";

const celery = require("celery-node");

const [broker, queue] = process.argv.slice(2);

async function main() {
  const client = celery.createClient(broker, broker, queue);
  await client.isReady();
  const ingest = client.createTask("tactics.ingest_event");
  for (const event of JSON.parse(require("fs").readFileSync(0, "utf8"))) {
    console.log(ingest.applyAsync([event]).taskId);
  }
  // celery-node publishes behind promises that it keeps to itself.
  await new Promise(setImmediate);
  await client.disconnect();
}

main();
