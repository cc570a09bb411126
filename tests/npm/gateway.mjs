// OpenAI's own npm package, as it comes, asks a gateway: pictures, changes, streams, links, talks,
// models, errors, and its own retries.
//
//     HELIOGRAPH_URL=http://127.0.0.1:8700 HELIOGRAPH_KEY=… node gateway.mjs
//
// The gateway must use the emulator: some prompts name a fault of it. Prints a line a check, and
// ends with exit code 1 when one fails. Invariant: only the base URL and the key are not as usual.

import assert from "node:assert/strict";
import { createServer, request } from "node:http";

import OpenAI, { toFile } from "openai";

const MODEL = "gemini-3-pro-image";
const url = process.env.HELIOGRAPH_URL;
const apiKey = process.env.HELIOGRAPH_KEY;
assert(url && apiKey, "HELIOGRAPH_URL and HELIOGRAPH_KEY say which gateway");

const client = new OpenAI({ baseURL: `${url}/openai/v1`, apiKey });

/** A JPEG's or PNG's width and height in px. */
function pixels(bytes) {
  if (bytes.subarray(1, 4).toString() === "PNG") {
    return [bytes.readUInt32BE(16), bytes.readUInt32BE(20)];
  }
  assert.equal(bytes.readUInt16BE(0), 0xffd8, "it is a JPEG");
  for (let at = 2; ; at += 2 + bytes.readUInt16BE(at + 2)) {
    const marker = bytes[at + 1];
    const isFrame = marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker);
    if (isFrame) return [bytes.readUInt16BE(at + 7), bytes.readUInt16BE(at + 5)];
  }
}

const decoded = (text) => Buffer.from(text, "base64");

/** A picture of 1K to change, made once. */
let made;
async function picture() {
  made ??= decoded(
    (await client.images.generate({ model: MODEL, prompt: "a red lake", size: "1024x1024" })).data[0]
      .b64_json,
  );
  return made;
}

/** A proxy that drops the first connections before their answers, and notes what is sent. */
async function dropping(count, use) {
  const seen = [];
  const server = createServer((incoming, outgoing) => {
    const nth = seen.push(incoming.headers["x-stainless-retry-count"]);
    const onward = request(
      `${url}${incoming.url}`,
      { method: incoming.method, headers: incoming.headers },
      (answer) => {
        if (nth <= count) {
          answer.destroy();
          incoming.socket.destroy();
          return;
        }
        outgoing.writeHead(answer.statusCode, answer.headers);
        answer.pipe(outgoing);
      },
    );
    onward.on("error", () => outgoing.destroy());
    incoming.pipe(onward);
  });
  await new Promise((ready) => server.listen(0, "127.0.0.1", ready));
  try {
    const baseURL = `http://127.0.0.1:${server.address().port}/openai/v1`;
    return await use(new OpenAI({ baseURL, apiKey }), seen);
  } finally {
    server.closeAllConnections();
    server.close();
  }
}

async function refused(kind, status, ask) {
  const error = await ask().then(
    () => assert.fail("it was answered"),
    (thrown) => thrown,
  );
  assert(error instanceof kind, `${error.constructor.name}: ${error.message}`);
  assert.equal(error.status, status);
  return error;
}

