// Infobip's own Node client, unmodified.
//
// In: {"client": {"baseUrl", "authType", "apiKey", …}, "call": "channels.email.domain.get", "args": […]}: what its
// constructor takes, and a method by its path from there. Result: {"status", "headers", "data"}.
import { require, serve } from "./lines.mjs";

const { Infobip } = require("@infobip-api/sdk");

await serve(async ({ client, call, args }) => {
  const path = call.split(".");
  const method = path.pop();
  const owner = path.reduce((found, name) => found[name], new Infobip(client));
  const answer = await owner[method](...args);
  if (answer instanceof Error) {
    return answer; // this client returns its errors
  }
  return { status: answer.status, headers: { ...answer.headers }, data: answer.data };
});
