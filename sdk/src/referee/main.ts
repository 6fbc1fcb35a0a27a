// `npm run referee -- --port N`

import { parseArgs } from "node:util";
import { fromHex, isHex } from "../bytes.js";
import { Keypair } from "../key.js";
import { serve } from "./server.js";

const { values } = parseArgs({ options: { port: { type: "string", default: "8080" }, listen: { type: "string" }, key: { type: "string" } } });
const port = Number(values.port);
if (!Number.isInteger(port) || port < 0 || port > 65535 || (values.key !== undefined && !isHex(values.key, 32))) {
  console.error("usage: referee [--port N] [--listen ADDRESS] [--key HEX]");
  process.exit(64);
}
const key = values.key === undefined ? {} : { key: new Keypair(fromHex(values.key)) };
const { url } = await serve({ port, ...(values.listen === undefined ? {} : { address: values.listen }), ...key });
console.log(`node    ${url}  (referee; everything is gone at exit)`);
