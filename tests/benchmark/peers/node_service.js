// The service that espalier's is compared with: fastify takes a JPEG, sharp decodes and resizes it, ONNX Runtime runs the
// network, and the answer is espalier's JSON (without the cost). runner/service_rows.py starts it:
//
//   node node_service.js x.onnx x.json      the network, and its input and categories (runner/exports.py)
//
// It says where it listens, and ends at SIGTERM.
'use strict';

const crypto = require('node:crypto');
const fs = require('node:fs');
const fastify = require('fastify');
const ort = require('onnxruntime-node');
const sharp = require('sharp');

const TOP = 5;
const BODY_LIMIT = 32 << 20;

const [, , network, description] = process.argv;
const { model, input, categories } = JSON.parse(fs.readFileSync(description, 'utf8'));
const plane = input.width * input.height;

// A byte's normalised value, for each channel.
const normalised = input.mean.map((mean, channel) =>
  Float32Array.from({ length: 256 }, (_, value) => (value / 255 - mean) / input.std[channel]));

// The schema lets fastify write JSON without looking at what it writes.
const answerSchema = {
  type: 'object',
  properties: {
    request_id: { type: 'string' },
    model: { type: 'object', properties: { name: { type: 'string' }, version: { type: 'string' } } },
    predictions: {
      type: 'array',
      items: {
        type: 'object',
        properties: {
          category: { type: 'string' },
          label: { type: 'string' },
          probability: { type: 'number' },
          score: { type: 'number' },
        },
      },
    },
  },
};

// Upright, covering the input, cropped in its centre, by an antialiasing triangle filter: espalier's geometry.
function decode(jpeg) {
  return sharp(jpeg)
    .rotate()
    .resize(input.width, input.height, { fit: 'cover', position: 'centre', kernel: 'linear' })
    .toColourspace('srgb')
    .removeAlpha()
    .raw()
    .toBuffer();
}

function normalise(pixels) {
  const values = new Float32Array(3 * plane);
  const [red, green, blue] = normalised;
  for (let i = 0, at = 0; i < plane; i++) {
    values[i] = red[pixels[at++]];
    values[plane + i] = green[pixels[at++]];
    values[2 * plane + i] = blue[pixels[at++]];
  }
  return values;
}

function predict(scores) {
  const largest = scores.reduce((a, b) => Math.max(a, b), -Infinity);
  const sum = scores.reduce((total, score) => total + Math.exp(score - largest), 0);
  const best = Array.from(scores.keys()).sort((a, b) => scores[b] - scores[a]).slice(0, TOP);
  return best.map((index) => ({
    category: categories[index].path,
    label: categories[index].label,
    probability: Math.exp(scores[index] - largest) / sum,
    score: scores[index],
  }));
}

async function main() {
  sharp.concurrency(1); // there is one CPU
  const session = await ort.InferenceSession.create(network, {
    executionProviders: ['cpu'],
    intraOpNumThreads: 1,
    interOpNumThreads: 1,
    executionMode: 'sequential',
    graphOptimizationLevel: 'all',
  });
  const app = fastify({ logger: false, bodyLimit: BODY_LIMIT });
  app.addContentTypeParser('image/jpeg', { parseAs: 'buffer' }, (request, body, done) => done(null, body));
  app.post('/classify', { schema: { response: { 200: answerSchema } } }, async (request) => {
    const values = normalise(await decode(request.body));
    const image = new ort.Tensor('float32', values, [1, 3, input.height, input.width]);
    const { scores } = await session.run({ image });
    return { request_id: crypto.randomBytes(16).toString('hex'), model, predictions: predict(scores.data) };
  });
  console.log(await app.listen({ host: '127.0.0.1', port: 0 }));
}

process.on('SIGTERM', () => process.exit(0));
main().catch((error) => {
  console.error(error.message);
  process.exit(1);
});
