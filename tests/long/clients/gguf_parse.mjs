// Prints what @huggingface/gguf finds in a GGUF file.  Usage: node gguf_parse.mjs NPM_FOLDER FILE
import {createRequire} from "node:module";
import path from "node:path";
import {pathToFileURL} from "node:url";

const [folder, file] = process.argv.slice(2);
const resolve = createRequire(path.join(path.resolve(folder), "any.js")).resolve;
const {gguf} = await import(pathToFileURL(resolve("@huggingface/gguf")).href);
const {metadata, tensorInfos} = await gguf(path.resolve(file), {allowLocalFile: true});
const tensors = {};
for (const info of tensorInfos) tensors[info.name] = {shape: info.shape.map(Number), type: info.dtype};
console.log(JSON.stringify({
    architecture: metadata["general.architecture"], version: metadata.version,
    vocabulary: metadata["tokenizer.ggml.tokens"].length, tensors
}));