const checks = {
  async "4K picture"() {
    const { data, response } = await client.images
      .generate({ model: MODEL, prompt: "a lighthouse", size: "4096x4096" })
      .withResponse();
    assert.deepEqual(pixels(decoded(data.data[0].b64_json)), [4096, 4096]);
    assert.equal(data.size, "4096x4096");
    assert.equal(response.headers.get("x-heliograph-pixels"), "4096x4096");
    assert.equal(response.headers.get("x-heliograph-verified"), "verified");
    assert(Number(response.headers.get("x-heliograph-cost-usd")) > 0);
  },

  async "change of a file"() {
    const image = await toFile(await picture(), "lake.jpg", { type: "image/jpeg" });
    const answer = await client.images.edit({
      model: MODEL,
      image,
      prompt: "make it blue",
      size: "1024x1024",
      output_format: "png",
    });
    assert.deepEqual(pixels(decoded(answer.data[0].b64_json)), [1024, 1024]);
    assert.equal(answer.output_format, "png");
  },

  async "stream with drafts"() {
    const stream = await client.images.generate({
      model: MODEL,
      prompt: "a lake",
      size: "1024x1024",
      stream: true,
      partial_images: 2,
    });
    const types = [];
    let last;
    for await (const event of stream) {
      types.push(event.type);
      last = event;
    }
    assert(types.slice(0, -1).every((type) => type === "image_generation.partial_image"));
    assert(types.length > 1, "there are drafts");
    assert.equal(last.type, "image_generation.completed");
    assert.deepEqual(pixels(decoded(last.b64_json)), [1024, 1024]);
  },

  async "picture by address"() {
    const answer = await client.images.generate({
      model: MODEL,
      prompt: "a lake",
      size: "1024x1024",
      response_format: "url",
    });
    assert(answer.data[0].url.startsWith(`${url}/pictures/`));
    const fetched = await fetch(answer.data[0].url);
    assert.equal(fetched.status, 200);
    assert.deepEqual(pixels(Buffer.from(await fetched.arrayBuffer())), [1024, 1024]);
  },

  async "talk with a picture in the answer"() {
    const answer = await client.chat.completions.create({
      model: MODEL,
      messages: [{ role: "user", content: "a lake" }],
      modalities: ["image", "text"],
    });
    const shown = answer.choices[0].message.images[0].image_url.url;
    const [, kind, data] = /^data:(image\/\w+);base64,(.+)$/s.exec(shown);
    assert.equal(kind, "image/jpeg");
    assert(pixels(decoded(data))[0] >= 1024);
    assert.equal(answer.choices[0].finish_reason, "stop");
  },

  async "streamed talk"() {
    const stream = await client.chat.completions.create({
      model: MODEL,
      messages: [{ role: "user", content: "a lake" }],
      modalities: ["image", "text"],
      stream: true,
    });
    let pictures = 0;
    for await (const chunk of stream) {
      pictures += chunk.choices[0]?.delta?.images?.length ?? 0;
    }
    assert.equal(pictures, 1);
  },

  async models() {
    const names = [];
    for await (const model of client.models.list()) names.push(model.id);
    assert(names.includes(MODEL));
    assert.equal((await client.models.retrieve(MODEL)).id, MODEL);
  },

  async "classes of errors"() {
    const stranger = new OpenAI({ baseURL: `${url}/openai/v1`, apiKey: "sk-nobody" });
    const generate = (with_, body) =>
      with_.images.generate({ model: MODEL, prompt: "a lake", size: "1024x1024", ...body });
    await refused(OpenAI.AuthenticationError, 401, () => generate(stranger, {}));
    const size = await refused(OpenAI.BadRequestError, 400, () =>
      generate(client, { size: "enormous" }),
    );
    assert.equal(size.param, "size");
    await refused(OpenAI.NotFoundError, 404, () => generate(client, { model: "dall-e-3" }));
    const blocked = await refused(OpenAI.BadRequestError, 400, () =>
      generate(client, { prompt: "x [[fault:prompt-blocked]]" }),
    );
    assert.equal(blocked.code, "content_policy");
    assert(blocked.requestID, "it has the request's id");
  },

  async "its own retries join the first request"() {
    await dropping(1, async (dropped, seen) => {
      const { data, response } = await dropped.images
        .generate({ model: MODEL, prompt: "a lake that is asked for twice", size: "1024x1024" })
        .withResponse();
      assert.deepEqual(seen, ["0", "1"]);
      assert.equal(response.headers.get("idempotency-replayed"), "true");
      assert.deepEqual(pixels(decoded(data.data[0].b64_json)), [1024, 1024]);
    });
  },

  async "no wait for an answer that it gave up, and no second bill"() {
    const hasty = new OpenAI({ baseURL: `${url}/openai/v1`, apiKey, timeout: 1000, maxRetries: 4 });
    const { response } = await hasty.images
      .generate({ model: MODEL, prompt: "a lake [[fault:delay-headers:1.6]]", size: "1024x1024" })
      .withResponse();
    assert.equal(response.headers.get("idempotency-replayed"), "true");
  },
};

let failed = 0;
for (const [name, check] of Object.entries(checks)) {
  try {
    await check();
    console.log(`ok      ${name}`);
  } catch (error) {
    failed += 1;
    console.log(`FAILED  ${name}: ${error.stack ?? error}`);
  }
}
process.exitCode = failed ? 1 : 0;
