// Pushes the events on standard input (a JSON list) as messages of Celery's protocol 2: node push.js REDIS_URL
"use strict";

const { randomUUID } = require("crypto");
const Redis = require("ioredis");

function message(event) {
  const id = randomUUID();
  return JSON.stringify({
    body: Buffer.from(JSON.stringify([[event], {}, {}])).toString("base64"),
    "content-encoding": "utf-8",
    "content-type": "application/json",
    headers: { lang: "js", task: "tactics.ingest_event", id, root_id: id },
    properties: {
      correlation_id: id,
      delivery_mode: 2,
      delivery_tag: randomUUID(),
      delivery_info: { exchange: "", routing_key: "prepare" },
      body_encoding: "base64",
    },
  });
}

async function main() {
  const redis = new Redis(process.argv[2]);
  for (const event of JSON.parse(require("fs").readFileSync(0, "utf8"))) {
    console.log(await redis.lpush("prepare", message(event)));
  }
  await redis.quit();
}

main();
