// A client behind a pipe: one JSON object per line in, one out, in order.
//
// A line out is {"result": …}, or {"error": {"type", "text", "code", "status", "headers", "data", …}} for whatever was
// thrown or returned as an Error. Octets are {"$bytes": base64} in either direction.
import { createRequire } from "node:module";
import { createInterface } from "node:readline";

// Packages are not beside this file: a test run writes nothing into the source tree.
export const require = createRequire(`${process.env.EKIDEN_TEST_CLIENTS}/`);

function revived(_key, value) {
  return typeof value?.$bytes === "string" ? Buffer.from(value.$bytes, "base64") : value;
}

function plain(key, value) {
  // A Buffer says {"type": "Buffer", "data": [...]} of itself before a replacer sees it.
  const held = this[key];
  return Buffer.isBuffer(held) ? { $bytes: held.toString("base64") } : value;
}

function told(error) {
  const { code, command, response, responseCode } = error;
  const http = typeof response === "object" && response !== null; // axios: an answer; nodemailer: a reply's text
  return {
    type: error.name,
    text: error.message,
    code,
    command,
    status: http ? response.status : responseCode,
    headers: http ? { ...response.headers } : {},
    data: http ? response.data : response,
  };
}

export async function serve(handle) {
  for await (const line of createInterface({ input: process.stdin })) {
    let answer;
    try {
      const result = await handle(JSON.parse(line, revived));
      answer = result instanceof Error ? { error: told(result) } : { result };
    } catch (error) {
      answer = { error: told(error) };
    }
    process.stdout.write(`${JSON.stringify(answer, plain)}\n`);
  }
}
