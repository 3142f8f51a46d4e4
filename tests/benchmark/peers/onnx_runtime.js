// ONNX Runtime as a process that answers lines of JSON (runner/contenders.py asks).
//
//   {"command": "load", "file": "x.onnx", "threads": 1, "shape": [1, 3, 64, 64]}   {}
//   {"command": "scores", "inputs": "inputs.f32"}                                  {"scores": [[...], ...]}
//   {"command": "time", "inputs": "inputs.f32", "runs": 20}                        {"milliseconds": [...]}
//
// "scores" takes the file's pictures batch by batch; "time" runs its first picture, repeated to fill the batch.
'use strict';

const fs = require('node:fs');
const readline = require('node:readline');
const ort = require('onnxruntime-node');

const WARM_UP = 5;

let session = null;
let shape = null;

function readInputs(path) {
  const bytes = fs.readFileSync(path);
  return new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4).slice();
}

async function load({ file, threads, shape: wanted }) {
  await session?.release();
  session = await ort.InferenceSession.create(file, {
    executionProviders: ['cpu'],
    intraOpNumThreads: threads,
    interOpNumThreads: 1,
    executionMode: 'sequential',
    graphOptimizationLevel: 'all',
  });
  shape = wanted;
  return {};
}

async function scores({ inputs }) {
  const all = readInputs(inputs);
  const size = shape.reduce((product, extent) => product * extent, 1);
  const rows = [];
  for (let at = 0; at + size <= all.length; at += size) {
    const image = new ort.Tensor('float32', all.slice(at, at + size), shape);
    const { scores: result } = await session.run({ image });
    const columns = result.dims[1];
    for (let row = 0; row < shape[0]; row++)
      rows.push(Array.from(result.data.slice(row * columns, (row + 1) * columns)));
  }
  return { scores: rows };
}

function repeatFirst(all) {
  const size = shape.slice(1).reduce((product, extent) => product * extent, 1);
  const filled = new Float32Array(size * shape[0]);
  for (let row = 0; row < shape[0]; row++) filled.set(all.subarray(0, size), row * size);
  return filled;
}

async function time({ inputs, runs }) {
  const feeds = { image: new ort.Tensor('float32', repeatFirst(readInputs(inputs)), shape) };
  const milliseconds = [];
  for (let run = -WARM_UP; run < runs; run++) {
    const start = process.hrtime.bigint();
    await session.run(feeds);
    const taken = Number(process.hrtime.bigint() - start) / 1e6;
    if (run >= 0) milliseconds.push(taken);
  }
  return { milliseconds };
}

const commands = { load, scores, time };

async function main() {
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const question = JSON.parse(line);
    const answer = await commands[question.command](question).catch((error) => ({ error: error.message }));
    process.stdout.write(JSON.stringify(answer) + '\n');
  }
  process.exit(0);
}

main();
