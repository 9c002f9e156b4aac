// Runs a GGUF file in llama.cpp, through node-llama-cpp, without a network.
//
// Usage: node llama_cpp.mjs NPM_FOLDER REQUEST_FILE
// A request is {"model": FILE, "texts": [TEXT], "start": ID, "prompts": [TEXT], "max_tokens": N}. The answer has, for
// each text, its ids and the logarithm of the probability of each of them after `start`; and for each prompt what
// greedy decoding says next, with the processor time of the prompt and of the tokens after the first.
import fs from "node:fs";
import {createRequire} from "node:module";
import path from "node:path";
import {pathToFileURL} from "node:url";

const [folder, requestFile] = process.argv.slice(2);
const resolve = createRequire(path.join(path.resolve(folder), "any.js")).resolve;
const {getLlama} = await import(pathToFileURL(resolve("node-llama-cpp")).href);
const request = JSON.parse(fs.readFileSync(requestFile, "utf8"));

const llama = await getLlama({
    gpu: false, build: "never", skipDownload: true, maxThreads: request.threads ?? 1, logLevel: "error"
});
const model = await llama.loadModel({modelPath: request.model});
// Keys and values in float32, and no flash attention, because both would round.
const context = await model.createContext({
    contextSize: request.context ?? 256, batchSize: request.context ?? 256, flashAttention: false,
    threads: request.threads ?? 1, experimentalKvCacheKeyType: "F32", experimentalKvCacheValueType: "F32"
});
const sequence = context.getSequence();

async function scores(text) {
    const ids = model.tokenize(text, false);
    await sequence.clearHistory();
    const input = [request.start, ...ids.slice(0, -1)].map((id) => [id, {generateNext: {logits: true}}]);
    const results = await sequence.controlledEvaluate(input);
    const logprobs = results.map((result, i) => {
        const values = [...result.next.logits.values()], most = values.reduce((a, b) => Math.max(a, b));
        const sum = values.reduce((total, value) => total + Math.exp(value - most), 0);
        return result.next.logits.get(ids[i]) - most - Math.log(sum);
    });
    return {ids, logprobs};
}

/** Without the time of the system, which has nothing to do with the model. */
function processorSeconds() {
    return process.cpuUsage().user / 1e6;
}

async function continued(prompt) {
    await sequence.clearHistory();
    const start = [request.start, ...model.tokenize(prompt, false)], ids = [];
    const began = processorSeconds();
    let first = null;
    for await (const id of sequence.evaluate(start, {temperature: 0})) {
        first ??= processorSeconds();
        if (id === model.tokens.eos) break;
        ids.push(id);
        if (ids.length === request.max_tokens) break;
    }
    const seconds = {prefill: first - began, decode: processorSeconds() - first};
    return {ids, text: model.detokenize(ids, false, start), prompt_tokens: start.length, seconds};
}

const answer = {
    architecture: model.fileInfo.metadata.general.architecture, scores: [], generated: [], eos: model.tokens.eos
};
for (const text of request.texts ?? []) answer.scores.push(await scores(text));
for (const prompt of request.prompts ?? []) answer.generated.push(await continued(prompt));
console.log(JSON.stringify(answer));
process.exit(0);
