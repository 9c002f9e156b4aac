// Prints what h5wasm finds in a shard.  Usage: node shard.mjs NPM_FOLDER FILE
import path from "node:path";
import {pathToFileURL} from "node:url";

const [folder, file] = process.argv.slice(2);
const library = path.join(path.resolve(folder), "node_modules/h5wasm/dist/node/hdf5_hl.js");
const h5wasm = await import(pathToFileURL(library).href);
await h5wasm.ready;
const shard = new h5wasm.File(path.resolve(file), "r");
const number = (value) => (typeof value === "bigint" ? Number(value) : value);
const attributes = {};
for (const [name, attribute] of Object.entries(shard.attrs)) attributes[name] = number(attribute.value);
console.log(JSON.stringify({
    data: [...shard.get("data").value].map(number), doc_offsets: [...shard.get("doc_offsets").value].map(number),
    doc_bytes: [...shard.get("doc_bytes").value].map(number), attributes
}));
shard.close();
