// Ably's JavaScript client against the sandbox: node ably_js_client.js PORT WATCHER_KEY PUBLISHER_KEY PUBLISH_URL BINARY
// Prints what it saw as one line of JSON. Needs the package `ably` where node looks for it (NODE_PATH).
"use strict";

const Ably = require("ably");

const [port, watcherKey, publisherKey, controlUrl, binary] = process.argv.slice(2);
const CHANNEL = "rebalance-primary";

// Over plain HTTP it sends no key, so it requests a token with it.
const options = (key) => ({
  key,
  endpoint: "127.0.0.1",
  port: Number(port),
  tls: false,
  useTokenAuth: true,
  useBinaryProtocol: binary === "true",
  disconnectedRetryTimeout: 50,
  realtimeRequestTimeout: 2000,
});

const control = (path, body) =>
  fetch(`${controlUrl}/${path}`, { method: "POST", body: JSON.stringify(body) }).then((answer) => {
    if (!answer.ok) throw new Error(`control: ${answer.status}`);
  });

async function until(holds) {
  for (let tries = 0; !holds(); tries += 1) {
    if (tries > 1000) throw new Error(`never: ${holds}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

async function main() {
  const watcher = new Ably.Realtime(options(watcherKey));
  const publisher = new Ably.Rest(options(publisherKey));
  const channel = watcher.channels.get(CHANNEL);
  const seen = [];
  const resumed = [];
  channel.on("attached", (change) => resumed.push(change.resumed));
  await publisher.channels.get(CHANNEL).publish("n", "before");
  await channel.subscribe((message) => seen.push(message.data));

  await publisher.channels.get(CHANNEL).publish("n", { execution: "rebalance" });
  await until(() => seen.length === 1);
  await control("disturb", { abort: {} });
  await control("publish", { channel: CHANNEL, data: "meanwhile" });
  await until(() => seen.length === 2);

  const untilAttach = (await channel.history({ untilAttach: true })).items.map((message) => message.data);
  const pages = [];
  let page = await channel.history({ limit: 2, direction: "forwards" });
  while (page) {
    pages.push(page.items.map((message) => message.data));
    page = await page.next();
  }
  const time = await publisher.time();
  let denied = null;
  await watcher.channels.get("other").attach().catch((error) => (denied = error.code));
  watcher.close();
  await until(() => watcher.connection.state === "closed");
  console.log(JSON.stringify({ seen, resumed, untilAttach, pages, time, denied }));
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
