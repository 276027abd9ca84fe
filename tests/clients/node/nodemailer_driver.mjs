// Nodemailer.
//
// In: {"transport": {…}, "message": {…}}: the options of createTransport and of sendMail; without a message the
// connection is verified. Result: {"accepted", "rejected", "response", "envelope", "messageId", …}, or true.
import { require, serve } from "./lines.mjs";

const { createTransport } = require("nodemailer");

await serve(async ({ transport, message }) => {
  const mailer = createTransport(transport);
  try {
    return message ? await mailer.sendMail(message) : await mailer.verify();
  } finally {
    mailer.close();
  }
});
